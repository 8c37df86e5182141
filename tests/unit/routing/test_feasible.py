from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.capacity import over_reserved, reserved_by, service_charges
from controller.domain.key_relay import Demand, KeyRelay, Releasing
from controller.domain.link import LinkCondition
from controller.domain.node import Node
from controller.domain.refusals import Precondition, Refusal
from controller.domain.route import Route
from controller.domain.route_sets import all_given_up, rerouted
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import charges_after_move, check_move, check_route, find_move
from controller.routing.graph import graph_of

from .networks import (
    CHARGE,
    all_in_order,
    demand,
    disjoint_sets,
    down,
    link,
    network,
    problems,
    simple_routes,
)


@settings(max_examples=100, deadline=None)
@given(problems())
def test_a_proposal_is_accepted_just_when_it_is_one_of_the_feasible_routes(problem: tuple[Snapshot, Demand]) -> None:
    snapshot, wanted = problem
    feasible = all_in_order(snapshot, wanted)
    graph = graph_of(snapshot)
    for route in simple_routes(snapshot, wanted.source, wanted.target):
        try:
            check_route(graph, wanted, [route])
        except Precondition:
            assert route not in feasible
        else:
            assert route in feasible


@settings(max_examples=80, deadline=None)
@given(problems(places=True, most_nodes=5, most_links=8))
def test_a_pair_is_accepted_just_when_it_is_one_of_the_disjoint_sets(problem: tuple[Snapshot, Demand]) -> None:
    snapshot, wanted = problem
    wanted = replace(wanted, shares=2)
    feasible = {frozenset(pair) for pair in disjoint_sets(snapshot, wanted, 2, CHARGE)}
    graph = graph_of(snapshot)
    routes = list(simple_routes(snapshot, wanted.source, wanted.target))
    for one in routes[:8]:
        for other in routes[:8]:
            try:
                check_route(graph, wanted, [one, other])
            except Precondition:
                assert frozenset((one, other)) not in feasible or one == other
            else:
                assert frozenset((one, other)) in feasible


@pytest.mark.parametrize(
    ("route", "problem"),
    [
        (Route(nodes=("a", "b"), links=("gone",)), "does not exist"),
        (Route(nodes=("a", "b"), links=("cut",)), "down"),
        (Route(nodes=("a", "b"), links=("a-c",)), "does not join"),
        (Route(nodes=("a", "c"), links=("a-c",)), "is not one from"),
        (Route(nodes=("a", "c", "b"), links=("a-c", "b-c")), "more than max_hops"),
    ],
)
def test_a_stale_proposal_says_what_is_wrong(route: Route, problem: str) -> None:
    snapshot = network(
        link("a-c", "a", "c"), link("b-c", "b", "c"), link("cut", "a", "b"), conditions={"cut": down("fibre")}
    )
    with pytest.raises(Precondition, match=problem) as refused:
        check_route(graph_of(snapshot), demand("a", "b", max_hops=1), [route])
    assert refused.value.reason == "ROUTE_REFUSED"


def test_the_number_of_routes_is_that_of_the_shares() -> None:
    snapshot = network(link("a-b", "a", "b"))
    with pytest.raises(Precondition, match="1 routes for 2 shares"):
        check_route(graph_of(snapshot), demand("a", "b", shares=2), [Route(nodes=("a", "b"), links=("a-b",))])


def test_two_shares_of_one_location_are_refused() -> None:
    snapshot = network(
        *(link(f"{end}-{middle}", end, middle) for end in "ad" for middle in "bc"),
        nodes=(Node(name="b", location="hall"), Node(name="c", location="hall")),
    )
    routes = [Route(nodes=("a", middle, "d"), links=(f"a-{middle}", f"d-{middle}")) for middle in "bc"]
    with pytest.raises(Precondition, match="one location") as refused:
        check_route(graph_of(snapshot), demand("a", "d", shares=2), routes)
    assert refused.value.reason == "NO_DISJOINT_ROUTES"


def test_a_relay_may_leave_a_link_that_weakened_below_what_it_holds() -> None:
    old, new = (Route(nodes=("a", "b"), links=(name,)) for name in ("p1", "p2"))
    relay = KeyRelay(name="one", demand=demand("a", "b"), routes=(old,), route_version=1)
    snapshot = network(
        link("p1", "a", "b"),
        link("p2", "a", "b"),
        relays=(relay,),
        conditions={"p1": LinkCondition(promised_skr_millibit_per_s=1)},
    )
    graph = graph_of(snapshot, ignoring=["one"])
    assert find_move(graph, relay) == (new,)
    check_move(graph, relay, (new,))


def test_what_one_share_takes_over_from_another_is_charged_for_both_until_it_is_released() -> None:
    old = (Route(nodes=("a", "b"), links=("p1",)), Route(nodes=("a", "b"), links=("p2",)))
    relay = KeyRelay(name="one", demand=demand("a", "b", shares=2), routes=old, route_version=1)
    charges = charges_after_move(relay, old[::-1])
    assert charges == {"p1": 2 * CHARGE, "p2": 2 * CHARGE}
    assert charges_after_move(relay, old) == service_charges(relay)
    snapshot = network(link("p1", "a", "b", CHARGE), link("p2", "a", "b", CHARGE + 1), relays=(relay,))
    graph = graph_of(snapshot, ignoring=["one"])
    # the best order of the routes is p2, p1 (the roomier first), but only the old order of shares fits
    assert find_move(graph, relay) == old
    check_move(graph, relay, old)
    with pytest.raises(Precondition, match="missing"):
        check_move(graph, relay, old[::-1])


@st.composite
def moves(draw: st.DrawFn) -> tuple[Snapshot, KeyRelay]:
    """A relay somewhere, with what earlier moves still hold, that is to be routed anew."""
    snapshot, wanted = draw(problems(passing=False, most_nodes=5, most_links=9))
    wanted = replace(wanted, shares=draw(st.sampled_from([1, 2])), max_hops=None)
    routes = list(simple_routes(snapshot, wanted.source, wanted.target))
    present: tuple[Route, ...] = ()
    held: tuple[Releasing, ...] = ()
    if routes:
        present = tuple(draw(st.lists(st.sampled_from(routes), max_size=wanted.shares)))
        earlier = tuple(draw(st.lists(st.sampled_from(routes), max_size=wanted.shares)))
        held = all_given_up(KeyRelay(name="one", demand=wanted, routes=earlier))
    relay = KeyRelay(name="one", demand=wanted, routes=present, releasing=held, route_version=2)
    return replace(snapshot, relays={"one": relay}), relay


@settings(max_examples=120, deadline=None)
@given(moves())
def test_a_move_never_promises_more_than_there_is_on_the_links_it_takes(case: tuple[Snapshot, KeyRelay]) -> None:
    snapshot, relay = case
    graph = graph_of(snapshot, ignoring=["one"])
    try:
        routes = find_move(graph, relay)
    except Refusal:
        if relay.demand.shares == 1:
            assert not all_in_order(replace(snapshot, relays={}), relay.demand)
        return
    check_move(graph, relay, routes)
    moved = rerouted(relay, routes, version=3)
    excess = over_reserved(snapshot.links, snapshot.conditions, reserved_by([moved]))
    assert excess.keys().isdisjoint(moved.links())
