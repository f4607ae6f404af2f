"""The Debian packages of `make deb`, on stock kernels: installed, booted, upgraded under an open session, purged."""

import re
from typing import Iterator

import pytest

from machine import Machine
from protection import assert_protected, gets_in

UNITS = ("tcpknock-server-rules", "tcpknock-server", "tcpknock-client")
PACKAGES = "tcpknock-server tcpknock-client tcpknock-common"
# What `make install` has put on the disk: here, everything comes with the packages.
CLEAN = """set -e
    rm -rf /usr/local/sbin/tcpknock* /usr/local/sbin/keygen /usr/local/lib/tcpknock /usr/local/lib/systemd \\
        /usr/local/lib/sysusers.d /usr/local/share
    userdel tcpknock
    systemctl daemon-reload"""
# What a package may leave nothing of: files, rules, sets, pins.
STATE = """
    find / -xdev -name '*tcpknock*' -not -path '/root/*' -not -path '/var/lib/dpkg/info/*' | sort
    ls /etc/port_protector.dat 2>/dev/null
    for family in iptables ip6tables; do
        for kind in nft legacy; do $family-$kind-save 2>/dev/null | grep -i knock; done
    done
    nft list ruleset 2>/dev/null | grep -i knock
    ls /sys/fs/bpf /run/tcpknock* 2>/dev/null | grep -i knock
    true"""


@pytest.fixture(scope="module")
def host(machine: Machine) -> Iterator[Machine]:
    machine.run(CLEAN)
    yield machine


def states(machine: Machine) -> str:
    return machine.run(f"systemctl is-active {' '.join(UNITS)}", check=False).stdout


def test_installed_it_waits_for_a_key(host: Machine) -> None:
    before = host.run(STATE).stdout
    host.run("dpkg -i /root/packages/*.deb", timeout=900)
    host.write("/root/before", before)
    for unit in UNITS:
        assert host.run(f"systemctl is-enabled {unit}").stdout.strip() == "enabled"
    assert "active\n" not in re.sub("inactive\n", "", states(host))
    host.reboot()
    assert host.run("systemctl is-system-running", check=False).stdout.strip() == "running"
    assert "active\n" not in re.sub("inactive\n", "", states(host))
    assert gets_in(host, "stranger"), "nobody is locked out by a package that has no key yet"


def test_protected_and_after_a_boot(host: Machine) -> None:
    host.run("""set -e
        keygen --bundle client --host 10.9.1.1
        tcpknock add-server client.tcpknock
        rm client.tcpknock""")
    host.write("/etc/systemd/system/tcpknock-client.service.d/host.conf",
               "[Service]\nNetworkNamespacePath=/run/netns/client\n")  # fmt: skip
    host.run("systemctl daemon-reload && systemctl start tcpknock-server tcpknock-client", timeout=900)
    assert_protected(host)
    host.reboot()
    assert states(host) == "active\n" * 3
    assert_protected(host)


def test_an_upgrade_keeps_sessions_and_leaves_no_gap(host: Machine) -> None:
    host.run("""set -e
        ssh-keygen -q -N '' -t ed25519 -f /root/.ssh/id_ed25519
        cat /root/.ssh/id_ed25519.pub >>/root/.ssh/authorized_keys
        mkfifo /root/typed
        (sleep 3600 >/root/typed 2>/dev/null &)
        ip netns exec client ssh -o StrictHostKeyChecking=no root@10.9.1.1 cat </root/typed >/root/echoed 2>/root/errors &
        echo before >/root/typed
        for i in $(seq 200); do grep -q before /root/echoed && break; sleep 1; done
        grep before /root/echoed""", timeout=600)
    before = host.run("systemctl show -P MainPID tcpknock-server").stdout
    # Asked again and again while the packages are replaced.
    host.run("""(for i in $(seq 300); do
            ip netns exec stranger timeout 2 bash -c 'exec 3<>/dev/tcp/10.9.2.1/22 && head -c 4 <&3'; sleep 0.2
        done) >/root/strangers 2>/dev/null &
        echo $! >/root/asking""")
    host.run("dpkg -i /root/packages/*.deb", timeout=900)
    host.run("kill $(cat /root/asking)")
    assert host.run("systemctl show -P MainPID tcpknock-server").stdout != before, "the new daemon runs"
    assert_protected(host)
    assert host.run("cat /root/strangers").stdout == ""
    host.run("echo after >/root/typed; for i in $(seq 60); do grep -q after /root/echoed && break; sleep 1; done")
    assert host.run("cat /root/echoed").stdout == "before\nafter\n"


def test_purged_nothing_is_left(host: Machine) -> None:
    host.run("rm -rf /etc/systemd/system/tcpknock-client.service.d")
    host.run(f"dpkg --purge {PACKAGES}", timeout=900)
    assert host.run(STATE).stdout == host.run("cat /root/before").stdout
    assert gets_in(host, "stranger"), "the port is an ordinary one again"
    assert host.run("systemctl is-system-running", check=False).stdout.strip() == "running"
