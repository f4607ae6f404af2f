"""ufw, the real one: its rules are behind ours, and its own flush is put right by the guard."""

from typing import Iterator

import pytest

from harness.foreign import Guarded, WithPackages
from harness.inside import gets_in
from harness.knock import FAMILIES
from harness.topologies import Network

# What the package's postinst does.
CONFIGURE = """
cd /usr/share/ufw
cp iptables/*.rules before.init after.init ufw.conf /etc/ufw/
chmod 640 /etc/ufw/*.rules /etc/ufw/*.init
"""


@pytest.fixture
def ufw(two_clients: Network) -> Iterator[WithPackages]:
    with WithPackages(two_clients.server, "ufw") as files:
        files.shell(CONFIGURE)
        yield files


def test_ufw_and_the_knock(both: Guarded, ufw: WithPackages) -> None:
    stranger = both.network.other
    assert stranger
    ufw.run("ufw", "--force", "enable")
    # What ufw does not allow, no knock opens.
    both.assert_closed()
    for rule in ("allow", "limit"):
        ufw.run("ufw", rule, "22/tcp")
        both.assert_left_alone()
    ufw.run("ufw", "reload")
    both.assert_left_alone()
    for family in FAMILIES:
        assert not gets_in(stranger, both.server.address(family), 80, timeout=0.5)
    ufw.run("ufw", "disable")
    both.assert_left_alone()
    for family in FAMILIES:
        assert gets_in(stranger, both.server.address(family), 80)


def test_ufw_that_manages_the_built_in_chains(
    both: Guarded, ufw: WithPackages, request: pytest.FixtureRequest
) -> None:
    ufw.shell("sed -i s/^MANAGE_BUILTINS=.*/MANAGE_BUILTINS=yes/ /etc/default/ufw")
    ufw.run("ufw", "allow", "22/tcp")
    ufw.run("ufw", "--force", "enable")
    # It flushes all that is in the iptables that it uses, which is the system's.
    ours = request.node.callspec.params["both"]
    theirs = "nft" if "nf_tables" in ufw.run("iptables", "--version").stdout else "legacy"
    if ours == theirs:
        both.await_repair()
    else:
        both.assert_left_alone()
