"""What a neighbour says that is wrong, or a lie, harms no more than the paths that it is on."""

from dataclasses import replace

import pytest

from controller.domain.entanglement_path import PairUse
from controller.domain.pair_link import Regime
from southbound.agent.pairs.effects import Measured, Voided
from southbound.agent.pairs.engine import PairEngine
from southbound.agent.pairs.messages import Activate, Activated, PairHello, Recent, Swapped, Sweep
from southbound.agent.pairs.states import Pair
from tests.support.virtual_pairs import VirtualNetwork
from tests.unit.pairs.paths import chain, hardware, model, network

NOW_S = 2e9
REGIMES = [
    (Regime.MEMORY, {}),
    (Regime.BUFFERED, {"buffer_pairs": 4, "rate_hz": 50.0}),
    (Regime.AT_ONCE, {"buffer_pairs": 4, "rate_hz": 50.0}),
    (Regime.SLOT, {}),
]


def running(regime: Regime, nodes: str, plan: dict[str, float]) -> VirtualNetwork:
    net = network(nodes, model(regime), hardware())
    net.install(chain(nodes, regime, **plan))  # type: ignore[arg-type]
    net.run(1.0)
    return net


def bounded(engine: PairEngine, steps: int) -> None:
    """Have the engine end where it would serve more timers than that."""
    engine.steps_left = steps


@pytest.mark.parametrize(("regime", "plan"), REGIMES)
@pytest.mark.parametrize("away_s", [-NOW_S, NOW_S])
def test_a_beginning_far_from_now_is_one_of_now(regime: Regime, plan: dict[str, float], away_s: float) -> None:
    net = running(regime, "abc", plan)
    engine = net.sites["b"].engine
    generation = engine.parts()[0].generation + 10
    bounded(engine, 100_000)
    engine.handle("a", Activate("p", 1, generation, True, net.now_s + away_s, 1), net.now_s)
    engine.handle("c", Activated("p", 1, generation, 1e-300), net.now_s)
    engine.tick(net.now_s + 0.001)
    assert engine.now_s == net.now_s + 0.001
    assert all(figures.success_factor is None or figures.success_factor > 0.5 for figures in engine.link_figures())
    assert engine.link_figures()[0].pair_total < 20_000

    engine.handle("a", Activate("p", 1, generation + 1, False, net.now_s + away_s, 1), net.now_s)
    engine.tick(net.now_s + 20.0)
    assert not engine.parts()[0].in_use


def test_a_round_that_began_long_ago_is_not_made_up_for() -> None:
    net = running(Regime.MEMORY, "ab", {})
    engine = net.sites["a"].engine
    bounded(engine, 200_000)
    for away_s in (-NOW_S, NOW_S):
        generation = engine.parts()[0].generation + 10
        engine.handle(
            "b", Swapped("p", 1, generation, 0, 0, 1, (), None, next_rounds=(generation,), restart_s=away_s), net.now_s
        )
        engine.tick(net.now_s)
        assert engine.now_s == net.now_s
    (figures,) = engine.link_figures()
    assert figures.success_factor is None or figures.success_factor > 0.3


def test_a_slot_far_ahead_counts_no_pairs_that_nobody_made() -> None:
    net = running(Regime.SLOT, "abc", {})
    engine = net.sites["b"].engine
    before = {figures.link: figures.pair_total for figures in engine.link_figures()}
    generation = engine.parts()[0].generation
    pair = Pair(1, 0.9, 0.9, 0.9, 1.0, 0.0, 0.0)
    engine.handle("a", Sweep("p", 1, generation, NOW_S, 1, (pair,)), net.now_s)
    assert all(figures.pair_total < before[figures.link] + 5000 for figures in engine.link_figures())


def test_more_timers_than_a_turn_has_wait_for_the_next_one() -> None:
    fast = replace(model(Regime.MEMORY, success=0.5), attempt_period_s=1e-9)
    net = network("ab", fast, hardware())
    engine = net.sites["a"].engine
    engine.handle("b", PairHello(0.0), net.now_s)
    engine.set_paths([chain("ab")], net.now_s)
    engine.handle("b", Activated("p", 1, engine.parts()[0].generation), net.now_s)
    bounded(engine, 300)
    engine.tick(net.now_s + 1.0)
    assert engine.steps_left == 0
    assert engine.now_s < net.now_s + 0.001
    delivered = engine.path_figures()[0].delivered_total
    assert 200 < delivered <= 300
    bounded(engine, 300)
    engine.tick(net.now_s + 1.0)
    assert engine.path_figures()[0].delivered_total > delivered + 200


def test_a_pair_that_is_told_twice_is_measured_once() -> None:
    net = network("abc", model(Regime.MEMORY), hardware())
    net.install(chain("abc", use=PairUse.MEASURE, key_link="k", test_share=0.0))
    net.run(1.0)
    engine = net.sites["c"].engine
    generation, pair = engine.parts()[0].generation, Pair(77, 1.0, 1.0, 1.0, net.now_s, 0.0, 0.0)
    for number in range(3):
        swapped = Swapped("p", 1, generation, 0, 0, 2, (generation, number), pair)
        engine.handle("b", swapped, net.now_s)
    assert [one.sequence for one in engine.drain() if isinstance(one, Measured)] == [77]


def test_an_end_that_has_voided_pairs_says_nothing_of_those_it_has_forgotten() -> None:
    net = network("abc", model(Regime.MEMORY, success=0.5), hardware())
    net.install(chain("abc", test_share=0.0))
    net.run(2.0)
    head, told = net.sites["a"].engine, []
    had = net.sites["a"].effects[-1]
    net.tap = lambda sender, _, message: told.append(message) if sender == "a" else None
    head.handle("b", Recent("p", 1, net.now_s - 0.05, net.now_s, ()), net.now_s)
    assert any(isinstance(effect, Voided) for effect in head.drain()), had
    net.disconnect("a", "b")
    net.connect("a", "b")
    net.run(0.5)
    (recent, *_) = [message for message in told if isinstance(message, Recent)]
    assert recent.since_s > 1.0
