"""The services as `make install` installs them, begun by systemd on stock kernels: what they do, and what they may do."""

import json
import re
import time
from typing import Dict, Iterator, Optional

import pytest

from machine import Machine
from protection import assert_protected, await_status, gets_in

UNITS = ("tcpknock-server", "tcpknock-client", "tcpknock-server-rules")
NET_ADMIN, NET_RAW, BPF = 1 << 12, 1 << 13, 1 << 39  # linux/capability.h
# How `systemd-analyze security` calls it: 0 is safe, 10 is not.
EXPOSURE = 3.0
# What the log must not have. (Slow as the machine is, it may say that something has taken too long.)
REFUSALS = r"not permitted|[Dd]enied|[Rr]ead-only|switched off|a reload would fail|no such user|not given up|not written"
CONFIGURATION = "/etc/tcpknock/server.toml"


@pytest.fixture(scope="module")
def host(machine: Machine) -> Iterator[Machine]:
    """The machine with a server, whose client has the network namespace `client` and the key."""
    machine.run("""set -e
        keygen --bundle client --host 10.9.1.1
        tcpknock add-server client.tcpknock
        rm client.tcpknock
        systemctl enable tcpknock-server tcpknock-client""")
    machine.write("/etc/systemd/system/tcpknock-client.service.d/host.conf",
                  "[Service]\nNetworkNamespacePath=/run/netns/client\n")  # fmt: skip
    machine.write("/usr/local/bin/hook", HOOK, 0o755)
    configuration = machine.run(f"cat {CONFIGURATION}").stdout
    machine.write(CONFIGURATION, f'on_admit = ["/usr/local/bin/hook"]\n{configuration}')
    machine.reboot()
    yield machine


# What a hook may do: it says who it is, and tries what it must not be able to do.
HOOK = """#!/bin/sh
{
    id -u
    sed -n 's/^CapEff:\\t//p; s/^CapPrm:\\t//p' /proc/self/status
    touch /etc/hooked /run/hooked /root/hooked && echo written
    iptables -t raw -F && echo flushed
} >/tmp/new 2>/tmp/errors
cp /tmp/new /var/lib/tcpknock/hook.new && mv /var/lib/tcpknock/hook.new /var/lib/tcpknock/hook
"""


def main_pid(machine: Machine, unit: str) -> str:
    return machine.run(f"systemctl show -P MainPID {unit}").stdout.strip()


def journal(machine: Machine, unit: str) -> str:
    return machine.run(f"journalctl -b -o cat -u {unit}").stdout


def capabilities(machine: Machine, pid: str) -> "tuple[int, int]":
    """The permitted ones, and those that programs can get."""
    status = machine.run(f"cat /proc/{pid}/status").stdout
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
    permitted, bounding = (re.search(rf"^Cap{name}:\t(\S+)", status, re.MULTILINE) for name in ("Prm", "Bnd"))
    assert permitted and bounding
    return int(permitted[1], 16), int(bounding[1], 16)


def test_protected_after_a_boot(host: Machine) -> None:
    assert host.run("systemctl is-system-running", check=False).stdout.strip() == "running"
    for unit in UNITS:
        assert host.run(f"systemctl is-active {unit}").stdout.strip() == "active"
    assert_protected(host)
    # Nothing that they do is refused to them.
    for unit in UNITS:
        said = journal(host, unit)
        assert not re.search(REFUSALS, said), said


@pytest.mark.parametrize("unit", UNITS)
def test_exposure(host: Machine, unit: str) -> None:
    said = host.run(f"systemd-analyze security --no-pager {unit}.service").stdout
    level = re.search(r"Overall exposure level for .*: ([0-9.]+)", said)
    assert level and float(level[1]) < EXPOSURE, said


def test_what_is_left_of_root(host: Machine) -> None:
    for unit in ("tcpknock-server", "tcpknock-client"):
        pid = main_pid(host, unit)
        assert host.run(f"stat -c %U /proc/{pid}/mem; id -un $(awk '/^Uid:/ {{ print $2 }}' /proc/{pid}/status)").stdout \
            .split() == ["root", "tcpknock"], "nobody of the same user looks into it"  # fmt: skip
        assert capabilities(host, pid) == (NET_ADMIN, 0)
        opener = host.run(f"pgrep -P {pid} -f open-files").stdout.split()[0]
        assert capabilities(host, opener) == (0, 0)
    guard = host.run(f"pgrep -P {main_pid(host, 'tcpknock-server')} -f 'guard --report'").stdout.split()[0]
    assert capabilities(host, guard) == (NET_ADMIN | NET_RAW | BPF, NET_ADMIN | NET_RAW | BPF)


def test_hooks_run_and_may_do_nothing_else(host: Machine) -> None:
    host.run("rm -f /var/lib/tcpknock/hook")
    assert gets_in(host, "client")
    host.run("for i in $(seq 60); do [ -e /var/lib/tcpknock/hook ] && break; sleep 1; done")
    user, permitted, effective = host.run("cat /var/lib/tcpknock/hook").stdout.split()
    assert host.run(f"id -un {user}").stdout.strip() == "tcpknock"
    assert int(permitted, 16) == int(effective, 16) == 0
    assert host.run("ls /etc/hooked /run/hooked /root/hooked", check=False).returncode != 0
    await_status(host, "PROTECTED: port 22")


def test_the_kernel_filter(host: Machine) -> None:
    release = tuple(int(number) for number in re.findall(r"\d+", host.run("uname -r").stdout)[:2])
    rules = host.run("/usr/local/lib/tcpknock/server.sh status").stdout
    said = journal(host, "tcpknock-server")
    assert "kernel filter ready" in said
    if release >= (6, 4):
        assert "WARNING" not in rules and "syn_code_hook" in rules
        before = host.run("tcpknock status").stdout
        assert not gets_in(host, "stranger")
        assert "kernel filter:" in before
    else:
        assert re.search("cannot be attached to the network itself, so it has no gate.*it needs Linux 6.4", said), said
        assert "syn_code_hook" not in rules


def test_a_restart_of_the_rules_leaves_no_gap(host: Machine) -> None:
    host.write("/tmp/knock-knock", """#!/bin/bash
        while ! [ -e /tmp/enough ]; do
            timeout 0.5 bash -c 'exec 3<>/dev/tcp/10.9.2.1/22' && echo in >>/tmp/got-in
            echo >>/tmp/tries
        done""", 0o755)  # fmt: skip
    host.run("rm -f /tmp/enough /tmp/got-in /tmp/tries; ip netns exec stranger /tmp/knock-knock >/dev/null 2>&1 &")
    # With the rules, systemd restarts the daemon, which requires them; a reload leaves it alone.
    host.run("systemctl restart tcpknock-server-rules")
    # That returns before the daemon's own start has ended, for which this waits.
    host.run("systemctl start tcpknock-server")
    pid = main_pid(host, "tcpknock-server")
    assert pid != "0"
    host.run("systemctl reload tcpknock-server-rules")
    assert main_pid(host, "tcpknock-server") == pid
    host.run("touch /tmp/enough")
    assert int(host.run("wc -l </tmp/tries").stdout) > 5
    assert host.run("cat /tmp/got-in", check=False).returncode != 0
    assert_protected(host)


def test_a_reload_takes_a_new_guest_and_a_new_port(host: Machine) -> None:
    pid = main_pid(host, "tcpknock-server")
    before = host.run(f"cat {CONFIGURATION}").stdout
    host.run("keygen --bundle another --host 10.9.1.1 && rm another.tcpknock")
    host.write(CONFIGURATION, "target_ports = [22, 2222]\n" + host.run(f"cat {CONFIGURATION}").stdout)
    host.run("systemctl reload tcpknock-server")
    await_status(host, "PROTECTED: ports 22, 2222")
    assert "another" in host.run("tcpknock status").stdout
    host.write(CONFIGURATION, before)
    host.run("systemctl reload tcpknock-server")
    assert_protected(host)
    assert main_pid(host, "tcpknock-server") == pid


def test_a_mistake_changes_nothing_at_a_reload(host: Machine) -> None:
    before = host.run(f"cat {CONFIGURATION}").stdout
    host.write(CONFIGURATION, "target_prots = [22]\n" + before)
    assert host.run("systemctl reload tcpknock-server", check=False).returncode != 0
    assert_protected(host)
    host.write(CONFIGURATION, before)
    host.run("systemctl reload tcpknock-server")


@pytest.mark.parametrize("flush", ("nft flush ruleset", "systemctl start nftables"))
def test_flushed_rules_come_back(host: Machine, flush: str) -> None:
    await_status(host, "PROTECTED: port 22")
    before = journal(host, "tcpknock-server").count("rules are back")
    host.run(flush)
    end = time.monotonic() + 600
    while journal(host, "tcpknock-server").count("rules are back") == before:
        assert time.monotonic() < end, journal(host, "tcpknock-server")
        time.sleep(1)
    assert_protected(host)


def test_own_is_also_what_a_vrf_makes_local(host: Machine) -> None:
    """Interfaces of the server in a VRF, with a service that accepts from VRFs; then the client's interface, too."""
    host.run("""modprobe vrf
        ip link add vrf10 type vrf table 10
        ip link set vrf10 up
        ip link set to-client master vrf10
        ip link set to-stranger master vrf10
        sysctl -w net.ipv4.tcp_l3mdev_accept=1""")
    try:
        assert_protected(host)
        host.run("""ip -n client link add vrf20 type vrf table 20
            ip -n client link set vrf20 up
            ip -n client link set eth0 master vrf20
            ip netns exec client iptables -t raw -I PREROUTING -i vrf20 -p tcp --sport 22 -j ACCEPT""")
        knock = "exec 3<>/dev/tcp/10.9.1.1/22 && head -c 4 <&3"
        said = host.run(f"ip netns exec client ip vrf exec vrf20 timeout 60 bash -c '{knock}'", check=False)
        assert said.stdout.endswith("SSH-"), said
    finally:
        host.run("""ip netns exec client iptables -t raw -D PREROUTING -i vrf20 -p tcp --sport 22 -j ACCEPT
            ip -n client link delete vrf20
            ip link delete vrf10
            ip -n client route replace default via 10.9.1.1
            sysctl -w net.ipv4.tcp_l3mdev_accept=0""", check=False)
    assert_protected(host)


def finding(machine: Machine, text: str) -> Optional[Dict[str, str]]:
    """What `tcpknock doctor` finds that has this text."""
    report = json.loads(machine.run("tcpknock doctor --server --json", check=False).stdout)
    found = [finding for part in report["examined"] for finding in part["findings"] if text in finding["found"]]
    return found[0] if found else None


def test_the_cure_of_a_clock_that_was_never_set(host: Machine) -> None:
    host.run("date -u --set '2024-01-01 00:00:00'")
    found = finding(host, "the clock was never set")
    assert found
    command = re.search("date -u --set '", found["cure"])
    assert command
    host.run(command[0] + time.strftime("%Y-%m-%d %H:%M:%S'", time.gmtime()))
    assert not finding(host, "the clock was never set")
    assert_protected(host)


def test_the_cure_of_a_full_table_of_connections(host: Machine) -> None:
    assert gets_in(host, "client")
    host.run("sysctl -w net.netfilter.nf_conntrack_max=1")
    found = finding(host, "the table of connections is 100 % full")
    assert found and found["severity"] == "error"
    command = re.search(r"sysctl -w net\.netfilter\.nf_conntrack_max=\d+", found["cure"])
    assert command
    host.run(command[0])
    assert not finding(host, "the table of connections is")
    assert_protected(host)


def test_a_mistake_at_boot_opens_nothing(host: Machine) -> None:
    before = host.run(f"cat {CONFIGURATION}").stdout
    host.write(CONFIGURATION, "target_prots = [22]\n" + before)
    host.reboot()
    assert host.run("systemctl is-failed tcpknock-server-rules").stdout.strip() == "failed"
    status = host.run("/usr/local/lib/tcpknock/server.sh status").stdout
    assert "the ports of the last good 'up' are protected" in status and re.search(r"target port +22$", status, re.MULTILINE)
    assert not gets_in(host, "stranger") and not gets_in(host, "client")
    host.write(CONFIGURATION, before)
    host.run("systemctl start tcpknock-server")
    assert_protected(host)


def test_all_is_there_after_another_boot(host: Machine) -> None:
    host.reboot()
    assert_protected(host)
