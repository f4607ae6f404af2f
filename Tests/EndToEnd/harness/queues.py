"""The kernel's own numbers about its packet queues."""

from dataclasses import dataclass
from typing import Dict

from .hosts import Host


@dataclass
class QueueCounters:
    """One line of /proc/net/netfilter/nfnetlink_queue. `id_sequence` counts all packets that were queued."""

    queue: int
    portid: int
    queued: int
    copy_mode: int
    copy_range: int
    dropped: int
    user_dropped: int
    id_sequence: int


def queue_counters(host: Host) -> Dict[int, QueueCounters]:
    """The queues that somebody is bound to in the host's namespace, by number."""
    lines = host.run(["cat", "/proc/net/netfilter/nfnetlink_queue"]).stdout.splitlines()
    queues = [QueueCounters(*map(int, line.split()[:8])) for line in lines]
    return {queue.queue: queue for queue in queues}
