"""Machines for the tests, one for each Debian suite in VM_SUITES."""

import os
from typing import Iterator

import pytest

from machine import Machine

SUITES = os.environ.get("VM_SUITES", "bookworm trixie").split()


@pytest.fixture(scope="module", params=SUITES)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(request.param, tmp_path_factory.mktemp(request.param))
    yield machine
    machine.stop()
