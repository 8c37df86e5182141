"""What a path is given: what it asks and no more, the same from either end, and never what others hold."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.capacity import over_reserved
from controller.domain.entanglement_path import EntanglementPath, Packets, PairDemand, PairUse
from controller.domain.link import LinkCondition
from controller.domain.pair_link import EndNodeKind, PairHardware, Regime
from controller.domain.refusals import Precondition
from controller.domain.snapshot import Snapshot
from controller.routing.entanglement.asked import full_packets, packet_rate_millihertz
from controller.routing.entanglement.find import find_path
from controller.routing.entanglement.network import pair_network_of
from controller.routing.entanglement.standing import check_path, predict
from tests.support.pair_networks import STATION, chance_network, pair_link, pair_snapshot, station

_QUICK = settings(max_examples=16, deadline=None)
_REGIMES = st.sampled_from([Regime.BUFFERED, Regime.AT_ONCE, Regime.SLOT])
_SEEDS = st.integers(0, 10_000)


def _demand(**more: object) -> PairDemand:
    return replace(PairDemand(source="a", target="c", minimum_fidelity=0.8, rate_millihertz=1000), **more)  # type: ignore[arg-type]


def _line(regime: Regime, hardware: PairHardware = STATION) -> Snapshot:
    return pair_snapshot(
        [station(name, hardware) for name in "abc"],
        [
            pair_link("ab", "a", "b", (0.1, 0.95), regime=regime),
            pair_link("bc", "b", "c", (0.1, 0.95), regime=regime),
        ],
    )


@_QUICK
@given(_SEEDS, _REGIMES)
def test_the_way_back_is_the_way_there_reversed(seed: int, regime: Regime) -> None:
    snapshot, demand = chance_network(seed, regime)
    network = pair_network_of(snapshot)
    back = replace(demand, source=demand.target, target=demand.source)
    try:
        there = find_path(network, demand)
    except Precondition as refusal:
        reason = refusal.reason
    else:
        reason = ""
    if reason:
        with pytest.raises(Precondition) as refused:
            find_path(network, back)
        assert refused.value.reason == reason
        return
    again = find_path(network, back)
    assert again.route == there.route.reversed()
    assert again.plan.charges == there.plan.charges
    assert again.plan.hops == there.plan.hops[::-1]
    assert [(swap.node, swap.right, swap.left) for swap in again.plan.swaps] == [
        (swap.node, swap.left, swap.right) for swap in there.plan.swaps
    ]


@_QUICK
@given(_SEEDS, _REGIMES)
def test_the_same_is_found_again_and_fits_and_is_predicted_as_promised(seed: int, regime: Regime) -> None:
    snapshot, demand = chance_network(seed, regime, equal_q=seed % 2 == 0)
    network = pair_network_of(snapshot)
    try:
        found = find_path(network, demand)
    except Precondition:
        return
    assert find_path(network, demand) == found
    check_path(network, found.route, found.plan)
    rate_millihertz, fidelity = predict(network, found.route, found.plan)
    assert rate_millihertz >= found.plan.rate_millihertz
    assert fidelity == pytest.approx(found.plan.fidelity, abs=1e-12)
    assert fidelity >= demand.minimum_fidelity * (1 - 1e-9)
    assert found.plan.certificate.gap >= 0


@_QUICK
@given(_SEEDS, _REGIMES, st.integers(1, 8))
def test_what_is_free_is_never_promised_twice(seed: int, regime: Regime, times: int) -> None:
    snapshot, demand = chance_network(seed, regime)
    promised = {}
    for number in range(times):
        network = pair_network_of(snapshot)
        try:
            best = find_path(network, demand).plan.certificate.value
            asked = replace(demand, rate_millihertz=max(1, int(best * 0.4)))
            found = find_path(network, asked)
        except Precondition:
            break
        promised[f"p{number}"] = EntanglementPath(
            name=f"p{number}", demand=asked, routes=(found.route,), route_version=1, plan=found.plan
        )
        snapshot = replace(snapshot, paths=dict(promised))
        held: dict[str, int] = {}
        for path in promised.values():
            assert path.plan is not None
            for resource, amount in path.plan.charges.items():
                held[resource] = held.get(resource, 0) + amount
        assert over_reserved(snapshot.links, snapshot.conditions, held, nodes=snapshot.nodes) == {}


@_QUICK
@given(_SEEDS, _REGIMES)
def test_less_room_never_makes_a_better_rate(seed: int, regime: Regime) -> None:
    snapshot, demand = chance_network(seed, regime)
    network = pair_network_of(snapshot)
    try:
        whole = find_path(network, demand)
    except Precondition:
        return
    taken = {link: max(1, network.free(link) or 0) // 2 for link in whole.route.links}
    try:
        rest = find_path(network.charged(taken), demand)
    except Precondition:
        return
    assert rest.plan.certificate.value <= whole.plan.certificate.value * (1 + 1e-9)
    assert network.charged(taken).freed(taken) == network


@pytest.mark.parametrize("regime", list(Regime))
def test_it_takes_what_the_rate_needs_and_not_all_that_there_is(regime: Regime) -> None:
    network = pair_network_of(_line(regime))
    little = find_path(network, _demand(rate_millihertz=1000)).plan
    much = find_path(network, _demand(rate_millihertz=85_000)).plan
    assert little.certificate == much.certificate
    assert all(little.charges[resource] <= much.charges[resource] for resource in much.charges)
    assert little.charges["ab"] < much.charges["ab"] < (network.free("ab") or 0)


def test_test_pairs_are_reserved_like_a_demand() -> None:
    network = pair_network_of(_line(Regime.BUFFERED))
    without = find_path(network, _demand(test_share=0.0)).plan
    half = find_path(network, _demand(test_share=0.5)).plan
    assert half.charges["ab"] == pytest.approx(2 * without.charges["ab"], abs=2)
    assert half.rate_millihertz == without.rate_millihertz == 1000


def test_a_cut_off_keeps_the_fidelity_where_waiting_for_ever_would_not() -> None:
    hardware = replace(STATION, coherence_s=0.2)
    network = pair_network_of(_line(Regime.MEMORY, hardware))
    loose = find_path(network, _demand(minimum_fidelity=0.8)).plan
    tight = find_path(network, _demand(minimum_fidelity=0.89)).plan
    assert loose.swaps[0].cutoff_ns is None
    assert tight.swaps[0].cutoff_ns is not None
    assert tight.certificate.value < loose.certificate.value
    assert tight.fidelity >= 0.89


def test_purification_is_taken_where_the_fidelity_needs_it() -> None:
    hardware = replace(STATION, can_purify=True)
    for regime in (Regime.BUFFERED, Regime.AT_ONCE, Regime.MEMORY):
        plan = find_path(pair_network_of(_line(regime, hardware)), _demand(minimum_fidelity=0.91)).plan
        assert sum(hop.purification_rounds for hop in plan.hops) > 0
        assert plan.fidelity >= 0.91


def test_packets_hold_memories_at_the_ends_and_keep_their_fidelity_for_the_window() -> None:
    hardware = replace(STATION, coherence_s=100.0)
    packets = Packets(pairs=4, window_ms=1000, rate_millihertz=2000)
    network = pair_network_of(_line(Regime.MEMORY, hardware))
    plan = find_path(network, _demand(rate_millihertz=None, packets=packets)).plan
    single = find_path(network, _demand(rate_millihertz=plan.rate_millihertz)).plan
    assert plan.charges["nodes/a/memories"] == single.charges["nodes/a/memories"] + 4
    assert plan.charges["nodes/b/memories"] == single.charges["nodes/b/memories"]
    with pytest.raises(Precondition, match="after a window of 20 s in the memories of the ends: shorten it"):
        find_path(network, _demand(rate_millihertz=None, packets=replace(packets, window_ms=20_000)))


def test_the_rate_for_packets_is_the_least_that_fills_them() -> None:
    packets = Packets(pairs=5, window_ms=2000, rate_millihertz=1500)
    rate = packet_rate_millihertz(packets)
    assert full_packets(rate / 1000 * 2, 5) >= 3 > full_packets((rate - 1) / 1000 * 2, 5)
    assert full_packets(1.2e5, 7) == pytest.approx(1.2e5 / 7 - 3 / 7, rel=1e-9)


def test_an_end_without_memories_may_measure() -> None:
    measuring = PairHardware(memories=0, end_node=EndNodeKind.MEASURING)
    line = _line(Regime.BUFFERED)
    snapshot = replace(line, nodes={**line.nodes, "a": station("a", measuring)})
    plan = find_path(pair_network_of(snapshot), _demand(use=PairUse.MEASURE)).plan
    assert "nodes/a/memories" not in plan.charges
    assert plan.charges["nodes/c/memories"] == 32


def test_of_regimes_that_both_join_the_ends_the_faster_is_taken() -> None:
    line = _line(Regime.BUFFERED)
    direct = pair_link("ac", "a", "c", (0.001, 0.95), regime=Regime.SLOT, memory_pairs=1)
    snapshot = replace(line, links={**line.links, "ac": direct})
    assert find_path(pair_network_of(snapshot), _demand()).plan.regime is Regime.BUFFERED
    weak = {name: LinkCondition(pair_rate_permille=1) for name in ("ab", "bc")}
    found = find_path(pair_network_of(replace(snapshot, conditions=weak)), _demand(rate_millihertz=10))
    assert found.plan.regime is Regime.SLOT


def test_a_node_that_has_no_time_for_its_swaps_is_gone_round() -> None:
    busy = replace(STATION, swap_duration_s=0.05)
    nodes = [station("a"), station("b", busy), station("c"), station("d")]
    links = [
        pair_link("ab", "a", "b", (0.1, 0.95)),
        pair_link("bc", "b", "c", (0.1, 0.95)),
        pair_link("ad", "a", "d", (0.05, 0.95)),
        pair_link("cd", "c", "d", (0.05, 0.95)),
    ]
    network = pair_network_of(pair_snapshot(nodes, links))
    assert find_path(network, _demand(rate_millihertz=1000)).route.nodes == ("a", "b", "c")
    round_b = find_path(network, _demand(rate_millihertz=30_000))
    assert round_b.route.nodes == ("a", "d", "c")
    assert round_b.plan.certificate.upper_bound > round_b.plan.certificate.value


def test_pairs_that_become_key_take_the_route_of_the_most_key() -> None:
    links = [
        pair_link("ab", "a", "b", (0.1, 0.94)),
        pair_link("bc", "b", "c", (0.1, 0.94)),
        pair_link("ad", "a", "d", (0.05, 0.99)),
        pair_link("cd", "c", "d", (0.05, 0.99)),
    ]
    network = pair_network_of(pair_snapshot([station(name) for name in "abcd"], links))
    keyed = _demand(use=PairUse.MEASURE, key_link="k", authentication="pre-shared")
    assert find_path(network, _demand()).route.nodes == ("a", "b", "c")
    found = find_path(network, keyed)
    assert found.route.nodes == ("a", "d", "c")
    assert found.plan.certificate.objective == "secret_key_millibit_per_s"
    assert found.plan.certificate.gap == pytest.approx(0, abs=1e-6)
