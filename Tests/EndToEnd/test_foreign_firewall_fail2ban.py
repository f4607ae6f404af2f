"""fail2ban, the real one, with our filter, jail and action: it leaves our rules alone, and bans whom we lock out."""

import os
from typing import Iterator

import pytest

from harness.firewall import PROJECT
from harness.foreign import Guarded, WithPackages, guarded
from harness.inside import gets_in
from harness.knock import WRONG, keep_kernel_quiet, peer
from harness.topologies import Network
from harness.waiting import eventually

HOOKS = os.path.join(PROJECT, "packaging", "hooks", "fail2ban")
# From a file, as the comments of our jail say, and without Debian's jail for sshd, whose log is not there.
LOCAL = """[sshd]
enabled = false
[tcpknock]
backend = polling
logpath = /var/log/tcpknock.log
"""


@pytest.fixture
def both(two_clients: Network, key_file: str) -> Iterator[Guarded]:
    with guarded(two_clients, key_file, "nft", lockout_seconds=1) as both:
        yield both


@pytest.fixture
def fail2ban(two_clients: Network) -> Iterator[WithPackages]:
    with WithPackages(two_clients.server, "fail2ban") as files:
        files.shell(f"cp -r {HOOKS}/*.d /etc/fail2ban/; mkdir -p /run/fail2ban; : >/var/log/tcpknock.log")
        files.write("/etc/fail2ban/jail.d/zz-local.conf", LOCAL)
        yield files


def jail(fail2ban: WithPackages, *words: str) -> str:
    return fail2ban.run("fail2ban-client", *words).stdout


def test_a_lockout_becomes_a_ban(both: Guarded, fail2ban: WithPackages, key_file: str) -> None:
    client, address = both.network.client, both.server.ipv4
    program = fail2ban.popen("fail2ban-server", "-xf", "--logtarget=stdout", "start")
    program.wait_for_line("Jail 'tcpknock' started", 60)
    both.assert_left_alone()

    keep_kernel_quiet(client)
    with peer(client, key_file, address) as knocking:
        knocking.send_syn()
        assert knocking.receive_synack()
        knocking.send_ack(ack=knocking.rcv_nxt ^ WRONG)
    line = both.daemon.wait_for_line("WARNING locked out: .*").string
    fail2ban.run("sh", "-c", "cat >>/var/log/tcpknock.log", input=f"{line}\n")
    eventually(lambda: client.ipv4 in jail(fail2ban, "status", "tcpknock"), 30, "the ban")
    # Longer than the lockout. Only that address, and only that family.
    both.server.run(["sleep", "2"])
    assert not gets_in(client, address) and not gets_in(client, address, 80)
    assert gets_in(client, both.server.ipv6)

    jail(fail2ban, "set", "tcpknock", "unbanip", client.ipv4)
    both.assert_left_alone()
    # The hook's way.
    fail2ban.run(
        "env", "TCPKNOCK_EVENT=lockout", f"TCPKNOCK_CLIENT_ADDRESS={client.ipv6}", f"{HOOKS}/ban.sh", "tcpknock"
    )
    assert not gets_in(client, both.server.ipv6)
    assert gets_in(client, address)
    jail(fail2ban, "stop")
    both.assert_left_alone()
