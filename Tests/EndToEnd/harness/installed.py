"""A host with the project installed where `make install` puts it, so that what it tells people to type can be typed."""

import os

from .daemons import program
from .firewall import PROJECT
from .hosts import Host
from .own_files import OwnFiles

_INSTALL = """
mount -t bpf bpf /sys/fs/bpf
for state in tcpknock tcpknock-firewall; do
    mkdir -p "/var/lib/$state"
    mount -t tmpfs -o mode=700 tmpfs "/var/lib/$state"
done
mkdir -p /usr/local/sbin /usr/local/lib/tcpknock
rm -rf /etc/tcpknock /etc/port_protector.dat
mkdir -m 755 /etc/tcpknock
for file in "$1"/keygen "$1"/tcpknock "$1"/tcpknock-server "$1"/tcpknock-client; do
    touch "/usr/local/sbin/${file##*/}"
    mount --bind "$file" "/usr/local/sbin/${file##*/}"
done
cp -p "$2"/firewall/* "$1"/syn_code*.bpf.o /usr/local/lib/tcpknock/
"""


class Installed(OwnFiles):
    """Also has a BPF file system of its own, and the project installed."""

    def __init__(self, host: Host) -> None:
        super().__init__(host, prepare=_INSTALL, arguments=[os.path.dirname(program("tcpknock")), PROJECT])
