"""A refusal says what limits, and what would work."""

import tracemalloc
from collections.abc import Mapping
from dataclasses import replace

import pytest

from controller.domain.entanglement_path import Packets, PairDemand, PairUse
from controller.domain.link import Link, LinkCondition
from controller.domain.node import Node
from controller.domain.pair_link import MAX_PAIR_RATE_MILLIHERTZ, PairHardware, Regime
from controller.domain.refusals import NotFound, Precondition, TooHard
from controller.domain.snapshot import Snapshot
from controller.routing.entanglement.find import find_path
from controller.routing.entanglement.ground import ground_of
from controller.routing.entanglement.network import pair_network_of
from controller.routing.entanglement.regimes import best_candidate
from tests.support.pair_networks import STATION, pair_link, pair_snapshot, station

_BUFFERED = (Regime.BUFFERED, Regime.BUFFERED)


def _line(
    regimes: tuple[Regime, Regime] = _BUFFERED,
    middle: PairHardware | None = STATION,
    ends: PairHardware | None = STATION,
    links: tuple[Link, ...] = (),
    conditions: Mapping[str, LinkCondition] | None = None,
    channels: int = 64,
) -> Snapshot:
    made = links or (
        pair_link("ab", "a", "b", (0.1, 0.95), regime=regimes[0], memory_pairs=channels),
        pair_link("bc", "b", "c", (0.1, 0.95), regime=regimes[1], memory_pairs=channels),
    )
    nodes = [Node(name="a", pairs=ends), Node(name="b", pairs=middle), station("c")]
    return pair_snapshot(nodes, made, conditions)


def _refusal(snapshot: Snapshot, **more: object) -> Precondition:
    demand = PairDemand(source="a", target="c", minimum_fidelity=0.8, rate_millihertz=1000)
    with pytest.raises(Precondition) as refused:
        find_path(pair_network_of(snapshot), replace(demand, **more))  # type: ignore[arg-type]
    return refused.value


def _works(snapshot: Snapshot, **more: object) -> bool:
    demand = PairDemand(source="a", target="c", minimum_fidelity=0.8, rate_millihertz=1000)
    return bool(find_path(pair_network_of(snapshot), replace(demand, **more)))  # type: ignore[arg-type]


def test_an_end_that_does_not_exist_is_not_found() -> None:
    with pytest.raises(NotFound, match="nodes/x"):
        _works(_line(), source="x")


def test_a_missing_link_is_no_route_and_the_unusable_one_is_named() -> None:
    down = LinkCondition(down_at=frozenset({"b"}), down_reason="fibre cut")
    refusal = _refusal(_line(conditions={"bc": down}))
    assert refusal.reason == "NO_ROUTE"
    assert "links/bc (down: fibre cut)" in refusal.message
    assert refusal.facts()["unusable_links"] == "bc"


@pytest.mark.parametrize(
    ("wish", "constraint"),
    [
        ({"max_hops": 1}, "max_hops"),
        ({"avoid_nodes": frozenset({"b"})}, "avoid_nodes"),
        ({"avoid_links": frozenset({"bc"})}, "avoid_links"),
    ],
)
def test_a_wish_that_forbids_every_route_is_named(wish: dict[str, object], constraint: str) -> None:
    refusal = _refusal(_line(), **wish)
    assert (refusal.reason, refusal.facts()["constraint"]) == ("NO_ROUTE", constraint)


@pytest.mark.parametrize("regime", list(Regime))
def test_the_highest_rate_there_may_be_is_refused_as_soon_as_any_other(regime: Regime) -> None:
    tracemalloc.start()
    try:
        refusal = _refusal(_line((regime, regime)), rate_millihertz=MAX_PAIR_RATE_MILLIHERTZ)
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refusal.reason == "NO_CAPACITY"
    assert most_bytes < 20_000_000


@pytest.mark.parametrize("channels", [64, 1500])
def test_slots_are_refused_what_is_just_above_what_their_refusal_offers(channels: int) -> None:
    roomy = replace(STATION, memories=2 * channels, swap_duration_s=0.0)
    slots = _line((Regime.SLOT, Regime.SLOT), channels=channels, middle=roomy, ends=roomy)
    refusal = _refusal(slots, rate_millihertz=10**9)
    possible = int(refusal.facts()["possible_rate_millihertz"])
    assert _works(slots, rate_millihertz=possible)
    assert _refusal(slots, rate_millihertz=possible + 2).reason == "NO_CAPACITY"


def test_links_of_different_regimes_make_no_route() -> None:
    refusal = _refusal(_line((Regime.BUFFERED, Regime.MEMORY)))
    assert (refusal.reason, refusal.facts()["regimes"]) == ("MIXED_REGIMES", "buffered,memory")


@pytest.mark.parametrize("middle", [replace(STATION, swap_success=0.0), replace(STATION, gate_quality=0.0), None])
def test_a_node_that_cannot_swap_is_named(middle: PairHardware | None) -> None:
    refusal = _refusal(_line(middle=middle))
    assert (refusal.reason, refusal.facts()["nodes"]) == ("CANNOT_SWAP", "b")


@pytest.mark.parametrize(
    ("snapshot", "node"),
    [
        (_line(middle=replace(STATION, memories=1)), "b"),
        (_line(ends=replace(STATION, memories=0)), "a"),
        (_line(ends=None), "a"),
    ],
)
def test_a_node_without_memories_is_named(snapshot: Snapshot, node: str) -> None:
    refusal = _refusal(snapshot)
    assert (refusal.reason, refusal.facts()["nodes"]) == ("NO_MEMORIES", node)


def test_packets_cannot_be_kept_by_an_end_without_memories() -> None:
    packets = Packets(pairs=2, window_ms=1000, rate_millihertz=1)
    snapshot = _line(ends=replace(STATION, memories=0))
    refusal = _refusal(snapshot, use=PairUse.MEASURE, rate_millihertz=None, packets=packets)
    assert refusal.reason == "NO_MEMORIES"


@pytest.mark.parametrize("regime", list(Regime))
def test_an_unreachable_fidelity_is_told_with_one_that_works(regime: Regime) -> None:
    snapshot = _line((regime, regime))
    refusal = _refusal(snapshot, minimum_fidelity=0.99)
    assert refusal.reason == "FIDELITY_UNREACHABLE"
    at_rate = float(refusal.facts()["best_fidelity_at_rate"])
    assert 0.89 < at_rate < 0.91
    assert _works(snapshot, minimum_fidelity=at_rate - 1e-5)


@pytest.mark.parametrize("regime", list(Regime))
def test_too_high_a_rate_is_told_with_one_that_works_and_what_limits(regime: Regime) -> None:
    snapshot = _line((regime, regime), channels=8)
    refusal = _refusal(snapshot, rate_millihertz=10**7)
    facts = refusal.facts()
    assert refusal.reason == "NO_CAPACITY"
    possible = int(facts["possible_rate_millihertz"])
    assert _works(snapshot, rate_millihertz=possible)
    assert _refusal(snapshot, rate_millihertz=possible + 2).reason == "NO_CAPACITY"
    assert {"ab", "bc"} <= set(facts["limits"].split(","))
    assert len(facts["missing"].split(",")) == len(facts["limits"].split(","))


def test_a_rate_that_only_less_fidelity_allows_is_told_with_that_fidelity() -> None:
    links = (
        pair_link("ab", "a", "b", (0.1, 0.9), (0.01, 0.99)),
        pair_link("bc", "b", "c", (0.1, 0.9), (0.01, 0.99)),
    )
    snapshot = _line(links=links)
    refusal = _refusal(snapshot, minimum_fidelity=0.95, rate_millihertz=50_000)
    assert refusal.reason == "NO_CAPACITY"
    assert int(refusal.facts()["possible_rate_millihertz"]) < 10_000
    at_rate = float(refusal.facts()["best_fidelity_at_rate"])
    assert 0.8 < at_rate < 0.95
    assert _works(snapshot, minimum_fidelity=at_rate - 1e-5, rate_millihertz=50_000)


def test_long_storage_is_refused_in_the_buffered_regime_with_a_rate_that_works() -> None:
    hardware = replace(STATION, coherence_s=10.0)
    snapshot = _line(middle=hardware, ends=hardware)
    refusal = _refusal(snapshot, rate_millihertz=100)
    assert refusal.reason == "STORAGE_DECAY"
    assert "use the memory regime" in refusal.message
    works = int(refusal.facts()["possible_rate_millihertz"])
    assert _works(snapshot, rate_millihertz=works)
    assert _refusal(snapshot, rate_millihertz=works * 9 // 10).reason == "STORAGE_DECAY"


def test_what_others_hold_is_no_capacity() -> None:
    network = pair_network_of(_line())
    taken = network.charged({"ab": network.free("ab") or 0})
    demand = PairDemand(source="a", target="c", minimum_fidelity=0.8, rate_millihertz=1000)
    with pytest.raises(Precondition) as refused:
        find_path(taken, demand)
    assert (refused.value.reason, refused.value.facts()["limits"]) == ("NO_CAPACITY", "ab")


def test_a_search_that_ends_early_does_not_say_that_there_is_nothing() -> None:
    hardware = replace(STATION, coherence_s=0.02, can_purify=True)
    snapshot = _line((Regime.MEMORY, Regime.MEMORY), middle=hardware, ends=hardware)
    demand = PairDemand(source="a", target="c", minimum_fidelity=0.92, rate_millihertz=1)
    ground = ground_of(pair_network_of(snapshot), demand, Regime.MEMORY)
    assert best_candidate(ground, demand.minimum_fidelity, 1_000_000) is None
    with pytest.raises(TooHard, match="nor was it shown that there is none"):
        best_candidate(ground, demand.minimum_fidelity, 1)
