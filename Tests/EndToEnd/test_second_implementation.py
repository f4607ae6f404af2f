"""tcpknock-server and the client that was written in Python from docs/PROTOCOL.md alone understand each other."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any, Dict

import pytest

from harness.daemons import keygen, program
from harness.echo import echo_server
from harness.knock import (
    FAMILIES,
    MODES,
    KnockClient,
    assert_nobody_locked_out,
    counted,
    counters,
    peer,
    proto,
    protect,
    read_key,
    within_a_minute,
)
from harness.processes import Program
from harness.topologies import Network

ADDRESS = {4: "10.81.1.77", 6: "fd81:1::77"}  # one that no kernel has: the peer answers for it


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_handshake(direct: Network, family: int, mode: str, key_file: str) -> None:
    server = protect(direct.server, key_file)
    echo_server(direct.server, 22)
    data = os.urandom(100_000)
    for _ in range(5):
        with peer(direct.client, key_file, direct.server.address(family), source=ADDRESS[family], mode=mode) as client:
            assert client.handshake()
            assert client.synack and client.synack.proof_ok
            assert client.exchange(data) == data
            assert client.close()
    assert counters(server)["acknowledgment-verified"] == 5
    assert_nobody_locked_out(server)


def test_the_fingerprint(key_file: str) -> None:
    printed = subprocess.run(
        [program("keygen"), "--fingerprint", key_file], capture_output=True, text=True, timeout=10, check=True
    )
    assert printed.stdout.split() == [proto.Keys.derive(read_key(key_file)).fingerprint, key_file]


# --- silence ------------------------------------------------------------------------------------------------------


def assert_silent(client: KnockClient, server: Program, reason: str, **syn: Any) -> None:
    """The SYN is dropped for the reason, and nothing comes back."""
    before = counters(server).get(reason, 0)
    client.send_syn(**syn)
    counted(server, reason, before + 1)
    assert client.receive_segment(0.1) is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_wrong_code_gets_no_answer(direct: Network, family: int, mode: str, key_file: str) -> None:
    server = protect(direct.server, key_file)
    echo_server(direct.server, 22)
    with peer(direct.client, key_file, direct.server.address(family), source=ADDRESS[family], mode=mode) as client:
        right = client.code(isn=1000)
        for bit in (0, 15, 31):
            assert_silent(client, server, "syn-with-wrong-code", isn=1000, code=right ^ (1 << bit))
        assert_silent(client, server, "syn-with-wrong-code", isn=1001, code=right)
        # Nobody is locked out for it: the right one still works.
        client.send_syn(isn=1000, code=right)
        assert client.receive_synack()
        assert_nobody_locked_out(server)


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_key_gets_no_answer(direct: Network, mode: str, key_file: str, tmp_path: Path) -> None:
    server = protect(direct.server, key_file)
    echo_server(direct.server, 22)
    other_key = keygen(tmp_path / "other.dat")
    with peer(direct.client, other_key, direct.server.ipv4, source=ADDRESS[4], mode=mode) as client:
        assert_silent(client, server, "syn-with-wrong-code")


def test_the_code_of_another_address_gets_no_answer(direct: Network, key_file: str) -> None:
    server = protect(direct.server, key_file)
    echo_server(direct.server, 22)
    address = direct.server.ipv4
    with peer(direct.client, key_file, address, source=ADDRESS[4], claimed_address=direct.client.ipv4) as client:
        assert_silent(client, server, "syn-with-wrong-code")


# --- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("minutes", (-2, -1, 0, 1, 2))
def test_codes_are_good_for_the_minute_and_its_neighbours(
    direct: Network, minutes: int, mode: str, key_file: str
) -> None:
    within_a_minute()
    server = protect(direct.server, key_file)
    echo_server(direct.server, 22)
    address = direct.server.ipv4
    with peer(
        direct.client, key_file, address, source=ADDRESS[4], mode=mode, clock=lambda: time.time() + 60 * minutes
    ) as client:
        if abs(minutes) <= 1:
            assert client.handshake()
            assert client.exchange(b"hello") == b"hello"
        else:
            assert_silent(client, server, "syn-with-wrong-code")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_without_time(direct: Network, family: int, mode: str, key_file: str) -> None:
    server = protect(direct.server, key_file, no_time=True)
    echo_server(direct.server, 22)
    options: Dict[str, Any] = {"source": ADDRESS[family], "mode": mode}
    address = direct.server.address(family)
    with peer(direct.client, key_file, address, time_enabled=False, **options) as client:
        assert client.handshake()
        assert client.exchange(b"hello") == b"hello"
    with peer(direct.client, key_file, address, time_enabled=True, **options) as client:
        assert_silent(client, server, "syn-with-wrong-code")


def test_a_code_without_time_is_wrong_where_there_is_time(direct: Network, key_file: str) -> None:
    server = protect(direct.server, key_file)
    echo_server(direct.server, 22)
    with peer(direct.client, key_file, direct.server.ipv4, source=ADDRESS[4], time_enabled=False) as client:
        assert_silent(client, server, "syn-with-wrong-code")
