"""`tcpknock probe` and `tcpknock trace` on hosts."""

import glob
import json
import os
from dataclasses import dataclass
from typing import Any, Dict, List

from .daemons import program
from .hosts import Host
from .knock import WITHOUT_FILTER, put_rules
from .processes import Program


@dataclass
class Probe:
    """What a probe said. `report` is its JSON object."""

    status: int
    report: Dict[str, Any]

    @property
    def causes(self) -> List[str]:
        """The likely reasons, the most likely first."""
        return [reason["cause"] for reason in self.report["reasons"]]

    @property
    def failed_stage(self) -> str:
        """The stage that failed; empty if none."""
        return next((stage["name"] for stage in self.report["stages"] if stage["state"] == "failed"), "")

    def reason(self, cause: str) -> Dict[str, str]:
        """One of the likely reasons: text, evidence, advice."""
        return next(reason for reason in self.report["reasons"] if reason["cause"] == cause)

    def answer(self, experiment: str) -> str:
        """What came back in an experiment."""
        return next(trial["answer"] for trial in self.report["experiments"] if trial["what"] == experiment)


def probe(host: Host, key_file: str, server: str, *flags: object, port: int = 22) -> Probe:
    """Runs a probe on a host to its end."""
    command = [program("tcpknock"), "probe", "--json", *(["--key-file", key_file] if key_file else [])]
    # Not what is in /etc of this machine.
    command += [] if "--config" in flags else ["--config", ""]
    command += [*map(str, flags), server, str(port)]
    result = host.run(command, check=False, timeout=90)
    assert result.returncode in (0, 1), f"status {result.returncode}\n{result.stdout}{result.stderr}"
    return Probe(result.returncode, json.loads(result.stdout))


def protect_for_guests(
    host: Host, key_files: List[str], folder: "os.PathLike[str]", *, roaming: bool = False, top: str = ""
) -> Program:
    """As `protect`, for guests with a key each; `top` goes before them into the configuration."""
    guests = (
        f'[[guest]]\nname = "guest{number}"\nkey_file = "{key}"\nroaming = {str(roaming).lower()}\n'
        for number, key in enumerate(key_files)
    )
    config = os.path.join(folder, "server.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write("\n".join([top, 'control_socket = ""', *guests]))
    os.chmod(config, 0o600)
    daemon = host.popen([program("tcpknock-server"), "--config", config, "--state-dir", "", *WITHOUT_FILTER])
    daemon.wait_for_line("ready", 10, which="stdout")
    return daemon


def clock_ahead(seconds: int) -> Dict[str, str]:
    """The environment of a program whose clock is so many seconds ahead (faketime(1))."""
    (library,) = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    return {"LD_PRELOAD": library, "FAKETIME": f"{seconds:+}", "DONT_FAKE_MONOTONIC": "1"}


def protect_with_clock(host: Host, key_file: str, seconds: int) -> Program:
    """As `protect`, with a daemon whose clock is so many seconds ahead."""
    command = [program("tcpknock-server"), "--config", "", "--control-socket", "", "--state-dir", "",
               "--key-file", key_file]  # fmt: skip
    daemon = host.popen([*command, *WITHOUT_FILTER], env=clock_ahead(seconds))
    daemon.wait_for_line("ready", 10, which="stdout")
    put_rules(host, "server")
    return daemon
