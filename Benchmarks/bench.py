#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Benchmarks of tcpknock, in network namespaces that are made and removed. Needs root.

Each figure stands beside a baseline that was measured in turn with it, round by round, in the same run. The programs
are those of the release build, or those in the folder TCPKNOCK_BIN.
"""

import argparse
import importlib
import json
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from datetime import datetime, timezone

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import suite  # noqa: E402,F401  (finds the harness)
from suite import chart, table  # noqa: E402
from suite.context import Context  # noqa: E402
from suite.figures import Skip  # noqa: E402

PARTS = ["flood", "engine", "connect", "established", "flooded", "memory", "kernel_filter"]


class OutOfTime(BaseException):
    """The time limit of the whole run is reached."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"all, or some of: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each figure is taken (default: 5)")
    parser.add_argument("--quick", action="store_true", help="short and rough: to see that everything works")
    parser.add_argument("--json", metavar="FILE", help="writes all results there")
    parser.add_argument("--chart", metavar="FILE.svg", help="draws them there")
    parser.add_argument("--minutes", type=float, default=40, help="ends after so many minutes (default: 40)")
    parser.add_argument("--strict", action="store_true", help="exit status 1 if a target is not met")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown or options.rounds < 1:
        parser.error(f"no such part: {', '.join(unknown)}" if unknown else "--rounds wants 1 or more")
    if os.geteuid() != 0:
        print("bench: network namespaces need root: run this as root", file=sys.stderr)
        return 77

    def out_of_time(*_: object) -> None:
        raise OutOfTime

    def told_to_end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, out_of_time)
    signal.signal(signal.SIGTERM, told_to_end)
    signal.setitimer(signal.ITIMER_REAL, options.minutes * 60)
    rounds = min(options.rounds, 2) if options.quick else options.rounds
    broken = False
    with tempfile.TemporaryDirectory(prefix="tcpknock-bench-") as folder:
        context = Context(folder, rounds, options.quick)
        context.results.environment = environment(rounds, options.quick)
        for name in [part for part in PARTS if not options.parts or part in options.parts]:
            try:
                run(name, context)
            except Skip as reason:
                context.results.skip(name, "this part", str(reason))
            except KeyboardInterrupt:
                print("\ninterrupted; all that was made is removed", file=sys.stderr)
                return 130
            except OutOfTime:
                context.results.skip(name, "the rest of this part, and those behind it", "the time was over (--minutes)")
                broken = True
                break
            except Exception as problem:
                traceback.print_exc()
                context.results.skip(name, "the rest of this part", f"it failed: {' '.join(str(problem).split())[:300]}")
                broken = True
        signal.setitimer(signal.ITIMER_REAL, 0)
    context.results.environment["load at the end"] = os.getloadavg()
    table.show(context.results)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(context.results.as_json(), file, indent=1)
            file.write("\n")
    if options.chart:
        chart.write(context.results, options.chart)
    missed = any(figure.met is False for figure in context.results.figures)
    return 1 if broken or (missed and options.strict) else 0


def run(name: str, context: Context) -> None:
    part = importlib.import_module(f"parts.{name}")
    print(f"{name}: {part.TITLE}", file=sys.stderr, flush=True)
    start = time.monotonic()
    part.run(context)
    context.say(f"done in {time.monotonic() - start:.0f} s")


def environment(rounds: int, quick: bool) -> "dict[str, object]":
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpu": model or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "rounds": rounds,
        "quick": quick,
        "load at the start": os.getloadavg(),
    }


if __name__ == "__main__":
    sys.exit(main())
