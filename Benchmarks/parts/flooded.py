"""(e) Legitimate clients during a flood at the generator's full rate."""

from typing import Callable, Dict, List, Optional

from harness import topologies
from harness.hosts import Host

from suite.context import Context
from suite.figures import Bar, Summary, at_least, at_most, percentile

TITLE = "200 legitimate connections during a flood"
PART = "flooded"
QUIET = "no flood"
#: name: (family, code) of the flood
FLOODS = {"random codes, IPv4": (4, "random"), "random codes, IPv6": (6, "random"), "ack field 0, IPv4": (4, "zero")}
CONNECTIONS = 200


def run(
    context: Context, part: str = PART, p99_limit: float = 250, protect: Optional[Callable[[Host], object]] = None
) -> None:
    """Also used by the part for the kernel filter, which protects the server in its own way."""
    total = 40 if context.quick else CONNECTIONS
    share = -(-total // context.rounds)
    times: Dict[str, List[float]] = {QUIET: [], **{name: [] for name in FLOODS}}
    by_round: Dict[str, List[List[float]]] = {name: [] for name in times}
    failed: Dict[str, List[str]] = {name: [] for name in times}
    rates: Dict[str, List[float]] = {name: [] for name in FLOODS}
    with topologies.two_clients() as network:
        assert network.other
        client, server, other = network.client, network.server, network.other
        context.serve(server)
        (protect or context.protect)(server)
        context.equip(client)
        generator = context.generator(other, server)

        def connect(name: str) -> None:
            some, failures = context.connect(client, server.ipv4, share)
            times[name] += some
            by_round[name].append(some)
            failed[name] += failures

        def one(name: str, _: int) -> None:
            if name == QUIET:
                return connect(name)
            with generator.flood(*FLOODS[name]) as flood:
                connect(name)
            rates[name].append(flood.sent.rate)
            return None

        context.in_turn(list(times), one)

    results = context.results
    quiet = [percentile(some, 50) for some in by_round[QUIET] if some]
    asked = share * context.rounds
    for name in times:
        note = f"{Summary.of(rates[name]).median:,.0f} SYNs a second" if name in rates else ""
        note += f"; failures: {'; '.join(sorted(set(failed[name])))}" if failed[name] else ""
        results.add(
            part, f"of {asked} connections succeed, {name}", "", [float(len(times[name]))], note=note,
            target=at_least(asked, "value"),
        )  # fmt: skip
        if not times[name]:
            continue
        medians = [percentile(some, 50) for some in by_round[name] if some]
        results.add(part, f"connect and first byte, p50, {name}", "ms", medians, QUIET, quiet)
        results.add(
            part, f"connect and first byte, p99, {name}", "ms", [percentile(times[name], 99)],
            target=at_most(p99_limit, "value") if name in rates else None,
        )  # fmt: skip
    results.panel(
        "Connect and first byte during a flood" + (" (kernel filter)" if part != PART else ""),
        "ms: median, and line from there to p99",
        [
            Bar(name, Summary(percentile(some, 50), percentile(some, 50), percentile(some, 99)), True)
            for name, some in times.items() if some
        ],
        logarithmic=True,
    )  # fmt: skip
    results.details[part] = {"times": by_round, "failures": failed, "rates": rates}
