"""Whether the ports of a machine are protected: what it says, and what hosts beside it see."""

import time

from machine import Machine


def gets_in(machine: Machine, host: str) -> bool:
    """Whether sshd answers a host beside the machine."""
    gateway = "10.9.1.1" if host == "client" else "10.9.2.1"
    command = f"exec 3<>/dev/tcp/{gateway}/22 && head -c 4 <&3"
    return machine.run(f"ip netns exec {host} timeout 20 bash -c '{command}'", check=False).stdout.endswith("SSH-")


def await_status(machine: Machine, beginning: str, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while True:
        said = machine.run("tcpknock status", check=False)
        if said.stdout.startswith(beginning):
            # The daemons' own tool on a host with client and server: 0 only where the ports are protected.
            assert (said.returncode == 0) == beginning.startswith("PROTECTED"), said
            return
        assert time.monotonic() < end, said.stdout
        time.sleep(1)


def assert_protected(machine: Machine) -> None:
    await_status(machine, "PROTECTED: port 22")
    assert gets_in(machine, "client")
    assert not gets_in(machine, "stranger")
