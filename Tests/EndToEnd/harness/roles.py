"""Both daemons, for tests that treat them alike."""

from typing import Callable, Dict

import pytest

from .daemons import start_client, start_server
from .processes import Program

ROLES = ("server", "client")
DAEMONS = ("tcpknock-server", "tcpknock-client")
QUEUE = {"server": 100, "client": 200}
"""The queue of each, if nothing else is said."""
START: Dict[str, Callable[..., Program]] = {"server": start_server, "client": start_client}

roles = pytest.mark.parametrize("role", ROLES)
daemons = pytest.mark.parametrize("daemon", DAEMONS)
