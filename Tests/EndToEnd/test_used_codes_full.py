"""The table of used codes at its limit: what is told at 80 % and when it is full, and that it empties again.

It takes 2.6 million codes within three minutes, and three minutes for them to expire: a part of `make soak`.
"""

import os
import re
import time
from pathlib import Path

import pytest

from harness.daemons import state_folder
from harness.echo import echo_server
from harness.hosts import PYTHON
from harness.inside import gets_in
from harness.knock import counters, equip
from harness.processes import resident_kilobytes
from harness.settings import Configured, keys
from harness.topologies import Network
from harness.waiting import eventually

FLOOD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "harness", "code_flood_program.py")
CAPACITY = 2_621_440
MEMORY = 150 << 20
"""Of docs/CONFIGURATION.md: 105 MB for the codes; and what a daemon has beside."""
STATE = 255 * 10**6


def gauges(path: Path) -> "dict[str, float]":
    """The metrics without labels of their own."""
    found = re.findall(r'^(tcpknock_\w+)\{program="tcpknock-server"\} (\S+)$', path.read_text(), re.MULTILINE)
    return {name: float(value) for name, value in found}


@pytest.mark.skipif("TCPKNOCK_SOAK" not in os.environ, reason="takes six minutes: make soak")
def test_the_table_of_used_codes_is_full(two_clients: Network, tmp_path: Path) -> None:
    assert two_clients.other
    server, client, address = two_clients.server, two_clients.client, two_clients.server.ipv4
    key = keys(tmp_path, "crowd")["crowd"]
    metrics, state = tmp_path / "server.prom", Path(state_folder(server))
    # A guest that only knocks: its SYNs use up codes, and cost the kernel nothing.
    guest = {"name": "crowd", "key_file": "crowd.dat", "ports": []}
    daemon = Configured(server, "server", tmp_path, {"guest": [guest], "metrics_file": str(metrics)})
    log = daemon.daemon
    equip(client, key)
    echo_server(server, 22)

    begin = time.monotonic()
    flood = two_clients.other.popen([PYTHON, FLOOD, key, address, "22"], name="flood")
    flood.wait_for_line("^begun$", 10)
    log.wait_for_line(r"WARNING the room for used codes is \d+ % taken; when all is, no new connection", 240, "stderr")
    codes = daemon.status()["usedCodes"]
    assert codes["capacity"] == CAPACITY and 0.8 * CAPACITY <= codes["taken"] < CAPACITY
    eventually(lambda: gauges(metrics)["tcpknock_used_codes"] >= 0.8 * CAPACITY, 20, "the metrics")
    log.wait_for_line("ERROR there is no room for more used codes: no new connection begins", 240, "stderr")
    seconds = time.monotonic() - begin
    assert daemon.status()["usedCodes"] == {"taken": CAPACITY, "capacity": CAPACITY}
    eventually(lambda: gauges(metrics)["tcpknock_used_codes"] == CAPACITY, 20, "the metrics")
    assert gauges(metrics)["tcpknock_used_codes_capacity"] == CAPACITY
    flood.write_line("")
    sent = int(flood.wait_for_line(r"^sent (\d+)$", 10)[1])
    refused = counters(log)["replay-cache-full"]
    assert refused > 0
    resident = resident_kilobytes(log.pid) << 10
    stored = sum(file.stat().st_size for file in state.rglob("*") if file.is_file())
    print(f"{sent} SYNs, full after {seconds:.0f} s; resident {resident >> 20} MB, state {stored / 10**6:.0f} MB")
    assert resident < MEMORY and stored < STATE

    # Nobody gets in, until the first codes have expired.
    daemon.guest("crowd")["ports"] = [22]
    daemon.reload()
    assert not gets_in(client, address)
    assert counters(log)["replay-cache-full"] > refused
    log.wait_for_line("NOTICE there is room for used codes again", 240, "stderr")
    eventually(lambda: gets_in(client, address), 20, "a connection")
