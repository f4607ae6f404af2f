# SPDX-License-Identifier: GPL-2.0-or-later
"""`make install` to a folder, and `make uninstall` from it."""

import subprocess
from pathlib import Path
from typing import Set

from harness.firewall import PROJECT


def make(target: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    # The programs are built already.
    command = ["make", "-o", "build", target, f"DESTDIR={folder}", "PREFIX=/usr/local"]
    return subprocess.run(command, cwd=PROJECT, check=False, capture_output=True, text=True)


def files(folder: Path) -> Set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_what_is_installed_is_removed_and_nothing_else(tmp_path: Path) -> None:
    foreign = {"usr/local/sbin/other", "usr/local/lib/tcpknock/mine.sh", "etc/tcpknock/server.toml"}
    for name in foreign:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine\n")
    result = make("install", tmp_path)
    assert result.returncode == 0, result.stderr
    installed = files(tmp_path) - foreign
    expected = {"sbin/keygen", "sbin/tcpknock-server", "lib/tcpknock/server.sh", "lib/systemd/system/tcpknock-server@.service",
                "share/man/man8/tcpknock.8", "share/man/man5/tcpknock-client.toml.5", "share/doc/tcpknock/server.toml"}  # fmt: skip
    assert {f"usr/local/{name}" for name in expected} < installed
    unit = (tmp_path / "usr/local/lib/systemd/system/tcpknock-server@.service").read_text()
    assert "ConditionPathExists=|/etc/tcpknock/server@%i.toml" in unit
    assert "tcpknock-server --instance %i --default-user" in unit

    result = make("uninstall", tmp_path)
    assert result.returncode == 0, result.stderr
    assert files(tmp_path) == foreign

    again = make("uninstall", tmp_path)
    assert again.returncode != 0
    assert "nothing was installed there" in again.stderr
