"""A flood of everything that somebody without the key might send, in one mixture."""

import json
import os
from typing import Any, Dict, List

from .hosts import PYTHON, Host
from .processes import Program

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile_program.py")


def hostile_flood(host: Host, target: Host, known: List[Dict[str, Any]], count: int, seed: int, reports: int) -> Program:
    """Sends so many packets from a host's eth0; says `sent N` so many times on the way, and `done`.

    `known` is what there is to work with, for each family: `server` and `port`, `syns` whose codes are used up, and right
    third ACKs, `acks`, of handshakes that are under way; addresses and packets as hexadecimal digits.
    """
    mac = target.run(["cat", "/sys/class/net/eth0/address"]).stdout.strip()
    command = [PYTHON, _PROGRAM, "eth0", mac, str(count), str(seed), str(reports)]
    program = host.popen(command, name=f"hostile flood from {host.role}")
    program.write_line(json.dumps(known))
    program.wait_for_line("^begun$", 10)
    return program
