"""What each node is told of a key relay, version by version."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.capacity import link_charge_millibit_per_s, rate_within
from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.entries import HopRole, PathEntry, RelayHopEntry
from controller.domain.key_relay import Demand, KeyRelay, Phase, Protection
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot, put
from controller.planning.compile import compile_owner, owners_touched
from controller.routing.entanglement.find import find_path
from controller.routing.entanglement.network import pair_network_of
from controller.service.lifecycle import advanced, routed, switched
from tests.support.networks import network

WAY = Route(nodes=("a", "m0", "z"), links=("a0", "z0"))
DETOUR = Route(nodes=("a", "m1", "z"), links=("a1", "z1"))
NET = network([(f"{end}{i}", end, f"m{i}", 10_000) for end in "az" for i in range(3)])
DEMAND = Demand(source="a", target="z", rate_millibit_per_s=1_000_000)


def settled(demand: Demand = DEMAND, backup: tuple[Route, ...] = ()) -> KeyRelay:
    relay = routed(KeyRelay(name="r", demand=demand), (WAY,), version=5, now_ms=0, because="", backup=backup)
    for _ in range(4):
        relay = advanced(relay, lambda node: True, now_ms=0)
    assert relay.phase is Phase.SETTLED
    return relay


def told(relay: KeyRelay) -> dict[tuple[str, int], RelayHopEntry]:
    """Return the hops of a relay, by (node, version)."""
    snapshot: Snapshot = NET.applying(put(relay))
    entries = compile_owner(snapshot, ("relays", relay.name))
    return {
        (node, entry.route_version): entry
        for node, hops in entries.items()
        for entry in hops
        if isinstance(entry, RelayHopEntry)
    }


def test_a_version_is_told_to_the_head_end_when_it_is_to_be_in_use_and_the_old_one_is_passive_from_then_on() -> None:
    moving = routed(settled(), (DETOUR,), version=7, now_ms=0, because="")
    assert {key for key in told(moving) if key[1] == 7} == {("m1", 7), ("z", 7)}
    assert not told(moving)["a", 5].passive

    switching = advanced(moving, lambda node: True, now_ms=0)
    assert switching.phase is Phase.SWITCHING
    assert not told(switching)["a", 7].passive
    assert told(switching)["a", 5].passive
    # entries of one version stay as they are everywhere else
    others = {key: entry for key, entry in told(moving).items() if key[0] != "a"}
    assert others.items() <= told(switching).items()


def test_a_backup_is_told_to_all_and_passive_at_the_head_end_so_that_switching_tells_it_alone() -> None:
    protected = settled(replace(DEMAND, protection=Protection.ONE_FOR_ONE), (DETOUR,))
    before = told(protected)
    assert before["a", 6].passive
    assert before["a", 6].role is HopRole.HEAD
    after = told(switched(protected, because="cut"))
    assert {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} == {("a", 5), ("a", 6)}


def test_of_1_plus_1_both_are_in_use_once_installed() -> None:
    protected = settled(replace(DEMAND, protection=Protection.ONE_PLUS_ONE), (DETOUR,))
    assert not told(protected)["a", 5].passive
    assert not told(protected)["a", 6].passive
    assert advanced(protected, lambda node: False, now_ms=0).backup is not None


def test_what_is_left_keeps_the_rate_and_the_direction_that_it_had() -> None:
    other = replace(DEMAND, rate_millibit_per_s=5_000_000, forward_share=1.0)
    moving = routed(settled(), (WAY,), version=7, now_ms=0, because="", demand=other)
    entries = told(moving)
    assert (entries["m0", 5].rate_millibit_per_s, entries["m0", 5].forward_share) == (1_000_000, 0.5)
    assert (entries["m0", 7].rate_millibit_per_s, entries["m0", 7].forward_share) == (5_000_000, 1.0)
    assert told(settled())["m0", 5] == entries["m0", 5]


@given(st.integers(1, 2**40))
def test_a_charge_tells_its_rate(rate_millibit_per_s: int) -> None:
    assert rate_within(link_charge_millibit_per_s(rate_millibit_per_s)) == rate_millibit_per_s


@pytest.mark.parametrize("field", ["state_reason", "confirmed_by", "drained_at"])
def test_what_no_node_is_told_of_touches_no_entry(field: str) -> None:
    before = NET.applying(put(settled()))
    value = "why" if field == "state_reason" else frozenset({"a"})
    changes = put(replace(settled(), **{field: value}))  # type: ignore[arg-type]
    assert owners_touched(before, before.applying(changes), changes) == set()


PAIRED = network([], pairs=[(f"{end}{i}", end, f"m{i}", 8) for end in "az" for i in range(2)])


def paths_told(path: EntanglementPath) -> dict[tuple[str, int], PathEntry]:
    """Return what nodes are told of a path, by (node, version)."""
    entries = compile_owner(PAIRED.applying(put(path)), ("paths", path.name))
    return {
        (node, entry.route_version): entry
        for node, told in entries.items()
        for entry in told
        if isinstance(entry, PathEntry)
    }


def placed(path: EntanglementPath, version: int, avoid: str) -> EntanglementPath:
    demand = replace(path.demand, avoid_nodes=frozenset({avoid}))
    found = find_path(pair_network_of(PAIRED), demand)
    return routed(path, (found.route,), plan=found.plan, version=version, now_ms=0, because="")


def test_every_node_of_a_path_is_told_the_whole_plan_and_the_head_end_last_and_passive_when_it_is_left() -> None:
    wanted = PairDemand(source="a", target="z", minimum_fidelity=0.8, rate_millihertz=5000, purpose=7, priority=2)
    first = placed(EntanglementPath(name="p", demand=wanted), 5, "m1")
    assert set(paths_told(first)) == {("m0", 5), ("z", 5)}
    for _ in range(4):
        first = advanced(first, lambda node: True, now_ms=0)
    assert paths_told(first)["a", 5] == paths_told(first)["m0", 5] == paths_told(first)["z", 5]
    entry = paths_told(first)["m0", 5]
    assert (entry.nodes, entry.head, entry.far) == (("a", "m0", "z"), "a", "z")
    assert (entry.purpose, entry.priority, entry.hop_lengths_m) == (7, 2, (10_000, 10_000))
    assert first.plan is not None
    assert (entry.hops, entry.swaps, entry.lanes) == (first.plan.hops, first.plan.swaps, first.plan.lanes)

    moving = placed(first, 7, "m0")
    assert {key for key in paths_told(moving) if key[1] == 7} == {("m1", 7), ("z", 7)}
    switching = advanced(moving, lambda node: True, now_ms=0)
    assert (paths_told(switching)["a", 7].passive, paths_told(switching)["a", 5].passive) == (False, True)
    assert paths_told(switching)["m0", 5] == entry


@pytest.mark.parametrize("field", ["state_reason", "confirmed_by", "drained_at"])
def test_what_no_node_is_told_of_a_path_touches_no_entry(field: str) -> None:
    wanted = PairDemand(source="a", target="z", minimum_fidelity=0.8, rate_millihertz=5000)
    path = placed(EntanglementPath(name="p", demand=wanted), 5, "m1")
    before = PAIRED.applying(put(path))
    value = "why" if field == "state_reason" else frozenset({"a"})
    changes = put(replace(path, **{field: value}))  # type: ignore[arg-type]
    assert owners_touched(before, before.applying(changes), changes) == set()
    changes = put(replace(path, retiring=()), replace(path, phase=Phase.SETTLED))
    assert owners_touched(before, before.applying(changes), changes) == {("paths", "p")}
