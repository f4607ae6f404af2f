"""What was measured: figures with their baseline, and what they should be."""

import operator
import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Optional, Sequence


class Skip(Exception):
    """A figure that cannot be had here, and why."""


@dataclass
class Summary:
    """The median of some values, with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Summary":
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Target:
    """What a figure should come to: `of` is "ratio", "value", or a quantity that the figure names in `extra`."""

    of: str
    relation: str
    limit: float

    def __str__(self) -> str:
        return f"{self.of} {self.relation} {self.limit:,g}"

    def is_met(self, actual: float) -> bool:
        return {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}[self.relation](
            actual, self.limit
        )


def at_most(limit: float, of: str = "ratio") -> Target:
    return Target(of, "<=", limit)


def at_least(limit: float, of: str = "ratio") -> Target:
    return Target(of, ">=", limit)


@dataclass
class Figure:
    """One line of the table."""

    part: str
    name: str
    unit: str
    value: Summary
    baseline_name: str = ""
    baseline: Optional[Summary] = None
    ratio: Optional[Summary] = None
    target: Optional[Target] = None
    note: str = ""
    rounds: int = 0

    @property
    def met(self) -> Optional[bool]:
        """None where nothing is asked for."""
        if self.target is None:
            return None
        of = self.ratio if self.target.of == "ratio" else self.value
        return None if of is None else self.target.is_met(of.median)


@dataclass
class Bar:
    """One bar of the chart."""

    label: str
    value: Summary
    ours: bool = False


@dataclass
class Panel:
    """A group of bars with one scale."""

    title: str
    unit: str
    bars: List[Bar]
    logarithmic: bool = False


@dataclass
class Results:
    """All that a run came to."""

    environment: Dict[str, Any] = field(default_factory=dict)
    figures: List[Figure] = field(default_factory=list)
    skipped: List[Dict[str, str]] = field(default_factory=list)
    panels: List[Panel] = field(default_factory=list)
    details: Dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        part: str,
        name: str,
        unit: str,
        values: Sequence[float],
        baseline_name: str = "",
        baseline: Optional[Sequence[float]] = None,
        target: Optional[Target] = None,
        note: str = "",
        ratios: Optional[Sequence[float]] = None,
    ) -> Figure:
        """Adds a figure of one value a round; with a baseline, the values of the same round are compared.

        Who has compared within a round, pass by pass, gives the `ratios`.
        """
        ratio = Summary.of(ratios) if ratios else None
        if ratio is None and baseline is not None and all(baseline):
            if len(baseline) == len(values):
                ratio = Summary.of([value / base for value, base in zip(values, baseline)])
            else:
                middle = statistics.median(baseline)
                ratio = Summary.of([value / middle for value in values])
        figure = Figure(
            part, name, unit, Summary.of(values), baseline_name, Summary.of(baseline) if baseline else None, ratio,
            target, note, len(values),
        )  # fmt: skip
        self.figures.append(figure)
        return figure

    def skip(self, part: str, what: str, why: str) -> None:
        self.skipped.append({"part": part, "what": what, "why": why})

    def panel(self, title: str, unit: str, bars: List[Bar], logarithmic: bool = False) -> None:
        self.panels.append(Panel(title, unit, bars, logarithmic))

    def as_json(self) -> Dict[str, Any]:
        figures = []
        for figure in self.figures:
            entry = asdict(figure)
            entry["target"] = str(figure.target) if figure.target else None
            entry["met"] = figure.met
            figures.append(entry)
        return {
            "format": 1,
            "environment": self.environment,
            "figures": figures,
            "skipped": self.skipped,
            "panels": [asdict(panel) for panel in self.panels],
            "details": self.details,
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of all are not above (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]
