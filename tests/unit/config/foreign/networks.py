"""Foreign graphs for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from controller.config.foreign.graph import RawEdge, RawGraph, RawNode
from controller.config.foreign.plan import Building
from controller.config.profiles import Profile, profiles_file
from controller.config.section import load

PROFILES = Path(__file__).parents[4] / "topologies" / "profiles.yaml"


def profile(name: str = "decoy-bb84-sspd-1ghz") -> Profile:
    return load(PROFILES, profiles_file).modules[name]


def building(max_span_km: float = 80.0) -> Building:
    return Building(max_span_km=max_span_km, profile=_PROFILE, attenuation_db_per_km=0.25)


def raw(
    nodes: Sequence[tuple[str, dict[str, Any]]], edges: Sequence[tuple[str, str, dict[str, Any]]], **more: Any
) -> RawGraph:
    return RawGraph(
        source="g",
        name=more.pop("name", ""),
        directed=more.pop("directed", False),
        nodes=[RawNode(place=f"nodes[{n}]", key=key, attributes=found) for n, (key, found) in enumerate(nodes)],
        edges=[RawEdge(place=f"edges[{n}]", ends=(a, b), attributes=found) for n, (a, b, found) in enumerate(edges)],
        **more,
    )


_PROFILE = profile()
