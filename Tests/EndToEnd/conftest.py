"""What all end-to-end tests share: the networks as fixtures, and cleaning up however the run ends."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable, ContextManager, Iterator

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import daemons, topologies  # noqa: E402
from harness.firewall import BACKENDS  # noqa: E402
from harness.foreign import Guarded, guarded  # noqa: E402
from harness.hosts import Host  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    # A run that is told to end leaves through the fixtures, as on ctrl-C, so that no namespace stays behind.
    # A worker of pytest-xdist may run its tests in another thread, where no signal can be caught.
    if threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("told to end (SIGTERM)", returncode=143))


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return daemons.keygen(tmp_path_factory.mktemp("key") / "port_protector.dat")


@pytest.fixture(scope="session")
def as_root() -> None:
    """For what makes network namespaces."""
    if os.geteuid() != 0:
        pytest.skip("makes network namespaces, so it must run as root")


@pytest.fixture
def host(as_root: None) -> Iterator[Host]:
    """A host without a network."""
    with Host("alone") as alone:
        yield alone


def _fixture(topology: Callable[[], ContextManager[topologies.Network]]) -> Any:
    def network(as_root: None) -> Iterator[topologies.Network]:
        with topology() as made:
            yield made

    return pytest.fixture(network)


direct = _fixture(topologies.direct)
two_clients = _fixture(topologies.two_clients)
routed = _fixture(topologies.routed)
twice_routed = _fixture(topologies.twice_routed)
natted = _fixture(topologies.natted)


@pytest.fixture
def pins(as_root: None) -> Iterator[str]:
    """A BPF file system for one test, which the programs on all hosts see."""
    if "bpf" not in Path("/proc/filesystems").read_text():
        pytest.skip("this kernel has no BPF file system")
    with tempfile.TemporaryDirectory(prefix="tcpknock-test-bpf-") as folder:
        subprocess.run(["mount", "-t", "bpf", "bpf", folder], timeout=20, check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], timeout=20, check=True)


@pytest.fixture(params=BACKENDS)
def both(
    two_clients: topologies.Network, key_file: str, request: pytest.FixtureRequest
) -> Iterator[Guarded]:
    """A server whose guard runs, with its rules in each variant of iptables."""
    with guarded(two_clients, key_file, request.param) as both:
        yield both
