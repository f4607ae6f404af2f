"""Rules that iptables-save wrote, ours among them, restored at boot: on a system where nothing of ours has run."""

import pytest

from harness.daemons import start_server
from harness.echo import echo, echo_server
from harness import topologies
from harness.firewall import BACKENDS, firewall, snapshot
from harness.knock import FAMILIES
from harness.topologies import Network

HOSTS_OWN = "INPUT -p tcp -m tcp --dport 80 -j DROP"


@pytest.mark.parametrize("kernel_filter", (False, True), ids=("rules alone", "kernel filter"))
@pytest.mark.parametrize("backend", BACKENDS)
def test_saved_rules_restore_on_a_fresh_system(
    direct: Network, backend: str, kernel_filter: bool, key_file: str, pins: str
) -> None:
    names = (f"iptables-{backend}", f"ip6tables-{backend}")
    source = direct.server
    if kernel_filter:
        start_server(source, key_file, more=["--kernel-filter", "on", "--pin-folder", pins])
    for name in names:
        source.run([name, "-w", "-A", *HOSTS_OWN.split()])
    said = firewall(source, "server", "up", "--iptables", backend, "--pin-folder", pins).stdout
    assert (", kernel filter" in said) == kernel_filter
    saved = {name: source.run([f"{name}-save"]).stdout for name in names}
    firewall(source, "server", "down")

    # After the boot: no set, no program, no daemon, no record.
    with topologies.direct() as fresh:
        server, client = fresh.server, fresh.client
        for name in names:
            server.run([f"{name}-restore"], input=saved[name])
            # The host's own table is there, not only ours.
            assert f"-A {HOSTS_OWN}" in server.run([f"{name}-save", "-t", "filter"]).stdout
        echo_server(server, 22, 2222)
        for family in FAMILIES:
            assert echo(client, server.address(family), 22, timeout=0.3).complete == 0
            assert echo(client, server.address(family), 2222).complete == 1
        # They are rules like any: seen, and taken out.
        assert firewall(server, "server", "status").returncode == 0
        firewall(server, "server", "down")
        assert "TCPKNOCK" not in "".join(snapshot(server).values())
        assert echo(client, server.ipv4, 22).complete == 1
