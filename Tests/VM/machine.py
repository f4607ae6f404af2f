"""A virtual machine with a stock kernel and systemd, emulated by QEMU, so that it runs everywhere."""

import base64
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Optional

CACHE = Path(os.environ.get("VM_CACHE", "/var/tmp/tcpknock-vm"))
HERE = Path(__file__).parent
# Seconds until a machine has booted, and until a command has ended. Emulated processors are slow.
BOOT, COMMAND = 900, 300


class Machine:
    """A machine of a Debian suite; what it writes to its disk is forgotten when it ends."""

    def __init__(self, suite: str, folder: Path) -> None:
        self.suite = suite
        self.console = folder / "console.log"
        agent = folder / "agent"
        subprocess.run([HERE / "image", suite], env={**os.environ, "VM_CACHE": str(CACHE)}, check=True)
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "2048",
             "-nodefaults", "-no-user-config", "-display", "none", "-serial", f"file:{self.console}",
             "-kernel", CACHE / f"{suite}.vmlinuz", "-initrd", CACHE / f"{suite}.initrd",
             "-append", "root=/dev/vda rw console=ttyS0 quiet panic=5 mitigations=off tsc=reliable systemd.getty_auto=0",
             "-drive", f"file={CACHE}/{suite}.ext4,if=virtio,format=raw,cache=unsafe,snapshot=on",
             "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
             "-chardev", f"socket,id=agent,path={agent},server=on,wait=off",
             "-device", "virtserialport,chardev=agent,name=agent"])  # fmt: skip
        self.link = socket.socket(socket.AF_UNIX)
        self._connect(str(agent))
        self.lines = self.link.makefile("r")
        self.boot_id = self._await_boot()

    def _connect(self, path: str) -> None:
        for _ in range(100):
            try:
                return self.link.connect(path)
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.1)
        raise AssertionError(f"QEMU has not begun: status {self.process.poll()}")

    def _line(self, seconds: float) -> str:
        self.link.settimeout(seconds)
        try:
            return self.lines.readline().rstrip("\n")
        except TimeoutError:
            raise AssertionError(f"no answer within {seconds} s; see {self.console}") from None

    def _await_boot(self) -> str:
        line = self._line(BOOT)
        while not line.startswith("ready "):
            line = self._line(BOOT)
        boot_id = line.split()[1]
        # Units that are not begun yet may fail later.
        self.run("systemctl is-system-running --wait", check=False, timeout=BOOT)
        return boot_id

    def _request(self, command: str) -> None:
        self.link.sendall(base64.b64encode(command.encode()) + b"\n")

    def run(self, command: str, *, check: bool = True, timeout: float = COMMAND) -> "subprocess.CompletedProcess[str]":
        """Runs a command of bash as root; standard error is in the output."""
        self._request(command)
        _, status, *output = self._line(timeout).split(" ")
        text = base64.b64decode("".join(output)).decode(errors="replace")
        assert not check or status == "0", f"{command}: status {status}: {text}"
        return subprocess.CompletedProcess(command, int(status), text)

    def write(self, path: str, content: str, mode: Optional[int] = None) -> None:
        """Writes a file, in a folder that is made if it is missing."""
        encoded = base64.b64encode(content.encode()).decode()
        self.run(f"mkdir -p $(dirname {path}); base64 -d <<<'{encoded}' >{path}")
        if mode is not None:
            self.run(f"chmod {mode:o} {path}")

    def reboot(self) -> None:
        """Reboots, and returns when all units have begun or failed."""
        before = self.boot_id
        self._request("systemctl reboot")
        self.boot_id = self._await_boot()
        assert self.boot_id != before

    def stop(self) -> None:
        """Ends the machine as if its power were cut."""
        self.process.terminate()
        self.process.wait(30)
        self.link.close()
