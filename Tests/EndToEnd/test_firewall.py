"""The firewall scripts by themselves, without the daemons: in network namespaces, for both iptables."""

import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Iterator, List

import pytest

from harness.capture import Capture
from harness.echo import HeldConnection, echo, echo_server
from harness.firewall import BACKENDS, PROJECT, connection_marks, firewall, rule_counters, script, snapshot
from harness.hosts import Host
from harness.knock import EVERYWHERE, FAMILIES
from harness.queue_stand_in import queue_stand_in
from harness.queues import queue_counters
from harness.roles import ROLES
from harness.segments import segment, send
from harness.topologies import Network
from harness.waiting import eventually

MARK = 0x1000

FOREIGN_RULES = """*mangle
:FOREIGN - [0:0]
-P FORWARD DROP
-A FOREIGN -m comment --comment "not ours" -j MARK --set-xmark 0x7/0xf
-A PREROUTING -p tcp -m tcp --dport 22 -j FOREIGN
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A POSTROUTING -p tcp -m tcp --sport 22 -j FOREIGN
COMMIT
*raw
:FOREIGN-RAW - [0:0]
-A PREROUTING -p udp -j FOREIGN-RAW
COMMIT
*filter
-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
"""


@pytest.fixture
def scripts_copy() -> Iterator[Path]:
    """A copy of the scripts that everybody can read (which the checkout need not be) and a test may change."""
    with tempfile.TemporaryDirectory(prefix="tcpknock-test-") as folder:
        os.chmod(folder, 0o755)
        for path in Path(PROJECT, "firewall").iterdir():
            shutil.copy(path, folder)
            os.chmod(Path(folder, path.name), 0o755)
        yield Path(folder)


def add_foreign_rules(host: Host) -> None:
    for backend in BACKENDS:
        for name in ("iptables", "ip6tables"):
            host.run([f"{name}-{backend}-restore", "--noflush"], input=FOREIGN_RULES)


def queue_packets(host: Host, family: int, backend: str) -> int:
    """How many packets the rule for incoming packets has sent to the queue."""
    return rule_counters(host, family, backend)["TCPKNOCK-SRV-IN -j NFQUEUE --queue-num 100"]


def raw_drops(host: Host, family: int, backend: str) -> int:
    """How many packets ended before connection tracking."""
    rules = rule_counters(host, family, backend, "raw")
    return sum(count for rule, count in rules.items() if rule.endswith("DROP"))


STRAYS = "TCPKNOCK-SRV-IN -p tcp -m tcp --tcp-flags SYN NONE -m conntrack --ctstate NEW -j DROP"


# --- in and out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("foreign", (False, True), ids=("fresh", "foreign rules"))
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("role", ROLES)
def test_down_leaves_everything_as_it_was(host: Host, role: str, backend: str, foreign: bool) -> None:
    if foreign:
        add_foreign_rules(host)
    before = snapshot(host)
    firewall(host, role, "up", "--iptables", backend, "--target-port", 22, "--target_port=2222", "--queue_num", 7)
    up = snapshot(host)
    for name in ("iptables", "ip6tables"):
        assert "--queue-num 7" in up[f"{name}-{backend}"]
        assert "--dport 2222" in up[f"{name}-{backend}"]
    result = firewall(host, role, "down")
    assert "are down" in result.stdout
    assert snapshot(host) == before


@pytest.mark.parametrize("role", ROLES)
def test_down_when_not_up_changes_nothing(host: Host, role: str) -> None:
    before = snapshot(host)
    for flags in ([], ["--iptables", "nft"], ["--iptables", "legacy"]):
        assert "nothing to do" in firewall(host, role, "down", *flags).stdout
    assert snapshot(host) == before
    # Not even an empty legacy table was made by looking for one.
    assert host.run(["iptables-legacy-save"]).stdout == ""


@pytest.mark.parametrize("backend", BACKENDS)
def test_both_scripts_live_on_one_host(host: Host, backend: str) -> None:
    before = snapshot(host)
    firewall(host, "server", "up", "--iptables", backend)
    server_only = snapshot(host)
    firewall(host, "client", "up", "--iptables", backend)
    assert [firewall(host, role, "status").returncode for role in ROLES] == [0, 0]
    firewall(host, "client", "down")
    assert snapshot(host) == server_only
    firewall(host, "client", "up", "--iptables", backend)
    firewall(host, "server", "down")
    firewall(host, "client", "down")
    assert snapshot(host) == before


def test_rules_added_by_others_meanwhile_stay(host: Host) -> None:
    firewall(host, "server", "up", "--iptables", "nft")
    host.run(["iptables-nft", "-w", "-t", "mangle", "-A", "OUTPUT", "-p", "udp", "-j", "ACCEPT"])
    firewall(host, "server", "down")
    after = snapshot(host)
    assert "-A OUTPUT -p udp -j ACCEPT" in after["iptables-nft"]
    assert "TCPKNOCK" not in "".join(after.values())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("role", ROLES)
def test_up_again_changes_nothing(host: Host, role: str, backend: str) -> None:
    add_foreign_rules(host)
    arguments = ["up", "--iptables", backend, "--target-port", "2222", "--target-port", "22"]
    firewall(host, role, *arguments)
    before = snapshot(host)
    # The same ports in another order, one of them twice, and the backend left out: still the same.
    for again in (arguments, ["up", *"--target-port 22 --target-port 2222 --target-port 22".split()]):
        assert "already up" in firewall(host, role, *again).stdout
        assert snapshot(host) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_up_again_verifies_nobody(host: Host, backend: str) -> None:
    firewall(host, "server", "up", "--iptables", backend)
    entry = "-p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 4000 --dport 22 --state ESTABLISHED -u ASSURED,SEEN_REPLY -t 60"
    host.run(["conntrack", "-I", *entry.split()])
    firewall(host, "server", "up", "--iptables", backend)
    firewall(host, "server", "up", "--iptables", backend, "--queue-num", 101)
    assert connection_marks(host, 4, 22) == [0]
    # A port that was not protected before is another matter.
    host.run(["conntrack", "-I", *entry.replace("--dport 22", "--dport 23").split()])
    firewall(host, "server", "up", "--iptables", backend, "--target-port", 22, "--target-port", 23)
    assert (connection_marks(host, 4, 22), connection_marks(host, 4, 23)) == ([0], [MARK])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("role", ROLES)
def test_status_says_what_is_there(host: Host, role: str, backend: str) -> None:
    def status() -> "tuple[int, str]":
        result = firewall(host, role, "status", check=False)
        return result.returncode, result.stdout

    assert status() == (3, f"tcpknock {role} rules: down\n")
    firewall(host, role, "up", "--iptables", backend, "--target-port", 22, "--target-port", 2222, "--queue-num", 9)
    code, text = status()
    assert code == 0
    assert "rules: up" in text and "22 2222" in text and "NO process listens" in text and "packets" in text
    with queue_stand_in(host, queue=9):
        assert "a process listens to it" in status()[1]
    # One rule missing, in one family; then one too many; `up` mends both.
    chain = "TCPKNOCK-SRV-IN" if role == "server" else "TCPKNOCK-CLI-OUT"
    for change in (["-D", chain, "1"], ["-I", chain, "-j", "ACCEPT"]):
        host.run([f"ip6tables-{backend}", "-w", "-t", "mangle", *change])
        code, text = status()
        assert code == 1 and "PARTIAL" in text
        firewall(host, role, "up", "--target-port", 22, "--target-port", 2222, "--queue-num", 9)
        assert status()[0] == 0
    firewall(host, role, "down")
    assert status()[0] == 3


def test_who_reads_the_first_line_of_the_status_hears_no_more(host: Host) -> None:
    firewall(host, "server", "up")
    result = host.run(["bash", "-o", "pipefail", "-c", f"{script('server')} status | head -n 1"], check=False)
    assert (result.stdout, result.stderr) == ("tcpknock server rules: up\n", "")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("role", ROLES)
def test_up_with_other_values_replaces(host: Host, role: str, backend: str) -> None:
    before = snapshot(host)
    firewall(host, role, "up", "--iptables", backend, "--target-port", 22)
    drop = ["--drop-ports"] if role == "server" else []
    firewall(host, role, "up", "--target-port", 2222, "--target-port", 443, "--queue-num", 300, *drop)
    direct_way = snapshot(host)
    assert firewall(host, role, "status").returncode == 0
    assert "port 22 " not in direct_way[f"iptables-{backend}"]
    firewall(host, role, "down")
    assert snapshot(host) == before
    firewall(host, role, "up", "--iptables", backend, "--target-port", 443, "--target-port", 2222, "--queue-num", 300)
    assert snapshot(host) == direct_way


def test_the_other_iptables_is_refused_while_up(host: Host) -> None:
    firewall(host, "server", "up", "--iptables", "nft")
    before = snapshot(host)
    result = firewall(host, "server", "up", "--iptables", "legacy", check=False)
    assert result.returncode == 1 and "already up in iptables-nft" in result.stderr
    assert snapshot(host) == before


# --- what goes wrong ----------------------------------------------------------------------------------------------

BAD_INPUT = [
    (["up", "--target-port", "0"], "--target-port: '0' is not a TCP port"),
    (["up", "--target-port", "70000"], "--target-port: '70000' is not a TCP port"),
    (["up", "--target-port=abc"], "--target-port: 'abc' is not a TCP port"),
    (["up", "--target-port", "-1"], "--target-port: '-1' is not a TCP port"),
    (["up", "--target-port", "22,23"], "'22,23' is not a TCP port"),
    (["up", "--target-port", "022"], "'022' is not a TCP port"),
    (["up", "--target-port", "99999999999999999999"], "is not a TCP port"),
    (["up", "--target-port="], "'' is not a TCP port"),
    (["up", "--target-port", "22; reboot"], "'22; reboot' is not a TCP port"),
    (["up", "--target-port"], "--target-port: a value is missing"),
    (["up", "--target-port", "22", "--target_port", "x"], "'x' is not a TCP port"),
    (["up", "--queue-num", "65536"], "--queue-num: '65536' is not a queue number"),
    (["up", "--queue_num=one"], "--queue-num: 'one' is not a queue number"),
    (["up", "--queue-num", "5:3"], "--queue-num: '5:3' is not a queue number"),
    (["up", "--queue-num", "1:"], "--queue-num: '1:' is not a queue number"),
    (["up", "--queue-num", "0:64"], "--queue-num: '0:64' is not a queue number"),
    (["up", "--iptables", "ipchains"], "--iptables: 'ipchains' is not known"),
    (["up", "--nonsense"], "unknown flag '--nonsense'"),
    (["up", "-p", "22"], "unknown flag '-p'"),
    (["up", "down"], "two commands"),
    (["sideways"], "unknown command 'sideways'"),
    ([], "no command"),
]
BAD_SERVER_INPUT = [
    (["up", "--mark", "0"], "--mark: '0' is not one single bit"),
    (["up", "--mark", "0x0"], "--mark: '0x0' is not one single bit"),
    (["up", "--mark", "0x3000"], "'0x3000' is not one single bit"),
    (["up", "--mark", "0x100000000"], "is not one single bit"),
    (["up", "--mark", "0x"], "is not one single bit"),
    (["up", "--mark", "bit"], "is not one single bit"),
    (["up", "--confirm", "0"], "--confirm: '0' is not a time in seconds"),
    (["up", "--confirm", "soon"], "--confirm: 'soon' is not a time in seconds"),
    (["down", "--confirm", "5"], "--confirm goes with 'up'"),
]
BAD_CLIENT_INPUT = [
    (["up", "--queue-num", "200:201"], "--queue-num: '200:201' is not a queue number"),
    (["up", "--mark", "0x1001"], "is not one single bit"),
    (["confirm"], "unknown command 'confirm'"),
]


def test_bad_input_is_refused(host: Host) -> None:
    add_foreign_rules(host)
    before = snapshot(host)
    cases = [(role, *case) for role in ROLES for case in BAD_INPUT]
    cases += [("server", *case) for case in BAD_SERVER_INPUT] + [("client", *case) for case in BAD_CLIENT_INPUT]
    for role, arguments, message in cases:
        result = firewall(host, role, *arguments, check=False)
        assert (result.returncode, result.stdout) == (64, ""), (role, arguments, result)
        assert message in result.stderr and result.stderr.count("\n") == 1, (role, arguments, result.stderr)
    assert snapshot(host) == before


@pytest.mark.parametrize("role", ROLES)
def test_help(host: Host, role: str) -> None:
    for flag in ("--help", "-h"):
        result = firewall(host, role, "up", flag)
        assert "Usage:" in result.stdout and "--target-port" in result.stdout and result.stderr == ""
    assert "TCPKNOCK" not in "".join(snapshot(host).values())


@pytest.mark.parametrize("role", ROLES)
def test_not_root(host: Host, role: str, scripts_copy: Path) -> None:
    for command in ("up", "down", "status"):
        command_line = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"{scripts_copy}/{role}.sh", command]
        result = host.run(command_line, check=False)
        assert result.returncode == os.EX_NOPERM and "must run as root" in result.stderr
    assert "TCPKNOCK" not in "".join(snapshot(host).values())


def test_works_through_a_symbolic_link(host: Host, tmp_path: Path) -> None:
    link = tmp_path / "tcpknock-rules"
    link.symlink_to(script("server"))
    assert host.run([str(link), "status"], check=False).returncode == 3


@pytest.mark.parametrize("missing", ("iptables", "conntrack", "ss"))
def test_a_missing_tool_is_named(host: Host, tmp_path: Path, scripts_copy: Path, missing: str) -> None:
    # A root user's PATH of links to everything but the missing tool; the script's own additions are cut off with it.
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in ("/usr/sbin", "/usr/bin"):
        for name in os.listdir(folder):
            hidden = "tables" in name if missing == "iptables" else name == missing
            if not hidden and not (tools / name).exists():
                (tools / name).symlink_to(f"{folder}/{name}")
    common = scripts_copy / "common.sh"
    common.write_text(re.sub(r"^PATH=.*$", f"PATH={tools}", common.read_text(), flags=re.MULTILINE))
    result = host.run([f"{scripts_copy}/server.sh", "up"], check=False)
    assert result.returncode == os.EX_UNAVAILABLE and f"'{missing}' is missing" in result.stderr, result
    assert "TCPKNOCK" not in "".join(snapshot(host).values())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("role", ROLES)
def test_a_failure_half_way_is_undone(host: Host, role: str, backend: str, tmp_path: Path) -> None:
    add_foreign_rules(host)
    failing = tmp_path / f"ip6tables-{backend}-restore"
    failing.write_text("#!/bin/sh\necho 'Cannot allocate memory' >&2\nexit 4\n")
    failing.chmod(failing.stat().st_mode | stat.S_IXUSR)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def fails(*arguments: str) -> None:
        before = snapshot(host)
        result = firewall(host, role, *arguments, check=False, env=path)
        assert result.returncode == 1
        assert "Cannot allocate memory" in result.stderr and "as it was before" in result.stderr
        assert snapshot(host) == before

    fails("up", "--iptables", backend)
    firewall(host, role, "up", "--iptables", backend, "--target-port", "22", "--target-port", "23")
    drop = ["--drop-ports"] if role == "server" else []
    fails("up", "--iptables", backend, "--target-port", "2222", "--queue-num", "3", *drop)


# --- packets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_daemon_the_server_is_closed(direct: Network, backend: str, tmp_path: Path) -> None:
    client, server = direct.client, direct.server
    echo_server(server, 22, 2222)
    firewall(server, "server", "up", "--iptables", backend)
    with Capture(client, tmp_path) as capture:
        for family in FAMILIES:
            address = server.address(family)
            assert echo(client, address, 22, timeout=0.3).complete == 0
            assert echo(client, address, 2222).complete == 1, "a port that is not protected"
            # The connection attempt ended in the kernel; the queue has not seen it.
            assert queue_packets(server, family, backend) == 0
            assert raw_drops(server, family, backend) >= 1

            probes = [
                segment(client.address(family), address, sport=5001, dport=22, flags="S", seq=1, ack=0x1234),
                segment(client.address(family), address, sport=5002, dport=22, flags="SEC", seq=1, ack=0x1234),
                segment(client.address(family), address, sport=5003, dport=22, flags="R", seq=1),
            ]
            if family == 6:
                probes.append(
                    segment(client.ipv6, address, extension_header=True, sport=5008, dport=22, flags="S", seq=1)
                )
            # These end in the raw table: a SYN with an empty ack field, of ECN too, and flags that no client sends.
            before = raw_drops(server, family, backend)
            no_knock = [("S", 0), ("SEC", 0), ("SA", 1), ("SF", 1), ("SR", 1), ("F", 0), ("FPU", 0), ("", 0), ("", 1)]
            ends_here = [
                segment(client.address(family), address, sport=5011 + number, dport=22, flags=flags, seq=1, ack=ack)
                for number, (flags, ack) in enumerate(no_knock)
            ]
            # This one passes there, and ends behind connection tracking, which knows of no beginning.
            stray = segment(client.address(family), address, sport=5051, dport=22, flags="A", seq=1, ack=0x1234)
            send(client, [*probes, *ends_here, stray])
            eventually(
                lambda: queue_packets(server, family, backend) >= len(probes), what="the probes to reach the queue"
            )
            # The answer to a last packet, to a closed port, shows that all before it would have been answered by now.
            send(client, [segment(client.address(family), address, sport=5999, dport=9, flags="S", seq=1)])
            capture.wait_for(lambda p: "TCP" in p and p["TCP"].dport == 5999, what="the answer of the closed port")
            assert queue_packets(server, family, backend) == len(probes)
            assert raw_drops(server, family, backend) - before == len(ends_here)
            strays = rule_counters(server, family, backend)[STRAYS]
            assert strays == 1
        answers = [packet for packet in capture.packets() if "TCP" in packet and packet["TCP"].sport == 22]
        assert answers == []
    assert queue_counters(server) == {}
    firewall(server, "server", "down")
    assert echo(client, server.ipv4, 22).complete == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_several_queues_share_the_packets(direct: Network, backend: str) -> None:
    client, server = direct.client, direct.server
    firewall(server, "server", "up", "--iptables", backend, "--queue-num", "100:101")
    status = firewall(server, "server", "status", check=False)
    assert status.returncode == 0 and "100:101, NO process" in status.stdout
    with queue_stand_in(server, 100), queue_stand_in(server, 101):
        assert "100:101, a process listens" in firewall(server, "server", "status").stdout
        sources = [f"10.81.1.{number}" for number in range(10, 42)]
        send(client, [segment(a, server.ipv4, sport=5001, dport=22, flags="S", seq=1, ack=1) for a in sources])

        def counted() -> List[int]:
            return [queue_counters(server)[number].id_sequence for number in (100, 101)]

        eventually(lambda: sum(counted()) >= 32, what="all SYNs to be queued")
        assert min(counted()) > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_daemon_the_client_is_open(direct: Network, backend: str) -> None:
    client, server = direct.client, direct.server
    echo_server(server, 22)
    firewall(client, "client", "up", "--iptables", backend)
    for family in FAMILIES:
        assert echo(client, server.address(family), 22, connections=3, size=100_000).complete == 3
        # Its two packets of each handshake, and no others, went the way through the queue.
        for table, chain in (("mangle", "OUT"), ("raw", "IN")):
            counters = rule_counters(client, family, backend, table)
            assert counters[f"TCPKNOCK-CLI-{chain} -j NFQUEUE --queue-num 200 --queue-bypass"] == 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_client_rules_take_syns_with_ecn(direct: Network, backend: str) -> None:
    client, server = direct.client, direct.server
    echo_server(server, 22)
    for host in (client, server):
        host.sysctl({"net.ipv4.tcp_ecn": 1})
    firewall(client, "client", "up", "--iptables", backend)
    assert echo(client, server.ipv4, 22).complete == 1
    for table, chain in (("mangle", "OUT"), ("raw", "IN")):
        counters = rule_counters(client, 4, backend, table)
        assert counters[f"TCPKNOCK-CLI-{chain} -j NFQUEUE --queue-num 200 --queue-bypass"] == 1


@pytest.mark.parametrize("forwarded", (False, True), ids=("own socket", "forwarded"))
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_verified_connection_stays_in_the_kernel(routed: Network, backend: str, forwarded: bool) -> None:
    guard = routed.router if forwarded else routed.server
    assert guard
    echo_server(routed.server, 22)
    firewall(guard, "server", "up", "--iptables", backend, *(EVERYWHERE if forwarded else ()))
    for family, name in ((4, "iptables"), (6, "ip6tables")):
        # The client of this test cannot knock, so its SYN must be let through to the queue.
        host_rules = guard.run([f"{name}-{backend}-save", "-t", "raw"]).stdout
        chain = "TCPKNOCK-SRV-SIFT" if forwarded else "TCPKNOCK-SRV-RAW"
        number = re.findall(rf"^-A {chain} .*", host_rules, re.MULTILINE)
        (drop,) = (index for index, rule in enumerate(number, start=1) if "u32" in rule)
        guard.run([f"{name}-{backend}", "-w", "-t", "raw", "-D", chain, str(drop)])
        # Behind our rules no packet has the mark any more, in the same chain or later.
        for chain in ("PREROUTING", "INPUT", "FORWARD", "POSTROUTING"):
            command = f"{name}-{backend} -w -t mangle -A {chain} -m mark --mark 0x1000/0x1000"
            guard.run(command.split())
    with queue_stand_in(guard):
        for family in FAMILIES:
            before = queue_counters(guard)[100].id_sequence
            with HeldConnection(routed.client, routed.server.address(family), 22) as connection:
                # SYN, SYN/ACK, ACK, and perhaps what was under way before the verdict on the ACK.
                handshake = queue_counters(guard)[100].id_sequence - before
                assert 3 <= handshake <= 5
                assert connection_marks(guard, family, 22) == [MARK]
                assert connection.echo(5_000_000)
                assert queue_counters(guard)[100].id_sequence - before == handshake
                counters = rule_counters(guard, family, backend)
                assert [n for rule, n in counters.items() if rule.endswith("-m mark --mark 0x1000/0x1000")] == [0] * 4
                # A new SYN of the same connection goes to the queue, and changes nothing of it.
                again = segment(routed.client.address(family), routed.server.address(family),
                                sport=connection.local_port, dport=22, flags="S", seq=1, ack=1)  # fmt: skip
                send(routed.client, [again])
                eventually(
                    lambda: queue_counters(guard)[100].id_sequence - before == handshake + 1,
                    what="the SYN to go to the queue",
                )
                assert connection.echo(5_000_000)
                assert connection_marks(guard, family, 22) == [MARK]
                assert queue_counters(guard)[100].id_sequence - before == handshake + 1


# --- connections from before --------------------------------------------------------------------------------------


def activate_connection_tracking(host: Host) -> None:
    for name in ("iptables", "ip6tables"):
        host.run(f"{name} -w -A INPUT -m conntrack --ctstate ESTABLISHED".split())


@pytest.mark.parametrize("tracked", ("tracked before", "not tracked before", "strict tracking"))
@pytest.mark.parametrize("backend", BACKENDS)
def test_established_connections_are_kept(direct: Network, backend: str, tracked: str) -> None:
    client, server = direct.client, direct.server
    if tracked == "tracked before":
        activate_connection_tracking(server)
    if tracked == "strict tracking":
        server.sysctl({"net.netfilter.nf_conntrack_tcp_loose": 0})
    echo_server(server, 22)
    for family in FAMILIES:
        with HeldConnection(client, server.address(family), 22) as used, HeldConnection(
            client, server.address(family), 22
        ) as idle:
            result = firewall(server, "server", "up", "--iptables", backend, "--keep-established")
            assert "kept: 2 connection" in result.stdout
            assert used.echo(3_000_000)
            assert echo(client, server.address(family), 22, timeout=0.3).complete == 0
            # Replacing the rules, also by ones with another mark, keeps them too.
            firewall(server, "server", "up", "--target-port", 22, "--target-port", 80, "--queue-num", 5)
            assert used.echo()
            firewall(server, "server", "up", "--target-port", 22, "--mark", "0x40000000", "--drop-ports")
            assert used.echo()
            assert idle.echo(3_000_000)
            assert connection_marks(server, family, 22).count(0x40000000 | MARK) == 2
            assert echo(client, server.address(family), 22, timeout=0.3).complete == 0
            firewall(server, "server", "down")
            assert used.echo() and idle.echo()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("first", ("client", "server"))
def test_kept_connections_survive_forgetful_tracking(direct: Network, first: str, family: int) -> None:
    client, server = direct.client, direct.server
    echo_server(server, 22)
    with HeldConnection(client, server.address(family), 22) as connection:
        firewall(server, "server", "up")
        assert connection.echo()
        server.run(["conntrack", "-F"])
        if first == "server":
            # A segment from the server is the first that connection tracking sees of it again.
            said = segment(server.address(family), client.address(family),
                           sport=22, dport=connection.local_port, flags="A", seq=1, ack=1)  # fmt: skip
            send(server, [said])
        assert connection.echo()
        assert echo(client, server.address(family), 22, timeout=0.3).complete == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_syn_never_passes_as_verified(direct: Network, backend: str) -> None:
    client, server = direct.client, direct.server
    echo_server(server, 22)
    for family in FAMILIES:
        with HeldConnection(client, server.address(family), 22) as connection:
            firewall(server, "server", "up", "--iptables", backend, "--keep-established")
            assert connection.echo() and queue_packets(server, family, backend) == 0
            for number, flags in enumerate(("SA", "SF", "S", "SEC"), start=-1):
                syn = segment(client.address(family), server.address(family),
                              sport=connection.local_port, dport=22, flags=flags, seq=1, ack=1)  # fmt: skip
                send(client, [syn])
                if number < 1:
                    eventually(lambda: raw_drops(server, family, backend) == number + 2, what="it to be dropped")
                else:
                    eventually(lambda: queue_packets(server, family, backend) == number, what="the SYN to be queued")
            assert connection.echo()
            firewall(server, "server", "down")


def test_a_forwarded_connection_is_kept(routed: Network) -> None:
    router = routed.router
    assert router
    activate_connection_tracking(router)
    echo_server(routed.server, 22)
    with HeldConnection(routed.client, routed.server.ipv4, 22) as four, HeldConnection(
        routed.client, routed.server.ipv6, 22
    ) as six:
        assert "kept: 2 connection" in firewall(router, "server", "up", *EVERYWHERE).stdout
        assert four.echo(1_000_000) and six.echo(1_000_000)
        assert echo(routed.client, routed.server.ipv4, 22, timeout=0.3).complete == 0


# --- confirmation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_unconfirmed_rules_come_down(host: Host, backend: str) -> None:
    before = snapshot(host)
    firewall(host, "server", "up", "--iptables", backend, "--confirm", 1)
    assert "TCPKNOCK" in "".join(snapshot(host).values())
    eventually(lambda: snapshot(host) == before, timeout=5, what="the rules to come down")
    result = firewall(host, "server", "confirm", check=False)
    assert result.returncode == 1 and "nothing waits for a confirmation" in result.stderr


def watchers(host: Host) -> List[str]:
    return [pid for pid in host.run(["ip", "netns", "pids", host.name]).stdout.split() if is_watcher(pid)]


def is_watcher(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline") as arguments:
            return "--watch-confirmation" in arguments.read()
    except OSError:
        return False


@pytest.mark.parametrize("ending", ("confirm", "down", "up", "up with other values"))
def test_a_confirmation_ends_the_watcher(host: Host, ending: str) -> None:
    firewall(host, "server", "up", "--confirm", 60)
    assert "waiting for" in firewall(host, "server", "status").stdout
    assert len(watchers(host)) == 1
    firewall(host, "server", *{"up with other values": ["up", "--queue-num", "5"]}.get(ending, [ending]))
    eventually(lambda: not watchers(host), timeout=5, what="the watcher to leave")
    assert firewall(host, "server", "status", check=False).returncode == (3 if ending == "down" else 0)
    assert firewall(host, "server", "confirm", check=False).returncode == 1


def test_the_watcher_belongs_to_its_namespace_and_to_no_terminal(host: Host) -> None:
    with Host("other") as other:
        firewall(other, "server", "up")
        # `script` gives the command a terminal, which is gone when it ends.
        host.run(["script", "-qec", f"{script('server')} up --confirm 1", "/dev/null"])
        assert firewall(other, "server", "confirm", check=False).returncode == 1
        eventually(lambda: firewall(host, "server", "status", check=False).returncode == 3, timeout=5, what="down")
        assert firewall(other, "server", "status").returncode == 0


def test_a_new_time_to_confirm_replaces_the_old(host: Host) -> None:
    firewall(host, "server", "up", "--confirm", 1)
    firewall(host, "server", "up", "--confirm", 60)
    eventually(lambda: len(watchers(host)) == 1, timeout=5, what="the first watcher to leave")
    assert firewall(host, "server", "status").returncode == 0
    assert "confirmed" in firewall(host, "server", "confirm").stdout
