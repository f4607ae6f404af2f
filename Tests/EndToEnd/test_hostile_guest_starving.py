"""A guest who begins handshakes as fast as the machine allows takes nobody else's."""

import os
import time
from pathlib import Path

import pytest

from harness import topologies
from harness.crowd import crowd_server
from harness.hosts import PYTHON
from harness.inside import connect, echoes
from harness.knock import counters, equip, keep_kernel_quiet
from harness.settings import Configured, keys

FLOOD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "harness", "guest_flood_program.py")


@pytest.mark.parametrize("rate", (None, 0), ids=("bounded", "not bounded"))
def test_two_hundred_of_two_hundred_get_in_during_a_guests_flood(as_root: None, rate: object, tmp_path: Path) -> None:
    with topologies.two_clients() as network:
        assert network.other
        server, alice, mallory = network.server, network.client, network.other
        key = keys(tmp_path, "alice", "mallory")
        guests = [{"name": name, "key_file": f"{name}.dat"} for name in key]
        settings = {"guest": guests} if rate is None else {"guest": guests, "guest_syn_rate": rate}
        daemon = Configured(server, "server", tmp_path, settings)
        equip(alice, key["alice"])
        keep_kernel_quiet(mallory)
        crowd_server(server)
        flood = mallory.popen([PYTHON, FLOOD, key["mallory"], server.ipv4, "22", "100000"], name="flood")
        flood.wait_for_line("^ready$", 60)
        flood.write_line("")
        time.sleep(1)
        failures, slowest = [], 0.0
        begin = time.monotonic()
        for number in range(200):
            # The flood goes on for as long as these take, and for some time between them.
            start = time.monotonic()
            try:
                connection = connect(alice, server.ipv4, timeout=10)
                assert echoes(connection)
                connection.close()
            except (OSError, AssertionError) as error:
                failures.append(f"{number}: {error!r}")
            slowest = max(slowest, time.monotonic() - start)
            time.sleep(0.05)
        seconds = time.monotonic() - begin
        flood.write_line("")
        sent = int(flood.wait_for_line("^sent (\\d+)$", 10)[1])
        told = counters(daemon.daemon)
        print(f"{sent} SYNs sent, {sent / seconds:.0f} a second; slowest connection {slowest:.2f} s; {told}")
        assert failures == []
        assert told["syn-accepted"] > 20_000, "the flood was one"
        if rate is None:
            assert told["guest-too-fast"] > 10_000
            # What a full bucket holds, and two thousand a second; and alice's two hundred.
            assert told["syn-accepted"] < 20_000 + 2000 * (seconds + 3) + 400
        assert [row["guest"] for row in daemon.status()["connections"] if row["guest"] == "mallory"] == []
