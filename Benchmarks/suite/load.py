"""Floods, the programs that judge them, and what that costs them."""

import os
import re
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Callable, Iterator, List, Optional

from harness.hosts import Host
from harness.processes import Program
from harness.queues import QueueCounters, queue_counters
from harness.waiting import eventually

QUEUE = 100
#: The baselines get the same queue and the same buffer as the daemon asks for.
QUEUE_LENGTH, RECEIVE_BUFFER = 8192, 8 << 20


def cpu_of_flood() -> "set[int]":
    """Where the generator runs, and with it what the kernel does until a packet is queued."""
    return {min(os.sched_getaffinity(0))}


def cpu_of_subject() -> "set[int]":
    """Where the measured program runs: another CPU than the generator if there is one."""
    return (os.sched_getaffinity(0) - cpu_of_flood()) or cpu_of_flood()


def pin(process: int, cpus: "set[int]") -> None:
    """Keeps all threads of a process on some CPUs."""
    for thread in os.listdir(f"/proc/{process}/task"):
        os.sched_setaffinity(int(thread), cpus)


@contextmanager
def quarter_of_a_cpu(process: int, period: float = 0.01) -> Iterator[None]:
    """Stops a process for three quarters of each period, while the block lasts.

    What comes in between has to wait, so that a program can be overloaded by a generator no faster than itself.
    """
    done = threading.Event()

    def alternate() -> None:
        with suppress(PermissionError):
            # Else it would have to wait until the process that it is to stop leaves it a CPU.
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        # Who comes late to a turn makes up for it at the next.
        stop_at = time.monotonic()
        while not done.is_set():
            os.kill(process, signal.SIGSTOP)
            time.sleep(max(0.0, stop_at + period * 3 / 4 - time.monotonic()))
            os.kill(process, signal.SIGCONT)
            stop_at += period
            time.sleep(max(0.0, stop_at - time.monotonic()))

    thread = threading.Thread(target=alternate)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def cpu_seconds(process: int) -> float:
    """The CPU time of all threads of a process, in user space and in the kernel, by the scheduler's exact account."""
    return time.clock_gettime((~process << 3) | 2)  # the clock that clock_getcpuclockid(3) names


def user_and_system(process: int) -> "tuple[float, float]":
    """The two parts of the CPU time in seconds; by timer ticks, so only roughly."""
    with open(f"/proc/{process}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def resident_megabytes(process: int, field: str = "VmRSS") -> float:
    with open(f"/proc/{process}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field + ":")) / 1024


# --- floods -------------------------------------------------------------------------------------------------------


@dataclass
class Sent:
    """What the generator says of itself."""

    packets: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.packets / self.seconds if self.seconds else 0.0


@dataclass
class Generator:
    """synflood on one host, towards another."""

    program: str
    host: Host
    target: Host
    key: str = ""
    interface: str = "eth0"
    _mac: str = ""

    def _command(self, family: int, code: str, rate: float, seconds: float, count: int) -> List[str]:
        with_key = ["--key", self.key] if code == "valid" else []
        if not self._mac:
            self._mac = self.target.run(["cat", f"/sys/class/net/{self.interface}/address"]).stdout.strip()
        return [
            "taskset", "-c", ",".join(map(str, cpu_of_flood())), self.program, "--interface", self.interface,
            "--mac", self._mac, "--to", self.target.address(family), "--code", code, *with_key,
            "--rate", f"{rate:.0f}", "--seconds", f"{seconds:.3f}", "--count", str(count),
        ]  # fmt: skip

    def send(
        self, family: int = 4, code: str = "random", rate: float = 0, seconds: float = 120, count: int = 0
    ) -> Sent:
        """Sends SYNs until the time is over or the number reached; rate 0 is as fast as it can."""
        result = self.host.run(self._command(family, code, rate, seconds, count), timeout=seconds + 20)
        return _sent(result.stdout)

    @contextmanager
    def flood(self, family: int, code: str, limit: float = 120) -> "Iterator[Flood]":
        """A flood at full rate, under way when the block begins, that ends with it."""
        before = received_packets(self.target)
        program = self.host.popen(self._command(family, code, 0, limit, 0), name="synflood")
        eventually(lambda: received_packets(self.target) > before + 10_000, 10, "the flood to begin")
        flood = Flood(program)
        try:
            yield flood
        finally:
            program.stop()
            flood.sent = _sent("\n".join(program.lines("stdout")))


@dataclass
class Flood:
    """A flood that is under way, and afterwards what was sent."""

    program: Program
    sent: Sent = field(init=False)


def _sent(output: str) -> Sent:
    match = re.search(r"^sent (\d+) seconds ([\d.]+)$", output, re.MULTILINE)
    assert match, f"synflood said: {output!r}"
    return Sent(int(match[1]), float(match[2]))


def received_packets(host: Host, interface: str = "eth0") -> int:
    """How many packets an interface has taken in."""
    return int(host.run(["cat", f"/sys/class/net/{interface}/statistics/rx_packets"]).stdout)


# --- programs that judge ------------------------------------------------------------------------------------------


def start_noop(host: Host, program: str) -> Program:
    """One of the baselines, bound to the queue when this returns."""
    started = host.popen([program, str(QUEUE), str(QUEUE_LENGTH), str(RECEIVE_BUFFER)])
    started.wait_for_line("^ready$", 10)
    return started


@dataclass
class Judged:
    """What a program did with a flood."""

    handled: int
    lost: int
    seconds: float
    cpu: float
    user: float
    system: float

    @property
    def offered_rate(self) -> float:
        """Packets a second that reached the queue."""
        return (self.handled + self.lost) / self.seconds

    @property
    def handled_rate(self) -> float:
        return self.handled / self.seconds

    @property
    def microseconds(self) -> float:
        """CPU per packet."""
        return self.cpu / self.handled * 1e6 if self.handled else float("nan")


def judge(
    generator: Generator, subject: Program, family: int = 4, code: str = "random", rate: float = 0, seconds: float = 2
) -> Judged:
    """Floods the program and waits until it has judged all that was queued."""

    def flood() -> float:
        return generator.send(family, code, rate, seconds).seconds

    return _account(generator.target, subject, flood)


def judge_backlog(
    generator: Generator, subject: Program, family: int = 4, code: str = "random", waiting: int = 6000, times: int = 20
) -> Judged:
    """Lets packets wait until there are many, then has them judged at one go; so many times.

    Under overload it is like that all the time, but here it does not depend on how fast the generator is.
    """

    def fill_and_empty() -> float:
        for _ in range(times):
            subject.send_signal(signal.SIGSTOP)
            try:
                generator.send(family, code, count=waiting)
            finally:
                subject.send_signal(signal.SIGCONT)
            eventually(lambda: _settled(generator.target), 20, "the queue to become empty")
        return 0.0

    return _account(generator.target, subject, fill_and_empty)


def _account(server: Host, subject: Program, work: Callable[[], float]) -> Judged:
    before, cpu, ticks = _queue(server), cpu_seconds(subject.pid), user_and_system(subject.pid)
    seconds = work()
    after = eventually(lambda: _settled(server), 20, "the queue to become empty")
    ticks_after = user_and_system(subject.pid)
    queued = after.id_sequence - before.id_sequence
    overflowed = after.user_dropped - before.user_dropped
    return Judged(
        handled=queued - overflowed,
        lost=overflowed + after.dropped - before.dropped,
        seconds=seconds,
        cpu=cpu_seconds(subject.pid) - cpu,
        user=ticks_after[0] - ticks[0],
        system=ticks_after[1] - ticks[1],
    )


def _queue(host: Host) -> QueueCounters:
    return queue_counters(host)[QUEUE]


def _settled(host: Host) -> Optional[QueueCounters]:
    counters = _queue(host)
    return counters if counters.queued == 0 else None
