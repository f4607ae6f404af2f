"""Other firewall programs beside tcpknock: Debian's packages, unpacked, and a host that such a program changes."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Iterator, List

import pytest

from .daemons import start_server
from .echo import echo_server
from .firewall import firewall, script
from .hosts import Host
from .inside import gets_in
from .knock import FAMILIES, WITHOUT_FILTER, equip
from .own_files import OwnFiles
from .processes import Program
from .topologies import Network
from .waiting import eventually


@functools.lru_cache(maxsize=None)
def unpacked(*packages: str) -> str:
    """A folder with Debian packages, and all they need that is missing here, laid out as the root of a file system.

    To install them would start their services and write into this machine's /etc.
    """
    folder = tempfile.mkdtemp(prefix="tk-packages-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    archives, root = os.path.join(folder, "archives"), os.path.join(folder, "root")
    os.makedirs(os.path.join(archives, "partial"))
    for place in ("usr/lib", "usr/bin", "usr/sbin", "etc", "var"):
        os.makedirs(os.path.join(root, place))
    for place in ("lib", "bin", "sbin"):
        os.symlink(f"usr/{place}", os.path.join(root, place))
    # Each by itself: some of them cannot be installed together.
    for package in packages:
        _download(package, archives)
    for name in os.listdir(archives):
        if name.endswith(".deb"):
            unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"'
            subprocess.run(["sh", "-c", unpack, "sh", os.path.join(archives, name), root], check=True, timeout=60)
    return root


def _download(package: str, archives: str) -> None:
    download = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "--download-only"]
    download += ["-o", f"Dir::Cache::archives={archives}", "-o", "Debug::NoLocking=1", package]
    # The second time with new lists: a fresh machine has none.
    for command in (download, ["apt-get", "update", "-qq"], download):
        result = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        if command is download and result.returncode == 0:
            return
    pytest.skip(f"Debian's package {package} cannot be had: {result.stderr.strip()[-200:]}")


class WithPackages(OwnFiles):
    """Also has Debian packages in place."""

    def __init__(self, host: Host, *packages: str) -> None:
        super().__init__(host, above=unpacked(*packages))

    def unit_commands(self, unit: str, key: str) -> List[List[str]]:
        """The commands of a systemd service, such as those of ExecReload, as words."""
        lines = self.run("cat", f"/lib/systemd/system/{unit}.service").stdout.splitlines()
        return [line.split("=", 1)[1].split() for line in lines if line.startswith(f"{key}=")]


@dataclass
class Guarded:
    """A server with services at ports 22, which needs the knock, and 80, a client that knocks, and one that does not.

    The guard runs. Without the filter in the kernel, whose gate would hide what becomes of the rules.
    """

    network: Network
    daemon: Program
    guard: Program

    @property
    def server(self) -> Host:
        return self.network.server

    def is_up(self) -> bool:
        return firewall(self.server, "server", "status", check=False).returncode == 0

    def assert_protected(self) -> None:
        """Who knocks gets in, nobody else does."""
        stranger = self.network.other
        assert stranger and self.is_up()
        for family in FAMILIES:
            address = self.server.address(family)
            assert gets_in(self.network.client, address, timeout=3), f"IPv{family}: who knocks is kept out"
            assert not gets_in(stranger, address, timeout=0.5), f"IPv{family}: who does not knock gets in"

    def assert_closed(self) -> None:
        """Nobody gets in, whoever knocks."""
        for family in FAMILIES:
            assert not gets_in(self.network.client, self.server.address(family), timeout=0.5)

    def assert_left_alone(self) -> None:
        """The rules have been there all the time."""
        self.assert_protected()
        assert "missing" not in self.guard.output, self.guard.output

    def await_repair(self, start: int = 0) -> None:
        """The rules are flushed, and the guard puts them back. `start`: the guard's `position` before the flush."""
        self.guard.wait_for_line("rules are missing", 30, which="stderr", start=start)
        self.guard.wait_for_line("rules are back", 40, which="stderr", start=start)
        self.assert_protected()

    def settle(self) -> None:
        """Waits until the guard has seen the rules whole."""
        eventually(self.is_up, 20, "the rules to be up")
        self.server.run(["sleep", "2.5"])


@contextmanager
def guarded(network: Network, key_file: str, backend: str, **daemon: Any) -> Iterator[Guarded]:
    """`daemon` are options of `start_server`."""
    with ExitStack() as stack:
        echo_server(network.server, 22, 80)
        server = start_server(network.server, key_file, more=[*WITHOUT_FILTER, "--rules-guard", "off"], **daemon)
        firewall(network.server, "server", "up", "--iptables", backend, *WITHOUT_FILTER)
        equip(network.client, key_file)
        guard = stack.enter_context(network.server.popen([script("server"), "guard"]))
        guard.wait_for_line("ready", 35, which="stdout")
        both = Guarded(network, server, guard)
        both.settle()
        yield both
