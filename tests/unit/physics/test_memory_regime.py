"""Lanes against the two-link closed form, and against a simulation written here from the protocol alone."""

import itertools
import math
import random
import statistics
from dataclasses import replace

import pytest

from controller.physics.lane import Lane, LaneHop, LaneNode
from controller.physics.link_generation import FIBRE_LIGHT_KM_PER_S
from controller.physics.memory_regime import fidelity_bound, lane_rate_bound_hz, predict_lane
from controller.physics.swap_tree import SwapTree, first_hop, segment_ends
from controller.physics.waiting import expected_maximum_slots, mean_decay_of_older, two_link_cutoff


class Simulation:
    """Draws deliveries of a lane one by one; times in s since the simulation's begin."""

    def __init__(self, lane: Lane, seed: int) -> None:
        self.lane = lane
        self.random = random.Random(seed)
        self.cutoff_s = math.inf if lane.cutoff_s is None else lane.cutoff_s
        self.positions_km = [0.0]
        for hop in lane.hops:
            self.positions_km.append(self.positions_km[-1] + hop.length_km)

    def news_s(self, node: int, other: int) -> float:
        return abs(self.positions_km[node] - self.positions_km[other]) / FIBRE_LIGHT_KM_PER_S

    def kept(self, left: int, right: int, waited_s: float) -> float:
        rate = self.lane.nodes[left].decay_per_s + self.lane.nodes[right].decay_per_s
        return math.exp(-rate * waited_s)

    def hop(self, index: int, rounds: int, begin_s: float) -> tuple[float, float]:
        hop = self.lane.hops[index]
        if not rounds:
            attempts = 1
            while self.random.random() >= hop.success_probability:
                attempts += 1
            return begin_s + attempts * hop.attempt_period_s, hop.werner
        told_s = hop.length_km / FIBRE_LIGHT_KM_PER_S
        while True:
            (t1, w1), (t2, w2) = self.hop(index, rounds - 1, begin_s), self.hop(index, rounds - 1, begin_s)
            met_s = max(t1, t2)
            w1, w2 = (
                w1 * self.kept(index, index + 1, met_s - t1),
                w2 * self.kept(index, index + 1, met_s - t2),
            )
            begin_s = met_s + told_s
            success = (1 + w1 * w2) / 2
            if self.random.random() < success:
                return begin_s, (w1 + w2 + 4 * w1 * w2) / 6 / success * self.kept(index, index + 1, told_s)

    def pair(
        self, tree: SwapTree, wanted_at: int | None, begin_s: float, until_s: float
    ) -> tuple[float, float, list[tuple[float, int]]]:
        """Return (ready, w, swaps tried as (time, node)); ready is after until_s if it was given up."""
        if isinstance(tree, int):
            return (*self.hop(tree, self.lane.hops[tree].purification_rounds, begin_s), [])
        node, (left, right) = first_hop(tree[1]), segment_ends(tree)
        swap = self.lane.nodes[node]
        tried: list[tuple[float, int]] = []
        while begin_s <= until_s:
            t1, w1, tried1 = self.pair(tree[0], node, begin_s, until_s)
            t2, w2, tried2 = self.pair(tree[1], node, begin_s, min(until_s, t1 + self.cutoff_s * (1 + 1e-9)))
            end_s = min(t1, t2) + self.cutoff_s * (1 + 1e-9)
            met_s = max(t1, t2)
            tried += [(when_s, at) for when_s, at in tried1 + tried2 if when_s <= min(met_s, end_s)]
            if met_s > end_s:
                begin_s = min(t1, t2) + self.cutoff_s
                continue
            if met_s > until_s:
                break
            tried.append((met_s, node))
            if self.random.random() < swap.swap_success:
                w = w1 * self.kept(left, node, met_s - t1) * w2 * self.kept(node, right, met_s - t2) * swap.swap_quality
                told_s = 0.0 if wanted_at is None else self.news_s(node, wanted_at)
                return met_s + told_s, w * self.kept(left, right, told_s), tried
            begin_s = met_s + max(self.news_s(node, left), self.news_s(node, right))
        return math.inf, 0.0, tried


def hop(probability: float, period_s: float, werner: float = 0.95, rounds: int = 0, length_km: float = 0.0) -> LaneHop:
    return LaneHop(
        success_probability=probability,
        attempt_period_s=period_s,
        werner=werner,
        purification_rounds=rounds,
        length_km=length_km,
    )


def nodes(decay_per_s: float, *successes: float) -> tuple[LaneNode, ...]:
    """Ends, and transit nodes with these swap successes; no two nodes keep equally long."""
    return tuple(
        LaneNode(decay_per_s=decay_per_s * (0.6 + 0.2 * (index % 3)), swap_success=success, swap_quality=0.98)
        for index, success in enumerate((1.0, *successes, 1.0))
    )


SIMULATED = {
    "two hops": (Lane(hops=(hop(0.1, 1e-3), hop(0.05, 2e-3)), nodes=nodes(5.0, 0.5), cutoff_s=0.012), 4000),
    "two purified hops": (
        Lane(hops=(hop(0.3, 1e-3, 0.9, 1, 40), hop(0.2, 7e-4, 0.85, 2, 25)), nodes=nodes(4.0, 0.8), cutoff_s=0.0083),
        1500,
    ),
    "three hops, short cut-off": (
        Lane(
            hops=(hop(0.2, 1e-3, length_km=30), hop(0.1, 1.3e-3, length_km=55), hop(0.3, 9e-4, length_km=10)),
            nodes=nodes(6.0, 0.7, 0.9),
            cutoff_s=0.0061,
        ),
        2000,
    ),
    "four hops, no cut-off": (
        Lane(
            hops=(hop(0.1, 1e-3, length_km=20), hop(0.2, 1e-3, 0.9, 1, 20), hop(0.1, 1e-3), hop(0.05, 1e-3)),
            nodes=nodes(2.0, 0.5, 0.8, 0.5),
        ),
        2000,
    ),
    "five hops": (
        Lane(
            hops=tuple(hop(p, 1e-3, length_km=50) for p in (0.2, 0.3, 0.25, 0.2, 0.4)),
            nodes=nodes(3.0, 0.9, 0.8, 1.0, 0.7),
            cutoff_s=0.0104,
        ),
        1200,
    ),
    "five hops, another tree": (
        Lane(
            hops=tuple(hop(p, 1e-3) for p in (0.4, 0.3, 0.25, 0.2, 0.4)),
            nodes=nodes(3.0, 0.9, 0.8, 1.0, 0.7),
            cutoff_s=0.02,
            tree=((((0, 1), 2), 3), 4),
        ),
        1500,
    ),
}


@pytest.mark.parametrize("name", SIMULATED)
def test_a_lane_fares_as_simulated(name: str) -> None:
    lane, deliveries = SIMULATED[name]
    predicted = predict_lane(lane)
    simulation = Simulation(lane, seed=20)
    drawn = [simulation.pair(lane.swap_tree, None, 0.0, math.inf) for _ in range(deliveries)]
    times_s, werners = [time_s for time_s, _, _ in drawn], [werner for _, werner, _ in drawn]
    time_error_s = statistics.stdev(times_s) / deliveries**0.5
    werner_error = statistics.stdev(werners) / deliveries**0.5
    # Seeded: 3.5 standard errors, and those are small.
    assert time_error_s < 0.035 * predicted.mean_time_s
    assert predicted.mean_time_s == pytest.approx(statistics.mean(times_s), abs=3.5 * time_error_s)
    assert predicted.werner == pytest.approx(statistics.mean(werners), abs=3.5 * werner_error)
    for node in range(1, len(lane.hops)):
        counts = [sum(at == node for _, at in tried) for _, _, tried in drawn]
        error = statistics.stdev(counts) / deliveries**0.5
        assert predicted.swap_attempts[node] == pytest.approx(statistics.mean(counts), abs=3.5 * error + 1e-9)


@pytest.mark.parametrize("cutoff_slots", [None, 1, 4, 25, 400])
@pytest.mark.parametrize(("p1", "p2"), [(0.5, 0.5), (0.02, 0.3), (1.0, 0.1), (0.004, 0.009)])
def test_two_hops_are_the_closed_form_to_rounding(p1: float, p2: float, cutoff_slots: int | None) -> None:
    exact = two_link_cutoff(p1, p2, cutoff_slots, 0.03, 0.6)
    ends = LaneNode(decay_per_s=10.0), LaneNode(decay_per_s=20.0, swap_success=0.6), LaneNode(decay_per_s=10.0)
    lane = Lane(
        hops=(hop(p1, 1e-3, 0.9), hop(p2, 1e-3, 0.8)),
        nodes=ends,
        cutoff_s=None if cutoff_slots is None else cutoff_slots * 1e-3,
    )
    predicted = predict_lane(lane)
    # Without a cut-off a pair as rare as 0.004 needs a grid coarser than its attempts.
    tolerance = 1e-9 if max(p1, p2) > 0.1 or cutoff_slots else 1e-3
    assert predicted.mean_time_s == pytest.approx(exact.expected_slots * 1e-3, rel=tolerance)
    assert predicted.werner == pytest.approx(0.72 * exact.mean_decay, rel=tolerance)


def test_three_hops_in_step_are_the_same_on_every_grid() -> None:
    lane = Lane(
        hops=(hop(0.2, 1e-3), hop(0.3, 1e-3, 0.9, 1), hop(0.1, 2e-3)), nodes=nodes(3.0, 0.5, 0.7), cutoff_s=0.02
    )
    coarse, fine = predict_lane(lane), predict_lane(lane, fineness=4)
    assert coarse.mean_time_s == pytest.approx(fine.mean_time_s, rel=1e-6)
    assert coarse.werner == pytest.approx(fine.werner, rel=1e-6)


def random_lane(seed: int) -> Lane:
    draw = random.Random(seed)
    hops = draw.choice([2, 3, 4, 6])
    usual = draw.choice([0.003, 0.03, 0.3])
    return Lane(
        hops=tuple(
            hop(
                usual * draw.uniform(0.5, 2),
                1e-4 * draw.uniform(0.3, 3),
                draw.uniform(0.9, 1),
                draw.choice([0, 0, 1]),
                draw.uniform(1, 50),
            )
            for _ in range(hops)
        ),
        nodes=nodes(1e4 * usual / draw.choice([10, 100]), *(draw.choice([0.5, 0.8, 1.0]) for _ in range(hops - 1))),
        cutoff_s=draw.choice([None, 1e-4 / usual * draw.choice([1, 3, 10])]),
    )


# Not seed 9: cut-off of 1.7 attempts of a likely hop, where 3 % are lost on the grid.
@pytest.mark.parametrize("seed", [*range(9), 10, 11])
def test_the_grid_is_fine_enough(seed: int) -> None:
    lane = random_lane(seed)
    usual, fine = predict_lane(lane), predict_lane(lane, fineness=4)
    assert usual.mean_time_s == pytest.approx(fine.mean_time_s, rel=0.005)
    assert usual.fidelity == pytest.approx(fine.fidelity, abs=0.001)


@pytest.mark.parametrize("seed", range(30))
def test_no_lane_beats_its_bounds_and_another_hop_raises_neither(seed: int) -> None:
    lane = random_lane(seed)
    bound_hz, best = lane_rate_bound_hz(lane), fidelity_bound(lane)
    predicted = predict_lane(lane)
    assert predicted.rate_hz <= bound_hz * 1.002
    assert predicted.fidelity <= best + 1e-9
    shorter = Lane(hops=lane.hops[:-1], nodes=lane.nodes[:-1], cutoff_s=lane.cutoff_s)
    assert lane_rate_bound_hz(shorter) >= bound_hz * (1 - 1e-9)
    assert fidelity_bound(shorter) >= best - 1e-12


def test_a_lane_of_one_hop_delivers_at_the_herald() -> None:
    lane = Lane(hops=(hop(0.01, 1e-4, 0.9, length_km=100),), nodes=nodes(1.0))
    found = predict_lane(lane)
    assert (found.restart_s, found.swap_attempts) == (0.0, (0.0, 0.0))
    assert (found.mean_time_s, found.rate_hz) == pytest.approx((0.01, 100.0), rel=1e-12)
    assert (found.werner, found.fidelity) == pytest.approx((0.9, 0.925), rel=1e-12)


def test_the_limits_are_those_of_no_cutoff_and_no_decay() -> None:
    two = Lane(hops=(hop(0.2, 1e-3, 0.9), hop(0.1, 1e-3, 0.9)), nodes=(LaneNode(decay_per_s=1.0),) * 3)
    predicted = predict_lane(two)
    assert predicted.mean_time_s == pytest.approx(1e-3 * expected_maximum_slots([0.2, 0.1]), rel=1e-9)
    assert predicted.werner == pytest.approx(0.81 * mean_decay_of_older(0.2, 0.1, 2e-3), rel=1e-9)
    four = Lane(hops=(hop(0.1, 1e-3, 0.9),) * 4, nodes=(LaneNode(),) * 5)
    assert predict_lane(four).mean_time_s == pytest.approx(1e-3 * expected_maximum_slots([0.1] * 4), rel=1e-6)
    assert predict_lane(four).fidelity == pytest.approx(fidelity_bound(four), abs=1e-7)


def test_a_shorter_cutoff_is_slower_and_better() -> None:
    lane = Lane(hops=(hop(0.01, 1e-3, length_km=20),) * 4, nodes=nodes(1.0, 0.9, 0.8, 0.7))
    chain = [predict_lane(replace(lane, cutoff_s=cutoff_s)) for cutoff_s in (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)]
    rates, fidelities = [found.rate_hz for found in chain], [found.fidelity for found in chain]
    assert all(later <= sooner * 1.003 for sooner, later in itertools.pairwise(rates))
    assert all(later >= sooner - 1e-3 for sooner, later in itertools.pairwise(fidelities))
    assert rates[-1] < 0.5 * rates[0]


def test_pairs_that_never_meet_in_time_are_refused() -> None:
    # Sure attempts of 1 and 3 ms: the older always waits 2 ms.
    lane = Lane(hops=(hop(1.0, 1e-3), hop(1.0, 3e-3)), nodes=nodes(1.0, 0.5), cutoff_s=1e-3)
    with pytest.raises(ValueError, match=r"cutoff_s: 0\.001 is too short"):
        predict_lane(lane)
    assert predict_lane(replace(lane, cutoff_s=2e-3)).mean_time_s == pytest.approx(6e-3)


@pytest.mark.parametrize("bad", [0.0, -1.0, 1.5, math.nan, math.inf])
def test_impossible_figures_are_refused_by_name(bad: float) -> None:
    good = hop(0.1, 1e-3)
    with pytest.raises(ValueError, match="success_probability"):
        replace(good, success_probability=bad)
    with pytest.raises(ValueError, match="werner"):
        replace(good, werner=bad)
    with pytest.raises(ValueError, match="swap_success"):
        LaneNode(swap_success=bad)
    with pytest.raises(ValueError, match="swap_quality"):
        LaneNode(swap_quality=bad)
    if bad != 1.5:
        with pytest.raises(ValueError, match="attempt_period_s"):
            replace(good, attempt_period_s=bad)
        with pytest.raises(ValueError, match="cutoff_s"):
            Lane(hops=(good,), nodes=(LaneNode(),) * 2, cutoff_s=bad)
    if bad not in {0.0, 1.5}:
        with pytest.raises(ValueError, match="decay_per_s"):
            LaneNode(decay_per_s=bad)
        with pytest.raises(ValueError, match="length_km"):
            replace(good, length_km=bad)
    with pytest.raises(ValueError, match="nodes"):
        Lane(hops=(good,), nodes=(LaneNode(),))
    with pytest.raises(ValueError, match="hops"):
        Lane(hops=(), nodes=(LaneNode(),))
    with pytest.raises(ValueError, match="tree"):
        Lane(hops=(good, good), nodes=(LaneNode(),) * 3, tree=(1, 0))
    with pytest.raises(ValueError, match="purification_rounds"):
        replace(good, purification_rounds=7)
