"""A network as an SVG map: nodes where they stand, every link in the colour of its status."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from controller.cli.layout import Point, placed

WIDTH: Final = 960
HEIGHT: Final = 640
_MARGIN_X: Final = 90
_TOP: Final = 90
_BOTTOM: Final = 100
_RADIUS: Final = 9
_APART: Final = 110.0
_BETWEEN_PARALLELS: Final = 34.0

_COLOURS: Final = {
    "ACTIVE": "#2e7d32",
    "PASSIVE": "#f9a825",
    "PENDING": "#0277bd",
    "OFF": "#c62828",
    "PLANNED": "#546e7a",
    "POSSIBLE": "#9e9e9e",
}
_MEANINGS: Final = {
    "ACTIVE": "generating",
    "PASSIVE": "stored key only",
    "PENDING": "waiting",
    "OFF": "no key",
    "PLANNED": "from a file",
    "POSSIBLE": "not established",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """A node on the map.

    Attributes:
        name: Shown beside it.
        position: (longitude, latitude) in degrees; None when unknown.
        state: connected, not connected, disabled, maintenance, or empty for a file's.
    """

    name: str
    position: tuple[float, float] | None = None
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapLink:
    """A link on the map.

    Attributes:
        name: Shown at its middle.
        ends: Names of its nodes.
        status: ACTIVE, PASSIVE, PENDING, OFF, PLANNED (from a file) or POSSIBLE.
        rate: Text under the name; may be empty.
        stale: Dashed: an end has no session.
        entangled: A double line: it makes pairs, and no key.
        note: Shown when the pointer rests on it.
    """

    name: str
    ends: tuple[str, str]
    status: str
    rate: str = ""
    stale: bool = False
    entangled: bool = False
    note: str = ""


def svg(nodes: Sequence[MapNode], links: Sequence[MapLink], *, title: str) -> str:
    """Return the map as an SVG document; the same for the same network."""
    area_width, area_height = WIDTH - 2 * _MARGIN_X, HEIGHT - _TOP - _BOTTOM
    at = placed(
        [node.name for node in nodes],
        [link.ends for link in links],
        {node.name: node.position for node in nodes if node.position},
        width=area_width,
        height=area_height,
        apart=min(_APART, math.sqrt(area_width * area_height / max(1, len(nodes))) / 2),
    )
    at = {name: (x + _MARGIN_X, y + _TOP) for name, (x, y) in at.items()}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" font-family="Helvetica, Arial, sans-serif">',
        f"<title>{_text(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="24" y="38" font-size="20" fill="#212121">{_text(title)}</text>',
        *_links(links, at),
        *(_node(node, at[node.name]) for node in sorted(nodes, key=lambda node: node.name)),
        *_legend(links),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _links(links: Sequence[MapLink], at: dict[str, Point]) -> list[str]:
    bundles: dict[tuple[str, str], list[MapLink]] = defaultdict(list)
    for link in sorted(links, key=lambda link: link.name):
        one, other = sorted(link.ends)
        bundles[one, other].append(link)
    drawn: list[str] = []
    for (one, other), bundle in sorted(bundles.items()):
        for index, link in enumerate(bundle):
            aside = index - (len(bundle) - 1) / 2
            drawn.append(
                _link(
                    link,
                    at[one],
                    at[other],
                    bend=aside * _BETWEEN_PARALLELS,
                    along=aside * min(0.18, 0.6 / len(bundle)),
                )
            )
    return drawn


def _link(link: MapLink, start: Point, end: Point, *, bend: float, along: float) -> str:
    """Draw one link.

    Args:
        link: Which.
        start: Of the curve.
        end: Of the curve.
        bend: How far its middle is off the straight line.
        along: How far its label is from the middle, as a part of its length.
    """
    (x1, y1), (x2, y2) = start, end
    length = math.hypot(x2 - x1, y2 - y1) or 1.0
    off_x, off_y = -(y2 - y1) / length, (x2 - x1) / length
    # A quadratic curve passes half way to its control point.
    control_x, control_y = (x1 + x2) / 2 + off_x * 2 * bend, (y1 + y2) / 2 + off_y * 2 * bend
    colour = _COLOURS.get(link.status, _COLOURS["PENDING"])
    dash = ' stroke-dasharray="7 5"' if link.stale or link.status in {"PENDING", "POSSIBLE"} else ""
    label_x, label_y = _on_curve(start, (control_x, control_y), end, 0.5 + along)
    rate = f'<tspan x="{label_x:.1f}" dy="11">{_text(link.rate)}</tspan>' if link.rate else ""
    note = "; ".join(
        part for part in (link.name, link.status, link.rate, "stale" if link.stale else "", link.note) if part
    )
    curve = f"M {x1:.1f} {y1:.1f} Q {control_x:.1f} {control_y:.1f} {x2:.1f} {y2:.1f}"
    hollow = f'<path d="{curve}" fill="none" stroke="#ffffff" stroke-width="2"/>' if link.entangled else ""
    return (
        f'<g class="link" id="link-{_text(link.name)}"><title>{_text(note)}</title>'
        f'<path d="{curve}" fill="none" stroke="{colour}" stroke-width="{6 if link.entangled else 3}"{dash}/>{hollow}'
        f'<text x="{label_x:.1f}" y="{label_y - 3:.1f}" font-size="10" text-anchor="middle" fill="{colour}" '
        f'stroke="#ffffff" stroke-width="3" paint-order="stroke">{_text(link.name)}{rate}</text></g>'
    )


def _on_curve(start: Point, control: Point, end: Point, part: float) -> Point:
    rest = 1 - part
    first, second, third = rest * rest, 2 * rest * part, part * part
    return (
        first * start[0] + second * control[0] + third * end[0],
        first * start[1] + second * control[1] + third * end[1],
    )


def _node(node: MapNode, point: Point) -> str:
    x, y = point
    fill = {"": "#37474f", "connected": "#1565c0", "maintenance": "#f9a825"}.get(node.state, "#ffffff")
    note = f"{node.name}; {node.state}" if node.state else node.name
    return (
        f'<g class="node" id="node-{_text(node.name)}"><title>{_text(note)}</title>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}" fill="{fill}" stroke="#263238" stroke-width="2"/>'
        f'<text x="{x:.1f}" y="{y + _RADIUS + 15:.1f}" font-size="13" text-anchor="middle" fill="#212121" '
        f'stroke="#ffffff" stroke-width="3" paint-order="stroke">{_text(node.name)}</text></g>'
    )


def _legend(links: Sequence[MapLink]) -> list[str]:
    used = [status for status in _COLOURS if any(link.status == status for link in links)]
    drawn: list[str] = []
    for index, status in enumerate(used):
        x, y = 24 + index * 190, HEIGHT - 24
        drawn.append(f'<path d="M {x} {y} h 28" stroke="{_COLOURS[status]}" stroke-width="3"/>')
        drawn.append(
            f'<text x="{x + 36}" y="{y + 4}" font-size="12" fill="#424242">{status}: {_MEANINGS[status]}</text>'
        )
    if any(link.entangled for link in links):
        x, y = 24 + len(used) * 190, HEIGHT - 24
        drawn.append(f'<path d="M {x} {y} h 28" stroke="#546e7a" stroke-width="6"/>')
        drawn.append(f'<path d="M {x} {y} h 28" stroke="#ffffff" stroke-width="2"/>')
        drawn.append(f'<text x="{x + 36}" y="{y + 4}" font-size="12" fill="#424242">makes entangled pairs</text>')
    return drawn


def _text(text: str) -> str:
    # Control characters are not allowed in XML at all, not even escaped.
    return escape(
        "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text), {'"': "&quot;"}
    )
