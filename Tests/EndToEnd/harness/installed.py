"""A host with the project installed where `make install` puts it, so that what it tells people to type can be typed."""

import os
import shlex
import shutil
import subprocess
import tempfile
from types import TracebackType
from typing import Dict, List, Optional, Sequence, Type

from .daemons import program
from .firewall import PROJECT
from .hosts import Host
from .processes import Program

_QUIET = {"SWIFT_BACKTRACE": "enable=no"}

# Others wait for the lock of iptables-legacy, too, so that stays the one of this machine.
_MOUNTS = """
mount -t tmpfs tmpfs "$1"
for place in etc usr var; do
    mkdir "$1/$place" "$1/$place.work"
    mount -t overlay -o "lowerdir=/$place,upperdir=$1/$place,workdir=$1/$place.work" overlay "/$place"
done
mkdir "$1/run"
touch /run/xtables.lock "$1/run/xtables.lock"
mount --bind /run/xtables.lock "$1/run/xtables.lock"
mount --rbind "$1/run" /run
mount -t bpf bpf /sys/fs/bpf
for state in tcpknock tcpknock-firewall; do
    mkdir -p "/var/lib/$state"
    mount -t tmpfs -o mode=700 tmpfs "/var/lib/$state"
done
mkdir -p /usr/local/sbin /usr/local/lib/tcpknock
rm -rf /etc/tcpknock /etc/port_protector.dat
mkdir -m 755 /etc/tcpknock
for file in "$2"/keygen "$2"/tcpknock "$2"/tcpknock-server "$2"/tcpknock-client; do
    touch "/usr/local/sbin/${file##*/}"
    mount --bind "$file" "/usr/local/sbin/${file##*/}"
done
cp -p "$3"/firewall/*.sh "$2"/syn_code*.bpf.o /usr/local/lib/tcpknock/
echo ready
exec cat
"""


class Installed:
    """Runs programs on a host with an /etc, /usr, /var, /run and BPF file system of its own, and the project installed.

    What is written there is gone with the `with` block. Services are not started.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self._folder = tempfile.mkdtemp(prefix="tk-installed-")
        built = os.path.dirname(program("tcpknock"))
        self._holder = host.popen(
            ["unshare", "--mount", "sh", "-euc", _MOUNTS, "sh", self._folder, built, PROJECT], name="installed"
        )
        self._holder.wait_for_line("^ready$", 20)

    def command(self, command: Sequence[str]) -> List[str]:
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--", *command]

    def run(
        self, *command: str, check: bool = True, input: Optional[str] = None, env: Optional[Dict[str, str]] = None
    ) -> "subprocess.CompletedProcess[str]":
        return self.host.run(self.command(command), check=check, input=input, timeout=60, env={**_QUIET, **(env or {})})

    def popen(self, *command: str) -> Program:
        return self.host.popen(self.command(command), name=command[0], env=_QUIET)

    def shell(self, script: str) -> str:
        """Runs lines for /bin/sh, as root types them, and returns what they print."""
        return self.run("sh", "-euc", script).stdout

    def start(self, line: str) -> Program:
        """Types the command line of a daemon, which works until it is told to end, and returns when it is ready."""
        daemon = self.popen(*shlex.split(line))
        daemon.wait_for_line(r"\bready\b", 15, which="stdout")
        return daemon

    def write(self, path: str, text: str, mode: int = 0o600) -> None:
        self.run("sh", "-euc", 'umask 022 && mkdir -p "${1%/*}" && cat >"$1" && chmod "$2" "$1"', "sh", path, f"{mode:o}", input=text)

    def close(self) -> None:
        self._holder.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "Installed":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()
