"""A real OpenSSH server, and the real client to it."""

import os
import subprocess
from pathlib import Path
from typing import Sequence

from .hosts import Host
from .processes import Program


class Sshd:
    """sshd on a host with keys, configuration and port of its own; accepting connections when constructed."""

    def __init__(self, host: Host, folder: Path, port: int = 22) -> None:
        self.host = host
        self.port = port
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.client_key = folder / "client_key"
        host_key = folder / "host_key"
        for key in (host_key, self.client_key):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(key)], timeout=20, check=True
            )
        (folder / "authorized_keys").write_text((folder / "client_key.pub").read_text())
        public = (folder / "host_key.pub").read_text().split()
        (folder / "known_hosts").write_text(f"tcpknock-test {public[0]} {public[1]}\n")
        configuration = folder / "sshd_config"
        configuration.write_text(
            f"Port {port}\n"
            "ListenAddress 0.0.0.0\nListenAddress ::\n"
            f"HostKey {host_key}\nPidFile {folder / 'sshd.pid'}\n"
            f"AuthorizedKeysFile {folder / 'authorized_keys'}\n"
            "UsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin prohibit-password\nUseDNS no\nLogLevel VERBOSE\nMaxStartups 200\n"
        )
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # sshd's own, for privilege separation
        self.program: Program = host.popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(configuration)], name="sshd")
        self.program.wait_for_line(r"Server listening on :: port")

    def ssh(
        self, client: Host, address: str, command: Sequence[str] = ("true",), connect_timeout: int = 5,
        timeout: float = 30.0, check: bool = False, options: Sequence[str] = (),
    ) -> "subprocess.CompletedProcess[str]":  # fmt: skip
        """Runs `ssh` on the client host. Status 255 is ssh's own failure."""
        return client.run(self.ssh_command(address, command, connect_timeout, options), check=check, timeout=timeout)

    def ssh_command(
        self, address: str, command: Sequence[str] = ("true",), connect_timeout: int = 5, options: Sequence[str] = ()
    ) -> "list[str]":
        return [
            "ssh", "-F", "/dev/null", "-p", str(self.port), "-i", str(self.client_key), "-l", "root",
            "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", f"ConnectTimeout={connect_timeout}",
            "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "GlobalKnownHostsFile=/dev/null",
            "-o", "StrictHostKeyChecking=yes", "-o", "HostKeyAlias=tcpknock-test", "-o", "CheckHostIP=no",
            *options, address, *command,
        ]  # fmt: skip

    def __enter__(self) -> "Sshd":
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()
