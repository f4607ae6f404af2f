"""The cures that `tcpknock doctor` prints: each is taken from what it prints and typed, and then the finding is gone.

What can be found is listed from the sources: a finding with a cure that no case here types fails a test.
"""

import json
import os
import re
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest

from harness.echo import echo_server
from harness.firewall import PROJECT
from harness.hosts import PYTHON, Host
from harness.installed import Installed
from harness.knock import peer
from harness.processes import Program
from harness.segments import segment, send
from harness.signing import signing_service
from harness.topologies import Network
from harness.waiting import eventually

SCRIPTS = "/usr/local/lib/tcpknock"
UP = rf"{SCRIPTS}/\w+\.sh \w+[^;,')]*"
DAEMON = r"tcpknock-(?:server|client)( --?[^;,'()]*)?$"
CLOCK = "clock"
"""What may be found on a machine that runs tests: nothing need set its clock."""


# --- what can be found --------------------------------------------------------------------------------------------


def _strings(source: str) -> List[str]:
    """The string literals of a piece of Swift, each interpolation as {}."""
    found, index = [], 0
    while (start := source.find('"', index)) >= 0:
        text, index = "", start + 1
        while source[index] != '"':
            if source.startswith("\\(", index):
                depth, index = 1, index + 2
                while depth:
                    depth += {"(": 1, ")": -1}.get(source[index], 0)
                    index += 1
                text += "{}"
            elif source[index] == "\\":
                text, index = text + source[index + 1], index + 2
            else:
                text, index = text + source[index], index + 1
        found.append(text)
        index += 1
    return found


def _calls(source: str) -> Iterator[str]:
    """The calls that have an argument `cure:`, from their opening bracket to the closing one."""
    for match in re.finditer(r"\bcure:\s+(?!String)", source):
        start, depth = match.start(), 0
        while depth >= 0:
            start -= 1
            depth += {")": 1, "(": -1}.get(source[start], 0)
        end, depth = start + 1, 1
        while depth:
            depth += {"(": 1, ")": -1}.get(source[end], 0)
            end += 1
        yield source[start:end]


_FOREIGN = re.compile(r'" ?(?:(?:error|warning|note) )*((?:a rule|this host|nft drops|drops what|is translated|is excluded) [^"]*[^" ]) ?"')


def findings_with_cures() -> "Counter[str]":
    """What doctor can say that has a cure, as it is in the sources: the file, and the first text of the finding.

    What it says of the rules of others is in firewall/foreign.awk, and each text has a cure.
    """
    found: "Counter[str]" = Counter()
    for path in sorted(Path(PROJECT, "Sources", "Doctor").rglob("*.swift")):
        for call in _calls(path.read_text()):
            texts = [text for text in _strings(call) if " " in text]
            # A finding of somebody else is passed on.
            if texts and "found, cure: cure" not in call:
                found[f"{path.stem}: {texts[0].strip()}"] += 1
    for text in set(_FOREIGN.findall(Path(PROJECT, "firewall", "foreign.awk").read_text())):
        found[f"foreign: {text}"] = 1
    return found


# --- who is cured -------------------------------------------------------------------------------------------------


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@dataclass
class Patient:
    """A host on which the project is installed, configured and at work, all at its usual places."""

    role: str
    installed: Installed
    other: Host
    settings: Dict[str, str]
    asks: List[str] = field(default_factory=list)
    is_root: bool = True
    daemon: Optional[Program] = None
    service: Optional[Program] = None

    @property
    def config(self) -> str:
        return f"/etc/tcpknock/{self.role}.toml"

    @property
    def host(self) -> Host:
        return self.installed.host

    def shell(self, script: str) -> str:
        return self.installed.shell(script)

    def configure(self, more: str = "", **settings: str) -> "Patient":
        """Changes settings, each as it is in the file; None takes one out."""
        self.settings = {name: value for name, value in {**self.settings, **settings}.items() if value}
        lines = [f"{name} = {value}" for name, value in self.settings.items()]
        self.installed.write(self.config, "\n".join([*lines, more, ""]))
        return self

    def start(self, line: str = "") -> None:
        self.daemon = self.installed.start(line or f"tcpknock-{self.role}")

    def restart(self, line: str = "") -> "Patient":
        self.stop()
        self.start(line)
        return self

    def stop(self) -> None:
        if self.daemon:
            self.daemon.stop()
            self.daemon = None

    def up(self, *flags: str) -> "Patient":
        self.shell(" ".join([f"{SCRIPTS}/{self.role}.sh up --flags-from tcpknock-{self.role}", *flags]))
        return self

    def processes(self) -> List[int]:
        """The daemons of this role on this host, and on no other."""
        return [pid for pid in self.host.processes() if _name(pid) == f"tcpknock-{self.role}"]

    def signal(self, number: int) -> None:
        for pid in self.processes():
            os.kill(pid, number)

    def findings(self) -> List[Dict[str, str]]:
        as_nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        command = ["tcpknock", "doctor", f"--{self.role}", "--json", *self.asks]
        result = self.installed.run(*([] if self.is_root else as_nobody), *command, check=False)
        assert result.stderr == "" and result.returncode in (0, 1), result
        report: Dict[str, Any] = json.loads(result.stdout)
        return [finding for part in report["examined"] for finding in part["findings"]]




def _build(case: "Case", installed: Installed, other: Host) -> Patient:
    settings = {"key_file": '"key.dat"'}
    if case.role == "server":
        settings["kernel_filter"] = '"auto"' if case.with_filter else '"off"'
        # What is to be found it would put right itself.
        settings["rules_guard"] = '"off"'
    patient = Patient(case.role, installed, other, settings)
    patient.installed.run("keygen", "/etc/tcpknock/key.dat")
    patient.configure(**case.settings)
    if case.role == "server":
        patient.service = echo_server(patient.host, 22)
    patient.start()
    patient.up()
    return patient


# --- what people do -----------------------------------------------------------------------------------------------

Act = Callable[[Patient, str], object]


def command(pattern: str, cure: str) -> str:
    match = re.search(pattern, cure)
    assert match, f"{pattern} is not in: {cure}"
    return match[0].strip()


def typed(pattern: str) -> Act:
    """Types what a pattern finds in the cure."""
    return lambda patient, cure: patient.shell(command(pattern, cure))


def started(patient: Patient, cure: str) -> None:
    """Types the command line of the daemon, which ends the cure."""
    patient.start(command(DAEMON, cure))


def ended_and_started(patient: Patient, cure: str) -> None:
    patient.shell(command(r"kill \d+", cure))
    assert patient.daemon
    patient.daemon.wait(5)
    patient.start(command(DAEMON, cure) if re.search(DAEMON, cure) else "")


def changed(*commands: str, **settings: str) -> Act:
    """Types commands that are in the cure, changes settings as it says in words, and has the daemon read them."""

    def act(patient: Patient, cure: str) -> None:
        for pattern in commands:
            patient.shell(command(pattern, cure))
        for name in settings:
            assert name.replace("_", "-") in cure or name in cure, f"{name} is not in: {cure}"
        patient.configure(**settings)
        patient.restart()
        patient.up(*(["--drop-ports"] if patient.role == "server" else []))

    return act


def both(*acts: Act) -> Act:
    def act(patient: Patient, cure: str) -> None:
        for one in acts:
            one(patient, cure)

    return act


def shell(script: str) -> Callable[[Patient], object]:
    return lambda patient: patient.shell(script)


# --- the cases ----------------------------------------------------------------------------------------------------


@dataclass
class Case:
    """A finding as it is in the sources, how to bring it about, and who does what its cure says."""

    key: str
    plant: Callable[[Patient], object]
    act: Act
    role: str = "server"
    settings: Dict[str, str] = field(default_factory=dict)
    with_filter: bool = False
    leaves: Tuple[str, ...] = ()
    """Checks that may find something afterwards: what the cure does not promise."""


def _other_nft(rule: str, chain: str = "type filter hook prerouting priority -300;") -> Callable[[Patient], object]:
    return shell(f"nft add table inet other; nft 'add chain inet other pre {{ {chain} }}'; nft 'add rule inet other pre {rule}'")


def _take_queue(patient: Patient) -> None:
    """Another program has the queue."""
    patient.stop()
    code = """
import socket, struct, sys
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
s.bind((0, 0))
# NFQNL_MSG_CONFIG with NFQNL_CFG_CMD_BIND for queue 100 (linux/netfilter/nfnetlink_queue.h).
body = struct.pack("=BBH", 0, 0, socket.htons(100)) + struct.pack("=HHBBH", 8, 1, 1, 0, 0)
s.send(struct.pack("=IHHII", 16 + len(body), 3 << 8 | 2, 5, 1, 0) + body)
assert struct.unpack_from("=i", s.recv(4096), 16)[0] == 0
print("bound", flush=True)
sys.stdin.read()
"""
    patient.installed.popen(PYTHON, "-c", code).wait_for_line("^bound$")


def _end_the_other(patient: Patient, cure: str) -> None:
    patient.shell(command(r"kill \d+", cure))
    eventually(lambda: "100 " not in patient.shell("cat /proc/net/netfilter/nfnetlink_queue"), what="the queue to be free")
    patient.start()


def _run_from_elsewhere(patient: Patient) -> None:
    patient.stop()
    patient.shell("mkdir /var/opt/old && cp /usr/local/sbin/tcpknock-server /var/opt/old/")
    patient.start("/var/opt/old/tcpknock-server")
    patient.shell("rm /var/opt/old/tcpknock-server")


def _run_an_old_version(patient: Patient) -> None:
    patient.stop()
    patient.shell("mkdir /var/opt/old && cp -p /usr/local/sbin/tcpknock-server /var/opt/old/ && "
                  r"LC_ALL=C sed -i 's/0\.1\.0/0.0.9/g' /var/opt/old/tcpknock-server")  # fmt: skip
    assert "0.0.9" in patient.shell("/var/opt/old/tcpknock-server --version")
    patient.start("/var/opt/old/tcpknock-server")


def _run_twice(patient: Patient) -> None:
    flags = "--config '' --queue-num 300 --control-socket '' --state-dir '' --kernel-filter off --rules-guard off"
    patient.installed.start(f"tcpknock-server --key-file /etc/tcpknock/key.dat {flags}")


def _end_one(patient: Patient, cure: str) -> None:
    patient.shell(command(r"kill \d+", cure))
    eventually(lambda: len(patient.processes()) == 1, what="one daemon to end")


def _ask(*flags: str) -> Callable[[Patient], object]:
    def plant(patient: Patient) -> None:
        patient.asks = list(flags)

    return plant


def _ask_again(patient: Patient, cure: str) -> None:
    """What is asked about is meant, so the daemon and its rules get it."""
    patient.restart(command(DAEMON, cure))
    patient.up("--queue-num 7")


def _leave_out(flag: str) -> Act:
    def act(patient: Patient, cure: str) -> None:
        assert f"leave out {flag}" in cure
        patient.asks = []

    return act


def _break_configuration(patient: Patient) -> None:
    patient.configure(more="target_port = [22]")


def _mend_configuration(patient: Patient, cure: str) -> None:
    check = command(r"tcpknock-server.* --check", cure)
    assert "target_port" in patient.installed.run("sh", "-c", check, check=False).stderr
    patient.configure()
    patient.shell(check)


def _spoil_socket(patient: Patient) -> None:
    patient.stop()
    patient.shell("rm -f /run/tcpknock/server.sock && touch /run/tcpknock/server.sock")


def _remove_and_start(patient: Patient, cure: str) -> None:
    patient.shell(command(r"rm [^;]*", cure))
    started(patient, cure)


def _die(patient: Patient) -> None:
    """Without giving back what it has in the kernel."""
    assert patient.daemon
    patient.daemon.kill()
    patient.daemon = None


def _flush(patient: Patient) -> None:
    for program in ("iptables-nft", "ip6tables-nft"):
        for table in ("mangle", "raw"):
            patient.shell(f"{program} -w -t {table} -F; {program} -w -t {table} -X")


def _die_and_flush(patient: Patient) -> None:
    _die(patient)
    _flush(patient)


def _die_unpinned(patient: Patient) -> None:
    _die(patient)
    patient.shell("rm -rf /sys/fs/bpf/tcpknock/*")


def _pin_anew(patient: Patient) -> None:
    _die_unpinned(patient)
    patient.start()


def _start_then_up(patient: Patient, cure: str) -> None:
    assert "start tcpknock-server" in cure
    patient.restart()
    patient.shell(command(UP, cure))


def _without_bpf(patient: Patient) -> None:
    patient.stop()
    patient.shell("umount -l /sys/fs/bpf")
    patient.start()
    patient.up()


def _with_bpf(patient: Patient, cure: str) -> None:
    mount, start, up = cure.split(", then ")
    patient.shell(mount)
    assert start == "start tcpknock-server again"
    patient.restart()
    patient.shell(up)


def _unname_filter(patient: Patient) -> None:
    """Of the notes, those on the program for the kernel name no file of a number."""
    for program in ("iptables-nft", "ip6tables-nft"):
        for table in ("mangle", "raw"):
            listed = patient.shell(f"{program} -w -t {table} -S TCPKNOCK-SRV-NOTE").splitlines()[1:]
            for number, line in enumerate(listed, 1):
                if "kernel-filter=" in line:
                    rule = f"TCPKNOCK-SRV-NOTE {number} -m comment --comment kernel-filter=x"
                    patient.shell(f"{program} -w -t {table} -R {rule}")


def _two_guests(patient: Patient) -> None:
    patient.shell("cp -p /etc/tcpknock/key.dat /etc/tcpknock/copy.dat")
    guests = [f'[[guest]]\nname = "{name}"\nkey_file = "{file}.dat"' for name, file in (("a", "key"), ("b", "copy"))]
    patient.configure(key_file="", more="\n".join(guests))


def _two_targets(patient: Patient) -> None:
    patient.shell("cp -p /etc/tcpknock/key.dat /etc/tcpknock/copy.dat")
    target = '[[target]]\nhost = "198.51.100.7"\nkey_file = "copy.dat"\nnat_ip = "auto"'
    patient.configure(more=target)


def _copy_a_key(patient: Patient, cure: str) -> None:
    assert "each needs a key of its own" in cure
    patient.shell("cd /etc/tcpknock && rm copy.dat && keygen copy.dat")


def _lock_out(patient: Patient) -> None:
    """By a knock whose third ACK is wrong, from an address that nothing else uses."""
    key = Path(patient.host.records, "key.dat")
    patient.shell(f"cp /etc/tcpknock/key.dat {key}")
    with peer(patient.other, str(key), patient.host.ipv4, source="10.81.1.77") as stranger:
        stranger.send_syn()
        assert stranger.receive_synack()
        stranger.send_ack(ack=stranger.rcv_nxt ^ 0x10000)
        assert patient.daemon
        patient.daemon.wait_for_line("WARNING locked out: .*10.81.1.77")


def _mask_rule(patient: Patient, cure: str) -> None:
    mask = command(r"(?<=\()0x[0-9a-f]+(?=\))", cure)
    patient.shell(f"iptables-nft -w -t mangle -R FORWARD 1 -j CONNMARK --set-xmark 0x1/{mask}")


def _keep_bit(patient: Patient, cure: str) -> None:
    kept = command(r"(ct|meta) mark set \1 mark and 0x[0-9a-f]+ or", cure)
    handle = command(r"\d+$", patient.shell("nft -a list chain inet other pre | grep 'mark'").strip())
    patient.shell(f"nft replace rule inet other pre handle {handle} {kept} 0x1")


def _another_fwmark(patient: Patient, cure: str) -> None:
    assert "that routing rule another fwmark" in cure
    patient.shell("ip rule del fwmark 0x1000/0x1000; ip rule add fwmark 0x2000/0x2000 lookup 100")


def _another_mark(patient: Patient, cure: str) -> None:
    patient.configure(mark=command(r"0x[0-9a-f]+(?= is free)", cure))
    patient.restart()
    patient.up()


def _queue_of_another(patient: Patient) -> None:
    patient.stop()
    flags = "--queue-num 100 --target-port 443 --key-file /etc/tcpknock/key.dat --kernel-filter off --rules-guard off"
    patient.service = patient.installed.start(f"tcpknock-server --instance web {flags}")


def _another_queue(patient: Patient, cure: str) -> None:
    assert "another --queue-num" in cure and patient.service
    patient.service.stop()
    flags = "--queue-num 300 --target-port 443 --key-file /etc/tcpknock/key.dat --kernel-filter off --rules-guard off"
    patient.installed.start(f"tcpknock-server --instance web {flags}")
    patient.start()


def _stop_and_fill(patient: Patient) -> None:
    """The daemon is stopped, and somebody sends what waits for its verdicts."""
    patient.signal(signal.SIGSTOP)
    syns = [segment(patient.other.ipv4, patient.host.ipv4, sport=1024 + number, dport=22, flags="S", ack=1)
            for number in range(300)]  # fmt: skip
    send(patient.other, syns)


def _look_and_continue(patient: Patient, cure: str) -> None:
    """It is stopped, as what is typed shows: T."""
    rows = [line.split() for line in patient.shell(command(r"ps .*", cure)).splitlines()[1:]]
    # There are other hosts on this machine.
    ((number, state),) = [(int(row[0]), row[1]) for row in rows if int(row[0]) in patient.processes()]
    assert state.startswith("T")
    os.kill(number, signal.SIGCONT)


def _overflow(patient: Patient) -> None:
    """More wait than there is room for."""
    patient.signal(signal.SIGSTOP)
    syns = [segment(patient.other.ipv4, patient.host.ipv4, sport=1024 + number, dport=22, flags="S", ack=1)
            for number in range(300)]  # fmt: skip

    def is_full() -> bool:
        send(patient.other, syns)
        rows = [line.split() for line in patient.shell("cat /proc/net/netfilter/nfnetlink_queue").splitlines()]
        return any(int(row[5]) + int(row[6]) > 0 for row in rows if row[0] == "100")

    eventually(is_full, 60, "the queue to be full")
    patient.signal(signal.SIGCONT)


def _more_queues(patient: Patient, cure: str) -> None:
    queues = command(r"(?<=--queue-num )\d+:\d+", cure)
    patient.configure(queue_num=f'"{queues}"')
    patient.restart()
    patient.up()


def _second_route(patient: Patient) -> None:
    patient.shell(
        "ip link add eth1 type veth peer name eth2; ip link set eth2 up; ip link set eth1 up;"
        "ip addr add 10.99.0.1/24 dev eth1; ip route add default via 10.81.1.1;"
        "ip route add default via 10.99.0.2 metric 100"
    )


def _second_strict_route(patient: Patient) -> None:
    _second_route(patient)
    patient.shell("sysctl -qw net.ipv4.conf.all.rp_filter=1")


def _look_at_routes(patient: Patient, cure: str) -> None:
    """Answers go by eth0, so the other way is not needed."""
    look = command(r"ip route get .*", cure).replace("ADDRESS-OF-THE-OTHER-HOST", patient.other.ipv4)
    assert "dev eth0" in patient.shell(look)
    patient.shell("ip route del default via 10.99.0.2")


def _both_backends(patient: Patient) -> None:
    patient.shell("iptables-nft-save | iptables-legacy-restore")


def _another_backend(patient: Patient) -> None:
    patient.configure(iptables='"legacy"')


def _without_root(patient: Patient) -> None:
    patient.shell("chmod 711 /etc/tcpknock; chmod 644 /etc/tcpknock/*.toml")
    patient.is_root = False


def _as_root(patient: Patient, cure: str) -> None:
    assert cure == "run this as root"
    patient.is_root = True


def _listen_on_loopback(patient: Patient) -> None:
    assert patient.service
    patient.service.stop()
    code = "import socket, sys; s = socket.create_server(('127.0.0.1', 22)); print('on', flush=True); sys.stdin.read()"
    patient.service = patient.host.popen([PYTHON, "-c", code])
    patient.service.wait_for_line("^on$")


def _end_service(patient: Patient) -> None:
    assert patient.service
    patient.service.stop()


def _serve(*words: str) -> Act:
    def act(patient: Patient, cure: str) -> None:
        if "ss -tln" in cure:
            assert ":22 " not in patient.shell("ss -tln")
        assert all(word in cure for word in words) and patient.service
        patient.service.stop()
        patient.service = echo_server(patient.host, 22)

    return act


def _sign(patient: Patient) -> None:
    _end_service(patient)
    patient.service = signing_service(patient.host, patient.other.ipv4, port=22)


def _exempt_peers(patient: Patient, cure: str) -> None:
    patient.configure(exempt=command(r"(?<=exempt = )\[[^]]*\]", cure))
    patient.restart()
    patient.up()


def _name_the_target(patient: Patient) -> None:
    patient.shell("printf '198.51.100.7 server.example.org\\n2001:db8::7 server.example.org\\n' >>/etc/hosts")
    patient.configure(more='[[target]]\nhost = "198.51.100.7"\nkey_file = "key.dat"\nnat_ip = "auto"\n', key_file="")


def _by_its_name(patient: Patient, cure: str) -> None:
    host = command(r'host = "[^"]*"', cure)
    patient.configure(more=f'[[target]]\n{host}\nkey_file = "key.dat"\nnat_ip = "auto"\n')


def _outer_address(*words: str) -> Act:
    """Gives the client the address that its servers see."""

    def act(patient: Patient, cure: str) -> None:
        assert all(word in cure for word in words)
        patient.configure(nat_ip='"203.0.113.7"')
        patient.restart()

    return act


def _unsynchronised(patient: Patient) -> None:
    """Of the machine's clock, which no test sets: only where it happens to be so."""
    if not any("nothing keeps the clock right" in finding["found"] for finding in patient.findings()):
        pytest.skip("something keeps the clock of this machine right")


def _with_chrony(patient: Patient) -> None:
    _unsynchronised(patient)
    patient.shell("cp /bin/sleep /var/opt/chronyd")
    patient.installed.popen("/var/opt/chronyd", "600")


def _without_time(patient: Patient, cure: str) -> None:
    patient.restart("tcpknock-server " + command(r"--no-time", cure))


def _queue_by_nft(patient: Patient) -> None:
    try:
        _other_nft("udp dport 9 queue num 100")(patient)
    except AssertionError as error:
        if "Could not process rule: No such file or directory" not in str(error):
            raise
        pytest.skip("nft has no queues on this kernel (CONFIG_NFT_QUEUE)")


KEY = "/etc/tcpknock/key.dat"
RULE = r"ip6?tables-(nft|legacy) -[^;]*"

CASES = [
    # The daemon and its queue
    Case("DaemonCheck: {} does not run: {}", Patient.stop, started),
    Case("DaemonCheck: {} does not run: {}", Patient.stop, started, role="client"),
    Case("DaemonCheck: {} runs {} times: processes {}", _run_twice, _end_one),
    Case("DaemonCheck: process {} is {}, but this user may not know of which network namespace", _without_root, _as_root),
    Case("DaemonCheck: process {} is stopped, and gives no verdicts: {}",
         lambda p: p.signal(signal.SIGSTOP), typed(r"kill -CONT \d+")),
    Case("DaemonCheck: process {} still runs a program that has been replaced or removed:", _run_from_elsewhere,
         ended_and_started),
    Case("DaemonCheck: {}, process {}, is version {}, but this is {}", _run_an_old_version, ended_and_started),
    Case("DaemonCheck: process {} was started with other values than are examined:",
         lambda p: _ask("--queue-num", "7")(p.restart("tcpknock-server --queue-num 9")), _ask_again),
    Case("QueueCheck: no process listens to queue {}: {}", Patient.stop, started),
    Case("QueueCheck: queue {} is bound by {}, process {}, not by {}", _take_queue, _end_the_other),
    Case("QueueCheck: queue {} is bound by another server of this host, process {}:", _queue_of_another, _another_queue,
         leaves=("rules-ipv4", "rules-ipv6", "service")),
    Case("QueueCheck: queue {} has lost packets since it was bound: {} because too", _overflow, _more_queues),
    Case("QueueCheck: {} packets wait in queue {}", _stop_and_fill, _look_and_continue),
    Case("foreign: a rule of another program uses the daemon's queue",
         shell("iptables-nft -w -A INPUT -p udp -m comment --comment \"it's mine\" -j NFQUEUE --queue-num 100"), typed(RULE)),
    Case("foreign: a rule of another program uses the daemon's queue", _queue_by_nft,
         typed("nft delete rule [^;]*")),
    # Configuration and sockets
    Case("FileCheck: the configuration cannot be used, so what follows may be about other values: {}",
         _break_configuration, _mend_configuration),
    Case("FileCheck: there is no configuration {}", _ask("--config", "/etc/tcpknock/none.toml"), _leave_out("--config")),
    Case("FileCheck: others may change the configuration {}, and so what the daemon runs",
         shell("chmod 666 /etc/tcpknock/server.toml"), typed("chmod go-w .*")),
    Case("FileCheck: the configuration {} belongs to user {}", shell("chown 65534 /etc/tcpknock/server.toml"),
         typed("chown root .*")),
    Case("FileCheck: the daemon runs, but has no control socket {}", shell("rm /run/tcpknock/server.sock"),
         ended_and_started),
    Case("FileCheck: {} is not a socket", _spoil_socket, _remove_and_start),
    Case("FileCheck: everybody on this host may give the daemon orders through {}",
         shell("chmod 666 /run/tcpknock/server.sock"), typed("chmod o-rwx .*")),
    Case("FileCheck: others may look into {}, where the kernel filter keeps keys",
         shell("chmod 755 /sys/fs/bpf/tcpknock/*"), typed("chmod 700 .*"), with_filter=True),
    # Keys
    Case("KeyReading+KeyFileError: there is no file {}", shell(f"rm {KEY}"), typed("keygen [^,]*")),
    Case("KeyReading+KeyFileError: {} cannot be read: {}: {}", shell(f"rm {KEY}; ln -s key.dat {KEY}"), typed("rm .*")),
    Case("KeyReading+KeyFileError: {} is not a regular file", shell(f"mv {KEY} /var/opt/key.dat; mkdir {KEY}"),
         lambda p, cure: "copy the other host's key file (scp -p)" in cure and p.shell(f"rmdir {KEY}; cp -p /var/opt/key.dat {KEY}")),
    Case("KeyReading+KeyFileError: {} can be read or written by others (mode 0{})", shell(f"chmod 644 {KEY}"), typed("chmod 600 [^;]*")),
    Case("KeyReading+KeyFileError: {} can be read or written by others (mode 0{})", shell(f"chmod 644 {KEY}"), typed("keygen --force .*")),
    Case("KeyReading+KeyFileError: {} is {} bytes long, but a key is exactly {}", shell(f"truncate -s 65000 {KEY}"), typed("keygen --force .*")),
    Case("KeyReading+KeyFileError: all bytes of {} are the same, so it is not a key", shell(f"head -c 65536 /dev/zero >{KEY}"),
         typed("keygen --force .*")),
    Case("KeyCheck: {}, so the daemon does not take them", _two_guests, typed("keygen --force .*")),
    Case("KeyCheck: {}; that is right if they are one server", _two_targets, _copy_a_key, role="client"),
    Case("KeyCheck: {} belongs to user {}, who is neither root nor the daemon's user, so the daemon does not take it",
         shell(f"chown 65534 {KEY}"), typed("chown root [^;]*")),
    Case("FolderTrust: others may replace what is in the folder {} (mode 0{})", shell("chmod 777 /etc/tcpknock"),
         typed("chmod go-w .*")),
    Case("FolderTrust: the folder {} belongs to user {}, who may replace what is in it", shell("chown 65534 /etc/tcpknock"),
         typed("chown root .*")),
    # Rules
    Case("RuleCheck: there are no rules for IPv{}: {}", shell(f"{SCRIPTS}/server.sh down"), typed(UP)),
    Case("RuleCheck: there are no rules for IPv{}: {}", shell(f"{SCRIPTS}/client.sh down"), typed(UP), role="client"),
    Case("RuleCheck: could not look at the rules: {}", _without_root, _as_root),
    Case("RuleCheck: the rules leave out port {}", shell(f"{SCRIPTS}/server.sh up --target-port 2222 --drop-ports"), typed(UP)),
    Case("RuleCheck: the rules are for port {} too, which the daemon knows nothing of",
         shell(f"{SCRIPTS}/server.sh up --target-port 22 --target-port 80"), typed(UP)),
    Case("RuleCheck: the rules are for the mark {}, but the daemon sets {}", shell(f"{SCRIPTS}/server.sh up --mark 0x2000"),
         typed(UP)),
    Case("RuleCheck: the rules for port {} are not whole: a jump is missing in",
         shell("iptables-nft -w -t mangle -D PREROUTING -p tcp --dport 22 -j TCPKNOCK-SRV-IN"), typed(UP)),
    Case("RuleCheck: the chain {} was changed: {} of its rules are missing or in another order",
         shell("iptables-nft -w -t mangle -D TCPKNOCK-SRV-DONE 1"), typed(UP)),
    Case("RuleCheck: the rules have another 'protect' or 'exempt' than the daemon",
         shell(f"{SCRIPTS}/server.sh up --protect own --protect 192.0.2.0/24"), typed(UP)),
    Case("RuleCheck: the rules have another 'on_failure' than the daemon",
         shell(f"{SCRIPTS}/server.sh up --on-failure reset"), typed(UP)),
    Case("RuleCheck: somebody has put a rule into our chain: {}",
         shell("iptables-nft -w -t mangle -I TCPKNOCK-SRV-IN -s 192.0.2.0/24 -j ACCEPT"), typed(UP)),
    Case("RuleCheck: the rules send packets to queue {}, but the daemon's is {}",
         shell(f"{SCRIPTS}/server.sh up --queue-num 300"), typed(UP)),
    Case("RuleCheck: with --queue-bypass, everybody gets in while the daemon does not run: {}",
         shell("iptables-nft -w -t mangle -R TCPKNOCK-SRV-IN 7 -j NFQUEUE --queue-num 100 --queue-bypass"), typed(UP)),
    Case("foreign: a rule before ours decides about packets of the ports",
         shell("iptables-nft -w -t mangle -I PREROUTING -p tcp --dport 22 -j ACCEPT"), typed(UP)),
    Case("foreign: a rule before ours decides about packets of the ports",
         shell("ip6tables-nft -w -t mangle -I PREROUTING -p tcp --dport 22 -m comment --comment '$(a) \"b\"' -j ACCEPT"),
         typed(RULE)),
    Case("foreign: a rule before ours decides about packets of the ports",
         shell("iptables-nft -w -t mangle -I POSTROUTING -p tcp --dport 22 -j ACCEPT"), typed(UP), role="client"),
    Case("foreign: a rule before ours drops packets of the ports",
         shell("iptables-nft -w -t mangle -I PREROUTING -p tcp --dport 22 -j DROP"), typed(RULE)),
    Case("foreign: a rule before ours takes the daemon's mark off packets, which never get further then",
         shell("iptables-nft -w -t mangle -I PREROUTING -i eth0 -j MARK --set-mark 0x1"), typed(UP)),
    Case("BackendCheck: the {}'s rules are in iptables-nft and in iptables-legacy, so packets are queued", _both_backends,
         typed(".*&&.*")),
    Case("BackendCheck: the rules are in iptables-{}, but the setting 'iptables' says", _another_backend, typed(".*&&.*")),
    Case("BackendCheck: could not look at all rules: {}", _without_root, _as_root),
    Case("foreign: drops what the daemon has admitted to port", shell("iptables-nft -w -P INPUT DROP"),
         typed("iptables-nft -I [^;]*")),
    Case("foreign: nft drops what is for port",
         _other_nft("ct state established accept", "type filter hook input priority 10; policy drop;"),
         typed("nft insert [^;]*")),
    Case("LockoutCheck: {} is locked out {}", _lock_out, typed("tcpknock unlock .*")),
    Case("ConfirmationCheck: the rules come down again soon: 'up --confirm' waits to be confirmed",
         shell(f"{SCRIPTS}/server.sh up --confirm 300"), typed(UP)),
    # Marks
    *(Case(f"foreign: {what}", shell(f"iptables-nft -w -t mangle -A FORWARD {rule}"), _mask_rule) for what, rule in {
        "a rule takes our bit out of verified connections, which cuts them off": "-j CONNMARK --set-mark 0x1",
        "a rule marks connections as verified that are not": "-j CONNMARK --set-xmark 0x1000/0x1000",
        "a rule copies packet marks, without our bit, to verified connections": "-j CONNMARK --save-mark",
        "a rule copies our bit from connections to their packets": "-j CONNMARK --restore-mark",
        "a rule sets the bit that says 'verified' on packets": "-j MARK --set-xmark 0x1000/0x1000",
        "a rule looks for our bit": "-m mark --mark 0x1000/0x1000 -j ACCEPT",
    }.items()),
    *(Case(f"foreign: {what}", _other_nft(rule), _keep_bit) for what, rule in {
        "a rule takes our bit out of verified connections, which cuts them off": "ct mark set 0x1",
        "a rule overwrites the whole mark of packets, our bit with it": "meta mark set 0x1",
        "a rule may overwrite our bit in the mark of": "ct mark set meta mark",
    }.items()),
    Case("MarkCheck: a routing rule takes packets with the bit {} elsewhere: ip {}",
         shell("ip rule add fwmark 0x1000/0x1000 lookup 100"), _another_fwmark),
    Case("MarkCheck: {} seems to be here, and uses the bit {} too", shell("ip link add kube-ipvs0 type veth peer name kube"), _another_mark,
         settings={"mark": "0x4000"}),
    # Connection tracking, translation, routes
    Case("foreign: is excluded from connection tracking, so no connection can be verified",
         shell("iptables-nft -w -t raw -A PREROUTING -p tcp --dport 22 -j CT --notrack"), typed(RULE)),
    Case("foreign: is excluded from connection tracking, so no connection can be verified",
         _other_nft("tcp dport 22 notrack"), typed("nft delete rule .*")),
    Case("TrackingCheck: nf_conntrack_tcp_loose is 0: connections from before the rules that are not tracked yet will not be kept",
         shell("sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0"), both(typed("sysctl -w [^ ,]*"), typed(UP))),
    Case("TrackingCheck: nf_conntrack_tcp_timeout_established is {} s: on a gateway, verified connections that are idle",
         shell("sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_established=300"), typed("sysctl -w [^ ,]*")),
    Case("TrackingCheck: nf_conntrack_acct is 0: the kernel does not count the bytes of connections",
         shell("sysctl -qw net.netfilter.nf_conntrack_acct=0"), typed("sysctl -w [^ ,]*")),
    Case("foreign: is translated on this host, where the knock cannot follow",
         shell("iptables-nft -w -t nat -A PREROUTING -p tcp --dport 22 -j REDIRECT --to-ports 2222"), typed(RULE)),
    Case("foreign: is translated on this host, where the knock cannot follow",
         _other_nft("tcp dport 22 redirect to :2222", "type nat hook prerouting priority -100;"), typed("nft delete rule .*")),
    Case("foreign: this host changes its source address behind the daemon, for which the code is",
         shell("iptables-nft -w -t nat -A POSTROUTING -j SNAT --to-source 203.0.113.7"), _outer_address("--nat-ip ADDRESS"),
         role="client"),
    Case("RoutingCheck: SYN cookies are off: who has the key could fill the service's backlog",
         shell("sysctl -qw net.ipv4.tcp_syncookies=0"), typed("sysctl -w .*")),
    Case("RoutingCheck: there are default routes by {}, and the strict reverse path filter", _second_strict_route,
         typed("sysctl -w .*")),
    Case("RoutingCheck: there are default routes by {}: both directions of a connection must", _second_route, _look_at_routes),
    # Whose ports
    Case("ScopeCheck: there is no interface {}, so what is to be protected by its name is not",
         lambda p: p.configure(protect='["own", "interface:eth9"]').restart().up(),
         changed(r"ip link", protect='["own", "interface:eth0"]')),
    Case("ScopeCheck: there is no interface {}, so nobody is exempt by its name",
         lambda p: p.configure(exempt='["interface:eth9"]').restart().up(), changed(r"ip link", exempt="")),
    Case("ScopeCheck: 'protect' names nothing of IPv{}, so nothing is protected over IPv{}",
         lambda p: p.configure(protect='["10.81.1.0/24"]').restart().up("--drop-ports"),
         changed(protect='["own", "10.81.1.0/24"]')),
    Case("ScopeCheck: {} is to be protected, but this host forwards nothing, and no address of its own is among them",
         lambda p: p.configure(protect='["own", "192.0.2.0/24"]').restart().up(), typed("sysctl -w .*")),
    Case("ScopeCheck: no knock is needed from {}",
         lambda p: p.configure(exempt='["0.0.0.0/0"]').restart().up(), changed(exempt='["192.0.2.7"]')),
    Case("ServiceCheck: no service listens on port {} of this host, which is what is protected", _end_service,
         _serve("start the service")),
    Case("ServiceCheck: the service on port {} listens on loopback alone, where nobody from outside gets to and no knock is needed",
         _listen_on_loopback, _serve("let it listen on the address that clients use")),
    Case("ServiceCheck: the service on port {} signs its segments (TCP MD5), and the knock changes what is signed: from", _sign,
         _exempt_peers),
    # The client
    Case("AddressCheck: this host has only private IPv4 addresses, so there may be a NAT between it and its servers",
         lambda p: None, _outer_address("--nat-ip ADDRESS"), role="client"),
    Case("AddressCheck: --nat-ip {} is an address of this host itself, on {}: no NAT is needed for that",
         _ask("--nat-ip", "10.81.1.1"), _leave_out("--nat-ip"), role="client"),
    Case("AddressCheck: --nat-ip {} is a private address, which servers on the Internet never see",
         lambda p: p.configure(nat_ip='"192.168.7.7"').restart(), _outer_address("the outer address of the NAT"),
         role="client"),
    Case("TargetCheck: the target {} is also {}, which has the IPv6 address {}, and no target is that:", _name_the_target,
         _by_its_name, role="client"),
    # The clock
    Case("ClockCheck: nothing keeps the clock right, and knocks fail when it is more than a minute off", _unsynchronised,
         _without_time),
    Case("ClockCheck: {} runs, but has not synchronised the clock", _with_chrony, _without_time),
    # The kernel filter
    Case("KernelFilterCheck: the kernel filter is attached to the network ({}), but the rules that it came with are gone",
         _die_and_flush, both(typed(UP), lambda p, _: p.start()), with_filter=True),
    Case("KernelFilterCheck: the kernel filter is attached to the network ({}), but the rules that it came with are gone",
         _die_and_flush, both(typed(rf"{SCRIPTS}/server.sh down"), lambda p, _: p.start(), lambda p, _: p.up()), with_filter=True),
    Case("KernelFilterCheck: the program at {} is left over: tcpknock-server, which gives it keys and time,",
         _die, lambda p, cure: p.start(command("tcpknock-server[^,]*", cure)), with_filter=True),
    Case("KernelFilterCheck: tcpknock-server has put a filter into the kernel, but the rules do not use it",
         lambda p: p.up("--kernel-filter off"), typed(UP), with_filter=True),
    Case("KernelFilterCheck: no BPF file system is mounted above {}, so there can be no filter in the kernel", _without_bpf,
         _with_bpf, with_filter=True),
    Case("KernelFilterCheck: {} is not attached to the network any more: {} is missing",
         shell("rm /sys/fs/bpf/tcpknock/*/link-ipv4"), typed(UP), with_filter=True),
    Case("KernelFilterCheck: the rules use {}, but there is no gate behind it: {}",
         shell("rm /sys/fs/bpf/tcpknock/*/syn_code_gate"), _start_then_up, with_filter=True),
    Case("KernelFilterCheck: the gate behind {} is not closed ({} is missing): {}",
         shell("rm /sys/fs/bpf/tcpknock/*/link-in-ipv6"), typed(UP), with_filter=True),
    Case("KernelFilterCheck: the rules name no file of the kernel filter",
         lambda p: _unname_filter(p.up("--kernel-filter rule")), typed(UP), with_filter=True),
    Case("KernelFilterCheck: the rules hold an old program: tcpknock-server has pinned another at {}", _pin_anew, typed(UP),
         with_filter=True),
    Case("KernelFilterCheck: the rules hold a program that is no longer pinned at {}, and gets no keys any more", _die_unpinned,
         _start_then_up, with_filter=True),
    # Who may not look
    Case("Examination: could not look at {}", _without_root, _as_root),
]  # fmt: skip

UNTYPED = {
    "foreign: a rule of another program leads past the knock": "is for `tcpknock status`: test_bypass types its cure",
    "ClockCheck: the clock was never set: it says a time before 2025": "sets the clock of the machine: typed in Tests/VM",
    "ClockCheck: the clock may be {} seconds off": "takes a time service that has lost its servers for hours",
    "KernelFeatureCheck: the kernel has no {}: {}": "takes another kernel",
    "KernelFeatureCheck: it is not known whether the kernel has what is needed: {}": "takes a kernel with modules",
    "KeyReading+KeyFileError: {}: {}": "takes a machine without memory",
    "TrackingCheck: the table of connections is {} % full ({} of {}): when it is full, new connections":
        "changes the limit of the whole machine: typed in Tests/VM",
}  # fmt: skip
"""Findings whose cures no test types, and why."""


def test_each_cure_has_a_case() -> None:
    listed = findings_with_cures()
    assert len(listed) > 60
    cases = Counter(case.key for case in CASES)
    untested = {key for key, count in listed.items() if cases[key] < count} - UNTYPED.keys()
    assert not untested, "add a case that types the cure, and sees the finding gone"
    unsaid = (cases.keys() | UNTYPED.keys()) - listed.keys()
    assert not unsaid, "doctor does not say this any more"


def test_what_is_listed_from_the_sources() -> None:
    source = r'''
        Finding(name, .error, "a \(b("c")) is \"d\" (e)", cure: f("g h"))
        Finding(
            name, .note, "no cure")
        self = .bad(
            found: "\(x) long " + "more", cure: cure)
    '''
    assert [_strings(call)[0] for call in _calls(source)] == ['a {} is "d" (e)', "{} long "]


def _pattern(key: str) -> "re.Pattern[str]":
    place, text = key.split(": ", 1)
    start = ".*" if place == "foreign" else ""
    return re.compile(start + ".*".join(map(re.escape, text.split("{}"))), re.DOTALL)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.role}-{number}-{case.key[:60]}" for number, case in enumerate(CASES)])
def test_the_cure_cures(direct: Network, case: Case) -> None:
    host, other = (direct.server, direct.client) if case.role == "server" else (direct.client, direct.server)
    with Installed(host) as installed:
        patient = _build(case, installed, other)
        pattern = _pattern(case.key)

        def matching() -> List[Dict[str, str]]:
            return [finding for finding in patient.findings() if pattern.match(finding["found"]) and "cure" in finding]

        def troubles() -> List[Dict[str, str]]:
            return [finding for finding in patient.findings()
                    if finding["severity"] in ("warning", "error") and finding["check"] not in (CLOCK, *case.leaves)]  # fmt: skip

        assert troubles() == []
        case.plant(patient)
        # The whole text of another one may be part of a longer one.
        finding = min(eventually(matching, what="the finding"), key=lambda finding: len(finding["found"]))
        case.act(patient, finding["cure"])
        eventually(lambda: not matching(), what=f"the end of: {finding}")
        assert troubles() == []
