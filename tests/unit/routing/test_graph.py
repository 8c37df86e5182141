from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.capacity import link_charge_millibit_per_s, service_charges
from controller.domain.key_relay import KeyRelay, RelayState, Releasing
from controller.domain.link import Establishment, LinkCondition, LinkKind
from controller.domain.node import Node
from controller.domain.pair_link import PairModel, PairOption, Regime
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.graph import graph_of
from controller.routing.network_view import to_networkx

from .networks import CHARGE, RATE, demand, down, link, network, networks, usable

PAIRS = PairModel(
    regime=Regime.MEMORY,
    attempt_period_s=1e-3,
    memory_pairs=1,
    options=(PairOption(success_probability=0.1, fidelity=0.9),),
)
AB = Route(nodes=("a", "b"), links=("a-b",))


def relay(name: str, *routes: Route, **more: object) -> KeyRelay:
    return replace(KeyRelay(name=name, demand=demand("a", "b"), routes=routes), **more)  # type: ignore[arg-type]


@given(networks(places=True))
def test_just_the_links_that_may_carry_something_new_are_in_the_graph(snapshot: Snapshot) -> None:
    graph = graph_of(snapshot)
    assert set(graph.links) == {name for name, one in snapshot.links.items() if usable(snapshot, one)}
    assert set(graph.links) | set(graph.unusable) == set(snapshot.links)
    for name in graph.links:
        assert graph.room(name) == snapshot.links[name].model_skr_millibit_per_s


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"admin_enabled": False}, "disabled"),
        ({"maintenance": True}, "in maintenance"),
        ({"establishment": Establishment.POSSIBLE}, "not established"),
        ({"kind": LinkKind.ENTANGLEMENT, "pairs": PAIRS}, "makes no key"),
    ],
)
def test_a_link_out_of_use_says_why(broken: dict[str, Any], why: str) -> None:
    graph = graph_of(network(link("a-b", "a", "b", **broken)))
    assert graph.links == ()
    assert graph.unusable["a-b"].why == why


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (Node(name="b", admin_enabled=False), "nodes/b is disabled"),
        (Node(name="b", maintenance=True), "nodes/b is in maintenance"),
    ],
)
def test_a_node_out_of_use_takes_its_links_along(node: Node, why: str) -> None:
    assert graph_of(network(link("a-b", "a", "b"), nodes=(node,))).unusable["a-b"].why == why


def test_a_link_whose_end_has_no_session_is_stale() -> None:
    graph = graph_of(network(link("a-b", "a", "b"), disconnected=frozenset({"b"})))
    assert graph.unusable["a-b"].why == "stale: no session with nodes/b"


def test_nothing_new_is_promised_on_a_link_that_is_down_whatever_it_has_stored() -> None:
    graph = graph_of(network(link("a-b", "a", "b"), conditions={"a-b": down("fibre cut")}))
    assert graph.room("a-b") is None
    assert graph.unusable["a-b"].why == "down: fibre cut"


def test_room_is_what_is_promised_less_what_is_held_or_still_releasing() -> None:
    releasing = Releasing(link="a-b", share=0, charge_millibit_per_s=CHARGE, nodes=("a", "b"))
    snapshot = network(
        link("a-b", "a", "b", authentication_rate_millibit_per_s=50),
        relays=(relay("one", AB), relay("gone", releasing=(releasing,), state=RelayState.REMOVING)),
        conditions={"a-b": LinkCondition(promised_skr_millibit_per_s=9000)},
    )
    assert graph_of(snapshot).room("a-b") == 9000 - 50 - 2 * CHARGE
    assert graph_of(snapshot, ignoring={"one"}).room("a-b") == 9000 - 50 - CHARGE


def test_a_link_that_weakened_below_its_promises_has_negative_room() -> None:
    snapshot = network(link("a-b", "a", "b", 100), relays=(relay("one", AB),))
    assert graph_of(snapshot).room("a-b") == 100 - CHARGE


@settings(deadline=None)
@given(networks(), st.data())
def test_a_reserving_copy_is_the_graph_of_the_snapshot_with_that_relay(snapshot: Snapshot, data: st.DataObject) -> None:
    if not snapshot.links:
        return
    one = data.draw(st.sampled_from(sorted(snapshot.links.values(), key=lambda each: each.name)))
    taken = KeyRelay(name="one", demand=demand(*one.nodes), routes=(Route(nodes=one.nodes, links=(one.name,)),))
    after = graph_of(replace(snapshot, relays={"one": taken}))
    assert graph_of(snapshot).reserving(taken.routes, RATE) == after
    assert after.freed(service_charges(taken)) == graph_of(snapshot)
    assert link_charge_millibit_per_s(RATE) == CHARGE


@given(networks(), st.data())
def test_a_copy_without_links_is_the_graph_of_the_snapshot_in_which_they_are_down(
    snapshot: Snapshot, data: st.DataObject
) -> None:
    gone = data.draw(st.sets(st.sampled_from(sorted(snapshot.links)))) if snapshot.links else set()
    usable_gone = gone & set(graph_of(snapshot).links)
    conditions = {**snapshot.conditions, **{name: down("cut") for name in usable_gone}}
    assert graph_of(snapshot).without_links(gone, "down: cut") == graph_of(replace(snapshot, conditions=conditions))


@given(networks(places=True))
def test_networkx_sees_the_same_links_rooms_and_places(snapshot: Snapshot) -> None:
    graph = graph_of(snapshot)
    view = to_networkx(graph)
    assert set(view.nodes) == set(snapshot.nodes)
    assert {name: ({a, b}, data["room_millibit_per_s"]) for a, b, name, data in view.edges(keys=True, data=True)} == {
        name: (set(snapshot.links[name].nodes), graph.room(name)) for name in graph.links
    }
    assert {name: data["place"] for name, data in view.nodes(data=True)} == {
        name: node.place for name, node in snapshot.nodes.items()
    }
