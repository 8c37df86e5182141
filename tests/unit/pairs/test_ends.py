"""What the ends of a path do with pairs: keep, measure, test, gather in packets, report."""

from dataclasses import replace
from typing import TypeVar

import pytest

from controller.domain.entanglement_path import PairUse
from controller.domain.pair_link import Regime
from southbound.agent.pairs import PathFigures
from southbound.agent.pairs.effects import (
    Delivered,
    Failed,
    Kept,
    Measured,
    MeasuredFor,
    PathChanged,
    ServiceError,
    Voided,
)
from southbound.agent.pairs.service import Ack, Create, PairType
from tests.support.virtual_pairs import VirtualNetwork
from tests.unit.pairs.paths import chain, hardware, model, network

T = TypeVar("T")


def chain_of_three(fidelity: float = 0.97, memories: int = 16, success: float = 0.05) -> VirtualNetwork:
    return network("abc", model(Regime.MEMORY, success, fidelity), hardware(memories), seed=3)


def path_of(net: VirtualNetwork, node: str) -> PathFigures:
    (figures,) = net.sites[node].engine.path_figures()
    return figures


def of_kind(net: VirtualNetwork, node: str, kind: type[T]) -> list[T]:
    return [effect for effect in net.sites[node].effects if isinstance(effect, kind)]


def test_figures_of_both_ends_tell_the_rate_the_estimate_and_that_pairs_come() -> None:
    net = chain_of_three()
    net.install(chain("abc", test_share=0.2))
    net.run(20.0)
    for node in "ac":
        figures = path_of(net, node)
        tests = sum(effect.test for effect in of_kind(net, node, Delivered))
        assert figures.confirmed_versions == (1,)
        assert figures.confirmed
        assert not figures.starved
        assert figures.estimate is not None
        assert figures.estimate.samples == tests
        assert figures.delivered_total == len(of_kind(net, node, Delivered)) - tests
        assert figures.rate_hz == pytest.approx(figures.delivered_total / 20.0, rel=0.06)
        assert figures.tracked_fidelity == pytest.approx((1 + 3 * 0.96**2) / 4, abs=1e-6)
        assert of_kind(net, node, PathChanged)
        assert 0.17 < tests / (tests + figures.delivered_total) < 0.24
    assert path_of(net, "a").estimate == pytest.approx(path_of(net, "c").estimate)


def test_a_path_that_gets_less_than_promised_starves_and_recovers() -> None:
    net = chain_of_three()
    net.install(chain("abc", promised_hz=15.0))
    net.run(35.0)
    assert not path_of(net, "a").starved
    net.fault("b-c", success_factor=0.2)
    net.run(35.0)
    assert path_of(net, "a").starved
    assert path_of(net, "c").starved
    (link,) = [one for one in net.sites["b"].engine.link_figures() if one.link == "b-c"]
    assert link.draws
    assert link.success_factor == pytest.approx(0.2, rel=0.2)
    net.fault("b-c")
    net.run(35.0)
    assert not path_of(net, "a").starved


def test_a_cut_link_starves_its_path_though_nothing_comes() -> None:
    net = chain_of_three()
    net.install(chain("abc", promised_hz=15.0))
    net.run(35.0)
    net.fault("a-b", cut=True)
    before = path_of(net, "a").delivered_total
    net.run(35.0)
    assert path_of(net, "a").delivered_total <= before + 1
    assert path_of(net, "a").starved
    assert path_of(net, "a").rate_hz == 0.0


@pytest.mark.parametrize("regime", list(Regime))
def test_a_link_tells_how_well_it_works_also_where_no_path_uses_it(regime: Regime) -> None:
    net = network("ab", model(regime, 0.2, 0.95), hardware())
    net.run(40.0)
    (link,) = net.sites["a"].engine.link_figures()
    assert link.draws
    assert (link.fidelity_loss, link.pair_total, link.rate_hz) == (0.0, 0, 0.0)
    assert link.success_factor == pytest.approx(1.0, rel=0.1)
    net.fault("a-b", success_factor=0.5, werner_factor=0.8)
    net.run(100.0)
    (link,) = net.sites["a"].engine.link_figures()
    assert link.success_factor == pytest.approx(0.5, rel=0.15)
    assert link.fidelity_loss == pytest.approx(0.75 * 0.2 * (4 * 0.95 - 1) / 3, abs=0.04)
    (other,) = net.sites["b"].engine.link_figures()
    assert not other.draws
    assert other.estimate is None


def test_ends_that_measure_agree_as_the_state_says() -> None:
    net = chain_of_three(fidelity=0.9)
    net.install(chain("abc", use=PairUse.MEASURE, key_link="a-c", test_share=0.1))
    net.run(60.0)
    net.run(0.1)
    head = {one.sequence: one for one in of_kind(net, "a", Measured)}
    far = {one.sequence: one for one in of_kind(net, "c", Measured)}
    assert head.keys() == far.keys()
    assert {one.key_link for one in head.values()} == {"a-c"}
    expected = (1 - ((4 * 0.9 - 1) / 3) ** 2) / 2
    for basis in "XZ":
        same = [n for n in head if head[n].basis == far[n].basis == basis]
        assert len(same) == pytest.approx(len(head) / 4, rel=0.2)
        assert sum(head[n].bit != far[n].bit for n in same) / len(same) == pytest.approx(expected, abs=0.05)
        assert sum(head[n].bit for n in same) / len(same) == pytest.approx(0.5, abs=0.08)
    other = [n for n in head if head[n].basis != far[n].basis]
    assert sum(head[n].bit != far[n].bit for n in other) / len(other) == pytest.approx(0.5, abs=0.06)


def test_packets_are_pairs_of_one_window() -> None:
    net = chain_of_three()
    net.install(chain("abc", packet=(4, 200), test_share=0.0))
    net.run(20.0)
    times = [effect.goodness_s for effect in of_kind(net, "a", Delivered)]
    figures = path_of(net, "a")
    assert 0 < figures.packet_total <= len(times) / 4
    assert abs(figures.packet_total - path_of(net, "c").packet_total) <= 2


def test_kept_pairs_take_memories_until_they_are_released() -> None:
    net = chain_of_three(memories=5)
    net.install(chain("abc", test_share=0.0))
    net.run(0.5)
    service = net.sites["a"].engine.service
    assert isinstance(service.create(Create(remote="c", number=10, minimum_fidelity=0.7)), Ack)
    net.run(4.0)
    kept = of_kind(net, "a", Kept)
    # One of five memories is the lane's own.
    assert [one.logical_qubit for one in kept] == [0, 1, 2, 3]
    assert net.sites["a"].engine.memories_in_use == 5
    assert service.unserved_total > 0
    assert len({one.pair for one in kept}) == 4
    service.release(kept[1].logical_qubit)
    net.run(4.0)
    assert of_kind(net, "a", Kept)[-1].logical_qubit == 1
    assert {one.remote for one in kept} == {"c"}


def test_the_higher_priority_is_served_first_and_an_atomic_one_is_not_interrupted() -> None:
    net = chain_of_three()
    net.install(chain("abc", test_share=0.0))
    net.run(0.5)
    service = net.sites["c"].engine.service

    def create(number: int, priority: int, *, atomic: bool = False) -> int:
        ack = service.create(Create(remote="a", number=number, minimum_fidelity=0.7, priority=priority, atomic=atomic))
        assert isinstance(ack, Ack)
        return ack.create_id

    low = create(3, 0, atomic=True)
    net.run_until(lambda: len(of_kind(net, "c", Kept)) == 1, 5.0)
    high, middle = create(2, 7), create(1, 3)
    net.run(4.0)
    assert [one.create_id for one in of_kind(net, "c", Kept)] == [low, low, low, high, high, middle]


def test_pairs_that_are_wanted_together_come_together_or_not_at_all() -> None:
    net = chain_of_three()
    net.install(chain("abc", test_share=0.0))
    engine = net.sites["a"].engine
    net.run(0.5)
    ack = engine.service.create(Create(remote="c", number=9, minimum_fidelity=0.7, max_time_s=0.05, consecutive=False))
    assert isinstance(ack, Ack)
    net.run(0.5)
    assert not of_kind(net, "a", Kept)
    assert of_kind(net, "a", Failed) == [Failed(ack.create_id, ServiceError.TIMEOUT, (), "a")]
    assert engine.memories_in_use == 1
    engine.service.create(Create(remote="c", number=9, minimum_fidelity=0.7, consecutive=False))
    net.run(4.0)
    assert len(of_kind(net, "a", Kept)) == 9


def test_measured_pairs_are_handed_to_who_asked() -> None:
    net = chain_of_three()
    net.install(chain("abc", use=PairUse.MEASURE, test_share=0.0))
    net.run(0.5)
    wanted = Create(remote="c", number=3, minimum_fidelity=0.7, type=PairType.MEASURE)
    assert isinstance(net.sites["a"].engine.service.create(wanted), Ack)
    net.run(4.0)
    found = of_kind(net, "a", MeasuredFor)
    measured = {one.sequence: one for one in of_kind(net, "a", Measured)}
    assert len(found) == 3
    assert all((one.basis, one.bit) == measured[one.pair.sequence][3:5] for one in found)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"minimum_fidelity": 0.95}, ServiceError.UNSUPPORTED),
        ({"remote": "b"}, ServiceError.UNSUPPORTED),
        ({"purpose": 5}, ServiceError.UNSUPPORTED),
        ({"type": PairType.MEASURE}, ServiceError.UNSUPPORTED),
        ({"number": 99, "consecutive": False}, ServiceError.UNSUPPORTED),
        ({"number": 0}, ServiceError.CREATE),
        ({"minimum_fidelity": 0.2}, ServiceError.CREATE),
        ({"priority": 8}, ServiceError.CREATE),
    ],
)
def test_what_cannot_be_served_is_refused_at_once(change: dict[str, object], error: ServiceError) -> None:
    net = chain_of_three()
    net.install(chain("abc"))
    create = replace(Create(remote="c", number=1, minimum_fidelity=0.7), **change)  # type: ignore[arg-type]
    answer = net.sites["a"].engine.service.create(create)
    assert isinstance(answer, Failed)
    assert answer.error is error


def test_requests_end_with_their_path() -> None:
    net = chain_of_three()
    entry = chain("abc")
    net.install(entry)
    ack = net.sites["a"].engine.service.create(Create(remote="c", number=1, minimum_fidelity=0.7))
    assert isinstance(ack, Ack)
    net.remove(entry)
    assert [one.error for one in of_kind(net, "a", Failed)] == [ServiceError.REJECTED]


def test_an_end_without_memories_measures_at_once() -> None:
    net = chain_of_three()
    site = net.sites["c"]
    site.hardware = hardware(memories=0)
    net.install(chain("abc", use=PairUse.MEASURE))
    net.crash("c")
    net.run(5.0)
    assert of_kind(net, "c", Measured)
    assert site.engine.memories_in_use == 0


def test_lanes_beyond_the_memories_of_a_node_are_refused_and_counted() -> None:
    net = chain_of_three(memories=4)
    net.install(chain("abc", lanes=3, test_share=0.0))
    net.run(3.0)
    assert net.sites["b"].engine.memories_in_use == 4
    assert net.sites["b"].engine.refused_total >= 1
    assert {effect.lane for effect in of_kind(net, "a", Delivered)} == {0, 1}


def test_an_entry_that_contradicts_itself_is_refused_by_its_name() -> None:
    net = chain_of_three()
    entry = chain("abc")
    engine = net.sites["b"].engine
    (refused,) = engine.set_paths([replace(entry, swaps=())], net.now_s)
    assert "entanglementPaths/p/routes/1" in str(refused)
    (refused,) = engine.set_paths([replace(entry, nodes=("a", "x", "c"))], net.now_s)
    assert not engine.parts()


def test_a_lane_that_found_no_memory_begins_when_there_is_some() -> None:
    net = chain_of_three(memories=4)
    first = chain("abc", version=1, test_share=0.0, lanes=1, promised_hz=100.0)
    second = chain("abc", version=2, test_share=0.0, lanes=2, promised_hz=100.0)
    net.install(first)
    net.install(second)
    net.run(0.5)
    assert net.sites["b"].engine.refused_total >= 1
    net.remove(first)
    net.run(15.0)
    newest = [effect for effect in of_kind(net, "a", Delivered) if effect.goodness_s > net.now_s - 5.0]
    assert {effect.lane for effect in newest} == {0, 1}


def test_a_kept_pair_whose_other_half_was_lost_expires() -> None:
    net = network("abc", model(Regime.MEMORY, 0.2), hardware(), length_m=50_000, seed=7)
    net.install(chain("abc", test_share=0.0, length_m=50_000))
    net.run(0.5)
    net.sites["a"].engine.service.create(Create(remote="c", number=1000, minimum_fidelity=0.7))
    for _ in range(20):
        seen = len(of_kind(net, "a", Delivered))
        assert net.run_until(lambda seen=seen: len(of_kind(net, "a", Delivered)) > seen, 5.0)  # type: ignore[misc]
        # Both ends are as far from the swap, so the other one is about to hear of it.
        net.disconnect("b", "c")
        net.run(0.01)
        net.connect("b", "c")
        net.run(0.1)
    void = {sequence for one in of_kind(net, "a", Voided) for sequence in one.sequences}
    head, far = ({one.pair.sequence for one in of_kind(net, node, Delivered)} for node in "ac")
    assert void
    assert void <= head - far
    assert head - void <= far
    expired = [one for one in of_kind(net, "a", Failed) if one.error is ServiceError.EXPIRED]
    kept = {one.pair.sequence for one in of_kind(net, "a", Kept)}
    assert {sequence for one in expired for sequence in one.sequences} == void & kept
    assert net.sites["a"].engine.service.kept == len(kept - void)


def test_both_ends_test_the_same_pairs_also_of_slots_that_a_new_beginning_overtakes() -> None:
    net = network("abcd", model(Regime.SLOT, 0.5), hardware(), length_m=100_000, seed=3)
    net.install(chain("abcd", Regime.SLOT, lanes=2, test_share=0.5, length_m=100_000))
    for _ in range(10):
        net.run(0.1)
        net.disconnect("b", "c")
        net.connect("b", "c")
    net.run(0.1)
    near, far = ({effect.pair: effect for effect in of_kind(net, node, Delivered)} for node in "ad")
    both = near.keys() & far.keys()
    assert len(both) > 50
    assert [near[pair] for pair in both] == [far[pair] for pair in both]


@pytest.mark.parametrize("regime", list(Regime))
def test_a_head_delivers_nothing_while_its_neighbour_at_the_far_end_does_not_know_the_path(regime: Regime) -> None:
    net = network("ab", model(regime, 0.5), hardware(), seed=3)
    entry = chain("ab", regime, buffer_pairs=4, rate_hz=100.0)
    net.put("a", entry)
    net.run(1.0)
    assert not of_kind(net, "a", Delivered)
    net.put("b", entry)
    net.run(1.0)
    near, far = ({effect.pair for effect in of_kind(net, node, Delivered)} for node in "ab")
    assert len(near) > 5
    assert near == far


def test_a_link_that_was_cut_for_long_is_no_weak_one_after_its_repair() -> None:
    net = network("ab", model(Regime.MEMORY, 0.5), hardware(), seed=3)
    net.run(40.0)
    net.fault("a-b", cut=True)
    net.run(20.0)
    net.fault("a-b")
    net.run(2.0)
    (link,) = net.sites["a"].engine.link_figures()
    assert link.certain_success_factor == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("regime", list(Regime))
def test_what_is_under_way_when_a_path_is_given_up_comes_to_both_ends_or_is_void(regime: Regime) -> None:
    alone: set[object] = set()
    void = 0
    for seed in range(12):
        net = network("abcd", model(regime, 0.5), hardware(), length_m=100_000, seed=seed)
        entry = chain("abcd", regime, lanes=2, buffer_pairs=4, rate_hz=400.0, length_m=100_000)
        net.install(entry)
        net.run(0.2 + seed * 0.00037)
        net.passive(entry)
        net.run(1.0)
        near, far = ({effect.pair for effect in of_kind(net, node, Delivered)} for node in "ad")
        assert len(near & far) > 20
        alone |= near ^ far
        void += sum(len(each.sequences) for node in "ad" for each in of_kind(net, node, Voided))
    assert len(alone) <= void
