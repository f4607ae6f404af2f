"""firewalld, the real one, on a D-Bus of its own: a reload flushes iptables-nft, and the guard puts our rules back."""

from typing import Iterator

import pytest

from harness.foreign import Guarded, WithPackages
from harness.hosts import Host
from harness.inside import gets_in
from harness.knock import FAMILIES
from harness.topologies import Network
from harness.waiting import eventually

# No service is started by it, so none of this machine's.
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <policy context="default">
    <allow user="*"/> <allow own="*"/> <allow send_destination="*"/> <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


@pytest.fixture
def firewalld(two_clients: Network) -> Iterator[WithPackages]:
    with WithPackages(two_clients.server, "firewalld") as files:
        files.write("/run/dbus/bus.conf", BUS)
        files.popen("dbus-daemon", "--config-file=/run/dbus/bus.conf", "--nofork", "--nopidfile", "--print-address")
        has_socket = ("test", "-S", "/run/dbus/system_bus_socket")
        eventually(lambda: files.run(*has_socket, check=False).returncode == 0, 10, "the bus")
        yield files


def is_refused(host: Host, address: str, port: int) -> bool:
    """firewalld refuses by ICMP, which is limited to so many a second."""
    try:
        return not gets_in(host, address, port)
    except OSError:
        return True


def call(firewalld: WithPackages, *arguments: str) -> str:
    return firewalld.run("firewall-cmd", *arguments).stdout.strip()


def test_firewalld_and_the_knock(both: Guarded, firewalld: WithPackages, request: pytest.FixtureRequest) -> None:
    stranger = both.network.other
    assert stranger
    ours = request.node.callspec.params["both"]
    theirs = "nft" if "nf_tables" in firewalld.run("iptables", "--version").stdout else "legacy"

    def unharmed_or_repaired(start: int) -> None:
        if ours == theirs:
            both.await_repair(start)
            both.settle()
        else:
            both.assert_left_alone()

    start = both.guard.position
    daemon = firewalld.popen("firewalld", "--nofork", "--nopid")
    eventually(
        lambda: firewalld.run("firewall-cmd", "--state", check=False).stdout.strip() == "running", 60, "firewalld"
    )
    # Its zone `public` allows ssh.
    assert "ssh" in call(firewalld, "--list-services")
    unharmed_or_repaired(start)
    for family in FAMILIES:
        assert is_refused(stranger, both.server.address(family), 80)

    for command in (["--reload"], ["--complete-reload"]):
        start = both.guard.position
        call(firewalld, *command)
        unharmed_or_repaired(start)

    # What firewalld does not allow, no knock opens.
    call(firewalld, "--remove-service=ssh")
    for family in FAMILIES:
        assert is_refused(both.network.client, both.server.address(family), 22)
    call(firewalld, "--add-service=ssh")

    start = both.guard.position
    daemon.stop(20)
    unharmed_or_repaired(start)
