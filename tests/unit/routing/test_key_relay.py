from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings

from controller.domain.capacity import link_charge_millibit_per_s
from controller.domain.key_relay import Demand
from controller.domain.node import Capability, Node
from controller.domain.refusals import NotFound, Precondition, TooHard
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.candidates import candidate_routes
from controller.routing.feasible import check_route
from controller.routing.graph import graph_of
from controller.routing.key_relay import find_route

from .networks import (
    CHARGE,
    all_in_order,
    allowed,
    demand,
    down,
    link,
    network,
    problems,
    room,
    simple_routes,
)


def refusal_of(snapshot: Snapshot, wanted: Demand) -> Precondition:
    with pytest.raises(Precondition) as refused:
        find_route(graph_of(snapshot), wanted)
    return refused.value


@settings(max_examples=200, deadline=None)
@given(problems())
def test_the_route_is_the_best_of_all_loop_free_ones_and_its_absence_is_true(problem: tuple[Snapshot, Demand]) -> None:
    snapshot, wanted = problem
    expected = all_in_order(snapshot, wanted)
    if expected:
        found = find_route(graph_of(snapshot), wanted)
        assert found == expected[0]
        check_route(graph_of(snapshot), wanted, [found])
    else:
        carried = any(
            allowed(snapshot, wanted, route) for route in simple_routes(snapshot, wanted.source, wanted.target)
        )
        assert refusal_of(snapshot, wanted).reason == ("NO_CAPACITY" if carried else "NO_ROUTE")


@settings(max_examples=80, deadline=None)
@given(problems())
def test_candidates_are_the_loop_free_routes_in_order(problem: tuple[Snapshot, Demand]) -> None:
    snapshot, wanted = problem
    expected = all_in_order(snapshot, wanted)
    if expected:
        for limit in (1, 3, len(expected) + 1):
            assert list(candidate_routes(graph_of(snapshot), wanted, limit)) == expected[:limit]
    else:
        with pytest.raises(Precondition):
            candidate_routes(graph_of(snapshot), wanted, 3)


@settings(max_examples=80, deadline=None)
@given(problems())
def test_the_way_back_is_the_reverse(problem: tuple[Snapshot, Demand]) -> None:
    snapshot, wanted = problem
    back = replace(wanted, source=wanted.target, target=wanted.source)
    if all_in_order(snapshot, wanted):
        there = find_route(graph_of(snapshot), wanted)
        assert find_route(graph_of(snapshot), back) == there.reversed()
    else:
        one, other = refusal_of(snapshot, wanted), refusal_of(snapshot, back)
        assert one.reason == other.reason
        ends = {"source", "target"}
        assert {key: fact for key, fact in one.facts().items() if key not in ends} == {
            key: fact for key, fact in other.facts().items() if key not in ends
        }


@settings(max_examples=120, deadline=None)
@given(problems())
def test_a_bottleneck_is_what_holds_the_demand_down(problem: tuple[Snapshot, Demand]) -> None:
    snapshot, wanted = problem
    routes = [
        route for route in simple_routes(snapshot, wanted.source, wanted.target) if allowed(snapshot, wanted, route)
    ]
    if not routes or all_in_order(snapshot, wanted):
        return
    facts = refusal_of(snapshot, wanted).facts()
    widest = max(room(snapshot, route) for route in routes)
    bottleneck, short = (set(facts[name].split(",")) for name in ("bottleneck_links", "short_links"))
    missing = int(Decimal(facts["missing_bit_per_s"]) * 1000)

    # what is missing is exact, and what is said to be possible is
    assert missing == CHARGE - widest
    possible = int(Decimal(facts["possible_bit_per_s"]) * 1000)
    if possible:
        find_route(graph_of(snapshot), replace(wanted, rate_millibit_per_s=possible))
    for more in (possible + 1, possible + 500):
        assert link_charge_millibit_per_s(more) > widest

    # no bottleneck link could carry more than the widest route
    assert all(snapshot.links[name].model_skr_millibit_per_s <= widest for name in bottleneck)
    if wanted.max_hops is None and not wanted.pass_nodes and not wanted.pass_links:
        # a plain bottleneck is a cut, and none of it is there in vain
        assert all(bottleneck & set(route.links) for route in routes)
        for name in bottleneck:
            assert any(bottleneck & set(route.links) == {name} for route in routes)

    # with what is missing added to the short links, the demand fits
    widened = {
        name: replace(one, model_skr_millibit_per_s=one.model_skr_millibit_per_s + missing)
        for name, one in snapshot.links.items()
        if name in short
    }
    find_route(graph_of(replace(snapshot, links={**snapshot.links, **widened})), wanted)


@pytest.mark.parametrize("length", range(1, 13))
def test_a_line_of_any_length_has_its_one_route(length: int) -> None:
    names = [f"n{number:02}" for number in range(length + 1)]
    snapshot = network(*(link(f"l{number:02}", names[number], names[number + 1]) for number in range(length)))
    route = find_route(graph_of(snapshot), demand(names[-1], names[0]))
    assert route.nodes == tuple(reversed(names))
    assert len(route.links) == length


def test_of_equally_short_routes_the_roomier_then_the_first_by_name_wins() -> None:
    links = [
        link("a-b", "a", "b"),
        link("a-c", "a", "c"),
        link("b-d", "b", "d", 8 * CHARGE),
        link("c-d", "c", "d", 9 * CHARGE),
    ]
    assert find_route(graph_of(network(*links)), demand("a", "d")).links == ("a-c", "c-d")
    links[3] = link("c-d", "c", "d", 8 * CHARGE)
    assert find_route(graph_of(network(*links)), demand("a", "d")).links == ("a-b", "b-d")
    assert find_route(graph_of(network(*links)), demand("d", "a")).links == ("b-d", "a-b")


def test_of_parallel_links_the_roomier_is_taken() -> None:
    snapshot = network(link("p1", "a", "b", 4 * CHARGE), link("p2", "a", "b", 5 * CHARGE))
    assert find_route(graph_of(snapshot), demand("a", "b")) == Route(nodes=("a", "b"), links=("p2",))


def test_a_pass_that_needs_a_loop_is_no_route() -> None:
    # d hangs on b alone: every walk past it crosses b twice
    snapshot = network(link("a-b", "a", "b"), link("b-c", "b", "c"), link("b-d", "b", "d"))
    refused = refusal_of(snapshot, demand("a", "c", pass_nodes=frozenset({"d"})))
    assert refused.reason == "NO_ROUTE"
    assert refused.facts()["constraint"] == "pass_nodes"
    assert "nodes/d" not in refused.message
    assert "pass_nodes = d" in refused.message


def test_separated_ends_are_told_which_links_would_join_them() -> None:
    snapshot = network(
        link("a-b", "a", "b"),
        link("b-c", "b", "c"),
        link("c-d", "c", "d"),
        link("b-d", "b", "d", maintenance=True),
        conditions={"b-c": down("fibre cut")},
    )
    refused = refusal_of(snapshot, demand("a", "d"))
    assert refused.facts() == {
        "source": "a",
        "target": "d",
        "separated_nodes": "a,b",
        "unusable_links": "b-c,b-d",
    }
    assert "links/b-c (down: fibre cut)" in refused.message
    assert "links/b-d (in maintenance)" in refused.message


def test_a_node_that_cannot_relay_is_named() -> None:
    snapshot = network(
        link("a-b", "a", "b"),
        link("b-c", "b", "c"),
        nodes=(Node(name="b", capabilities=frozenset({Capability.KEY_DELIVERY})),),
    )
    assert refusal_of(snapshot, demand("a", "c")).facts()["not_relaying"] == "b"
    assert find_route(graph_of(snapshot), demand("a", "b")).links == ("a-b",)


@pytest.mark.parametrize(
    ("constraint", "value"),
    [
        ("max_hops", 1),
        ("avoid_nodes", frozenset({"b"})),
        ("avoid_links", frozenset({"b-c"})),
        ("trust_domains", frozenset({"elsewhere"})),
        ("pass_nodes", frozenset({"z"})),
        ("pass_links", frozenset({"z"})),
    ],
)
def test_the_constraint_that_leaves_no_route_is_named(constraint: str, value: object) -> None:
    snapshot = network(link("a-b", "a", "b"), link("b-c", "b", "c"))
    refused = refusal_of(snapshot, demand("a", "c", **{constraint: value}))
    assert refused.reason == "NO_ROUTE"
    assert refused.facts()["constraint"] == constraint
    assert "without it there is one of 2 links" in refused.message


def test_a_pass_over_a_link_that_is_down_says_why() -> None:
    snapshot = network(link("a-b", "a", "b"), link("p", "a", "b"), conditions={"p": down("cut")})
    refused = refusal_of(snapshot, demand("a", "b", pass_links=frozenset({"p"})))
    assert "links/p (down: cut)" in refused.message
    assert refused.facts()["unusable"] == "links/p"


def test_an_unknown_end_is_not_found() -> None:
    with pytest.raises(NotFound):
        find_route(graph_of(network(link("a-b", "a", "b"))), demand("a", "z"))


def test_a_search_beyond_its_steps_is_no_guess() -> None:
    # every node of a 6 x 6 grid, from one corner to the opposite: of one colour, so 36 nodes can't alternate
    side = 6
    names = {(x, y): f"n{x}{y}" for x in range(side) for y in range(side)}
    links = [
        link(f"{name}-{names[to]}", name, names[to])
        for (x, y), name in names.items()
        for to in ((x + 1, y), (x, y + 1))
        if to in names
    ]
    with pytest.raises(TooHard) as refused:
        find_route(
            graph_of(network(*links)),
            demand(names[0, 0], names[side - 1, side - 1], pass_nodes=frozenset(names.values())),
        )
    assert refused.value.reason == "TOO_HARD"


def test_without_trusted_transit_only_the_direct_link_is_the_bottleneck_however_wide_the_way_around_it() -> None:
    snapshot = network(link("direct", "a", "c", CHARGE - 1), link("a-b", "a", "b"), link("b-c", "b", "c"))
    refused = refusal_of(snapshot, demand("a", "c", no_trusted_transit=True))
    assert (refused.reason, refused.facts()["bottleneck_links"]) == ("NO_CAPACITY", "direct")


def test_a_rate_beyond_the_bottleneck_says_what_would_fit() -> None:
    snapshot = network(link("a-b", "a", "b", CHARGE), link("p1", "b", "c", CHARGE - 1), link("p2", "b", "c", 100))
    refused = refusal_of(snapshot, demand("a", "c"))
    assert refused.reason == "NO_CAPACITY"
    assert refused.facts() == {
        "bottleneck_links": "p1,p2",
        "short_links": "p1",
        "missing_bit_per_s": "0.001",
        "possible_bit_per_s": "0.999",
    }
