"""Daemons that run by a configuration file, with the rules that belong to it."""

import json
import os
import socket
import struct
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List

from .daemons import control_socket, keygen, program, start_client, start_server, status, tool
from .firewall import firewall
from .hosts import Host
from .inside import receive
from .processes import Program

Settings = Dict[str, Any]


def toml(settings: Settings) -> str:
    """The settings as a file has them; lists of dictionaries are arrays of tables."""
    tables = {name: value for name, value in settings.items() if _is_tables(value)}
    lines = [f"{name} = {_value(value)}" for name, value in settings.items() if name not in tables]
    for name, entries in tables.items():
        for entry in entries:
            lines += [f"[[{name}]]", *(f"{key} = {_value(value)}" for key, value in entry.items())]
    return "\n".join(lines) + "\n"


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(entry, dict) for entry in value)


def _value(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    # Text, numbers, truth and arrays of them look as in JSON.
    return json.dumps(value)


def keys(folder: Path, *names: str) -> Dict[str, str]:
    """A new key file for each name."""
    return {name: keygen(folder / f"{name}.dat") for name in names}


class Configured:
    """A daemon by a file. Change `settings`, then `reload()`.

    The server's verdicts are all the daemon's unless `kernel_filter` says otherwise.
    """

    def __init__(self, host: Host, role: str, folder: Path, settings: Settings, rules: bool = True) -> None:
        self.host, self.role = host, role
        self.settings = {"kernel_filter": "off", **settings} if role == "server" else dict(settings)
        self.path = folder / f"{host.name}-{role}.toml"
        self.write()
        self.daemon = self.start()
        if rules:
            firewall(host, role, "up", *self.firewall_flags())

    def start(self) -> Program:
        """The daemon, bound to its queue when this returns."""
        start = start_server if self.role == "server" else start_client
        self.daemon = start(self.host, None, more=["--config", str(self.path)])
        return self.daemon

    def firewall_flags(self) -> List[str]:
        command = [program(f"tcpknock-{self.role}"), "--config", str(self.path), "--firewall-flags"]
        return self.host.run(command).stdout.split()

    def write(self) -> None:
        """Puts the settings into the file, in one step."""
        new = self.path.with_suffix(".new")
        new.write_text(toml(self.settings))
        os.replace(new, self.path)

    def guest(self, name: str) -> Settings:
        """The settings of a guest, to be changed."""
        return next(guest for guest in self.settings["guest"] if guest["name"] == name)

    def reload(self) -> float:
        """Writes the file and has the daemon read it; returns when it was asked to, by the monotonic clock."""
        self.write()
        begin = time.monotonic()
        self.tool("reload")
        return begin

    def tool(self, *arguments: str, check: bool = True) -> Any:
        """`tcpknock ARGUMENTS` for this daemon."""
        return tool(self.host, self.role, *arguments, check=check)

    def status(self) -> Any:
        return status(self.host, self.role)

    @property
    def socket_path(self) -> str:
        return control_socket(self.host, self.role)

    def ask(self, line: bytes, timeout: float = 10.0) -> bytes:
        """What the daemon answers to a line on its control socket."""
        with self.connect(timeout) as connection:
            connection.sendall(line)
            return receive(connection, 1 << 24)

    def connect(self, timeout: float = 10.0) -> socket.socket:
        """A connection to the control socket."""
        connection = socket.socket(socket.AF_UNIX)
        # Waits where there is a line, which connect(2) does not with a timeout of Python's.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(timeout), 0))
        connection.connect(self.socket_path)
        connection.settimeout(timeout)
        return connection
