"""After an upgrade one runs `up` again: rules as earlier versions made them are replaced, without a gap or leftovers."""

import subprocess
from pathlib import Path
from typing import Dict, List

import pytest

from harness.daemons import start_server
from harness.echo import HeldConnection, echo, echo_server
from harness.firewall import PROJECT, firewall, snapshot
from harness.hosts import PYTHON, Host
from harness.inside import gets_in
from harness.knock import WITHOUT_FILTER, equip
from harness.topologies import Network

EARLIER = {
    "first": "a2909e4aeed5e698dd5a4dcb5158e2b97df98c5f",
    "with a raw table and address sets": "9ea106dfd2cfa51afed09b0a10911a460ef62259",
    "with hooks for each interface": "fd162745c1258d1a6ed83aa8b6ece9d5665e9092",
    "without address sets": "1ecb5f98b33df1692dffbb307d412223444c1823",
    "of everybody's ports": "73775aab34c534f2d7d832a84d21880651f407a6",
    "with hooks in INPUT and FORWARD": "5b7b55418fc18ad025f08fb3b0e43c9344757614",
}
"""Versions after which the rules, or how they are put in, have changed."""
CASES = [(version, "nft") for version in EARLIER] + [(version, "legacy") for version in list(EARLIER)[1::4]]


def scripts_of(commit: str, folder: Path) -> Path:
    """The firewall scripts of an earlier version."""
    for name in ("common.sh", "server.sh", "client.sh"):
        shown = subprocess.run(
            ["git", "-C", PROJECT, "show", f"{commit}:firewall/{name}"], capture_output=True, timeout=20, check=False
        )
        if shown.returncode != 0:
            pytest.skip("the history of the project is not here (a shallow clone, or no clone)")
        (folder / name).write_bytes(shown.stdout)
        (folder / name).chmod(0o755)
    return folder


def all_rules(host: Host) -> Dict[str, List[str]]:
    """The rules of each chain in order, by where it is; nft shows chains in the order in which they came into being."""
    found: Dict[str, List[str]] = {}
    for key, text in snapshot(host).items():
        table = ""
        for line in text.splitlines() if key != "nft" else []:
            if line.startswith("*"):
                table = f"{key} {line[1:]}"
            elif line.startswith(":"):
                found.setdefault(f"{table} {line[1:].split()[0]}", [])
            elif line.startswith("-A"):
                found.setdefault(f"{table} {line.split()[1]}", []).append(line)
    return found


def our_chains(host: Host) -> "set[str]":
    """Where our chains are, and the built-in ones with rules of ours."""
    return {place for place, rules in all_rules(host).items() if "TCPKNOCK-" in " ".join([place, *rules])}


@pytest.mark.parametrize("version,backend", CASES)
def test_up_replaces_the_servers_rules(
    direct: Network, tmp_path: Path, key_file: str, version: str, backend: str
) -> None:
    client, server = direct.client, direct.server
    old = scripts_of(EARLIER[version], tmp_path)
    before = snapshot(server)
    flags = ["--target-port", "22", "--iptables", backend]
    # What `up` makes where there is nothing: nothing else is to be there after an upgrade.
    firewall(server, "server", "up", *flags, *WITHOUT_FILTER)
    expected = our_chains(server)
    firewall(server, "server", "down")
    assert snapshot(server) == before
    server.run(["rm", "-rf", server.records])

    echo_server(server, 22)
    with HeldConnection(client, server.ipv4, 22) as four, HeldConnection(client, server.ipv6, 22) as six:
        server.run([str(old / "server.sh"), "up", *flags])
        old_chains = our_chains(server)
        assert four.echo() and six.echo()
        assert not gets_in(client, server.ipv4, timeout=0.3)

        trying = client.popen([PYTHON, "-c", _TRY, server.ipv4, server.ipv6])
        trying.wait_for_line("^trying$")
        result = firewall(server, "server", "up", *flags, *WITHOUT_FILTER)
        assert trying.alive
        trying.kill()
        assert trying.lines("stdout") == ["trying"], "somebody got in while the rules were replaced"
        assert result.stderr == ""
        assert our_chains(server) != old_chains, "these are no rules of an earlier layout"
        assert firewall(server, "server", "status").stdout.startswith("tcpknock server rules: up")
        # Those of connections from before, beside what there is where nothing was.
        assert our_chains(server) == expected
        assert four.echo(100_000) and six.echo(100_000)
        # And they work: who knocks gets in, who does not does not.
        with start_server(server, key_file, more=WITHOUT_FILTER):
            assert not gets_in(client, server.ipv4, timeout=0.3)
            equip(client, key_file)
            for address in (server.ipv4, server.ipv6):
                assert echo(client, address, 22).complete == 1
            assert four.echo() and six.echo()
    firewall(server, "server", "down")
    assert snapshot(server) == before


@pytest.mark.parametrize("version,backend", CASES)
def test_up_replaces_the_clients_rules(
    direct: Network, tmp_path: Path, version: str, backend: str
) -> None:
    host = direct.client
    old = scripts_of(EARLIER[version], tmp_path)
    before = snapshot(host)
    flags = ["--target-port", "22", "--iptables", backend]
    firewall(host, "client", "up", *flags)
    expected = all_rules(host)
    firewall(host, "client", "down")
    assert snapshot(host) == before
    host.run([str(old / "client.sh"), "up", *flags])
    result = firewall(host, "client", "up", *flags)
    assert result.stderr == "" and all_rules(host) == expected
    firewall(host, "client", "down")
    assert snapshot(host) == before


_TRY = """
import itertools, socket, sys
print("trying", flush=True)
for address in itertools.cycle(sys.argv[1:]):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
        s.settimeout(0.005)
        try:
            s.connect((address, 22))
            print("got in", address, flush=True)
        except OSError:
            pass
"""
