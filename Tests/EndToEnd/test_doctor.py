"""`tcpknock doctor`: silent about a healthy host, and each planted fault found by the check that is for it."""

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest

from harness.daemons import keygen, program, start_server
from harness.echo import echo_server
from harness.firewall import firewall, snapshot
from harness.hosts import PYTHON, Host
from harness.knock import equip, protect, put_rules
from harness.processes import Program
from harness.segments import segment, send
from harness.topologies import Network

SERIOUS = {"warning", "error"}
ENVIRONMENT = {"clock"}
"""Checks that may warn here for reasons that are not the installation's: nothing need set the clock of a machine that
runs tests."""


class Diagnosis:
    """What the doctor says of a host."""

    def __init__(self, host: Host, *arguments: object, wrapper: "tuple[str, ...]" = ()) -> None:
        self._result = host.run(
            [*wrapper, program("tcpknock"), "doctor", "--json", *map(str, arguments)], check=False, timeout=60,
        )  # fmt: skip
        assert self._result.stderr == "", self._result.stderr
        self.status = self._result.returncode
        self.report: Dict[str, Any] = json.loads(self._result.stdout)
        self.findings: List[Dict[str, str]] = [f for part in self.report["examined"] for f in part["findings"]]

    def of(self, check: str) -> List[Dict[str, str]]:
        return [finding for finding in self.findings if finding["check"] == check]

    @property
    def troubles(self) -> List[Dict[str, str]]:
        return [f for f in self.findings if f["severity"] in SERIOUS and f["check"] not in ENVIRONMENT]

    @property
    def roles(self) -> List[str]:
        return [part["role"] for part in self.report["examined"]]


# --- healthy hosts ------------------------------------------------------------------------------------------------


@dataclass
class Patient:
    """A protected host with all that a fault may be planted in."""

    host: Host
    peer: Host
    key_file: str
    daemon: Program
    service: Optional[Program]
    folder: Path

    def iptables(self, *words: str, family: int = 4, backend: str = "nft") -> "Patient":
        self.host.run([("iptables" if family == 4 else "ip6tables") + f"-{backend}", "-w", *words])
        return self


@pytest.fixture
def server(direct: Network, tmp_path: Path) -> Patient:
    host = direct.server
    key_file = keygen(tmp_path / "key")
    service = echo_server(host, 22)
    # What is to be found the guard would put right.
    daemon = protect(host, key_file, more=["--rules-guard", "off"])
    return Patient(host, direct.client, key_file, daemon, service, tmp_path)


@pytest.fixture
def client(direct: Network, tmp_path: Path) -> Patient:
    host = direct.client
    key_file = keygen(tmp_path / "key")
    return Patient(host, direct.server, key_file, equip(host, key_file), None, tmp_path)


@pytest.mark.parametrize("backend", ("nft", "legacy"))
def test_a_healthy_server(direct: Network, key_file: str, backend: str) -> None:
    host = direct.server
    with echo_server(host, 22), start_server(host, key_file, more=["--kernel-filter", "off"]):
        firewall(host, "server", "up", "--iptables", backend, "--kernel-filter", "off")
        before = snapshot(host)
        diagnosis = Diagnosis(host)
        assert diagnosis.roles == ["server"]
        assert diagnosis.troubles == [] and diagnosis.status == 0
        # All of it was looked at, and nothing was changed.
        assert [f for f in diagnosis.findings if "could not look" in f["found"] or "not known" in f["found"]] == []
        assert snapshot(host) == before
        for family in (4, 6):
            assert diagnosis.of(f"rules-ipv{family}")[0]["found"] == f"up in iptables-{backend} for port 22"


def test_a_healthy_client(client: Patient) -> None:
    before = snapshot(client.host)
    diagnosis = Diagnosis(client.host)
    assert diagnosis.roles == ["client"]
    assert diagnosis.troubles == [] and diagnosis.status == 0
    assert snapshot(client.host) == before


def test_other_values_are_healthy_too(direct: Network, key_file: str) -> None:
    """Several queues and ports and another mark, which the doctor learns from the daemon."""
    host = direct.server
    flags = ["--queue-num", "7:9", "--target-port", "2222", "--target-port", "443", "--mark", "0x40000",
             "--protect", "own", "--protect", "10.81.0.0/16", "--protect", "fd81::/16", "--protect", "interface:lo",
             "--exempt", "192.0.2.0/24", "--exempt", "2001:db8::7", "--exempt", "interface:eth0"]  # fmt: skip
    echo_server(host, 443, 2222)
    start_server(host, key_file, more=[*flags, "--kernel-filter", "off"])
    firewall(host, "server", "up", *flags, "--kernel-filter", "off")
    diagnosis = Diagnosis(host)
    assert diagnosis.troubles == []
    assert [f["severity"] for f in diagnosis.of("queue")] == ["ok"] * 3
    part = diagnosis.report["examined"][0]
    assert diagnosis.of("scope")[0]["found"].endswith("exempt: 192.0.2.0/24, 2001:db8::7, interface:eth0")
    assert (part["queue"], part["ports"], part["mark"]) == ("7:9", [2222, 443], "0x40000")


def test_both_roles_on_one_host(server: Patient) -> None:
    equip(server.host, server.key_file)
    diagnosis = Diagnosis(server.host)
    assert diagnosis.roles == ["server", "client"]
    assert diagnosis.troubles == []
    assert Diagnosis(server.host, "--client").roles == ["client"]


def test_a_gateway_before_the_server(routed: Network, key_file: str) -> None:
    """It forwards to who has the service, so nothing listens on itself."""
    assert routed.router
    places = ["--protect", routed.server.ipv4, "--protect", routed.server.ipv6]
    protect(routed.router, key_file, places=places)
    diagnosis = Diagnosis(routed.router)
    assert diagnosis.troubles == []
    assert "gateway" in diagnosis.of("service")[0]["found"]


def test_a_client_behind_a_nat(natted: Network, key_file: str) -> None:
    equip(natted.client, key_file, nat_ips=["203.0.113.7", "2001:db8::7"])
    diagnosis = Diagnosis(natted.client)
    assert diagnosis.troubles == [] and diagnosis.of("address")[0]["severity"] == "ok"


def test_a_relative_path_on_the_command_line(direct: Network, key_file: str) -> None:
    """It begins at the folder of the daemon, not of who asks."""
    host = direct.server
    echo_server(host, 22)
    command = ["sh", "-c", 'cd "$1" && exec "$2" --key-file "$3" --kernel-filter off', "sh"]
    arguments = [os.path.dirname(key_file), program("tcpknock-server"), os.path.basename(key_file)]
    host.popen([*command, *arguments]).wait_for_line("^ready$", which="stdout")
    put_rules(host, "server")
    diagnosis = Diagnosis(host)
    assert diagnosis.troubles == []
    assert diagnosis.report["examined"][0]["key_files"] == [key_file]


def test_daemons_that_have_ended_elsewhere(client: Patient) -> None:
    """Those of other hosts come and go: one that has ended is a zombie until its parent looks, and is in no namespace."""
    code = """
import os, subprocess, sys
ended = [subprocess.Popen([sys.argv[1], "--version"], stdout=subprocess.DEVNULL) for _ in range(3)]
for process in ended:
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
print("ended", flush=True)
sys.stdin.read()
"""
    client.peer.popen([PYTHON, "-c", code, program("tcpknock-client")]).wait_for_line("^ended$")
    diagnosis = Diagnosis(client.host)
    assert diagnosis.troubles == []
    assert [f["severity"] for f in diagnosis.of("daemon")] == ["ok"]


def test_a_key_of_the_user_that_the_daemon_becomes(direct: Network, tmp_path: Path) -> None:
    key_file = keygen(tmp_path / "key")
    os.chown(key_file, 65_534, 0)
    echo_server(direct.server, 22)
    protect(direct.server, key_file, more=["--user", "nobody"])
    assert Diagnosis(direct.server).troubles == []
    os.chown(key_file, 1, 0)
    (finding,) = [f for f in Diagnosis(direct.server).of("key") if f["severity"] == "error"]
    assert "belongs to user 1" in finding["found"]
    direct.server.run(["sh", "-c", finding["cure"].split(";")[0]])
    assert os.stat(key_file).st_uid == 0
    assert Diagnosis(direct.server).troubles == []


# --- planted faults -----------------------------------------------------------------------------------------------


@dataclass
class Fault:
    """A fault to plant, the check that must find it, what it must say, and what the cure must name."""

    check: str
    plant: Callable[[Patient], object]
    found: str
    cure: str
    severity: str = "error"
    flags: "tuple[str, ...]" = ()


def _rules_for(*flags: str) -> Callable[[Patient], object]:
    return lambda patient: firewall(patient.host, "server", "up", *flags, "--kernel-filter", "off", "--drop-ports")


def _flush_ipv6(patient: Patient) -> None:
    """What a careless firewall script does."""
    for table in ("mangle", "raw"):
        patient.iptables("-t", table, "-F", family=6)
        patient.iptables("-t", table, "-X", family=6)


def _take_queue(patient: Patient) -> None:
    """Another program has the queue: here, one of Python with a netlink socket of its own."""
    patient.daemon.stop()
    # NFQNL_MSG_CONFIG with NFQNL_CFG_CMD_BIND for queue 100 (linux/netfilter/nfnetlink_queue.h).
    code = """
import socket, struct, sys
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
s.bind((0, 0))
command = struct.pack("=HHBBH", 8, 1, 1, 0, 0)
body = struct.pack("=BBH", 0, 0, socket.htons(100)) + command
s.send(struct.pack("=IHHII", 16 + len(body), 3 << 8 | 2, 5, 1, 0) + body)
assert struct.unpack_from("=i", s.recv(4096), 16)[0] == 0
print("bound", flush=True)
sys.stdin.read()
"""
    patient.host.popen([PYTHON, "-c", code]).wait_for_line("^bound$")


def _second_route(patient: Patient) -> None:
    patient.host.ip("link", "add", "eth1", "type", "veth", "peer", "name", "eth2")
    patient.host.ip("link", "set", "eth2", "up")
    patient.host.ip("link", "set", "eth1", "up")
    patient.host.ip("addr", "add", "10.99.0.1/24", "dev", "eth1")
    patient.host.ip("route", "add", "default", "via", "10.81.1.1")
    patient.host.ip("route", "add", "default", "via", "10.99.0.2", "metric", "100")
    patient.host.sysctl({"net.ipv4.conf.all.rp_filter": 1})


def _truncate(patient: Patient) -> None:
    os.truncate(patient.key_file, 65_000)


def _constant(patient: Patient) -> None:
    Path(patient.key_file).write_bytes(bytes(65_536))


def _another_table(rule: str) -> Callable[[Patient], object]:
    """A table that iptables knows nothing of."""

    def plant(patient: Patient) -> None:
        patient.host.run(["nft", "add table inet other"])
        patient.host.run(["nft", "add chain inet other pre { type filter hook prerouting priority -300; }"])
        patient.host.run(["nft", f"add rule inet other pre {rule}"])

    return plant


def _end_service(patient: Patient) -> None:
    assert patient.service
    patient.service.stop()


def _listen_on_loopback(patient: Patient) -> None:
    _end_service(patient)
    code = "import socket, sys; s = socket.create_server(('127.0.0.1', 22)); print('on', flush=True); sys.stdin.read()"
    patient.host.popen([PYTHON, "-c", code]).wait_for_line("^on$")


def _replace_program(patient: Patient) -> None:
    patient.daemon.stop()
    copy = patient.folder / "tcpknock-server"
    shutil.copy(program("tcpknock-server"), copy)
    command = [str(copy), "--key-file", patient.key_file, "--kernel-filter", "off"]
    patient.host.popen(command).wait_for_line("^ready$", 10, which="stdout")
    copy.unlink()


def _stop_and_fill(patient: Patient) -> None:
    """The daemon is stopped, and somebody sends what waits for its verdicts: SYNs with what could be a code."""
    patient.daemon.send_signal(signal.SIGSTOP)
    syns = [segment(patient.peer.ipv4, patient.host.ipv4, sport=1024 + number, dport=22, flags="S", ack=1)
            for number in range(300)]  # fmt: skip
    send(patient.peer, syns)


FAULTS = {
    # Rules
    "no rules for IPv6": Fault("rules-ipv6", _flush_ipv6, "no rules for IPv6", "server.sh up"),
    "no rules": Fault(
        "rules-ipv4", lambda p: firewall(p.host, "server", "down"), "no rules for IPv4", "server.sh up"),
    "rules of another queue": Fault(
        "rules-ipv4", _rules_for("--queue-num", "300"), "to queue 300, but the daemon's is 100", "--queue-num"),
    "rules of another mark": Fault(
        "rules-ipv6", _rules_for("--mark", "0x2000"), "for the mark 0x2000, but the daemon sets 0x1000", "--mark"),
    "rules of another port": Fault(
        "rules-ipv4", _rules_for("--target-port", "2222"), "leave out port 22", "server.sh up"),
    "rules of one more port": Fault(
        "rules-ipv4", _rules_for("--target-port", "22", "--target-port", "80"), "for port 80 too", "--target-port 80"),
    "a jump is missing": Fault(
        "rules-ipv4",
        lambda p: p.iptables("-t", "mangle", "-D", "POSTROUTING", "-p", "tcp", "--sport", "22",
                             "--tcp-flags", "SYN,ACK", "SYN,ACK", "-j", "TCPKNOCK-SRV-OUT"),  # fmt: skip
        "a jump is missing in mangle POSTROUTING", "server.sh up"),
    "a rule in our chain": Fault(
        "rules-ipv4", lambda p: p.iptables("-t", "mangle", "-I", "TCPKNOCK-SRV-IN", "-s", "192.0.2.0/24", "-j", "ACCEPT"),
        "-s 192.0.2.0/24 -j ACCEPT", "server.sh up"),
    "an open queue rule": Fault(
        "rules-ipv4", lambda p: p.iptables("-t", "mangle", "-R", "TCPKNOCK-SRV-IN", "7", "-j", "NFQUEUE", "--queue-num",
                                           "100", "--queue-bypass"),  # fmt: skip
        "everybody gets in while the daemon does not run", "server.sh up"),
    "accepted before": Fault(
        "order", lambda p: p.iptables("-t", "mangle", "-I", "PREROUTING", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"),
        "PREROUTING -p tcp -m tcp --dport 22 -j ACCEPT", "-D PREROUTING"),
    "accepted before, in a chain of its own": Fault(
        "order",
        lambda p: p.iptables("-t", "mangle", "-N", "OTHER", family=6)
        .iptables("-t", "mangle", "-A", "OTHER", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT", family=6)
        .iptables("-t", "mangle", "-I", "PREROUTING", "-j", "OTHER", family=6),
        "ip6tables-nft -t mangle: -A OTHER", "ip6tables-nft -t mangle -D PREROUTING -j OTHER"),
    "rules in both backends": Fault(
        "backend",
        lambda p: p.host.run(["iptables-legacy-restore"], input=p.host.run(["iptables-nft-save"]).stdout),
        "in iptables-nft and in iptables-legacy", "server.sh down"),
    "admitted, then dropped": Fault(
        "filter", lambda p: p.iptables("-P", "INPUT", "DROP"), "drops what the daemon has admitted to port 22",
        "iptables-nft -I INPUT", "warning"),
    # The daemon and its queue
    "the daemon does not run": Fault(
        "daemon", lambda p: p.daemon.stop(), "does not run", "tcpknock-server"),
    "nobody at the queue": Fault("queue", lambda p: p.daemon.stop(), "no process listens to queue 100", "tcpknock-server"),
    "the daemon is stopped": Fault(
        "daemon", lambda p: p.daemon.send_signal(signal.SIGSTOP), "is stopped", "kill -CONT"),
    "packets wait": Fault("queue", _stop_and_fill, "300 packets wait in queue 100", "ps -o", "warning"),
    "another program at the queue": Fault("queue", _take_queue, "bound by python3", "kill"),
    "another queue was meant": Fault(
        "daemon", lambda p: start_server(p.host, p.key_file, queue_num=300,
                                         more=["--kernel-filter", "off", "--control-socket", ""]),
        "runs 2 times", "a queue and rules of its own", "note"),
    "other values than meant": Fault(
        "daemon", lambda p: None, "--queue-num 100", "--queue-num 300",
        flags=("--queue-num", "300")) ,
    "the program was replaced": Fault(
        "daemon", _replace_program, "replaced or removed", "kill", "warning"),
    "a foreign rule at the queue": Fault(
        "foreign-queue", lambda p: p.iptables("-A", "INPUT", "-p", "udp", "-j", "NFQUEUE", "--queue-num", "100"),
        "-A INPUT -p udp -j NFQUEUE --queue-num 100", "-D INPUT"),
    # The key
    "no key file": Fault("key", lambda p: os.remove(p.key_file), "there is no file", "keygen"),
    "a key for all to read": Fault("key", lambda p: os.chmod(p.key_file, 0o644), "mode 0644", "chmod 600"),
    "half a key": Fault("key", _truncate, "65000 bytes long", "scp -p"),
    "no key at all": Fault("key", _constant, "the same", "keygen --force"),
    "a key that others can replace": Fault("key", lambda p: p.folder.chmod(0o777), "the folder", "chmod go-w"),
    "a key of somebody else": Fault(
        "key", lambda p: os.chown(p.key_file, 65_534, 0), "belongs to user 65534", "chown root"),
    # Marks
    "marks overwritten": Fault(
        "mark", lambda p: p.iptables("-t", "mangle", "-A", "FORWARD", "-j", "CONNMARK", "--set-mark", "0x1"),
        "takes our bit out", "0xffffefff"),
    "marks saved whole": Fault(
        "mark", lambda p: p.iptables("-t", "mangle", "-A", "PREROUTING", "-j", "CONNMARK", "--save-mark"),
        "copies packet marks", "--mark"),
    "marked as verified": Fault(
        "mark", lambda p: p.iptables("-t", "mangle", "-A", "INPUT", "-p", "tcp", "-j", "CONNMARK", "--set-xmark", "0x1000/0x1000"),
        "marks connections as verified", "--mark"),
    "a routing rule of the mark": Fault(
        "mark", lambda p: p.host.ip("rule", "add", "fwmark", "0x1000/0x1000", "lookup", "100"), "fwmark 0x1000/0x1000",
        "fwmark", "warning"),
    "marks overwritten by nft": Fault(
        "mark", _another_table("ct mark set 0x1"), "nft table inet other", "0x1000"),
    # Connection tracking and translation
    "not tracked": Fault(
        "tracking", lambda p: p.iptables("-t", "raw", "-A", "PREROUTING", "-p", "tcp", "--dport", "22", "-j", "CT", "--notrack"),
        "excluded from connection tracking", "-D PREROUTING"),
    "not tracked, by nft": Fault(
        "tracking", _another_table("tcp dport 22 notrack"), "nft table inet other", "nft delete rule"),
    "translated": Fault(
        "nat", lambda p: p.iptables("-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "22", "-j", "REDIRECT", "--to-ports", "2222"),
        "port 22 is translated", "-D PREROUTING"),
    # Services, routes, files
    "no service": Fault("service", _end_service, "no service listens on port 22", "ss -tln", "warning"),
    "a service on loopback": Fault("service", _listen_on_loopback, "loopback alone", "ListenAddress", "warning"),
    "two ways out": Fault("routing", _second_route, "reverse path filter", "rp_filter=2", "warning"),
    "an open configuration": Fault(
        "files", lambda p: Path("/proc/self").exists(), "others may change the configuration", "chmod go-w",
        flags=("--config", "CONFIGURATION")),
    "not confirmed": Fault(
        "confirmation", lambda p: firewall(p.host, "server", "up", "--confirm", "300", "--kernel-filter", "off"),
        "come down again soon", "server.sh confirm", "warning"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_found(server: Patient, fault: Fault) -> None:
    flags = list(fault.flags)
    if "CONFIGURATION" in flags:
        configuration = server.folder / "server.toml"
        configuration.write_text("")
        configuration.chmod(0o666)
        flags[flags.index("CONFIGURATION")] = str(configuration)

    def matching(diagnosis: Diagnosis) -> Optional[Dict[str, str]]:
        for finding in diagnosis.of(fault.check):
            if finding["severity"] == fault.severity and fault.found in finding["found"]:
                return finding
        return None

    healthy = Diagnosis(server.host)
    assert healthy.troubles == [] and matching(healthy) is None

    fault.plant(server)
    diagnosis = Diagnosis(server.host, "--server", *(["--key-file", server.key_file] if "key" not in flags else []), *flags)
    finding = matching(diagnosis)
    assert finding, json.dumps(diagnosis.findings, indent=1)
    assert fault.cure in finding["cure"], finding
    assert diagnosis.status == (1 if any(f["severity"] == "error" for f in diagnosis.findings) else 0)


CLIENT_FAULTS = {
    "no rules": Fault("rules-ipv6", lambda p: firewall(p.host, "client", "down"), "without a knock", "client.sh up"),
    "rules of another port": Fault(
        "rules-ipv4", lambda p: firewall(p.host, "client", "up", "--target-port", "2222"), "leave out port 22", "client.sh up"),
    "no daemon": Fault("daemon", lambda p: p.daemon.stop(), "go out without a knock", "tcpknock-client"),
    "closed without the daemon": Fault(
        "rules-ipv4", lambda p: p.iptables("-t", "mangle", "-R", "TCPKNOCK-CLI-OUT", "3", "-j", "NFQUEUE", "--queue-num", "200"),
        "without --queue-bypass", "client.sh up", "warning"),
    "translated behind the daemon": Fault(
        "nat", lambda p: p.iptables("-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE"), "MASQUERADE", "--nat-ip", "warning"),
    "its own address as NAT": Fault(
        "address", lambda p: None, "an address of this host itself, on eth0", "leave out --nat-ip", "warning",
        flags=("--nat-ip", "10.81.1.1")),
    "a private address as NAT": Fault(
        "address", lambda p: None, "192.168.7.7 is a private address", "$SSH_CONNECTION", "warning",
        flags=("--nat-ip", "192.168.7.7")),
}  # fmt: skip


@pytest.mark.parametrize("fault", CLIENT_FAULTS.values(), ids=CLIENT_FAULTS.keys())
def test_a_fault_of_a_client_is_found(client: Patient, fault: Fault) -> None:
    def matching(diagnosis: Diagnosis) -> Optional[Dict[str, str]]:
        return next((f for f in diagnosis.of(fault.check)
                     if f["severity"] == fault.severity and fault.found in f["found"]), None)  # fmt: skip

    assert matching(Diagnosis(client.host)) is None
    fault.plant(client)
    finding = matching(Diagnosis(client.host, "--client", *fault.flags))
    assert finding and fault.cure in finding["cure"]


def test_two_guests_with_one_key(server: Patient) -> None:
    copy = server.folder / "copy"
    shutil.copy(server.key_file, copy)
    diagnosis = Diagnosis(server.host, "--key-file", server.key_file, "--key-file", copy)
    assert [f["severity"] for f in diagnosis.of("key")] == ["ok", "error"]
    assert "the same key" in diagnosis.of("key")[1]["found"]


# --- the kernel filter --------------------------------------------------------------------------------------------


def test_the_kernel_filter(direct: Network, key_file: str, pins: str) -> None:
    host = direct.server
    echo_server(host, 22)

    def diagnose() -> Dict[str, str]:
        (finding,) = Diagnosis(host, "--server", "--key-file", key_file, "--pin-folder", pins).of("kernel-filter")
        return finding

    put_rules(host, "server")
    assert diagnose()["severity"] == "ok"
    daemon = start_server(host, key_file, more=["--kernel-filter", "on", "--pin-folder", pins])
    assert "the rules do not use it" in diagnose()["found"]
    firewall(host, "server", "up", "--pin-folder", pins)
    assert (diagnose()["severity"], diagnose()["found"][:13]) == ("ok", "the rules use")
    assert Diagnosis(host).troubles == []

    daemon.kill()
    finding = diagnose()
    assert finding["severity"] == "warning" and "left over" in finding["found"] and "tcpknock-server" in finding["cure"]
    shutil.rmtree(next(Path(pins).iterdir()))
    finding = diagnose()
    assert finding["severity"] == "warning" and "no longer pinned" in finding["found"]
    start_server(host, key_file, more=["--kernel-filter", "on", "--pin-folder", pins])
    finding = diagnose()
    assert finding["severity"] == "warning" and "an old program" in finding["found"] and "server.sh up" in finding["cure"]


# --- what it says to whom -----------------------------------------------------------------------------------------


def test_a_host_without_anything(direct: Network) -> None:
    result = direct.server.run([program("tcpknock"), "doctor"])
    assert result.stdout.startswith("there are neither rules nor daemons nor configurations of tcpknock here")
    assert Diagnosis(direct.server).roles == []
    missing = Diagnosis(direct.server, "--server", "--client")
    assert missing.roles == ["server", "client"] and missing.status == 1
    assert {f["check"] for f in missing.troubles} >= {"daemon", "queue", "rules-ipv4", "rules-ipv6"}


def test_for_people(server: Patient) -> None:
    server.daemon.stop()
    result = server.host.run([program("tcpknock"), "doctor", "--key-file", server.key_file], check=False)
    lines = result.stdout.splitlines()
    assert result.returncode == 1
    assert lines[0].startswith("server: queue 100, port 22, mark 0x1000")
    (row,) = [number for number, line in enumerate(lines) if line.split()[:2] == ["ERROR", "daemon"]]
    assert lines[row + 1].split() == ["->", "tcpknock-server", "--key-file", server.key_file]
    assert lines[-1].startswith("2 errors, ")


def test_without_privileges_it_says_what_it_could_not_see(server: Patient) -> None:
    server.folder.chmod(0o711)
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    diagnosis = Diagnosis(server.host, "--server", "--key-file", server.key_file, wrapper=nobody)
    blind = {f["check"] for f in diagnosis.findings if f["severity"] == "note" and f.get("cure") == "run this as root"}
    assert {"key", "rules-ipv4", "rules-ipv6", "backend", "lockouts", "daemon"} <= blind
    # What was not seen is not called well.
    for check in ("order", "mark", "tracking", "nat", "foreign-queue", "filter"):
        assert [f["severity"] for f in diagnosis.of(check) if "not known" in f["found"] or "not all" in f["found"]], check


def test_a_comment_cannot_speak_to_the_terminal(server: Patient) -> None:
    server.iptables("-t", "mangle", "-I", "PREROUTING", "-p", "tcp", "--dport", "22", "-m", "comment", "--comment",
                    "\x1b]0;owned\x07 ERROR", "-j", "ACCEPT")  # fmt: skip
    result = server.host.run([program("tcpknock"), "doctor"], check=False)
    assert "owned" in result.stdout and "\x1b" not in result.stdout and "\x07" not in result.stdout


@pytest.mark.parametrize(  # fmt: skip
    "arguments", (["--queue-num", "x"], ["--target-port", "0"], ["--mark", "3"], ["--nat-ip", "here"], ["extra"],
                  ["--server", "--client", "--queue-num", "7"])
)
def test_wrong_usage(arguments: List[str]) -> None:
    result = subprocess.run(
        [program("tcpknock"), "doctor", *arguments], capture_output=True, text=True, timeout=20, check=False
    )
    assert result.returncode == os.EX_USAGE and result.stdout == "" and "Usage: tcpknock doctor" in result.stderr
