"""`tcpknock doctor` where there are several servers on one host: it examines each, and its cures name the right one."""

import json
import os
from typing import Any, Dict, Iterator, List

import pytest

from harness.echo import echo_server
from harness.installed import Installed
from harness.topologies import Network

NAMES = ("", "mail", "web")
PORTS = {"": 22, "mail": 25, "web": 443}


@pytest.fixture
def installed(direct: Network) -> Iterator[Installed]:
    with Installed(direct.server) as host:
        yield host


def of(name: str) -> str:
    return f"@{name}" if name else ""


def flags(name: str) -> str:
    return f" --instance {name}" if name else ""


def configure(host: Installed, name: str) -> None:
    host.run("keygen", f"/etc/tcpknock/key{of(name)}.dat")
    host.write(
        f"/etc/tcpknock/server{of(name)}.toml",
        f'target_ports = [{PORTS[name]}]\nqueue_num = {100 + NAMES.index(name)}\nkey_file = "key{of(name)}.dat"\n',
    )


def up(host: Installed, name: str) -> None:
    program = "/usr/local/lib/tcpknock/server.sh up"
    host.shell(f'{program}{flags(name)} --flags-from "tcpknock-server{flags(name)}"')


def diagnose(host: Installed, *arguments: str) -> Dict[str, List[Dict[str, str]]]:
    """The findings, by the name of the server."""
    result = host.run("tcpknock", "doctor", "--json", *arguments, check=False)
    assert result.stderr == ""
    report: Dict[str, Any] = json.loads(result.stdout)
    assert all(part["role"] == "server" for part in report["examined"])
    return {part["instance"]: part["findings"] for part in report["examined"]}


def troubles(findings: List[Dict[str, str]]) -> List[Dict[str, str]]:
    # Nothing need set the clock of a machine that runs tests.
    return [f for f in findings if f["severity"] in ("warning", "error") and f["check"] != "clock"]


def test_each_server_is_examined(installed: Installed) -> None:
    echo_server(installed.host, *PORTS.values())
    daemons = {}
    for name in NAMES:
        configure(installed, name)
        daemons[name] = installed.start(f"tcpknock-server{flags(name)}")
        up(installed, name)
    report = diagnose(installed)
    assert sorted(report) == sorted(NAMES)
    for name, findings in report.items():
        assert troubles(findings) == [], name
        ports = [f["found"] for f in findings if f["check"] == "rules-ipv4"]
        assert ports == [f"up in iptables-nft for port {PORTS[name]}"]
    assert list(diagnose(installed, "--instance", "web")) == ["web"]
    assert sorted(diagnose(installed, "--server")) == sorted(NAMES)

    # What is wrong with one is its own, and so is the cure.
    daemons["web"].stop()
    report = diagnose(installed)
    assert troubles(report[""]) == [] and troubles(report["mail"]) == []
    (finding,) = [f for f in report["web"] if f["check"] == "daemon"]
    assert "does not run" in finding["found"] and "--instance web" in finding["cure"]
    daemons["web"] = installed.start(finding["cure"])
    assert troubles(diagnose(installed)["web"]) == []

    # tcpknock-server would put them back.
    for daemon in daemons.values():
        daemon.stop()
    installed.shell("iptables-nft -t mangle -F PREROUTING")
    report = diagnose(installed)
    for name in NAMES:
        (finding,) = [f for f in report[name] if f["check"] == "rules-ipv4"]
        assert f"the rules for port {PORTS[name]} are not whole" in finding["found"]
        installed.shell(finding["cure"])
    report = diagnose(installed)
    assert all(f["severity"] == "ok" for findings in report.values() for f in findings if f["check"] == "rules-ipv4")
    for name in NAMES:
        assert f"up in iptables-nft for port {PORTS[name]}" in [f["found"] for f in report[name]]


def test_a_server_is_found_by_whatever_there_is(installed: Installed) -> None:
    configure(installed, "mail")
    installed.shell("/usr/local/lib/tcpknock/server.sh up --instance web --target-port 443 --queue-num 102")
    key = keygen_in(installed, "/var/opt/other.dat")
    installed.start(f"tcpknock-server --instance runs --target-port 80 --queue-num 103 --key-file {key}")
    report = diagnose(installed)
    assert sorted(report) == ["mail", "runs", "web"]
    assert [f["found"] for f in report["web"] if f["check"] == "rules-ipv4"] == ["up in iptables-nft for port 443"]
    (finding,) = [f for f in report["mail"] if f["check"] == "rules-ipv6"]
    assert finding["cure"] == "/usr/local/lib/tcpknock/server.sh up --instance mail --target-port 25 --queue-num 101"
    for findings in report.values():
        assert any(f["check"] == "key" for f in findings)


def keygen_in(host: Installed, path: str) -> str:
    host.run("keygen", path)
    return path


def test_a_confirmation_is_of_one_server(installed: Installed) -> None:
    configure(installed, "web")
    installed.start("tcpknock-server --instance web")
    configure(installed, "")
    installed.start("tcpknock-server")
    up(installed, "")
    installed.shell(
        '/usr/local/lib/tcpknock/server.sh up --instance web --flags-from "tcpknock-server --instance web" --confirm 300'
    )
    report = diagnose(installed)
    assert [f["severity"] for f in report[""] if f["check"] == "confirmation"] == ["ok"]
    (finding,) = [f for f in report["web"] if f["check"] == "confirmation"]
    assert finding["severity"] == "warning"
    installed.shell(finding["cure"].split(": ", 1)[1])
    assert [f["severity"] for f in diagnose(installed)["web"] if f["check"] == "confirmation"] == ["ok"]


def test_flags_for_one_server(installed: Installed) -> None:
    for name in ("mail", "web"):
        configure(installed, name)
    result = installed.run("tcpknock", "doctor", "--queue-num", "7", check=False)
    assert result.returncode == os.EX_USAGE and "give --instance NAME" in result.stderr
    for arguments in (["--client", "--instance", "web"], ["--instance", "a_b"]):
        assert installed.run("tcpknock", "doctor", *arguments, check=False).returncode == os.EX_USAGE


def test_without_the_firewall_scripts(installed: Installed) -> None:
    """They alone know the rules, so that is what is said of all that is about rules."""
    configure(installed, "")
    installed.start("tcpknock-server")
    up(installed, "")
    installed.shell("mkdir /var/opt/scripts; mv /usr/local/lib/tcpknock/*.sh /var/opt/scripts/")
    found = {f["check"]: f for f in diagnose(installed)[""] if f["severity"] == "note"}
    for check in ("rules-ipv4", "rules-ipv6", "backend"):
        assert "/usr/local/lib/tcpknock has no firewall scripts" in found[check]["found"]
        assert "make install" in found[check]["cure"]
    assert "not known" in found["order"]["found"]
    installed.shell("mv /var/opt/scripts/*.sh /usr/local/lib/tcpknock/")
    assert [f["severity"] for f in diagnose(installed)[""] if f["check"] == "rules-ipv4"] == ["ok"]
