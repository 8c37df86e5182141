"""Where the nodes of a map stand: by longitude and latitude, else so that neighbours are near."""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

Point = tuple[float, float]
"""x to the right, y downwards."""

# Beyond this many nodes the search for a good picture takes too long, and a circle has to do.
_LARGEST: Final = 300
_EFFORT: Final = 3_000_000  # pairs looked at


def placed(
    nodes: Sequence[str],
    links: Iterable[tuple[str, str]],
    positions: Mapping[str, tuple[float, float]],
    *,
    width: float,
    height: float,
    apart: float,
) -> dict[str, Point]:
    """Return where each node stands, in [0, width] x [0, height]; the same for the same network.

    Args:
        nodes: Names, each once, in any order.
        links: Pairs of them; parallel ones do no harm.
        positions: By name, (longitude, latitude) in degrees; used only if every node has one.
        width: Of the area; > 0.
        height: Of the area; > 0.
        apart: Least distance between two nodes where there is room for it; >= 0.
    """
    names = sorted(nodes)
    if not names:
        return {}
    if all(name in positions for name in names):
        raw = _projected({name: positions[name] for name in names})
    else:
        raw = _drawn(names, links)
    return _spread(_fitted(raw, width, height), width, height, apart)


def _projected(positions: Mapping[str, tuple[float, float]]) -> dict[str, Point]:
    """Equirectangular about the middle latitude, across the 180th meridian where that is shorter."""
    latitudes = [latitude for _, latitude in positions.values()]
    longitudes = {name: longitude for name, (longitude, _) in positions.items()}
    if max(longitudes.values()) - min(longitudes.values()) > 180:
        longitudes = {name: longitude % 360 for name, longitude in longitudes.items()}
    squeeze = math.cos(math.radians((max(latitudes) + min(latitudes)) / 2))
    return {name: (longitudes[name] * squeeze, -latitude) for name, (_, latitude) in positions.items()}


def _drawn(names: Sequence[str], links: Iterable[tuple[str, str]]) -> dict[str, Point]:
    """Distances on paper as many links long as in the network, by stress majorisation from a circle.

    Source: Gansner, Koren, North, Graph Drawing by Stress Majorization (2004), the localised update.
    """
    neighbours: dict[str, set[str]] = {name: set() for name in names}
    for one, other in links:
        neighbours[one].add(other)
        neighbours[other].add(one)
    points = _circle(_in_search_order(names, neighbours))
    if len(names) > _LARGEST or len(names) < 3:
        return points
    hops = {name: _distances(name, neighbours) for name in names}
    # Parts that are not joined stand a little further from each other than the farthest joined nodes.
    beyond = 1 + max(max(each.values()) for each in hops.values())
    for _ in range(max(10, min(120, _EFFORT // len(names) ** 2))):
        for name in names:
            x = y = total = 0.0
            own_x, own_y = points[name]
            for other, (other_x, other_y) in points.items():
                if other == name:
                    continue
                wanted = hops[name].get(other, beyond)
                weight = 1 / wanted**2
                distance = math.hypot(own_x - other_x, own_y - other_y)
                stretch = wanted / distance if distance > 1e-9 else 0.0
                x += weight * (other_x + stretch * (own_x - other_x))
                y += weight * (other_y + stretch * (own_y - other_y))
                total += weight
            points[name] = (x / total, y / total)
    return points


def _in_search_order(names: Sequence[str], neighbours: Mapping[str, set[str]]) -> list[str]:
    order: list[str] = []
    seen: set[str] = set()
    for start in names:
        if start in seen:
            continue
        seen.add(start)
        pending = deque([start])
        while pending:
            order.append(name := pending.popleft())
            fresh = sorted(neighbours[name] - seen)
            seen.update(fresh)
            pending.extend(fresh)
    return order


def _circle(names: Sequence[str]) -> dict[str, Point]:
    radius = max(1.0, len(names) / math.tau)
    turn = math.tau / len(names)
    return {name: (radius * math.cos(turn * at), radius * math.sin(turn * at)) for at, name in enumerate(names)}


def _distances(start: str, neighbours: Mapping[str, set[str]]) -> dict[str, int]:
    found = {start: 0}
    pending = deque([start])
    while pending:
        name = pending.popleft()
        for other in neighbours[name]:
            if other not in found:
                found[other] = found[name] + 1
                pending.append(other)
    return found


def _fitted(points: Mapping[str, Point], width: float, height: float) -> dict[str, Point]:
    xs, ys = [x for x, _ in points.values()], [y for _, y in points.values()]
    span_x, span_y = max(xs) - min(xs), max(ys) - min(ys)
    scales = [room / span for room, span in ((width, span_x), (height, span_y)) if span > 1e-9]
    scale = min(scales, default=0.0)
    middle_x, middle_y = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    return {
        name: _inside(width / 2 + (x - middle_x) * scale, height / 2 + (y - middle_y) * scale, width, height)
        for name, (x, y) in points.items()
    }


def _spread(points: dict[str, Point], width: float, height: float, apart: float) -> dict[str, Point]:
    """Push nodes of one place apart, so that none hides another."""
    names = list(points)
    if len(names) > _LARGEST:
        return points
    for _ in range(60):
        crowded = False
        for index, one in enumerate(names):
            for other in names[index + 1 :]:
                (one_x, one_y), (other_x, other_y) = points[one], points[other]
                distance = math.hypot(other_x - one_x, other_y - one_y)
                if distance >= apart - 1e-6:
                    continue
                crowded = True
                if distance > 1e-9:
                    away_x, away_y = (other_x - one_x) / distance, (other_y - one_y) / distance
                else:  # nothing says which way: turn with the place in the list
                    away_x, away_y = math.cos(index + 1), math.sin(index + 1)
                push = (apart - distance) / 2
                points[one] = _inside(one_x - away_x * push, one_y - away_y * push, width, height)
                points[other] = _inside(other_x + away_x * push, other_y + away_y * push, width, height)
        if not crowded:
            break
    return points


def _inside(x: float, y: float, width: float, height: float) -> Point:
    return min(max(x, 0.0), width), min(max(y, 0.0), height)
