"""Our units as systemd reads them: it finds an order for them beside those of other firewalls, as their packages have
them, and what they may do is little."""

import os
import re
from pathlib import Path
from typing import Iterator, List

import pytest

from harness.firewall import PROJECT
from harness.foreign import WithPackages
from harness.hosts import Host

UNITS = os.path.join(PROJECT, "packaging", "systemd")
RULES = "tcpknock-server-rules.service"
FIREWALLS = ("nftables", "firewalld", "netfilter-persistent", "ufw")
# At work all at once, which nobody wants, but each of them may be there.
TARGET = """[Unit]
Requires=multi-user.target
After=multi-user.target
Wants=tcpknock-server.service network-online.target {}
"""


@pytest.fixture
def files(host: Host) -> Iterator[WithPackages]:
    with WithPackages(host, "systemd", "nftables", "firewalld", "iptables-persistent", "ufw") as files:
        for unit in os.listdir(UNITS):
            # Programs that are not installed here are not what this is about.
            text = re.sub(r"/usr/local/\S*", "/bin/true", Path(UNITS, unit).read_text())
            files.write(f"/etc/systemd/system/{unit}", text)
        yield files


def complaints(files: WithPackages, others: List[str]) -> str:
    files.write("/etc/systemd/system/all.target", TARGET.format(" ".join(f"{name}.service" for name in others)))
    result = files.run("systemd-analyze", "verify", "--man=no", "all.target", check=False)
    lines = (result.stdout + result.stderr).splitlines()
    return "\n".join(line for line in lines if "tcpknock" in line or "cycle" in line)


# firewalld and nftables exclude each other.
@pytest.mark.parametrize("left_out", ("nftables", "firewalld"))
def test_there_is_an_order(files: WithPackages, left_out: str) -> None:
    others = [name for name in FIREWALLS if name != left_out]
    assert complaints(files, others) == ""
    # It would say so.
    text = files.run("cat", f"/etc/systemd/system/{RULES}").stdout
    files.write(f"/etc/systemd/system/{RULES}", text.replace("[Service]", f"Before={others[0]}.service\n[Service]"))
    assert "cycle" in complaints(files, others)


def test_ours_come_after_all_of_them_and_before_the_network() -> None:
    for unit in (RULES, "tcpknock-server.service"):
        after = set(" ".join(re.findall(r"^After=(.*)$", Path(UNITS, unit).read_text(), re.MULTILINE)).split())
        assert {f"{name}.service" for name in FIREWALLS} <= after
    text = Path(UNITS, RULES).read_text()
    assert re.search(r"^Before=.*\bnetwork-pre\.target\b", text, re.MULTILINE)
    # tcpknock-server requires the rules, so what would end them with another firewall would end the daemon.
    assert not re.search(r"^(PartOf|BindsTo|Requires|Requisite)=", text, re.MULTILINE)


@pytest.mark.parametrize("unit", sorted(os.listdir(UNITS)))
def test_what_the_units_may_do_is_little(files: WithPackages, unit: str) -> None:
    """As `systemd-analyze security` rates it, from 0 to 100 here; 95 without any limit."""
    command = ("systemd-analyze", "security", "--offline=yes", "--no-pager", f"/etc/systemd/system/{unit}")
    result = files.run(*command, "--threshold=29", check=False)
    assert result.returncode == 0, result.stdout
    text = files.run("cat", f"/etc/systemd/system/{unit}").stdout
    unlimited = re.sub(r"^CapabilityBoundingSet=.*\n", "", text, flags=re.MULTILINE)
    files.write(f"/etc/systemd/system/{unit}", unlimited)
    assert files.run(*command, "--threshold=29", check=False).returncode != 0, "it would say so"
