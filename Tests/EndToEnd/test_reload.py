"""Reading the configuration again: what is taken over, what goes on meanwhile, and what is refused."""

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator, List

import pytest

from harness import topologies
from harness.daemons import keygen
from harness.echo import EchoResult, echo, echo_server
from harness.firewall import firewall
from harness.inside import connect, echoes, gets_in
from harness.knock import FAMILIES, assert_nobody_locked_out, keep_kernel_quiet, peer
from harness.queues import queue_counters
from harness.settings import Configured, Settings, keys
from harness.topologies import Network


PORTS = [22, 2222]


class Pair:
    """A server and a client by configuration files, with an echo service behind the knock."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.folder = folder
        keys(folder, "key")
        self.server = Configured(network.server, "server", folder, self.of_server())
        self.client = Configured(network.client, "client", folder, self.of_client())
        keep_kernel_quiet(network.client)
        echo_server(network.server, *PORTS)

    def of_server(self) -> Settings:
        guests = [{"name": "alice", "key_file": "key.dat"}]
        return {"target_ports": PORTS, "kernel_filter": "off", "guest": guests}

    def of_client(self) -> Settings:
        return {"target_ports": PORTS, "key_file": "key.dat"}

    def begin(self) -> None:
        """As each test finds it."""
        self.server.settings, self.client.settings = self.of_server(), self.of_client()
        for daemon in (self.server, self.client):
            daemon.reload()
        self.start = self.server.daemon.position

    def log(self, pattern: str) -> None:
        """Waits for a line of the server since the test began."""
        self.server.daemon.wait_for_line(pattern, which="stderr", start=self.start)

    def gets_in(self, port: int = 22, family: int = 4) -> bool:
        return gets_in(self.network.client, self.network.server.address(family), port, timeout=0.3)


@pytest.fixture(scope="module")
def one_pair(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with topologies.direct() as network:
        yield Pair(network, tmp_path_factory.mktemp("pair"))


@pytest.fixture
def pair(one_pair: Pair) -> Pair:
    """One pair of daemons for all tests, with the configuration that they began with."""
    one_pair.begin()
    return one_pair


@pytest.mark.parametrize("way", ("SIGHUP", "tcpknock reload"))
def test_a_new_port_that_has_no_rules_is_told(pair: Pair, way: str) -> None:
    assert pair.server.tool("status").stdout.startswith("PROTECTED: ports 22, 2222\n")
    pair.server.settings["target_ports"] = [*PORTS, 8443]
    text = "NOT PROTECTED: port 8443: there are no rules for it; run .*server.sh up .*--target-port 8443 "
    if way == "SIGHUP":
        pair.server.write()
        pair.server.daemon.send_signal(signal.SIGHUP)
    else:
        pair.server.write()
        answer = pair.server.tool("reload").stdout
        assert re.search(f"^{text}.*under systemd, 'systemctl reload'", answer, re.MULTILINE), answer
    pair.server.daemon.wait_for_line(f" ERROR {text}", 15, which="stderr", start=pair.start)
    result = pair.server.tool("status", check=False)
    assert result.returncode == 1 and re.match(text, result.stdout)
    # As systemd does it: the rules first.
    firewall(pair.network.server, "server", "up", *pair.server.firewall_flags())
    answer = pair.server.tool("reload").stdout
    assert "PROTECTED" not in answer
    assert pair.server.tool("status").stdout.startswith("PROTECTED: ports 22, 2222, 8443\n")
    pair.server.settings["target_ports"] = PORTS
    pair.server.write()
    firewall(pair.network.server, "server", "up", "--drop-ports", *pair.server.firewall_flags())
    assert "PROTECTED" not in pair.server.tool("reload").stdout


@pytest.mark.parametrize("way", ("SIGHUP", "tcpknock reload"))
def test_takes_over_what_is_new(pair: Pair, way: str) -> None:
    assert pair.gets_in(22) and pair.gets_in(2222)
    held = connect(pair.network.client, pair.network.server.ipv4)
    pair.server.settings["guest"][0]["ports"] = [22]
    if way == "SIGHUP":
        pair.server.write()
        pair.server.daemon.send_signal(signal.SIGHUP)
    else:
        pair.server.write()
        said = pair.server.tool("reload").stdout
        assert said.endswith("configuration read again: 0 guests added, 0 removed, 1 kept\n")
    pair.log("NOTICE configuration read again: 0 guests added, 0 removed, 1 kept")
    assert pair.gets_in(22) and not pair.gets_in(2222)
    assert echoes(held)


BAD = {
    "no TOML": ("queue_num = = 3", 78, "server.toml:1:"),
    "an unknown key": ("lockout_second = 3", 78, "lockout_second"),
    "no such key file": ('[[guest]]\nname = "x"\nkey_file = "nowhere.dat"', 66, "nowhere.dat"),
    "a key file too short": ('[[guest]]\nname = "x"\nkey_file = "short.dat"', 65, "short.dat"),
    "the same key twice": (
        '[[guest]]\nname = "x"\nkey_file = "key.dat"\n[[guest]]\nname = "y"\nkey_file = "copy.dat"', 78, '"x"'),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_leaves_the_old_one_in_force(pair: Pair, kind: str) -> None:
    text, status, part = BAD[kind]
    (pair.folder / "short.dat").write_bytes(b"x" * 100)
    (pair.folder / "copy.dat").write_bytes((pair.folder / "key.dat").read_bytes())
    for name in ("short.dat", "copy.dat"):
        (pair.folder / name).chmod(0o600)
    held = connect(pair.network.client, pair.network.server.ipv4)
    pair.server.path.write_text(text)
    result = pair.server.tool("reload", check=False)
    assert result.returncode == status
    assert part in result.stderr and "the old configuration stays in force" in result.stderr
    assert result.stdout == ""
    pair.log("ERROR configuration not read again, the old one stays in force: .*" + re.escape(part))
    assert echoes(held)
    assert pair.gets_in(22) and pair.gets_in(2222, 6)
    start = pair.server.daemon.position
    pair.server.daemon.send_signal(signal.SIGHUP)
    pair.server.daemon.wait_for_line("ERROR configuration not read again", start=start)
    assert pair.gets_in(22)
    # And once it is right again, it is taken.
    pair.server.settings["guest"][0]["ports"] = [22]
    pair.server.reload()
    assert pair.gets_in(22) and not pair.gets_in(2222)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_handshake_under_way_is_not_lost(pair: Pair, family: int, tmp_path: Path) -> None:
    with peer(pair.network.client, str(pair.folder / "key.dat"), pair.network.server.address(family)) as client:
        client.send_syn()
        assert client.receive_synack()
        bob = keygen(tmp_path / "bob.dat")
        pair.server.settings["guest"].insert(0, {"name": "bob", "key_file": bob})
        pair.server.reload()
        client.send_ack()
        client.established = True
        assert client.exchange(b"hello") == b"hello"
    pair.log("connection verified .*guest=alice ")
    assert_nobody_locked_out(pair.server.daemon)


def test_what_cannot_change_is_named(pair: Pair) -> None:
    pair.server.settings.update(
        queue_num=101, mark=0x2000, on_failure="reset", no_time=True, count_bytes=False, log_level="debug",
        hook_limit=3, hook_seconds=3, lockout_seconds=77,
    )  # fmt: skip
    pair.server.write()
    said = pair.server.tool("reload").stdout
    names = said.partition("changed only at the next start: ")[2].strip().split(", ")
    assert sorted(names) == [
        "count_bytes", "hook_limit", "hook_seconds", "log_level", "mark", "no_time", "on_failure", "queue_num"
    ]  # fmt: skip
    pair.log(", ".join(names))
    assert 100 in queue_counters(pair.network.server)
    assert pair.gets_in()
    pair.client.settings.update(queue_num=201, log_format="json")
    pair.client.write()
    said = pair.client.tool("reload").stdout
    names = said.partition("changed only at the next start: ")[2].strip().split(", ")
    assert sorted(names) == ["log_format", "queue_num"]
    assert pair.gets_in()


def test_a_hundred_times_under_a_stream_of_connections(pair: Pair) -> None:
    address = pair.network.server.ipv4
    # Before one of the connections is retransmitted, which would hide a loss: one second.
    with ThreadPoolExecutor() as pool:
        streams = [pool.submit(echo, pair.network.client, address, 22, 150, timeout=0.9) for _ in range(2)]
        reloads = 0
        while reloads < 100 or not all(stream.done() for stream in streams):
            # Something changes each time, for both.
            pair.server.settings["lockout_seconds"] = 100 + reloads % 50
            pair.server.settings["guest"][0]["ports"] = [22, 2222] if reloads % 2 else [22]
            for daemon in (pair.server, pair.client):
                daemon.write()
                assert daemon.ask(b"text reload\n").startswith(b"ok\nconfiguration read again")
            reloads += 1
        results: List[EchoResult] = [stream.result() for stream in streams]
    assert [result.failures for result in results] == [[], []]
    assert [result.complete for result in results] == [150, 150]
    assert_nobody_locked_out(pair.server.daemon)


def test_the_client_takes_over_another_target(pair: Pair, tmp_path: Path) -> None:
    address = pair.network.server.ipv4
    other = keygen(tmp_path / "other.dat")
    held = connect(pair.network.client, address)
    del pair.client.settings["key_file"]
    pair.client.settings["target"] = [{"host": address, "ports": [22, 2222], "key_file": other}]
    pair.client.reload()
    assert not pair.gets_in(), "the server does not know this key"
    pair.server.settings["guest"].append({"name": "bob", "key_file": other})
    pair.server.reload()
    assert pair.gets_in()
    pair.log("connection verified .*guest=bob ")
    assert [target["name"] for target in pair.client.status()["targets"]] == [f"{address}:22,2222"]
    assert echoes(held)
    # A file that is wrong changes nothing.
    pair.client.path.write_text("targets = 3\n")
    result = pair.client.tool("reload", check=False)
    assert result.returncode == os.EX_CONFIG and "targets" in result.stderr
    assert pair.gets_in()
