"""The results as a table for the terminal."""

import shutil
import sys
from typing import List, Optional

from .figures import Figure, Results, Summary

_COLOUR = sys.stdout.isatty()


def paint(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if _COLOUR else text


def number(value: float) -> str:
    """A number with three digits that count."""
    magnitude = abs(value)
    if magnitude >= 1000 or value.is_integer():
        return f"{value:,.0f}"
    for limit, digits in ((100, 0), (10, 1), (1, 2), (0.1, 3)):
        if magnitude >= limit:
            return f"{value:.{digits}f}"
    return f"{value:.2g}"


def spread(summary: Optional[Summary]) -> str:
    if summary is None:
        return ""
    if summary.low == summary.high:
        return number(summary.median)
    return f"{number(summary.median)} ({number(summary.low)}..{number(summary.high)})"


def show(results: Results) -> None:
    """Prints the table, and below it what could not be measured."""
    rows: List[List[str]] = []
    for figure in results.figures:
        rows.append(_row(figure))
    heads = ["", "figure", "measured", "baseline", "ratio", "target", ""]
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    # The names give way on a narrow terminal.
    room = max(24, shutil.get_terminal_size((200, 50)).columns - sum(widths) + widths[1] - 2 * len(widths))
    widths[1] = min(widths[1], max(room, 44))
    line = "  ".join(paint(head.ljust(width), "1") for head, width in zip(heads, widths))
    print("\n" + line)
    for figure, row in zip(results.figures, rows):
        colour = {True: "32", False: "31", None: "0"}[figure.met]
        cells = [text if len(text) <= width else text[: width - 1] + "…" for text, width in zip(row, widths)]
        cells = [cell.ljust(width) for cell, width in zip(cells, widths)]
        print("  ".join([*cells[:-1], paint(cells[-1], colour)]).rstrip())
        if figure.note:
            print(" " * (widths[0] + 2) + paint(figure.note, "2"))
    for skipped in results.skipped:
        print(f"{skipped['part'].ljust(widths[0])}  not measured: {skipped['what']}: {skipped['why']}")
    met = sum(figure.met is True for figure in results.figures)
    wanted = sum(figure.met is not None for figure in results.figures)
    print(f"\n{met} of {wanted} targets met; medians (lowest..highest) of the rounds; a ratio is of figures of one round.")


def _row(figure: Figure) -> List[str]:
    baseline = f"{figure.baseline_name}: {number(figure.baseline.median)}" if figure.baseline else ""
    verdict = {True: "met", False: "NOT MET", None: ""}[figure.met]
    return [
        figure.part,
        figure.name,
        f"{spread(figure.value)} {figure.unit}",
        baseline,
        spread(figure.ratio),
        str(figure.target or ""),
        verdict,
    ]
