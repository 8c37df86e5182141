"""Relays over every path length, on lines, rings, and where routes tie."""

from collections.abc import Iterator

import pytest

from tests.support.daemons import World, network
from tests.support.operator_calls import Relay
from tests.support.topology_text import topology_yaml

LENGTHS = range(1, 13)


def passes(relay: Relay) -> list[str]:
    """Return the links of a relay's one route, from source to target."""
    (route,) = relay.routes
    assert (route.hops[0].start_node, route.hops[-1].end_node) == (relay.source, relay.target)
    return [hop.link.removeprefix("links/") for hop in route.hops]


@pytest.fixture
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A line of 13 nodes n00 to n12."""
    links = [(f"l{each:02}", f"n{each:02}", f"n{each + 1:02}") for each in range(12)]
    with network(tmp_path_factory.mktemp("line"), topology_yaml("line-13", links)) as running:
        yield running


def test_keys_are_relayed_over_every_path_length_in_both_directions(line: World) -> None:
    names = [(f"{way}-{length}", way, length) for length in LENGTHS for way in ("out", "back")]
    for name, way, length in names:
        near, far = "n00", f"n{length:02}"
        source, target = (near, far) if way == "out" else (far, near)
        line.application(name, (f"{name}.master", source), (f"{name}.slave", target))
        # Keys of one direction do, and halve the work of filling the stocks.
        line.create(name, source, target, 70.0, forward_share=1.0, application=f"applications/{name}")
    ran = line.active(*(name for name, _, _ in names))
    for length in LENGTHS:
        out, back = passes(ran[f"out-{length}"]), passes(ran[f"back-{length}"])
        assert out == [f"l{each:02}" for each in range(length)]
        assert back == out[::-1]
    keys = [key for name, _, _ in names for key in line.fetch(f"{name}.master", f"{name}.slave", number=2)]
    assert len({key.key_id for key in keys}) == len({key.key for key in keys}) == 2 * len(names)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A ring of six nodes, two links between r0 and r1, and a chord that makes routes of equal length."""
    links = [(f"ring-{each}", f"r{each}", f"r{(each + 1) % 6}") for each in range(6)]
    links += [("second-0", "r0", "r1"), ("chord", "r1", "r4")]
    with network(tmp_path_factory.mktemp("web"), topology_yaml("web", links)) as running:
        yield running


def test_on_rings_with_parallel_links_every_route_is_shortest_and_the_reverse_of_its_reverse(web: World) -> None:
    nodes = [f"r{each}" for each in range(6)]
    hops = {"r1": 1, "r2": 2, "r3": 3, "r4": 2, "r5": 1}
    for source in nodes:
        for target in nodes:
            if source < target:
                there, back = web.routes(source, target), web.routes(target, source)
                assert [each[::-1] for each in back] == there
                if source == "r0":
                    assert len(there[0]) == hops[target]


def test_relays_spread_over_parallel_links_and_give_equal_keys(web: World) -> None:
    pairs = [("r0", "r1"), ("r1", "r0"), ("r0", "r4"), ("r3", "r0")]
    for number, (source, target) in enumerate(pairs):
        web.application(f"web-{number}", (f"web-{number}.m", source), (f"web-{number}.s", target))
        web.create(f"web-{number}", source, target, 1000.0, application=f"applications/web-{number}")
    ran = web.active(*(f"web-{number}" for number in range(len(pairs))))
    # The first takes the smaller name of two equal links; the next finds more room on the other.
    assert passes(ran["web-0"]) == ["ring-0"]
    assert passes(ran["web-1"]) == ["second-0"]
    assert len(passes(ran["web-2"])) == 2
    assert len(passes(ran["web-3"])) == 3
    keys = [key for number in range(len(pairs)) for key in web.fetch(f"web-{number}.m", f"web-{number}.s")]
    keys += [key for number in range(len(pairs)) for key in web.fetch(f"web-{number}.s", f"web-{number}.m")]
    assert len({key.key for key in keys}) == 2 * len(pairs)
