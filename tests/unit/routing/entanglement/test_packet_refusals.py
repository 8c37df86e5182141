"""Packets that the memories of the ends cannot hold, or not for long enough: what is told names them."""

from dataclasses import replace

import pytest

from controller.domain.entanglement_path import Packets, PairDemand
from controller.domain.node import Node
from controller.domain.pair_capacity import memories_of
from controller.domain.pair_link import PairHardware, Regime
from controller.domain.refusals import Precondition
from controller.routing.entanglement.find import find_path
from controller.routing.entanglement.network import PairNetwork, pair_network_of
from tests.support.pair_networks import STATION, pair_link, pair_snapshot, station

EVERY_REGIME = pytest.mark.parametrize("regime", list(Regime))


def _network(regime: Regime, end: PairHardware = STATION) -> PairNetwork:
    links = [pair_link(f"{a}{b}", a, b, (0.1, 0.95), regime=regime, memory_pairs=64) for a, b in ("ab", "bc")]
    return pair_network_of(pair_snapshot([Node(name="a", pairs=end), station("b"), station("c")], links))


def _refusal(network: PairNetwork, pairs: int, window_ms: int) -> Precondition:
    packets = Packets(pairs=pairs, window_ms=window_ms, rate_millihertz=100)
    with pytest.raises(Precondition) as refused:
        find_path(network, PairDemand(source="a", target="c", minimum_fidelity=0.8, packets=packets))
    return refused.value


@EVERY_REGIME
@pytest.mark.parametrize("window_ms", [4_000, 4_000_000])
def test_a_window_that_no_pair_outlasts_is_named_and_no_figure_that_is_no_fidelity(
    regime: Regime, window_ms: int
) -> None:
    refusal = _refusal(_network(regime, replace(STATION, coherence_s=0.01)), 2, window_ms)
    assert refusal.reason == "FIDELITY_UNREACHABLE"
    assert f"a window of {window_ms / 1000:g} s" in refusal.message
    assert "inf" not in refusal.message
    assert len(refusal.message) < 400


@EVERY_REGIME
def test_a_packet_larger_than_an_end_is_refused_with_what_it_takes(regime: Regime) -> None:
    refusal = _refusal(_network(regime, replace(STATION, memories=4)), 4, 1000)
    assert (refusal.reason, refusal.facts()["nodes"]) == ("NO_MEMORIES", "a")
    assert "take 5 memories of nodes/a, which has 4" in refusal.message


@EVERY_REGIME
def test_memories_that_others_hold_are_named(regime: Regime) -> None:
    network = _network(regime, replace(STATION, memories=64)).charged({memories_of("a"): 60})
    refusal = _refusal(network, 8, 1000)
    assert (refusal.reason, refusal.facts()["limits"]) == ("NO_CAPACITY", memories_of("a"))
