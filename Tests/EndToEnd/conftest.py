"""What all end-to-end tests share: the networks as fixtures, and cleaning up however the run ends."""

import os
import signal
import sys
import threading
from typing import Iterator

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import daemons, topologies  # noqa: E402
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


@pytest.fixture
def host() -> Iterator[Host]:
    """A host without a network."""
    _require_root()
    with Host("alone") as alone:
        yield alone


@pytest.fixture
def direct() -> Iterator[topologies.Network]:
    _require_root()
    with topologies.direct() as network:
        yield network


@pytest.fixture
def two_clients() -> Iterator[topologies.Network]:
    _require_root()
    with topologies.two_clients() as network:
        yield network


@pytest.fixture
def routed() -> Iterator[topologies.Network]:
    _require_root()
    with topologies.routed() as network:
        yield network


@pytest.fixture
def twice_routed() -> Iterator[topologies.Network]:
    _require_root()
    with topologies.twice_routed() as network:
        yield network


@pytest.fixture
def natted() -> Iterator[topologies.Network]:
    _require_root()
    with topologies.natted() as network:
        yield network


def _require_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("makes network namespaces, so it must run as root")
