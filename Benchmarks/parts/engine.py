"""(b) Nanoseconds per decision of the pure engine, for each kind of packet, and its allocations.

With different numbers of keys, which take turns in one process: their ratio is that of passes of the same milliseconds.
"""

import json
import os
import shutil
import subprocess
from typing import Any, Dict, List

from suite import PROJECT
from suite.context import Context
from suite.figures import Bar, Skip, Summary, Target, at_most
from suite.load import cpu_of_subject

TITLE = "The pure engine: nanoseconds per decision, and allocations"
PART = "engine"
BASELINE = "three SipHashes (libsodium)"
#: How many keys the engine is given, a guest's each.
KEYS = (1, 10, 100, 1000)
#: The kind that a flood consists of.
FLOOD = "SYN with a wrong code, IPv4"
#: Once a minute and not for each packet: it has no place beside the others in a chart.
ONCE = "first SYN of a time slot"

#: By the number of keys, and by the kind of packet.
Kinds = Dict[int, Dict[str, Dict[str, Any]]]


def run(context: Context) -> None:
    program = _program(context)
    runs = [_measure(program, 20 if context.quick else 60) for _ in range(context.rounds)]
    for keys in KEYS:
        _report(context, keys, [each[keys] for each in runs])
    one, many = ([each[keys][FLOOD] for each in runs] for keys in (1, 1000))
    context.results.add(
        PART, f"{FLOOD}, 1,000 keys", "ns", [each["median"] for each in many],
        "one key", [each["median"] for each in one], at_most(2), ratios=[each["ratio"] for each in many],
    )  # fmt: skip


def _program(context: Context) -> str:
    """The benchmark beside the other programs, if somebody has put it there; else it is built."""
    ready = os.path.join(os.environ.get("TCPKNOCK_BIN", ""), "engine-benchmark")
    if os.environ.get("TCPKNOCK_BIN") and os.access(ready, os.X_OK):
        return ready
    if shutil.which("swift") is None:
        raise Skip("it takes the Swift toolchain to build it")
    context.say("building engine-benchmark")
    command = ["swift", "build", "-c", "release", "--static-swift-stdlib", "--product", "engine-benchmark",
               "--scratch-path", os.path.join(PROJECT, ".build-bench")]  # fmt: skip
    environment = {**os.environ, "TCPKNOCK_BENCHMARKS": "1"}
    built = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=900)
    if built.returncode != 0:
        raise Skip("it does not build: " + (built.stdout + built.stderr).strip()[-400:])
    return os.path.join(PROJECT, ".build-bench", "release", "engine-benchmark")


def _measure(program: str, passes: int) -> Kinds:
    command = ["taskset", "-c", str(min(cpu_of_subject())), program, "--passes", str(passes)]
    command += ["--keys", ",".join(map(str, KEYS))]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    counted = lines[-1]["allocationsAreCounted"]
    kinds: Kinds = {keys: {} for keys in KEYS}
    for line in lines[:-1]:
        kinds[line["keys"]][line["kind"]] = line
        assert line["unexpected"] == 0, f"wrong verdicts: {line}"
        assert counted, "allocations are not counted"
    return kinds


def _report(context: Context, keys: int, runs: "List[Dict[str, Dict[str, Any]]]") -> None:
    results = context.results
    some = "one key" if keys == 1 else f"{keys:,} keys"
    baseline = [each[BASELINE]["median"] for each in runs]
    bars = [Bar(BASELINE, Summary.of(baseline))]
    for kind in runs[0]:
        if kind == BASELINE:
            continue
        values = [each[kind]["median"] for each in runs]
        target = Target("value", "<", 150) if kind == FLOOD and keys == 1 else None
        results.add(PART, f"{kind}, {some}", "ns", values, "three SipHashes", baseline, target)
        if kind != ONCE:
            bars.append(Bar(kind, Summary.of(values), True))
    allocations = [float(sum(line["allocations"] for line in each.values())) for each in runs]
    where = sorted({kind for each in runs for kind, line in each.items() if line["allocations"]})
    results.add(
        PART, f"allocations of all these decisions, {some}", "", allocations, target=at_most(0, "value"),
        note="in: " + "; ".join(where) if where else "",
    )  # fmt: skip
    results.panel(f"The engine's decision on one packet, {some}", "ns, less is better", bars)
    results.details[f"engine {some}"] = runs
