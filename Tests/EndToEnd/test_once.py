"""`scripts/once`, a step of `make lint`: it finds what Sources have twice."""

import subprocess
from pathlib import Path

import pytest

from harness.firewall import PROJECT

CLEAN = 'let place = "/etc/tcpknock/server.toml"\npackage struct Limits {\n    package var seconds: UInt32 = 120\n}\n'
PLANTED = {
    "a path": ('let other = "/etc/tcpknock/client.toml"', "/etc/tcpknock is written 2 times"),
    "a path in a text": ('let text = "look at /proc/net/route; or not"\nlet path = "/proc/net/route"', "/proc/net/route"),
    "a default": ("struct Others {\n    var seconds: UInt32 = 1_20\n}", "seconds = 120 is written 2 times"),
    "a default of a parameter": ("func wait(seconds: UInt32 = 120) {}", "seconds = 120"),
    "a default in a help text": ('let help = "How long. (default: 120)"', "the help spells out a default"),
}


def run(folder: Path, more: str = "") -> "subprocess.CompletedProcess[str]":
    (folder / "Sources").mkdir(exist_ok=True)
    (folder / "Sources" / "A.swift").write_text(CLEAN)
    (folder / "Sources" / "B.swift").write_text(f"// /etc/tcpknock/server.toml is where it is.\n{more}\n")
    command = [Path(PROJECT, "scripts", "once")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_what_is_there_once(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_there_twice(tmp_path: Path, what: str) -> None:
    planted, said = PLANTED[what]
    result = run(tmp_path, planted)
    assert result.returncode == 1 and said in result.stderr, result.stderr
    assert "B.swift:" in result.stderr
