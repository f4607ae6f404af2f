"""Several servers on one host: the rules of each have names of their own and do not touch the others'."""

import json
import os
from pathlib import Path
from typing import List

import pytest

from harness.daemons import program
from harness.echo import echo, echo_server
from harness.firewall import BACKENDS, firewall, snapshot
from harness.hosts import Host
from harness.inside import connect, echoes, gets_in
from harness.knock import equip
from harness.queue_stand_in import queue_stand_in
from harness.settings import keys
from harness.topologies import Network
from harness.waiting import eventually

WEB = ("--instance", "web")


def ports(host: Host, *instance: str) -> List[int]:
    return list(json.loads(firewall(host, "server", "status", "--json", *instance, check=False).stdout)["ports"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_instances_live_side_by_side(host: Host, backend: str) -> None:
    before = snapshot(host)
    firewall(host, "server", "up", "--iptables", backend)
    alone = snapshot(host)
    firewall(host, "server", "up", *WEB, "--target-port", 443, "--queue-num", 101, "--iptables", backend)
    # A name that begins as another one does is another one.
    firewall(host, "server", "up", "--instance", "web-in", "--target-port", 80, "--queue-num", 102, "--iptables", backend)
    assert (ports(host), ports(host, *WEB), ports(host, "--instance", "web-in")) == ([22], [443], [80])
    told = json.loads(firewall(host, "server", "status", "--json", *WEB).stdout)
    assert (told["instance"], told["state"], told["queue"], told["iptables"]) == ("web", "up", "101", backend)
    assert "rules of web: up" in firewall(host, "server", "status", *WEB).stdout
    firewall(host, "server", "down", "--instance", "web-in")
    firewall(host, "server", "down", *WEB)
    assert snapshot(host) == alone
    # The last one to go takes away what came into being for all of them, whichever it is.
    firewall(host, "server", "up", *WEB, "--target-port", 443, "--queue-num", 101, "--iptables", backend)
    firewall(host, "server", "down")
    assert ports(host, *WEB) == [443]
    firewall(host, "server", "down", *WEB)
    assert snapshot(host) == before


def test_an_instance_has_packets_of_its_own(direct: Network) -> None:
    client, server = direct.client, direct.server
    echo_server(server, 22, 443, 80)
    firewall(server, "server", "up")
    firewall(server, "server", "up", *WEB, "--target-port", 443, "--queue-num", 101)
    for family in (4, 6):
        found = [echo(client, server.address(family), port, timeout=0.3).complete for port in (22, 443, 80)]
        assert found == [0, 0, 1]
    with queue_stand_in(server, queue=101):
        assert "a process listens to it" in firewall(server, "server", "status", *WEB).stdout
        assert "NO process listens" in firewall(server, "server", "status").stdout
    firewall(server, "server", "down")
    found = [echo(client, server.ipv4, port, timeout=0.3).complete for port in (22, 443)]
    assert found == [1, 0]


@pytest.mark.parametrize(
    "flags,message",
    [
        (("--target-port", 22, "--queue-num", 101), "TCP port 22 is protected by another instance"),
        (("--target-port", 443, "--queue-num", "99:100"), "queue 99:100 is in use by another instance"),
    ],
)
def test_what_another_instance_has_is_refused(host: Host, flags: "tuple[object, ...]", message: str) -> None:
    firewall(host, "server", "up")
    before = snapshot(host)
    result = firewall(host, "server", "up", *WEB, *flags, check=False)
    assert result.returncode == os.EX_USAGE and message in result.stderr and "nothing was changed" in result.stderr
    assert snapshot(host) == before


@pytest.mark.parametrize("name", ("", "-x", "a b", "a_b", "a.b", "12345678901", "$(reboot)"))
def test_what_is_no_name(host: Host, name: str) -> None:
    result = firewall(host, "server", "up", f"--instance={name}", check=False)
    assert result.returncode == os.EX_USAGE and "is not a name" in result.stderr


def test_fewer_ports_must_be_asked_for(host: Host) -> None:
    firewall(host, "server", "up", "--target-port", 22, "--target-port", 443)
    before = snapshot(host)
    result = firewall(host, "server", "up", "--target-port", 443, "--target-port", 80, check=False)
    assert result.returncode == os.EX_USAGE
    assert "TCP port 22 would not be protected any more" in result.stderr and "--drop-ports" in result.stderr
    assert snapshot(host) == before
    result = firewall(host, "server", "up", "--target-port", 443, "--target-port", 80, "--drop-ports")
    assert "no longer protected: TCP port 22" in result.stdout and ports(host) == [80, 443]


def test_each_instance_has_a_confirmation_of_its_own(host: Host) -> None:
    firewall(host, "server", "up")
    alone = snapshot(host)
    firewall(host, "server", "up", *WEB, "--target-port", 443, "--queue-num", 101, "--confirm", 1)
    assert firewall(host, "server", "confirm", check=False).returncode == 1
    eventually(lambda: snapshot(host) == alone, timeout=6, what="the rules of web to come down")


def test_two_servers_with_all_that_is_theirs(direct: Network, tmp_path: Path) -> None:
    client, server = direct.client, direct.server
    key = keys(tmp_path, "ssh", "web")
    echo_server(server, 22, 443)
    daemons = {}
    for name, port, queue in (("ssh", 22, 100), ("web", 443, 101)):
        # As the units do it, but with a socket, a state folder and a configuration that are not the host's.
        file = tmp_path / f"server@{name}.toml"
        file.write_text(
            f'target_ports = [{port}]\nqueue_num = {queue}\nkey_file = "{name}.dat"\nkernel_filter = "off"\n'
            f'control_socket = "{name}.sock"\nstate_dir = "{tmp_path}/state"\n'
        )
        flags = ["--config", str(file), "--instance", name]
        daemons[name] = server.popen([program("tcpknock-server"), *flags])
        daemons[name].wait_for_line(r"\bready\b", 10, which="stdout")
        source = f"{program('tcpknock-server')} {' '.join(flags)}"
        firewall(server, "server", "up", "--instance", name, "--flags-from", source, "--kernel-filter", "off")
    equip(client, None, ports=(22, 443), more=["--config", str(targets(tmp_path, server.ipv4, key))])
    # They stay open while status is asked.
    connections = [connect(client, server.ipv4, port) for port in (22, 443)]
    assert all(echoes(connection) for connection in connections)
    for name, port in (("ssh", 22), ("web", 443)):
        [row] = json.loads(
            server.run([program("tcpknock"), "status", "--json", "--socket", f"{tmp_path}/{name}.sock"]).stdout
        )["connections"]
        assert row["server"].endswith(f":{port}")
    # The end of one is not the other's.
    daemons["ssh"].stop()
    assert not gets_in(client, server.ipv4, 22, timeout=0.3)
    assert echoes(connect(client, server.ipv4, 443))


def targets(folder: Path, address: str, key: "dict[str, str]") -> Path:
    """A configuration of a client that knows both servers."""
    file = folder / "client.toml"
    file.write_text(
        "".join(
            f'[[target]]\nhost = "{address}"\nport = {port}\nkey_file = "{key[name]}"\n'
            for name, port in (("ssh", 22), ("web", 443))
        )
    )
    return file
