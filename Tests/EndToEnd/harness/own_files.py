"""A host with an /etc, /usr, /var and /run of its own."""

import shlex
import shutil
import subprocess
import tempfile
from typing import Dict, List, Optional, Sequence, TypeVar

from .hosts import Host
from .processes import Program

Kind = TypeVar("Kind", bound="OwnFiles")

# $1: an empty folder; $2: the root of a file system to lay above this machine's, or nothing.
# Others wait for the lock of iptables-legacy, too, so that stays the one of this machine.
_MOUNTS = """
mount -t tmpfs tmpfs "$1"
for place in etc usr var; do
    mkdir "$1/$place" "$1/$place.work"
    mount -t overlay -o "lowerdir=${2:+$2/$place:}/$place,upperdir=$1/$place,workdir=$1/$place.work" overlay "/$place"
done
mkdir "$1/run"
touch /run/xtables.lock "$1/run/xtables.lock"
mount --bind /run/xtables.lock "$1/run/xtables.lock"
mount --rbind "$1/run" /run
shift 2
"""


class OwnFiles:
    """Runs programs on a host with files of its own, gone with the `with` block. Services are not started.

    `above` is the root of a file system that is laid above this machine's. `prepare` are lines for /bin/sh that are run
    there first, with the arguments `arguments`.
    """

    def __init__(self, host: Host, above: str = "", prepare: str = "", arguments: Sequence[str] = ()) -> None:
        self.host = host
        self._folder = tempfile.mkdtemp(prefix="tk-files-")
        script = f"{_MOUNTS}{prepare}\necho ready\nexec cat"
        self._holder = host.popen(
            ["unshare", "--mount", "sh", "-euc", script, "sh", self._folder, above, *arguments], name="own files"
        )
        self._holder.wait_for_line("^ready$", 20)

    def command(self, command: Sequence[str]) -> List[str]:
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--", *command]

    def run(
        self, *command: str, check: bool = True, input: Optional[str] = None, env: Optional[Dict[str, str]] = None
    ) -> "subprocess.CompletedProcess[str]":
        return self.host.run(self.command(command), check=check, input=input, timeout=60, env=env)

    def popen(self, *command: str) -> Program:
        return self.host.popen(self.command(command), name=command[0])

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

    def __enter__(self: Kind) -> Kind:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
