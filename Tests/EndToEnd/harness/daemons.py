"""The project's programs, as built."""

import atexit
import functools
import json
import os
import shutil
import subprocess
import tempfile
from typing import Any, Dict, Iterable, Optional

from .firewall import PROJECT
from .hosts import Host
from .processes import Program


@functools.lru_cache(maxsize=None)
def program(name: str) -> str:
    """The path of a built program: in the folder TCPKNOCK_BIN, else where the release build leaves it."""
    folder = os.environ.get("TCPKNOCK_BIN") or _release_folder()
    path = os.path.join(folder, name)
    assert os.access(path, os.X_OK), f"{path} is missing: build it first (swift build -c release)"
    return path


@functools.lru_cache(maxsize=None)
def _release_folder() -> str:
    command = ["swift", "build", "-c", "release", "--show-bin-path"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True).stdout.strip()


def keygen(path: "os.PathLike[str]") -> str:
    """Makes a key file and returns its path."""
    subprocess.run([program("keygen"), str(path)], capture_output=True, text=True, timeout=20, check=True)
    return str(path)


def start_server(
    host: Host,
    key_file: Optional[str],
    *,
    queue_num: Optional[int] = None,
    target_ports: Iterable[int] = (),
    lockout_seconds: Optional[int] = None,
    no_time: bool = False,
    mark: Optional[int] = None,
    log_level: Optional[str] = None,
    log_format: Optional[str] = None,
    more: Iterable[str] = (),
    env: Optional[Dict[str, str]] = None,
) -> Program:
    """tcpknock-server, bound to its queue when this returns; without a key file the configuration names the keys."""
    command = [program("tcpknock-server"), "--config", "", "--control-socket", control_socket(host, "server")]
    command += ["--state-dir", state_folder(host)]
    command += _flag("--key-file", key_file)
    command += _flag("--queue-num", queue_num)
    for port in target_ports:
        command += _flag("--target-port", port)
    command += _flag("--lockout-seconds", lockout_seconds)
    command += ["--no-time"] if no_time else []
    command += _flag("--mark", None if mark is None else hex(mark))
    command += _flag("--log-level", log_level) + _flag("--log-format", log_format)
    return _start(host, [*command, *more], env)


def start_client(
    host: Host,
    key_file: Optional[str],
    *,
    queue_num: Optional[int] = None,
    target_ports: Iterable[int] = (),
    nat_ips: Iterable[str] = (),
    isn_mask: Optional[str] = None,
    servers: Iterable[str] = (),
    no_time: bool = False,
    log_level: Optional[str] = None,
    log_format: Optional[str] = None,
    more: Iterable[str] = (),
    env: Optional[Dict[str, str]] = None,
) -> Program:
    """tcpknock-client, bound to its queue when this returns; without a key file the configuration names the keys."""
    command = [program("tcpknock-client"), "--config", "", "--control-socket", control_socket(host, "client")]
    command += _flag("--key-file", key_file)
    command += _flag("--queue-num", queue_num)
    for port in target_ports:
        command += _flag("--target-port", port)
    for address in nat_ips:
        command += _flag("--nat-ip", address)
    command += _flag("--isn-mask", isn_mask)
    for server in servers:
        command += _flag("--server", server)
    command += ["--no-time"] if no_time else []
    command += _flag("--log-level", log_level) + _flag("--log-format", log_format)
    return _start(host, [*command, *more], env)


# All hosts have the file system in common, and each daemon needs a socket of its own.
@functools.lru_cache(maxsize=None)
def _socket_folder() -> str:
    folder = tempfile.mkdtemp(prefix="tk-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def control_socket(host: Host, role: str) -> str:
    """The control socket of the daemon for a role on a host."""
    return os.path.join(_socket_folder(), f"{host.name}-{role}.sock")


def state_folder(host: Host) -> str:
    """Where the server's daemon on a host keeps what outlives it."""
    return os.path.join(_socket_folder(), f"{host.name}-state")


def tool(host: Host, role: str, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Runs `tcpknock ARGUMENTS`, which ask the daemon for a role on a host."""
    command = [program("tcpknock"), *arguments, "--socket", control_socket(host, role)]
    return host.run(command, check=check, timeout=30)


def status(host: Host, role: str) -> Any:
    """What `tcpknock status --json` says of a daemon."""
    result = tool(host, role, "status", "--json", check=False)
    # 1: the ports are not protected, which is not what most tests are about.
    assert result.returncode in (0, 1), result.stderr
    return json.loads(result.stdout)


def _flag(name: str, value: object) -> "list[str]":
    return [] if value is None else [name, str(value)]


def _start(host: Host, command: "list[str]", env: Optional[Dict[str, str]]) -> Program:
    daemon = host.popen(command, env=env)
    daemon.wait_for_line(r"\bready\b", 10, which="stdout")
    return daemon
