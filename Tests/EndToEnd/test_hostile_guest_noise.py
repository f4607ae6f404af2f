"""A guest who knocks without a pause fills neither the log nor the line of waiting hooks."""

import re
import threading
import time
from pathlib import Path
from typing import Iterator

import pytest

from harness import topologies
from harness.echo import echo_server
from harness.knock import keep_kernel_quiet, peer
from harness.settings import Configured, keys
from harness.topologies import Network
from harness.waiting import eventually

LINES_A_SECOND = 20


class Place:
    """A server with a guest who only knocks, and one who connects; each has a hook."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network, self.folder = network, folder
        self.keys = keys(folder, "mallory", "alice")
        guests = [
            {"name": "mallory", "key_file": "mallory.dat", "ports": [], "on_admit": ["/bin/sleep", "5"]},
            {"name": "alice", "key_file": "alice.dat", "on_admit": f"touch {folder}/alice"},
        ]
        self.server = Configured(network.server, "server", folder, {"hook_limit": 4, "guest": guests})
        keep_kernel_quiet(network.client)
        echo_server(network.server, 22)


@pytest.fixture
def place(as_root: None, tmp_path: Path) -> Iterator[Place]:
    with topologies.direct() as network:
        yield Place(network, tmp_path)


def test_one_who_knocks_without_a_pause(place: Place) -> None:
    log = place.server.daemon
    address = place.network.server.ipv4
    stop = threading.Event()
    with peer(place.network.client, place.keys["mallory"], address) as mallory:

        def flood() -> None:
            isn = 1
            while not stop.is_set():
                mallory.send_syn(isn=isn)
                isn += 1

        thread = threading.Thread(target=flood)
        begin = time.monotonic()
        thread.start()
        try:
            # More than can wait for a turn.
            log.wait_for_line("hooks not run: too many are waiting count=\\d+ most-of-guest=mallory", 10, "stderr")
            with peer(place.network.client, place.keys["alice"], address) as alice:
                alice.send_syn()
                assert alice.receive_synack()
                alice.send_ack()
                eventually((place.folder / "alice").exists, 2, "the other guest's hook")
        finally:
            stop.set()
            thread.join()
        seconds = time.monotonic() - begin
    log.wait_for_line("log lines left out: .* count=[1-9].*guest=mallory", 3, "stderr")

    def all_told() -> bool:
        """Every knock is a line, or in the number of those that were left out."""
        lines = log.lines("stderr")
        left_out = sum(int(count) for line in lines for count in re.findall(r"log lines left out.* count=(\d+)", line))
        told = sum(" knocked " in line for line in lines)
        assert told <= (seconds + 3) * LINES_A_SECOND
        return told + left_out > 10 * told

    eventually(all_told, 3, "the number of lines that were left out")
