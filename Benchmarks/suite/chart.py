"""The results as an SVG chart: horizontal bars with their spread, one group for each comparison."""

import math
from typing import List, Tuple
from xml.sax.saxutils import escape

from .figures import Panel, Results
from .table import number

_WIDTH, _LEFT, _RIGHT = 960, 410, 130
_BAR, _GAP = 20, 8
_OURS, _OTHERS, _INK, _PALE = "#2f6f4f", "#b3bdc7", "#1f2933", "#52606d"


def write(results: Results, path: str) -> None:
    parts: List[str] = []
    y = 52
    for panel in results.panels:
        drawn, y = _panel(panel, y)
        parts += drawn
    environment = results.environment
    foot = f"{environment.get('cpu', '')}, {environment.get('cores', '')} cores, Linux {environment.get('kernel', '')}"
    height = y + 24
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'font-family="DejaVu Sans, Verdana, sans-serif" font-size="13" role="img" aria-label="Benchmarks of tcpknock">',
        f'  <rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'  <text x="20" y="30" font-size="17" font-weight="bold" fill="{_INK}">tcpknock: make bench</text>',
        *parts,
        f'  <text x="20" y="{height - 14}" font-size="11" fill="{_PALE}">{escape(foot)}; '
        "medians, lines from the lowest to the highest round</text>",
        "</svg>",
    ]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(svg) + "\n")


def _panel(panel: Panel, y: int) -> "Tuple[List[str], int]":
    y += 22
    scale = " (logarithmic scale)" if panel.logarithmic else ""
    lines = [
        f'  <text x="20" y="{y}" font-weight="bold" fill="{_INK}">{escape(panel.title)}'
        f'<tspan font-weight="normal" fill="{_PALE}">, {escape(panel.unit)}{scale}</tspan></text>'
    ]
    y += 12
    room = _WIDTH - _LEFT - _RIGHT
    highest = max((bar.value.high for bar in panel.bars), default=1) or 1
    positive = [bar.value.low for bar in panel.bars if bar.value.low > 0]
    lowest = 10 ** math.floor(math.log10(min(positive))) if positive else 1

    def position(value: float) -> float:
        if not panel.logarithmic:
            return room * value / highest
        span = math.log10(highest / lowest) or 1
        return room * math.log10(max(value, lowest) / lowest) / span

    for bar in panel.bars:
        colour = _OURS if bar.ours else _OTHERS
        middle = y + _BAR / 2
        length = max(1.0, position(bar.value.median))
        low, high = _LEFT + position(bar.value.low), _LEFT + position(bar.value.high)
        lines.append(
            f'  <text x="{_LEFT - 10}" y="{middle + 4.5:.1f}" text-anchor="end" fill="{_INK}"'
            f'{" font-weight=" + chr(34) + "bold" + chr(34) if bar.ours else ""}>{escape(bar.label)}</text>'
        )
        lines.append(f'  <rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="2" fill="{colour}"/>')
        if bar.value.high > bar.value.low:
            lines.append(
                f'  <path d="M{low:.1f} {middle:.1f}H{high:.1f}M{low:.1f} {middle - 4:.1f}v8M{high:.1f} '
                f'{middle - 4:.1f}v8" stroke="{_INK}" stroke-width="1" fill="none"/>'
            )
        edge = max(_LEFT + length, high) + 8
        lines.append(f'  <text x="{edge:.1f}" y="{middle + 4.5:.1f}" fill="{_INK}">{number(bar.value.median)}</text>')
        y += _BAR + _GAP
    return lines, y + 10
