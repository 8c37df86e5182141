"""A planned network keeps lengths, splits evenly, names everything once, and is a file that our reader takes."""

import math
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.config.foreign.graph import understand
from controller.config.foreign.labels import label_of
from controller.config.foreign.plan import Plan, plan, reach_db, spans_of
from controller.config.foreign.sphere import between, great_circle_km
from controller.config.foreign.text import topology_text
from controller.config.mistakes import Mistakes
from controller.config.profiles import expected_block
from controller.config.section import loads
from controller.config.topology_file import TopologyFile, read_topology
from controller.domain.names import is_label
from controller.domain.node import Capability
from tests.unit.config.foreign.networks import PROFILES, building, profile, raw

names = st.one_of(
    st.sampled_from(["a", "A", "a-2", "a-a", "北京", "Zürich", "", "-", "no", "1e5"]), st.text(max_size=80)
)
positions = st.one_of(st.none(), st.tuples(st.floats(-180, 180), st.floats(-90, 90)))


@st.composite
def graphs(draw: st.DrawFn) -> Any:
    count = draw(st.integers(1, 6))
    nodes = []
    for key in range(count):
        position = draw(positions)
        nodes.append((str(key), {"name": draw(names), **({"pos": list(position)} if position else {})}))
    ends = st.integers(0, count - 1)
    edges = draw(st.lists(st.tuples(ends, ends, st.floats(0, 400)), max_size=6))
    return raw(nodes, [(str(a), str(b), {"dist": length}) for a, b, length in edges])


def read_back(planned: Plan, max_span_km: float, warnings: tuple[str, ...] = ()) -> TopologyFile:
    text = topology_text(
        planned,
        building(max_span_km),
        name="n",
        title="no",
        source="a source of tests",
        profiles=str(PROFILES),
        warnings=warnings,
    )
    return loads(text, read_topology)


@given(graphs(), st.floats(20, 150))
@example(raw([("0", {"name": "a"}), ("1", {"name": "b"})], [("0", "1", {"dist": 20.01171875})]), 20.01171875)
@settings(max_examples=40, deadline=None)
def test_whatever_is_planned_is_read_as_planned(foreign: Any, max_span_km: float) -> None:
    graph = understand(foreign)
    planned = plan(graph, building(max_span_km))
    topology = read_back(planned, max_span_km, graph.warnings)
    assert [node.name for node in topology.nodes] == [node.name for node in planned.nodes]
    assert [link.name for link in topology.links] == [link.name for link in planned.links]
    assert [link.length_km for link in topology.links] == [link.length_km for link in planned.links]
    for node, wanted in zip(topology.nodes, planned.nodes, strict=True):
        assert (Capability.KEY_DELIVERY in node.capabilities) is bool(wanted.label)
        if wanted.position is None:
            assert (node.longitude_deg, node.latitude_deg) == (None, None)
        else:
            assert (node.longitude_deg, node.latitude_deg) == pytest.approx(wanted.position, abs=1e-6)
    # The same graph gives the same plan, name by name.
    assert plan(graph, building(max_span_km)) == planned


@given(graphs(), st.floats(5, 150))
@settings(max_examples=60, deadline=None)
def test_splitting_keeps_the_whole_length_and_no_span_is_above_the_maximum(foreign: Any, max_span_km: float) -> None:
    graph = understand(foreign)
    planned = plan(graph, building(max_span_km))
    assert all(link.length_km <= max_span_km for link in planned.links)
    spans = sum(spans_of(edge.length_km, max_span_km) for edge in graph.edges)
    assert len(planned.links) == spans
    assert len(planned.nodes) == len(graph.nodes) + spans - len(graph.edges)
    total_km = sum(edge.length_km for edge in graph.edges)
    assert sum(link.length_km for link in planned.links) == pytest.approx(total_km, abs=1e-6 * spans + 1e-9)


@given(st.floats(0, 100_000), st.floats(0.1, 100_000))
def test_as_few_spans_are_made_as_do(length_km: float, max_span_km: float) -> None:
    spans = spans_of(length_km, max_span_km)
    assert length_km / spans <= max_span_km
    assert spans == 1 or length_km / (spans - 1) > max_span_km * (1 - 1e-12)


@given(positions, positions, st.floats(0, 1))
def test_a_relay_stands_on_the_way_between_the_ends(a: Any, b: Any, part: float) -> None:
    if a is None or b is None:
        return
    whole, there = great_circle_km(a, b), between(a, b, part)
    assert abs(there[0]) <= 180 + 1e-6
    assert abs(there[1]) <= 90 + 1e-6
    assert great_circle_km(a, there) == pytest.approx(whole * part, abs=0.01)
    assert great_circle_km(there, b) == pytest.approx(whole * (1 - part), abs=0.01)


@given(names)
def test_every_name_becomes_a_label(name: str) -> None:
    label = label_of(name, otherwise="node", longest=40)
    assert is_label(label)
    assert len(label) <= 40


def test_nodes_of_one_name_are_told_apart_and_so_are_parallel_links() -> None:
    nodes = [("1", {"name": "Bern"}), ("2", {"name": "Bern"}), ("3", {"name": "Bern 2"})]
    edges = [("1", "2", {"dist": 5}), ("2", "1", {"dist": 6}), ("1", "3", {"dist": 100})]
    planned = plan(understand(raw(nodes, edges)), building())
    assert planned.names == {"1": "bern", "2": "bern-3", "3": "bern-2"}
    assert [node.name for node in planned.nodes] == ["bern", "bern-3", "bern-2", "bern-bern-2-relay-1"]
    assert [link.name for link in planned.links] == [
        "bern-bern-3",
        "bern-bern-3-2",
        "bern-bern-2-span-1",
        "bern-bern-2-span-2",
    ]
    assert [link.length_km for link in planned.links] == [5, 6, 50, 50]


def test_a_span_beyond_the_reach_of_the_modules_is_refused_with_the_span_that_would_do() -> None:
    graph = understand(raw([("a", {}), ("b", {})], [("a", "b", {"dist": 300})]))
    with pytest.raises(Mistakes, match="they reach") as caught:
        plan(graph, building(200.0 * 2))
    match = re.search(r"--max-span-km ([\d.]+) or less", str(caught.value))
    assert match
    assert plan(graph, building(float(match[1]))).links


def test_the_reach_is_where_the_key_ends() -> None:
    module = profile().module
    reach = reach_db(module)
    assert expected_block(module, reach).skr_bit_per_s > 20 >= expected_block(module, reach + 0.02).skr_bit_per_s


def test_a_network_that_would_become_too_large_is_refused_before_it_is_made() -> None:
    graph = understand(raw([("a", {}), ("b", {})], [("a", "b", {"dist": 99_999})] * 9))
    with pytest.raises(Mistakes, match="20000 are the most: give a larger --max-span-km"):
        plan(graph, building(0.5))


def test_the_suggested_ends_are_far_apart_and_no_relays() -> None:
    edges = [(str(n), str(n + 1), {"dist": 100}) for n in range(9)]
    planned = plan(understand(raw([(str(n), {"name": f"n{n}"}) for n in range(10)], edges)), building())
    assert planned.suggested == ("n0", "n9")
    assert plan(understand(raw([("a", {}), ("b", {})], [("a", "b", {"dist": 1})])), building()).suggested is None


def test_a_file_says_where_its_lengths_come_from() -> None:
    nodes = [("a", {"pos": [0, 0]}), ("b", {"pos": [1, 0]}), ("c", {})]
    edges = [("a", "b", {}), ("b", "c", {"dist": 10}), ("a", "c", {})]
    planned = plan(understand(raw(nodes, edges), default_length_km=3), building())
    topology = read_back(planned, 80)
    said = {link.name: link.provenance["length_km"] for link in topology.links}
    assert said["a-b-span-1"].source.startswith("great-circle distance between the positions in ")
    assert said["a-b-span-1"].source.endswith("divided evenly into spans of at most 80 km")
    assert said["b-c"].source == "length of the link in a source of tests"
    assert said["a-c"].source == "the default length that the import was told"
    assert [said[name].basis.value for name in ("a-b-span-1", "b-c", "a-c")] == ["derived", "derived", "assumed"]
    total = sum(link.length_km or 0 for link in topology.links if link.name.startswith("a-b"))
    assert total == pytest.approx(math.radians(1) * 6371.0088, abs=1e-5)
