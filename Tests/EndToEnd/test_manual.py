# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages: made from what the programs say, without a warning of mandoc, and complete."""

import json
import re
import subprocess
from pathlib import Path
from typing import Dict, Iterator, Set

import pytest

from harness.daemons import program
from harness.firewall import PROJECT

PROGRAMS = ["keygen", "tcpknock", "tcpknock-client", "tcpknock-server"]
DAEMONS = ["tcpknock-client", "tcpknock-server"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Path]:
    folder = tmp_path_factory.mktemp("manual")
    binaries = Path(program("tcpknock")).parent
    subprocess.run([Path(PROJECT) / "scripts" / "manual", binaries, folder], check=True)
    return {page.name: page for page in folder.iterdir()}


def rendered(page: Path) -> str:
    output = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=200", page], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    # Bold and underlined letters are overstruck.
    return re.sub(r".\x08", "", output)


def test_there_is_a_page_for_each_program_and_each_configuration_file(pages: Dict[str, Path]) -> None:
    assert set(pages) == {f"{name}.8" for name in PROGRAMS} | {f"{name}.toml.5" for name in DAEMONS}


def test_mandoc_has_nothing_to_say(pages: Dict[str, Path]) -> None:
    for page in pages.values():
        result = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "warning", page], check=False, stdout=subprocess.PIPE, text=True
        )
        assert result.stdout == ""


def flags(command: Dict[str, object]) -> Iterator[str]:
    arguments = command.get("arguments")
    assert isinstance(arguments, list)
    for argument in arguments:
        if argument["shouldDisplay"]:
            yield from ("--" + name["name"] for name in argument.get("names", []) if name["kind"] == "long")
    subcommands = command.get("subcommands", [])
    assert isinstance(subcommands, list)
    for one in subcommands:
        if one["shouldDisplay"] and one["commandName"] != "help":
            yield from flags(one)


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_flag_is_in_the_page_of_its_program(name: str, pages: Dict[str, Path]) -> None:
    output = subprocess.run(
        [program(name), "--experimental-dump-help"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    known: Set[str] = {flag for flag in flags(json.loads(output)["command"]) if "_" not in flag}
    assert "--help" in known
    text = rendered(pages[f"{name}.8"])
    assert {flag for flag in known if not re.search(rf"{flag}\b", text)} == set()


@pytest.mark.parametrize("name", DAEMONS)
def test_each_setting_is_in_the_page_of_its_file(name: str, pages: Dict[str, Path]) -> None:
    sample = subprocess.run([program(name), "--sample"], check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = [line[1:] for line in sample.splitlines() if re.match(r"#\w+ = ", line)]
    assert "target_ports = [22]" in lines
    text = rendered(pages[f"{name}.toml.5"])
    assert [line for line in lines if line not in text] == []
