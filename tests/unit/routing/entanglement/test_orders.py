"""What is best up to a node is not always the beginning of what is best beyond it."""

from dataclasses import replace

import pytest

from controller.domain.entanglement_path import PairDemand
from controller.domain.link import Link
from controller.domain.pair_link import Regime
from controller.routing.entanglement.find import find_path
from controller.routing.entanglement.network import pair_network_of
from tests.support.pair_networks import STATION, pair_link, pair_snapshot, station


def _chain(nodes: str, chances: list[float], regime: Regime, channels: int) -> list[Link]:
    return [
        pair_link(f"{a}-{b}", a, b, (chance, 0.999), regime=regime, memory_pairs=channels)
        for a, b, chance in zip(nodes, nodes[1:], chances, strict=False)
    ]


def _route(links: list[Link], success: float, source: str, target: str) -> tuple[str, ...]:
    names = {node for link in links for node in link.nodes}
    hardware = replace(STATION, swap_success=success)
    network = pair_network_of(pair_snapshot([station(name, hardware) for name in sorted(names)], links))
    demand = PairDemand(source=source, target=target, minimum_fidelity=0.9, rate_millihertz=1)
    return find_path(network, demand).route.nodes


@pytest.mark.parametrize(("target", "best"), [("g", "ag"), ("h", "abcgh")])
def test_slots_with_more_channels_prefer_another_way_once_a_hop_is_added(target: str, best: str) -> None:
    links = _chain("abcg", [0.41, 0.49, 0.27], Regime.SLOT, 3)
    links += _chain("ag", [0.14], Regime.SLOT, 3) + _chain("gh", [0.11], Regime.SLOT, 3)
    assert _route(links, 0.95, "a", target) == tuple(best)


@pytest.mark.parametrize(("target", "best"), [("g", "ag"), ("h", "abcdegh")])
def test_waiting_for_the_last_pair_prefers_another_way_once_a_hop_is_added(target: str, best: str) -> None:
    links = _chain("abcdeg", [0.55] * 5, Regime.MEMORY, 1)
    links += _chain("ag", [0.3], Regime.MEMORY, 1) + _chain("gh", [0.15], Regime.MEMORY, 1)
    assert _route(links, 1.0, "a", target) == tuple(best)


@pytest.mark.parametrize(("regime", "best"), [(Regime.BUFFERED, "abcdg"), (Regime.AT_ONCE, "ahg")])
def test_buffered_swapped_pairs_make_longer_ways_of_fast_hops_worth_it(regime: Regime, best: str) -> None:
    # Four hops of r = 100/s in a balanced tree: 100 / 4; all at once: 100 / 8. Two hops of 45/s: 22.5 either way.
    links = _chain("abcdg", [0.1] * 4, regime, 40) + _chain("ahg", [0.045] * 2, regime, 40)
    assert _route(links, 0.5, "a", "g") == tuple(best)
