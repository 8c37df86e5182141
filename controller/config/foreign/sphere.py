"""Distances and places on the Earth, taken as a sphere."""

import math
from typing import Final, TypeAlias

Position: TypeAlias = tuple[float, float]
"""Longitude and latitude in degrees."""

EARTH_RADIUS_KM: Final = 6371.0088
"""Mean radius (IUGG): 2/3 of the equatorial one and 1/3 of the polar one."""


def great_circle_km(a: Position, b: Position) -> float:
    """Return the length of the shortest way on the surface, by the haversine formula.

    >>> round(great_circle_km((13.4, 52.5), (11.6, 48.1)))
    506
    """
    latitude_a, latitude_b = math.radians(a[1]), math.radians(b[1])
    half_chord = (
        math.sin((latitude_b - latitude_a) / 2) ** 2
        + math.cos(latitude_a) * math.cos(latitude_b) * math.sin(math.radians(b[0] - a[0]) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half_chord)))


def between(a: Position, b: Position, part: float) -> Position:
    """Return the place on the great circle from a to b after a part of the way, in [0, 1].

    Of two opposite places every way is shortest; the one over the pole is taken.

    >>> between((0.0, 0.0), (90.0, 0.0), 0.5)
    (45.0, 0.0)
    >>> between((179.0, 0.0), (-179.0, 0.0), 0.5)
    (180.0, 0.0)
    """
    start, end = _vector(a), _vector(b)
    angle = great_circle_km(a, b) / EARTH_RADIUS_KM
    if angle == 0.0:
        return a
    if math.pi - angle < 1e-9:
        pole = (a[0], 90.0)
        first = 90.0 - a[1]
        return (
            between(a, pole, part * 180.0 / first)
            if part * 180.0 <= first
            else between((b[0], 90.0), b, (part * 180.0 - first) / (180.0 - first))
        )
    from_start, from_end = math.sin((1 - part) * angle) / math.sin(angle), math.sin(part * angle) / math.sin(angle)
    x, y, z = (from_start * p + from_end * q for p, q in zip(start, end, strict=True))
    longitude = math.degrees(math.atan2(y, x))
    return round(longitude, 6) + 0.0, round(math.degrees(math.atan2(z, math.hypot(x, y))), 6) + 0.0


def _vector(position: Position) -> tuple[float, float, float]:
    longitude, latitude = map(math.radians, position)
    return math.cos(latitude) * math.cos(longitude), math.cos(latitude) * math.sin(longitude), math.sin(latitude)
