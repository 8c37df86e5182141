"""A version of a path begins while the one before it, whose memories it is planned to have, is still being finished."""

import itertools
from dataclasses import replace

import pytest

from controller.domain.entries import PathEntry
from controller.domain.pair_link import PairHardware, Regime
from southbound.agent.pairs.effects import Delivered, Voided
from tests.support.virtual_pairs import Fibre, VirtualNetwork
from tests.unit.pairs.paths import chain, hardware, model

_NODES = "abcd"
_HOPS = tuple(itertools.pairwise(_NODES))
_LENGTH_M = 20_000


def _network(regime: Regime, memories: dict[str, int], *, late_s: float, seed: int) -> VirtualNetwork:
    of = model(regime, 0.05)
    fibres = [Fibre(name=one + "-" + other, ends=(one, other), model=of, length_m=_LENGTH_M) for one, other in _HOPS]
    nodes: dict[str, PairHardware] = {node: hardware(memories[node]) for node in _NODES}
    return VirtualNetwork(nodes, fibres, seed=seed, late_s=late_s)


def _entry(regime: Regime, version: int, lanes: int) -> PathEntry:
    """Return a version that takes `lanes` memories of every hop."""
    buffered = regime in (Regime.BUFFERED, Regime.AT_ONCE)
    return chain(
        _NODES, regime, version=version, lanes=0 if buffered else lanes, buffer_pairs=lanes if buffered else 0,
        rate_hz=40.0 if buffered else 0.0, length_m=_LENGTH_M, test_share=0.0,
    )  # fmt: skip


def _delivered(net: VirtualNetwork, node: str) -> dict[int, Delivered]:
    return {one.pair.sequence: one for one in net.sites[node].effects if isinstance(one, Delivered)}


def _hand_over(net: VirtualNetwork, old: PathEntry, new: PathEntry, order: str) -> None:
    for node in order:
        if node != new.head:
            net.put(node, new)
    net.put(new.head, replace(old, passive=True), new)


@pytest.mark.parametrize("late_s", [0.0, 0.02])
@pytest.mark.parametrize("order", ["dcba", "bdca"])
def test_lanes_that_the_version_before_holds_the_memories_of_begin_as_soon_as_it_is_finished(
    late_s: float, order: str
) -> None:
    net = _network(Regime.MEMORY, {"a": 8, "b": 16, "c": 16, "d": 8}, late_s=late_s, seed=len(order))
    old, new = _entry(Regime.MEMORY, 1, 6), _entry(Regime.MEMORY, 2, 8)
    net.install(old)
    net.run(2.0)
    _hand_over(net, old, new, order)
    net.run(0.5)
    for node, site in net.sites.items():
        assert site.engine.memories_in_use == site.hardware.memories, node
    net.run(2.5)
    for node in "ad":
        lanes = {one.lane for one in _delivered(net, node).values() if one.version == 2}
        assert lanes == set(range(8)), f"all lanes deliver at {node}"
    assert net.sites["a"].engine.path_figures()[0].reset_total == 0


@pytest.mark.parametrize("regime", [Regime.BUFFERED, Regime.AT_ONCE, Regime.SLOT])
def test_a_version_whose_memories_the_one_before_it_holds_begins_as_soon_as_that_is_finished(regime: Regime) -> None:
    old, new = _entry(regime, 1, 4), _entry(regime, 2, 4)
    probe = _network(regime, dict.fromkeys(_NODES, 64), late_s=0.0, seed=1)
    probe.install(old)
    probe.run(1.0)
    # Each node has what one version takes, and no more.
    memories = {node: site.engine.memories_in_use for node, site in probe.sites.items()}
    net = _network(regime, memories, late_s=0.01, seed=2)
    net.install(old)
    net.run(2.0)
    _hand_over(net, old, new, "dcba")
    net.run(3.0)
    for node in "ad":
        assert sum(one.version == 2 for one in _delivered(net, node).values()) > 3, node


@pytest.mark.parametrize("short", ["a", "d"])
def test_what_one_end_has_no_memory_for_is_void_at_the_other(short: str) -> None:
    net = _network(Regime.MEMORY, {"a": 8, "b": 16, "c": 16, "d": 8} | {short: 5}, late_s=0.01, seed=4)
    path = _entry(Regime.MEMORY, 1, 8)
    net.install(path)
    net.run(5.0)
    net.passive(path)
    net.run(1.0)
    voided = {
        sequence
        for site in net.sites.values()
        for effect in site.effects
        if isinstance(effect, Voided)
        for sequence in effect.sequences
    }
    head, far = _delivered(net, "a"), _delivered(net, "d")
    assert len(head.keys() & far.keys()) > 10
    assert head.keys() ^ far.keys() == voided


@pytest.mark.parametrize("regime", [Regime.MEMORY, Regime.BUFFERED, Regime.AT_ONCE, Regime.SLOT])
def test_a_link_whose_stream_stands_late_is_no_weak_one(regime: Regime) -> None:
    net = _network(regime, dict.fromkeys(_NODES, 64), late_s=0.0, seed=5)
    for one, other in _HOPS:
        net.disconnect(one, other)
    net.install(_entry(regime, 1, 4))
    for one, other in _HOPS:
        net.run(2.0)
        net.connect(one, other)
    net.run(8.0)
    for node, site in net.sites.items():
        for figures in site.engine.link_figures():
            if figures.draws:
                assert figures.certain_success_factor == 1.0, f"{figures.link} at {node}"


def test_a_link_without_success_is_a_weak_one() -> None:
    net = _network(Regime.MEMORY, dict.fromkeys(_NODES, 64), late_s=0.0, seed=6)
    net.install(_entry(Regime.MEMORY, 1, 4))
    net.run(2.0)
    net.fault("b-c", success_factor=0.0)
    net.run(20.0)
    net.fault("b-c", success_factor=0.01)
    net.run(1.0)
    (figures,) = [one for one in net.sites["b"].engine.link_figures() if one.link == "b-c"]
    assert figures.certain_success_factor is not None
    assert figures.certain_success_factor < 0.7
