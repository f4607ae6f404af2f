"""The cures that `tcpknock doctor` prints: each is typed as it stands, and then the fault is gone."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import pytest
from test_doctor import FAULTS, Diagnosis, Patient, server  # noqa: F401 (a fixture)

from harness.daemons import program
from harness.knock import peer
from harness.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Cured:
    """A fault, and the pattern of what a person types of its cure."""

    check: str
    plant: Callable[[Patient], object]
    found: str
    command: str


def _of(name: str, command: str) -> Cured:
    fault = FAULTS[name]
    return Cured(fault.check, fault.plant, fault.found, command)


def _lock_out(patient: Patient) -> None:
    """With a knock whose third ACK is wrong, from an address that nothing else uses."""
    with peer(patient.peer, patient.key_file, patient.host.ipv4, source="10.81.1.77") as stranger:
        stranger.send_syn()
        assert stranger.receive_synack()
        stranger.send_ack(ack=stranger.rcv_nxt ^ 0x10000)
        patient.daemon.wait_for_line("WARNING locked out: .*10.81.1.77")


def _nft(rules: str, policy: str) -> Callable[[Patient], object]:
    def plant(patient: Patient) -> None:
        patient.host.run(["nft", "add table inet other"])
        patient.host.run(
            ["nft", "add chain inet other in { type filter hook input priority 10; policy " + policy + "; }"]
        )
        patient.host.run(["nft", f"add rule inet other in {rules}"])

    return plant


SCRIPT = r"/usr/local/lib/tcpknock/server\.sh \w+[^;,']*"

CURED = {
    "no rules": _of("no rules", SCRIPT),
    "no rules for IPv6": _of("no rules for IPv6", SCRIPT),
    "rules of another mark": _of("rules of another mark", SCRIPT),
    "a jump is missing": _of("a jump is missing", SCRIPT),
    "a rule in our chain": _of("a rule in our chain", SCRIPT),
    "an open queue rule": _of("an open queue rule", SCRIPT),
    "accepted before": _of("accepted before", r"iptables-nft -t .*"),
    "admitted, then dropped": _of("admitted, then dropped", r"iptables-nft -I [^;]*"),
    "dropped by the policy of nft": Cured(
        "filter", _nft("ct state established,related accept", "drop"), "nft drops", r"nft insert [^;]*"),
    "dropped by a rule of nft": Cured("filter", _nft("tcp dport 22 drop", "accept"), "nft drops", r"nft insert [^;]*"),
    "the daemon is stopped": _of("the daemon is stopped", r"kill -CONT \d+"),
    "a key that others can replace": _of("a key that others can replace", r"chmod go-w \S+"),
    "a key of somebody else": _of("a key of somebody else", r"chown root [^ ,]+"),
    "not tracked": _of("not tracked", r"iptables-nft -t .*"),
    "translated": _of("translated", r"iptables-nft -t .*"),
    "two ways out": _of("two ways out", r"sysctl -w .*"),
    "not confirmed": _of("not confirmed", SCRIPT),
    "a foreign rule at the queue": _of("a foreign rule at the queue", r"iptables-nft -t [^;]*"),
    "locked out": Cured("lockouts", _lock_out, "10.81.1.77 is locked out", r"tcpknock unlock .*"),
}  # fmt: skip


def _typed(patient: Patient, command: str) -> None:
    """Types it on a host on which the programs of this build are installed."""
    command = command.replace("/usr/local/lib/tcpknock/", f"{ROOT}/firewall/")
    if " up" in command:
        # There is one on the whole machine for all tests, so they do without.
        command += " --kernel-filter off"
    path = f"{Path(program('tcpknock')).parent}:{os.environ['PATH']}"
    patient.host.run(["sh", "-ec", command], env={"PATH": path, "SWIFT_BACKTRACE": "enable=no"})


@pytest.mark.parametrize("name", CURED)
def test_the_cure_cures(server: Patient, name: str) -> None:  # noqa: F811
    cured = CURED[name]

    def matching() -> "list[dict[str, str]]":
        diagnosis = Diagnosis(server.host, "--server", "--key-file", server.key_file)
        return [f for f in diagnosis.of(cured.check) if cured.found in f["found"]]

    assert matching() == []
    cured.plant(server)
    finding = eventually(matching)[0]
    command = re.search(cured.command, finding["cure"])
    assert command, finding
    _typed(server, command[0].strip())
    assert matching() == []
    assert Diagnosis(server.host, "--server", "--key-file", server.key_file).troubles == []
