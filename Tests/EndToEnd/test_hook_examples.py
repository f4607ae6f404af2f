"""The hooks in packaging/hooks, with stand-ins for the programs that they call."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "packaging" / "hooks"
HOSTILE = "bob'; touch pwned; $(touch pwned) `touch pwned`\nBcc: everybody@example.org\n\n.\nrest"
LOCKOUT = {
    "TCPKNOCK_EVENT": "lockout",
    "TCPKNOCK_TIME": "2027-01-15T08:00:00Z",
    "TCPKNOCK_CLIENT_ADDRESS": "192.0.2.10",
    "TCPKNOCK_CLIENT_PORT": "40000",
    "TCPKNOCK_SERVER_ADDRESS": "198.51.100.22",
    "TCPKNOCK_SERVER_PORT": "22",
    "TCPKNOCK_FAMILY": "4",
    "TCPKNOCK_REASON": "wrong-acknowledgment",
    "TCPKNOCK_SECONDS": "120",
}
# What the daemon writes (EventLog.swift), and what syslog daemons and fail2ban's reader of the journal make of it.
MESSAGE = (
    "WARNING locked out: the third ACK acknowledges another number"
    " client={} reason=wrong-acknowledgment server=198.51.100.22:22"
)


def stand_in(folder: Path, name: str) -> None:
    """A program that notes its arguments, one a line, and its standard input."""
    program = folder / name
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >"{folder}/arguments"\ncat >"{folder}/input"\n')
    program.chmod(0o755)


def run(script: str, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs an example as the daemon runs it: with PATH and the variables of the event, and nothing to read."""
    for name in ("cat", "tr", "uname"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return subprocess.run(
        [EXAMPLES / script, *arguments], env={"PATH": str(folder), **variables}, cwd=folder, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=20,
    )


def test_mail_by_sendmail(tmp_path: Path) -> None:
    stand_in(tmp_path, "sendmail")
    assert run("mail.sh", tmp_path, "root", **LOCKOUT, TCPKNOCK_GUEST=HOSTILE).returncode == 0
    assert (tmp_path / "arguments").read_text() == "-i\n--\nroot\n"
    head, body = (tmp_path / "input").read_text().split("\n\n", 1)
    assert [line.split(":")[0] for line in head.splitlines()] == [
        "To", "Subject", "MIME-Version", "Content-Type", "Auto-Submitted",
    ]
    assert "Subject: tcpknock: lockout bob'; touch pwned;" in head and "from 192.0.2.10" in head
    for line in ("time       2027-01-15T08:00:00Z", "client     192.0.2.10 port 40000", "seconds    120"):
        assert line in body.splitlines()
    assert "received" not in body, "what is not known is left out"
    assert not (tmp_path / "pwned").exists()


def test_mail_without_sendmail(tmp_path: Path) -> None:
    stand_in(tmp_path, "mail")
    assert run("mail.sh", tmp_path, "root", **LOCKOUT).returncode == 0
    assert (tmp_path / "arguments").read_text() == "-s\ntcpknock: lockout  from 192.0.2.10\n--\nroot\n"
    assert "reason     wrong-acknowledgment" in (tmp_path / "input").read_text()


def test_mail_that_cannot_be_sent(tmp_path: Path) -> None:
    result = run("mail.sh", tmp_path, "root", **LOCKOUT)
    assert result.returncode == os.EX_UNAVAILABLE and "neither sendmail nor mail" in result.stderr
    assert subprocess.run([EXAMPLES / "mail.sh"], capture_output=True).returncode == os.EX_USAGE


def test_ban(tmp_path: Path) -> None:
    stand_in(tmp_path, "fail2ban-client")
    assert run("fail2ban/ban.sh", tmp_path, "jail name", **LOCKOUT).returncode == 0
    assert (tmp_path / "arguments").read_text() == "set\njail name\nbanip\n192.0.2.10\n"


@pytest.mark.parametrize("change", ({"TCPKNOCK_EVENT": "admit"}, {"TCPKNOCK_CLIENT_ADDRESS": ""}))
def test_only_lockouts_ban(tmp_path: Path, change: dict[str, str]) -> None:
    stand_in(tmp_path, "fail2ban-client")
    assert run("fail2ban/ban.sh", tmp_path, **(LOCKOUT | change)).returncode == os.EX_USAGE
    assert not (tmp_path / "arguments").exists()


@pytest.mark.skipif(not shutil.which("fail2ban-regex"), reason="fail2ban is not installed, which would start it")
def test_fail2ban_finds_lockouts_and_nothing_else(tmp_path: Path) -> None:
    forged = f'guest="{MESSAGE.format("203.0.113.99:1")} x"'
    lines = [
        "2027-01-15T08:00:00.123Z " + MESSAGE.format("192.0.2.1:40000"),
        "2027-01-15T08:00:00.123Z " + MESSAGE.format("[2001:db8::2]:40000"),
        "Jan 15 08:00:00 host tcpknock-server[123]: " + MESSAGE.format("192.0.2.3:40000"),
        "2027-01-15T08:00:00.123456+01:00 host tcpknock-server[123]: " + MESSAGE.format("[2001:db8::4]:40000"),
        "Jan 15 08:00:00 host tcpknock-server[123]: 2027-01-15T08:00:00.123Z " + MESSAGE.format("192.0.2.5:40000"),
        "2027-01-15T08:00:00.123Z INFO connection verified client=203.0.113.1:4 " + forged,
        "Jan 15 08:00:00 host tcpknock-server[123]: INFO connection verified client=203.0.113.2:4 " + forged,
        "Jan 15 08:00:00 host other[123]: " + MESSAGE.format("203.0.113.3:4"),
    ]
    log = tmp_path / "log"
    log.write_text("".join(line + "\n" for line in lines))
    found = subprocess.run(
        ["fail2ban-regex", "-o", "<ip>", log, EXAMPLES / "fail2ban/filter.d/tcpknock.conf"],
        check=True, capture_output=True, text=True, timeout=60,
    )
    assert found.stdout.split() == ["192.0.2.1", "2001:db8::2", "192.0.2.3", "2001:db8::4", "192.0.2.5"]
