"""The rules at boot and at a restart of their unit: the unit's commands, run as the unit runs them."""

import json
import os
import re
import shlex
import stat
from pathlib import Path
from typing import List

import pytest

from harness.daemons import program
from harness.echo import echo, echo_server
from harness.firewall import BACKENDS, PROJECT, firewall, snapshot
from harness.hosts import Host
from harness.topologies import Network

UNITS = os.path.join(PROJECT, "packaging", "systemd")
UNIT = os.path.join(UNITS, "tcpknock-server-rules.service")


class Unit:
    """Runs the commands of the rules' unit with the scripts of the source, and a daemon that reads `configuration`."""

    def __init__(self, folder: Path) -> None:
        self.configuration = folder / "server.toml"
        self.daemon = folder / "tcpknock-server"
        self.daemon.write_text(f'#!/bin/sh\nexec {program("tcpknock-server")} --config {self.configuration} "$@"\n')
        self.daemon.chmod(0o755)

    def commands(self, key: str, unit: str = UNIT) -> List[List[str]]:
        text = Path(unit).read_text()
        lines = re.findall(rf"^{key}=[-+!:@]*(.*)$", text, re.MULTILINE)
        text = "\n".join(lines).replace("/usr/local/sbin/tcpknock-server", str(self.daemon))
        text = text.replace("/usr/local/lib/tcpknock", f"{PROJECT}/firewall")
        return [shlex.split(line) for line in text.splitlines()]

    def start(self, host: Host) -> "tuple[int, str]":
        said = ""
        for command in self.commands("ExecStart"):
            result = host.run(command, check=False, timeout=60)
            said += result.stdout + result.stderr
            if result.returncode:
                return result.returncode, said
        return 0, said

    def restart(self, host: Host) -> "tuple[int, str]":
        for command in self.commands("ExecStop"):
            host.run(command, check=False)
        return self.start(host)

    def reload(self, host: Host) -> int:
        return max(host.run(command, check=False).returncode for command in self.commands("ExecReload"))


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    return Unit(tmp_path)


GOOD = 'target_ports = [22, 2222]\nkey_file = "key.dat"\n'
MISTAKE = 'target_ports = [22, 2222]\nkey_fiel = "key.dat"\n'


def ports(host: Host) -> List[int]:
    return list(json.loads(firewall(host, "server", "status", "--json", check=False).stdout)["ports"])


def wipe(host: Host) -> None:
    """As after a boot: no rules, and nothing in the kernel that remembers."""
    for name in ("iptables", "ip6tables"):
        for table in ("mangle", "raw"):
            for command in ("-F", "-X"):
                host.run([name, "-w", "-t", table, command])


def test_a_mistake_in_the_configuration_opens_no_port_at_boot(direct: Network, unit: Unit) -> None:
    server = direct.server
    echo_server(server, 22, 2222)
    unit.configuration.write_text(GOOD)
    assert unit.start(server)[0] == 0 and ports(server) == [22, 2222]

    # With rules in place: they stay, and the unit fails.
    unit.configuration.write_text(MISTAKE)
    before = snapshot(server)
    code, said = unit.start(server)
    assert code == 78 and "key_fiel" in said and "stay as they are" in said
    assert snapshot(server) == before

    # At boot: the ports of the last good start, the unit fails all the same, and the status says why.
    wipe(server)
    assert ports(server) == []
    code, said = unit.start(server)
    assert code == 78 and "the ports of the last good 'up' are protected" in said
    assert ports(server) == [22, 2222]
    assert echo(direct.client, server.ipv4, 2222, timeout=0.3).complete == 0
    assert "WARNING" in firewall(server, "server", "status").stdout
    (warning,) = json.loads(firewall(server, "server", "status", "--json").stdout)["warnings"]
    assert "--firewall-flags' failed" in warning

    # The record is root's alone, and a good start takes the warning away.
    record = os.stat(os.path.join(server.records, "flags"))
    assert (stat.S_IMODE(record.st_mode), record.st_uid) == (0o600, 0)
    unit.configuration.write_text(GOOD)
    assert unit.start(server)[0] == 0
    assert "WARNING" not in firewall(server, "server", "status").stdout


def test_a_mistake_at_the_very_first_boot_protects_port_22(host: Host, unit: Unit) -> None:
    unit.configuration.write_text(MISTAKE)
    code, said = unit.start(host)
    assert code == 78 and "only TCP port 22 is protected" in said
    assert ports(host) == [22]
    # That was no good start, whose ports would count at the next boot.
    wipe(host)
    unit.configuration.write_text(GOOD)
    assert unit.start(host)[0] == 0 and ports(host) == [22, 2222]


def test_a_spoiled_record_does_not_keep_the_rules_out(host: Host, unit: Unit) -> None:
    unit.configuration.write_text(MISTAKE)
    Path(host.records, "flags").write_text("--target-port x; reboot")
    assert unit.start(host)[0] == 78 and ports(host) == [22]


def test_a_restart_of_the_unit_leaves_no_gap(host: Host, unit: Unit) -> None:
    unit.configuration.write_text(GOOD)
    assert unit.start(host)[0] == 0
    # No command of a stop takes them down; so a restart is a replacement, which the kernel does in one step.
    assert unit.commands("ExecStop") == []
    unit.configuration.write_text(GOOD.replace("2222", "443"))
    assert unit.restart(host)[0] == 0 and ports(host) == [22, 443]
    unit.configuration.write_text(GOOD)
    assert unit.reload(host) == 0 and ports(host) == [22, 2222]


def test_a_reload_of_the_daemon_puts_the_rules_right_first(host: Host, unit: Unit) -> None:
    unit.configuration.write_text(GOOD)
    assert unit.start(host)[0] == 0
    up, hang_up = unit.commands("ExecReload", os.path.join(UNITS, "tcpknock-server.service"))
    assert hang_up[:2] == ["/bin/kill", "-HUP"]
    unit.configuration.write_text(GOOD.replace("2222", "443"))
    assert host.run(up).returncode == 0 and ports(host) == [22, 443]
    # With a mistake the reload ends there.
    unit.configuration.write_text(MISTAKE)
    assert host.run(up, check=False).returncode == os.EX_CONFIG and ports(host) == [22, 443]


def test_the_network_waits_for_the_rules() -> None:
    text = Path(UNIT).read_text()
    assert re.search(r"^Before=.*\bnetwork-pre\.target\b", text, re.MULTILINE)
    assert re.search(r"^Wants=.*\bnetwork-pre\.target\b", text, re.MULTILINE)
    assert re.search(r"^Type=oneshot$", text, re.MULTILINE)


def test_unconfirmed_flags_are_not_what_a_boot_falls_back_to(host: Host, unit: Unit) -> None:
    unit.configuration.write_text(MISTAKE)
    firewall(host, "server", "up", "--target-port", 22, "--target-port", 80)
    firewall(host, "server", "up", "--target-port", 443, "--drop-ports", "--confirm", 60)
    wipe(host)
    assert unit.start(host)[0] == 78 and ports(host) == [22, 80]
    firewall(host, "server", "up", "--target-port", 443, "--drop-ports", "--confirm", 60)
    firewall(host, "server", "confirm")
    wipe(host)
    assert unit.start(host)[0] == 78 and ports(host) == [443]


def test_the_client_changes_nothing_without_its_flags(host: Host, tmp_path: Path) -> None:
    before = snapshot(host)
    result = firewall(host, "client", "up", "--flags-from", "/bin/false", check=False)
    assert result.returncode == os.EX_CONFIG and "nothing was changed" in result.stderr
    assert snapshot(host) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_kind_of_iptables_is_a_setting(host: Host, unit: Unit, backend: str) -> None:
    unit.configuration.write_text(GOOD + f'iptables = "{backend}"\n')
    assert unit.start(host)[0] == 0
    assert json.loads(firewall(host, "server", "status", "--json").stdout)["iptables"] == backend
    # Two sets of rules are never up.
    other = next(name for name in BACKENDS if name != backend)
    unit.configuration.write_text(GOOD + f'iptables = "{other}"\n')
    before = snapshot(host)
    code, said = unit.start(host)
    assert code != 0 and "server.sh down' first" in said
    assert snapshot(host) == before
