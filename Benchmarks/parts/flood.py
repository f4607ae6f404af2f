"""(a) What a dropped SYN costs, and how many a second can be judged without losing one.

The same rules and the same queue lead to three programs in turn: the two C baselines, which drop everything unseen, and
tcpknock-server, which looks at everything. The generator has one CPU for itself, and on it runs also all that the
kernel does until a packet is queued; the program has another. So its CPU time is what it costs: its own work, and that
of the kernel in its system calls.

Three ways: packets that have piled up, as under overload; a flood as fast as the generator can; and half of what
noop-one bears, when each program sleeps most of the time, and waking up for nearly every packet outweighs all else.

Packets are lost by whoever is slower than they come. On its CPU the generator is not much faster than noop-one on the
other; so to see who loses packets from which rate on, each program has a quarter of a CPU: it is stopped for 7.5 ms of
every 10. At no rate that the generator reaches does that fill the queue; what does is having too little time.
"""

from typing import Callable, Dict, List, Optional, Tuple

from harness import topologies
from harness.hosts import Host
from harness.processes import Program

from suite.context import Context
from suite.figures import Bar, Summary, at_most
from suite.load import Generator, Judged, cpu_of_subject, judge, judge_backlog, pin, quarter_of_a_cpu, start_noop

TITLE = "CPU per dropped SYN, and packets per second without loss"
PART = "flood"
ONE, BATCH, OURS = "noop-one", "noop-batch", "tcpknock-server"
SUBJECTS = [ONE, BATCH, OURS]
#: Only who is as busy as that, in percent of its CPU, is under a flood: nothing is asked of comparisons with others.
BUSY = 90


def run(context: Context) -> None:
    with topologies.direct() as network:
        server = network.server
        context.put_server_rules(server)
        generator = context.generator(network.client, server)
        starters: Dict[str, Callable[[], Program]] = {
            ONE: lambda: start_noop(server, context.tool(ONE)),
            BATCH: lambda: start_noop(server, context.tool(BATCH)),
            OURS: lambda: context.start_server(server),
        }
        seconds = 0.5 if context.quick else 2.0

        def measure(subject: str, family: int, rate: Optional[float]) -> Judged:
            """At a rate; 0: as fast as can be; None: from a queue that has filled."""
            with starters[subject]() as program:
                pin(program.pid, cpu_of_subject())
                if rate is None:
                    return judge_backlog(generator, program, family, times=5 if context.quick else 20)
                return judge(generator, program, family, "random", rate, seconds)

        measure(ONE, 4, 0)  # What is first is slower: neighbours and tables come into being.
        capacity = measure(ONE, 4, 0).handled_rate
        context.say(f"noop-one drops {capacity:,.0f} SYNs per second at most")
        _cost(context, measure, capacity)
        _lossless(context, server, generator, starters, capacity)


def _cost(context: Context, measure: Callable[..., Judged], capacity: float) -> None:
    steady = round(capacity / 2, -4)
    cases: "List[Tuple[str, int, Optional[float]]]" = [
        ("IPv4, piled up", 4, None),
        ("IPv6, piled up", 6, None),
        ("IPv4, full rate", 4, 0.0),
        ("IPv6, full rate", 6, 0.0),
        (f"IPv4, {steady:,.0f}/s", 4, steady),
        (f"IPv6, {steady:,.0f}/s", 6, steady),
    ]
    for title, family, rate in cases:
        judged: Dict[str, List[Judged]] = {subject: [] for subject in SUBJECTS}
        context.in_turn(SUBJECTS, lambda subject, _: judged[subject].append(measure(subject, family, rate)))
        cost = {subject: [each.microseconds for each in judged[subject]] for subject in SUBJECTS}
        for subject in SUBJECTS:
            user, system = (sum(getattr(each, which) for each in judged[subject]) for which in ("user", "system"))
            context.say(
                f"{title}: {subject}: {Summary.of(cost[subject]).median:.2f} µs a packet, "
                f"{100 * user / (user + system or 1):.0f} % of it in user space"
            )
        results = context.results
        name = f"CPU per dropped SYN, {title}"
        # Who is idle in between wakes up for each packet: that is no flood any more, but a busy day.
        busy = {
            subject: min(100 * each.cpu / each.seconds for each in judged[subject]) if rate is not None else 100
            for subject in SUBJECTS
        }
        for other, target in ((ONE, at_most(0.75)), (BATCH, at_most(1.15))):
            asked = min(busy[OURS], busy[other]) >= BUSY
            note = f"of their CPU, {OURS} used {busy[OURS]:.0f} % and {other} {busy[other]:.0f} %, or more"
            results.add(
                PART, name, "µs", cost[OURS], other, cost[other], target if asked else None,
                note="" if rate is None else note,
            )  # fmt: skip
        results.panel(
            name, "µs, less is better", [Bar(subject, Summary.of(cost[subject]), subject == OURS) for subject in SUBJECTS]
        )
        if rate == 0:
            speed = {subject: [each.handled_rate for each in judged[subject]] for subject in SUBJECTS}
            results.add(PART, f"SYNs judged per second, {title}", "/s", speed[OURS], ONE, speed[ONE])
        results.details[f"flood {title}"] = {subject: [vars(each) for each in judged[subject]] for subject in SUBJECTS}


def _lossless(
    context: Context, server: Host, generator: Generator, starters: "Dict[str, Callable[[], Program]]", capacity: float
) -> None:
    """With a quarter of a CPU: the rate at which each begins to lose packets, and what we lose at that of noop-one."""
    seconds, steps = (0.5, 4) if context.quick else (1.5, 6)
    onset: Dict[str, List[float]] = {subject: [] for subject in SUBJECTS}
    lost_there: List[float] = []
    unreachable: Dict[str, int] = {}  # in how many rounds they bore all that the generator could send

    def lowest_with_loss(subject: str, program: Program) -> float:
        """By halving between a rate that it bears and one that it does not; the highest there is, if it bears that."""
        low, flat_out = capacity * 0.1, judge(generator, program, rate=0, seconds=seconds)
        high = flat_out.offered_rate
        if flat_out.lost == 0:
            unreachable[subject] = unreachable.get(subject, 0) + 1
            return high
        for _ in range(steps):
            middle = (low + high) / 2
            tried = judge(generator, program, rate=middle, seconds=seconds)
            if tried.lost:
                high = middle
            else:
                low = middle
        return high

    def search(subject: str, _: int) -> None:
        with starters[subject]() as program:
            pin(program.pid, cpu_of_subject())
            with quarter_of_a_cpu(program.pid):
                onset[subject].append(lowest_with_loss(subject, program))

    for number in range(context.rounds):
        before = unreachable.get(ONE)
        for subject in SUBJECTS:
            search(subject, number)
        onsets = ", ".join(f"{onset[subject][-1]:,.0f}/s ({subject})" for subject in SUBJECTS)
        context.say(f"packets are lost from {onsets}")
        if unreachable.get(ONE) != before:
            continue
        with starters[OURS]() as program:
            pin(program.pid, cpu_of_subject())
            with quarter_of_a_cpu(program.pid):
                lost_there.append(float(judge(generator, program, rate=onset[ONE][-1], seconds=2 * seconds).lost))
        context.say(f"{lost_there[-1]:.0f} of ours at the rate of noop-one")
    results = context.results
    borne = "; where none was lost, the highest rate that the generator reached"
    rounds = ", ".join(f"{subject} in {unreachable[subject]} of {context.rounds} rounds" for subject in unreachable)
    note = f"the generator could not overload {rounds}" if rounds else ""
    name = "rate at which packets begin to be lost, IPv4, a quarter of a CPU"
    results.add(PART, name, "/s", onset[OURS], ONE, onset[ONE], note=note)
    results.add(PART, name, "/s", onset[OURS], BATCH, onset[BATCH])
    name = "packets lost at the rate at which noop-one begins to, a quarter of a CPU"
    if lost_there:
        results.add(
            PART, name, "packets", lost_there, target=at_most(0, "value"),
            note=f"in the {len(lost_there)} of {context.rounds} rounds in which noop-one lost any",
        )  # fmt: skip
    else:
        results.skip(PART, name, "the generator got too little CPU to make noop-one lose any")
    results.panel(
        "SYNs per second at which packets begin to be lost, with a quarter of a CPU",
        "more is better" + borne,
        [Bar(subject, Summary.of(onset[subject]), subject == OURS) for subject in SUBJECTS],
    )
