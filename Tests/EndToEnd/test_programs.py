# SPDX-License-Identifier: GPL-2.0-or-later
"""What the programs are linked with: none needs a library that it never calls."""

import subprocess
from typing import Set

import pytest

from harness.daemons import program

NETFILTER = {"libnetfilter_queue", "libnetfilter_conntrack", "libmnl"}
OF_THE_HOST = NETFILTER | {"libbpf", "libpcap"}


def libraries(name: str) -> Set[str]:
    output = subprocess.run(["readelf", "-d", program(name)], check=True, stdout=subprocess.PIPE, text=True).stdout
    needed = [line.split("[")[1].split(".so")[0] for line in output.splitlines() if "(NEEDED)" in line]
    assert "libc" in needed
    return {library for library in needed if library in OF_THE_HOST}


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("keygen", set()),
        ("tcpknock-client", NETFILTER),
        ("tcpknock-server", NETFILTER | {"libbpf"}),
        ("tcpknock", OF_THE_HOST),
    ],
)
def test_the_libraries_of_a_program(name: str, needed: Set[str]) -> None:
    assert libraries(name) == needed
