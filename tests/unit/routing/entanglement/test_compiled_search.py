"""The compiled searches answer as the plain-Python ones did, and their parts as the formulas that they speed up.

Of the memory regime, whose plain search is slow, the many networks are in `make test-routes`.
"""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from controller.domain.entanglement_path import PairDemand
from controller.domain.pair_link import Regime
from controller.physics.buffered_regime import best_tree
from controller.physics.lane import Lane, LaneHop, LaneNode
from controller.physics.memory_regime import predict_lane
from controller.physics.purification import nested_rounds
from controller.routing.entanglement.ground import ground_of
from controller.routing.entanglement.memory import purified_of
from controller.routing.entanglement.menu import menu_of
from controller.routing.entanglement.network import PairNetwork, pair_network_of
from controller.routing.kernels.net import Floats, frozen
from controller.routing.kernels.pairs_buffered import split_best
from controller.routing.kernels.pairs_lane import TABLES, LaneFigures, predict, rate_unlimited
from controller.routing.kernels.pairs_survey import share_of
from tests.bench.entanglement import stations_and_fibres
from tests.bench.exactness import plainly_equal
from tests.support.pair_networks import chance_network
from tests.support.plain_pairs import ground as plain

STEPS = 300


def loaded(seed: int, regime: Regime, *, most_nodes: int = 8) -> tuple[PairNetwork, PairDemand]:
    """Return a random network of which others hold a part, every third seed."""
    snapshot, demand = chance_network(
        seed, regime, equal_q=seed % 2 == 0, most_nodes=most_nodes, decay=regime is Regime.MEMORY
    )
    network = pair_network_of(snapshot)
    chance = random.Random(seed)
    if seed % 3 == 0:
        network = replace(
            network,
            room=tuple(int(free * chance.choice([0.0, 0.1, 0.5, 1.0, 1.0])) - (seed % 2) for free in network.room),
            memories=tuple(int(free * chance.choice([0.1, 0.5, 1.0])) for free in network.memories),
        )
    return network, demand


@pytest.mark.parametrize(("regime", "count"), [(Regime.BUFFERED, 500), (Regime.MEMORY, 10)])
def test_a_compiled_search_finds_what_the_plain_one_does(regime: Regime, count: int) -> None:
    most_nodes = 8 if regime is Regime.BUFFERED else 5
    different = [
        seed for seed in range(count) if not plainly_equal(*loaded(seed, regime, most_nodes=most_nodes), regime, STEPS)
    ]
    assert different == []


def test_a_link_has_the_choices_that_are_left_by_what_is_free() -> None:
    for regime in Regime:
        for seed in range(0, 45, 3):
            network, demand = loaded(seed, regime)
            ours, theirs = (made(network, demand, regime) for made in (ground_of, plain.ground_of))
            assert ours.allowed == theirs.allowed
            assert [bool(each) for each in ours.passable] == list(theirs.passable)
            for link in range(len(network.wiring.edges)):
                told = [
                    tuple(getattr(choice, name) for name in choice.__dataclass_fields__)
                    for choice in ours.choices(link)
                ]
                plain_told = [
                    tuple(getattr(choice, name) for name in choice.__dataclass_fields__)
                    for choice in theirs.choices(link)
                ]
                assert told == plain_told, (regime, seed, link)


def test_what_routes_may_lose_and_how_far_they_have_to_go_is_as_before() -> None:
    for seed in range(60):
        network, demand = loaded(seed, Regime.BUFFERED)
        most_loss = [0.1, 0.5, math.inf][seed % 3]
        ours = replace(ground_of(network, demand, Regime.BUFFERED), most_loss=most_loss)
        theirs = replace(plain.ground_of(network, demand, Regime.BUFFERED), most_loss=most_loss)
        assert ours.losses_to_goal == theirs.losses_to_goal
        assert (ours.hops_to_goal, ours.near, ours.joined) == (theirs.hops_to_goal, theirs.near, theirs.joined)


def test_what_a_ground_has_worked_out_serves_another_fidelity() -> None:
    network, demand = loaded(1, Regime.BUFFERED)
    ground = ground_of(network, demand, Regime.BUFFERED)
    seen = [ground.choices(link) for link in range(len(network.wiring.edges))]
    other = replace(ground, most_loss=0.3)
    assert all(other.choices(link) is choices for link, choices in enumerate(seen))


def test_the_menu_of_a_wiring_purifies_as_the_physics_does() -> None:
    wiring = pair_network_of(stations_and_fibres(20, Regime.BUFFERED)).wiring
    menu = menu_of(wiring)
    for link, edge in enumerate(wiring.edges):
        fidelities = {option.index: option.fidelity for option in edge.options}
        for row in range(menu.first[link], menu.first[link + 1]):
            cost, fidelity = nested_rounds(fidelities[int(menu.options[row])], int(menu.rounds[row]))
            assert (menu.costs[row], menu.werners[row]) == (cost, (4 * fidelity - 1) / 3)


def lane(chance: random.Random) -> Lane:
    hops = chance.randint(1, 5)
    common_s = chance.choice([1e-3, None])
    return Lane(
        hops=tuple(
            LaneHop(
                success_probability=chance.choice([0.001, 0.01, 0.05, 0.3, 1.0]),
                attempt_period_s=common_s or chance.choice([1e-3, 2e-3, 7e-4, 1.23e-4]),
                werner=chance.uniform(0.7, 1.0),
                purification_rounds=chance.choice([0, 0, 0, 0, 1]),
                length_km=chance.choice([0.0, 10.0, 33.3]),
            )
            for _ in range(hops)
        ),
        nodes=tuple(
            LaneNode(
                decay_per_s=chance.choice([0.0, 0.1, 1.0, 10.0]),
                swap_success=chance.choice([0.5, 0.9, 1.0]),
                swap_quality=chance.choice([0.95, 1.0]),
            )
            for _ in range(hops + 1)
        ),
        cutoff_s=chance.choice([None, None, 0.3, 0.03, 0.002]),
    )


def frozen_floats(values: list[float]) -> Floats:
    made = np.array(values, np.float64)
    frozen(made)
    return made


def lane_figures(one: Lane) -> LaneFigures:
    rounds = np.array([hop.purification_rounds for hop in one.hops], np.int32)
    frozen(rounds)
    return LaneFigures(
        successes=frozen_floats([hop.success_probability for hop in one.hops]),
        periods_s=frozen_floats([hop.attempt_period_s for hop in one.hops]),
        werners=frozen_floats([hop.werner for hop in one.hops]),
        lengths_km=frozen_floats([hop.length_km for hop in one.hops]),
        rounds=rounds,
        decays_per_s=frozen_floats([node.decay_per_s for node in one.nodes]),
        swap_successes=frozen_floats([node.swap_success for node in one.nodes]),
        swap_qualities=frozen_floats([node.swap_quality for node in one.nodes]),
    )


def test_a_lane_delivers_what_the_physics_says() -> None:
    for seed in range(18):
        one = lane(random.Random(seed))
        figures = lane_figures(one)
        cutoff_s = math.inf if one.cutoff_s is None else one.cutoff_s
        time_s, restart_s, rate_hz, werner = predict(figures, purified_of(figures), cutoff_s, *TABLES)
        if one.cutoff_s is None:
            assert rate_unlimited(figures, purified_of(figures), *TABLES) == pytest.approx(rate_hz, rel=1e-7), seed
        try:
            told = predict_lane(one)
        except ValueError:
            assert rate_hz == 0.0, seed
            continue
        assert (time_s, restart_s, rate_hz, werner) == pytest.approx(
            (told.mean_time_s, told.restart_s, told.rate_hz, told.werner), rel=1e-7, abs=1e-12
        ), seed


def test_the_best_tree_is_that_of_the_physics() -> None:
    chance = random.Random(1)
    for _ in range(200):
        hops = chance.randint(1, 8)
        rates = [chance.choice([1.0, 2.0, 4.0, chance.random()]) for _ in range(hops)]
        successes = [chance.choice([0.5, 0.9, 1.0]) for _ in range(hops - 1)]
        value, splits = split_best(*(frozen_floats(each) for each in (rates, successes)))
        told, tree = best_tree(rates, successes)
        assert value == told

        def holds(branch: object, first: int, last: int, splits: list[list[int]]) -> bool:
            if isinstance(branch, int):
                return (branch, last) == (first, first + 1)
            assert isinstance(branch, tuple)
            middle = splits[first][last]
            return holds(branch[0], first, middle, splits) and holds(branch[1], middle, last, splits)

        assert holds(tree, 0, hops, splits.tolist())


def test_a_share_of_a_large_amount_is_whole_and_exact() -> None:
    chance = random.Random(2)
    for _ in range(500):
        amount, whole = (chance.randrange(1, 2 ** chance.randint(1, 43)) for _ in range(2))
        part = chance.randrange(whole + 1)
        assert share_of(amount, part, whole) == amount * part // whole
