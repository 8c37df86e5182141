"""What is measured of the pairs of a link whose paths take all of it."""

from dataclasses import replace

import pytest

from controller.domain import pair_link
from controller.domain.pair_link import PairOption, Regime
from southbound.agent.pairs import LinkFigures
from southbound.agent.pairs.messages import Activate, Outcome, Outcomes
from tests.support.virtual_pairs import VirtualNetwork
from tests.unit.pairs.paths import chain, hardware, model, network


def taken(regime: Regime, *, option: int = 0, seed: int = 2) -> VirtualNetwork:
    """Return a link that makes 200 pairs a second, and a path that takes all of them."""
    one = model(regime, 0.2, 0.95)
    options = (*one.options, PairOption(success_probability=0.2, fidelity=0.8))
    depth = 1 if regime in (Regime.MEMORY, Regime.SLOT) else 64
    net = network("ab", replace(one, memory_pairs=depth, options=options), hardware(), seed=seed)
    entry = chain("ab", regime, buffer_pairs=8, rate_hz=200.0)
    net.install(replace(entry, hops=tuple(replace(hop, option=option) for hop in entry.hops)))
    return net


def link_of(net: VirtualNetwork, node: str = "a") -> LinkFigures:
    (figures,) = net.sites[node].engine.link_figures()
    return figures


@pytest.mark.parametrize("regime", list(Regime))
def test_a_share_of_the_pairs_of_a_link_is_measured_where_its_paths_take_all(
    regime: Regime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_link, "LINK_TEST_SHARE", 0.2)
    net = taken(regime)
    net.run(25.0)
    link = link_of(net)
    assert link.pair_total == pytest.approx(0.8 * 200 * 25, rel=0.06)
    assert link.success_factor == pytest.approx(1.0, rel=0.06)
    assert link.estimate is not None
    assert link.estimate.samples == pytest.approx(0.2 * 200 * 25, rel=0.15)
    assert link.estimate.low < 0.95 < link.estimate.high
    assert link.fidelity_loss == 0.0
    net.fault("a-b", werner_factor=0.8)
    net.run(35.0)
    link = link_of(net)
    assert link.estimate is not None
    assert link.fidelity_loss == pytest.approx(0.75 * 0.2 * (4 * 0.95 - 1) / 3, abs=0.04)
    assert link.fidelity_loss == pytest.approx(0.95 - link.estimate.fidelity)
    assert link_of(net, "b").estimate is None


def test_it_is_held_against_the_option_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_link, "LINK_TEST_SHARE", 0.2)
    net = taken(Regime.BUFFERED, option=1)
    net.run(25.0)
    link = link_of(net)
    assert link.estimate is not None
    assert link.estimate.low < 0.8 < link.estimate.high
    assert link.fidelity_loss == 0.0


def test_the_first_pairs_are_no_high_rate() -> None:
    net = taken(Regime.MEMORY)
    net.run(0.01)
    (path,) = net.sites["a"].engine.path_figures()
    assert path.rate_hz <= 10.0
    assert link_of(net).rate_hz <= 10.0


def test_what_a_node_says_that_is_not_next_on_the_route_is_dropped() -> None:
    net = network("abc", model(Regime.MEMORY, 0.1), hardware(), more=["b-x"])
    net.install(chain("abc"))
    net.run(1.0)
    engine = net.sites["b"].engine
    (part,) = engine.parts()
    late, generation = engine.late_total, part.generation
    sent = []
    net.tap = lambda sender, receiver, message: sent.append((sender, message))
    engine.handle("x", Outcomes("p", 1, (Outcome(1, "X", 0),)), net.now_s)
    engine.handle("x", Activate("p", 1, generation + 1, False, net.now_s, 0, 0.0), net.now_s)
    assert engine.late_total == late + 2
    assert part.generation == generation
    assert not [message for message in engine.outbox if isinstance(message[1], Outcomes | Activate)]
