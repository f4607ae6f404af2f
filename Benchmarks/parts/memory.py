"""(f) Resident memory: at rest, with 65,536 pending handshakes, and after 10 million packets."""

from typing import Dict, List

from harness import topologies
from harness.knock import counters
from harness.processes import Program

from suite.context import Context
from suite.figures import Bar, Summary, Target
from suite.load import Generator, judge, resident_megabytes, start_noop

TITLE = "Resident memory"
PART = "memory"
PENDING = 65_536
#: Slow enough for the daemon, which is to see all of them.
PENDING_RATE = 40_000
REST, WITH_PENDING = "at rest", f"with {PENDING:,} pending handshakes"


def run(context: Context) -> None:
    packets = 200_000 if context.quick else 10_000_000
    after = f"after {packets / 1e6:g} million packets"
    resident: Dict[str, List[float]] = {REST: [], after: [], WITH_PENDING: []}
    own: Dict[str, List[float]] = {name: [] for name in resident}
    baseline: List[float] = []
    for _ in range(context.rounds):
        # A network for each round: what a daemon keeps of its state is of the host.
        with topologies.direct() as network:
            client, server = network.client, network.server
            # SYN/ACKs go back to the clients that do not exist, and end there.
            client.sysctl({"net.ipv4.ip_forward": 0})
            server.ip("route", "add", "default", "via", client.ipv4)
            context.serve(server)
            context.put_server_rules(server)
            generator = context.generator(client, server)
            with start_noop(server, context.tool("noop-one")) as noop:
                baseline.append(resident_megabytes(noop.pid))
            with context.start_server(server) as daemon:

                def note(when: str) -> None:
                    resident[when].append(resident_megabytes(daemon.pid))
                    own[when].append(resident_megabytes(daemon.pid, "RssAnon"))

                note(REST)
                handled = 0
                while handled < packets:
                    some = judge(generator, daemon, rate=0, seconds=min(10.0, max(0.3, (packets - handled) / 250_000)))
                    handled += some.handled
                note(after)
                _fill(generator, daemon)
                note(WITH_PENDING)
        context.say(", ".join(f"{when}: {values[-1]:.1f} MB" for when, values in resident.items()))
    results = context.results
    for when, values in resident.items():
        results.add(
            PART, f"resident, {when}", "MB", values, "noop-one at rest", baseline, Target("value", "<", 20),
            note=f"of this, not shared with the program's file: {Summary.of(own[when]).median:.1f} MB",
        )  # fmt: skip
    results.panel(
        "Resident memory", "MB, less is better",
        [Bar("noop-one at rest", Summary.of(baseline))]
        + [Bar(f"tcpknock-server {when}", Summary.of(values), True) for when, values in resident.items()],
    )  # fmt: skip


def _fill(generator: Generator, daemon: Program) -> None:
    """Begins handshakes with right codes until so many are pending."""
    for _ in range(20):
        missing = PENDING - counters(daemon).get("syn-accepted", 0)
        if missing <= 0:
            return
        generator.send(code="valid", rate=PENDING_RATE, seconds=30, count=missing)
    raise AssertionError(f"{missing} of {PENDING} handshakes are missing: {counters(daemon)}")
