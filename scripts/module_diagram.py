# SPDX-License-Identifier: GPL-2.0-or-later
"""Draws docs/architecture.svg: the modules of the source, with arrows to those that each may use."""

from typing import Dict, Iterable, List, Set, Tuple

# Where each module stands: column and row, the bottom row being 0.
PLACES: Dict[str, Tuple[float, float]] = {
    "tcpknock-server": (0.45, 7), "tcpknock-client": (1.45, 7), "tcpknock": (2.6, 7), "keygen": (4.4, 7),
    "Server": (0.45, 6), "Client": (1.45, 6),
    "DaemonCore": (1.2, 5), "Doctor": (2.6, 5),
    "Control": (3.1, 4),
    "Program": (4.4, 3), "Capture": (5.6, 3),
    "KernelFilter": (0, 2), "Netfilter": (0.93, 2), "KnockEngine": (1.86, 2), "KeyFiles": (2.79, 2),
    "Settings": (3.72, 2), "Diagnosis": (5.6, 2),
    "KnockProtocol": (1.4, 1), "Linux": (3.45, 1),
    "Wire": (2.3, 0), "JSONText": (5.1, 0),
}  # fmt: skip
COLUMN, ROW, WIDTH, HEIGHT, MARGIN = 142, 80, 122, 34, 16

STYLE = """
    text { font: 14px "DejaVu Sans", Verdana, sans-serif; text-anchor: middle; fill: #1f2933 }
    .back { fill: #ffffff } .uses { stroke: #7b8794; stroke-width: 1.4 } #tip path { fill: #7b8794 }
    rect { fill: #e4e7eb; stroke: #8896a5 } .pure { fill: #d8efe2; stroke: #2f6f4f }
    .program { fill: #fdebd0; stroke: #a5652a } text.note { font-size: 12px; text-anchor: start }
    @media (prefers-color-scheme: dark) {
      text { fill: #e4e7eb } .back { fill: #161b22 } .uses { stroke: #8896a5 } #tip path { fill: #8896a5 }
      rect { fill: #323f4b; stroke: #8896a5 } .pure { fill: #1f4a35; stroke: #6fbf94 }
      .program { fill: #5a3a17; stroke: #d9a066 }
    }
"""


def reachable(module: str, uses: Dict[str, List[str]]) -> Set[str]:
    """What a module depends on, directly or through others."""
    found: Set[str] = set()
    for other in uses[module]:
        found |= {other} | reachable(other, uses)
    return found


def diagram(uses: Dict[str, List[str]], pure: Iterable[str], programs: Iterable[str]) -> str:
    """The diagram. An arrow is left out where a longer way leads to the same module."""
    pure, programs = set(pure), set(programs)
    top = max(row for _, row in PLACES.values())
    width = round(MARGIN * 2 + WIDTH + COLUMN * max(column for column, _ in PLACES.values()))
    height = round(MARGIN * 2 + HEIGHT + ROW * top + 26)

    def place(module: str) -> Tuple[int, int]:
        column, row = PLACES[module]
        return round(MARGIN + COLUMN * column), round(MARGIN + ROW * (top - row))

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="The modules of tcpknock and which may use which">',
        "  <!-- Drawn by scripts/modules from Package.swift. -->",
        f"  <style>{STYLE}  </style>",
        '  <defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 1 L10 5 L0 9 z"/></marker></defs>',
        f'  <rect class="back" stroke="none" style="stroke: none" width="{width}" height="{height}"/>',
        '  <g class="uses" marker-end="url(#tip)">',
    ]
    for module in sorted(uses, key=lambda name: PLACES[name]):
        for other in sorted(uses[module]):
            if not any(other in reachable(third, uses) for third in uses[module]):
                (x, y), (to_x, to_y) = place(module), place(other)
                half = WIDTH // 2
                lines.append(f'    <line x1="{x + half}" y1="{y + HEIGHT}" x2="{to_x + half}" y2="{to_y}"/>')
    lines.append("  </g>")
    for module in sorted(uses, key=lambda name: PLACES[name]):
        x, y = place(module)
        kind = ' class="pure"' if module in pure else ' class="program"' if module in programs else ""
        lines.append(f'  <rect{kind} x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>')
        lines.append(f'  <text x="{x + WIDTH // 2}" y="{y + 22}">{module}</text>')
    y = height - 14
    for x, kind, note in ((MARGIN, "program", "programs"), (130, "pure", "pure logic: knows nothing of the host"),
                          (430, "", "concerns the host")):  # fmt: skip
        lines.append(f'  <rect class="{kind}" x="{x}" y="{y - 11}" width="14" height="14" rx="3"/>')
        lines.append(f'  <text class="note" x="{x + 21}" y="{y}">{note}</text>')
    return "\n".join([*lines, "</svg>", ""])
