"""The best swap tree by three methods; buffers against the explicit chain and against pairs drawn one by one."""

import math
import random
from collections import deque
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.physics.buffered_regime import (
    all_at_once_rate,
    best_tree,
    depth_limit,
    kraft_step,
    needed_hop_rates,
    tree_rate,
)
from controller.physics.finite_buffers import (
    buffer_efficiency,
    merged,
    promised_efficiency,
    tree_buffering,
    waiting_factor,
)
from controller.physics.swap_tree import SwapTree, first_hop, leaf_depths, nested_halving, splits

rate = st.floats(0.01, 100.0)


def all_trees(first: int, end: int) -> Iterator[SwapTree]:
    if end == first + 1:
        yield first
    for node in range(first + 1, end):
        for left in all_trees(first, node):
            for right in all_trees(node, end):
                yield left, right


def rate_of(tree: SwapTree, rates: list[float], swaps: list[float]) -> float:
    if isinstance(tree, int):
        return rates[tree]
    node = first_hop(tree[1])
    return swaps[node - 1] * min(rate_of(tree[0], rates, swaps), rate_of(tree[1], rates, swaps))


@given(st.lists(rate, min_size=1, max_size=9), st.sampled_from([0.3, 0.5, 0.75, 0.9, 1.0]))
@settings(max_examples=150)
def test_the_kraft_test_and_the_dynamic_programme_find_the_same_rate(rates: list[float], q: float) -> None:
    swaps = [q] * (len(rates) - 1)
    found, tree = best_tree(rates, swaps)
    assert tree_rate(rates, q) == pytest.approx(found, rel=1e-9)
    assert rate_of(tree, rates, swaps) == pytest.approx(found, rel=1e-12)
    assert all_at_once_rate(rates, swaps) <= found * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_no_tree_beats_the_best_one(seed: int) -> None:
    draw = random.Random(seed)
    hops = draw.randint(2, 6)
    rates = [draw.choice([1.0, 2.0, 4.0, draw.uniform(0.5, 8)]) for _ in range(hops)]
    swaps = [draw.choice([0.5, 0.5, draw.uniform(0.2, 1)]) for _ in range(hops - 1)]
    found, _ = best_tree(rates, swaps)
    assert found == pytest.approx(max(rate_of(tree, rates, swaps) for tree in all_trees(0, hops)), rel=1e-12)
    even = [0.5] * (hops - 1)
    assert tree_rate(rates, 0.5) == pytest.approx(
        max(rate_of(tree, rates, even) for tree in all_trees(0, hops)), rel=1e-12
    )


def test_the_shared_label_keeps_order_and_depths_are_whole() -> None:
    assert depth_limit(1.0, 0.25, 0.5) == 2
    assert depth_limit(1.0, 0.125 * (1 + 1e-13), 0.5) == 3
    assert depth_limit(0.9, 1.0, 0.5) == -1
    assert kraft_step(0.3, -1) == math.inf
    for used in (0.0, 0.1, 0.5, 0.75):
        for depth in range(6):
            assert kraft_step(used, depth) >= kraft_step(max(0.0, used - 0.1), depth)
            assert kraft_step(used, depth + 1) <= kraft_step(used, depth)


def test_equal_rates_over_a_power_of_two_need_an_even_tree() -> None:
    found, tree = best_tree([3.0] * 8, [0.5] * 7)
    assert (found, tree) == (0.375, nested_halving(8))
    assert {depth for _, depth in leaf_depths(tree)} == {3}
    assert list(splits(tree))[-1] == (0, 4, 8)


def test_promised_rates_are_what_the_tree_needs() -> None:
    tree: SwapTree = ((0, 1), (2, (3, 4)))
    swaps = [0.5, 0.8, 0.9, 0.4]
    efficiency = promised_efficiency(tree, swaps, 32)
    needed = needed_hop_rates(2.0, tree, swaps, [1.0] * 5, efficiency)
    assert rate_of(tree, list(needed), swaps) == pytest.approx(2.0 / efficiency)
    assert tree_buffering(tree, needed, swaps, 32).rate_hz == pytest.approx(2.0, rel=1e-9)
    doubled = needed_hop_rates(2.0, tree, swaps, [2.5, 1.0, 1.0, 1.0, 1.0], efficiency)
    assert doubled[0] == pytest.approx(2.5 * needed[0])
    assert doubled[1:] == pytest.approx(needed[1:])


@given(rate, rate, st.integers(1, 12))
@settings(max_examples=60)
def test_meeting_is_the_stationary_chain(a: float, b: float, depth: int) -> None:
    size = 2 * depth + 1
    generator = np.zeros((size, size))
    for state in range(size):
        if state + 1 < size:
            generator[state, state + 1] = a
        if state > 0:
            generator[state, state - 1] = b
        generator[state, state] = -generator[state].sum()
    equations = np.vstack((generator.T / (a + b), np.ones(size)))
    stationary = np.linalg.lstsq(equations, np.append(np.zeros(size), 1.0), rcond=None)[0]
    difference = np.arange(size) - depth
    found, stock_a, stock_b = merged(a, b, depth)
    # A meeting is an arrival on one side while the other has stock.
    meetings = a * stationary[difference < 0].sum() + b * stationary[difference > 0].sum()
    assert found == pytest.approx(meetings, rel=1e-7)
    assert stock_a == pytest.approx(stationary @ np.maximum(difference, 0), rel=1e-6, abs=1e-9)
    assert stock_b == pytest.approx(stationary @ np.maximum(-difference, 0), rel=1e-6, abs=1e-9)
    assert waiting_factor(a, b, depth, 0.0, 0.0) == pytest.approx(1.0, rel=1e-9)


def test_balanced_streams_meet_as_the_models_say() -> None:
    assert buffer_efficiency(nested_halving(5), [1.0] * 5, [1.0] * 4, 10) == pytest.approx(0.91, abs=0.015)
    for depth in (1, 10, 20, 32):
        assert merged(5.0, 5.0, depth)[0] == pytest.approx(5.0 * 2 * depth / (2 * depth + 1))
    assert waiting_factor(1.0, 1.0, 1, 0.02, 0.02) == pytest.approx((4 * 0.985 - 1) / 3, abs=1e-3)


def buffered_run(
    tree: SwapTree, rates: list[float], swaps: list[float], depth: int, *, decay_per_s: float, until_s: float, seed: int
) -> tuple[float, float]:
    """Draw a run event by event, segments that are full keeping their children waiting; return (rate, mean factor)."""
    draw = random.Random(seed)
    stock: dict[int, deque[tuple[float, float]]] = {}
    made: list[float] = []

    def number(branch: SwapTree) -> int:
        return id(branch) if not isinstance(branch, int) else branch

    inner: list[tuple[SwapTree, SwapTree, SwapTree]] = []

    def collect(branch: SwapTree) -> None:
        stock[number(branch)] = deque()
        if not isinstance(branch, int):
            collect(branch[0])
            collect(branch[1])
            inner.append((branch, branch[0], branch[1]))

    collect(tree)
    now_s, total = 0.0, sum(rates)
    while now_s < until_s:
        now_s += draw.expovariate(total)
        arrived = draw.choices(range(len(rates)), rates)[0]
        if len(stock[arrived]) >= depth:
            continue
        stock[arrived].append((now_s, 1.0))
        moved = True
        while moved:
            moved = False
            for branch, left, right in inner:
                out, lefts, rights = stock[number(branch)], stock[number(left)], stock[number(right)]
                while lefts and rights and len(out) < depth:
                    moved = True
                    (since1, w1), (since2, w2) = lefts.popleft(), rights.popleft()
                    if draw.random() < swaps[first_hop(right) - 1]:
                        waited_s = (now_s - since1) + (now_s - since2)
                        factor = w1 * w2 * math.exp(-2 * decay_per_s * waited_s)
                        if branch is tree:
                            made.append(factor)
                        else:
                            out.append((now_s, factor))
    return len(made) / until_s, sum(made) / len(made)


@pytest.mark.parametrize(
    ("tree", "swaps", "depth"),
    [
        ((0, 1), [0.5], 4),
        ((0, (1, 2)), [0.5, 0.5], 32),
        (((0, 1), (2, (3, 4))), [0.5, 0.8, 1.0, 0.5], 16),
        (((0, 1), (2, (3, 4))), [0.9] * 4, 4),
    ],
)
def test_a_tree_of_buffers_delivers_what_is_promised(tree: SwapTree, swaps: list[float], depth: int) -> None:
    ones = [1.0] * (len(swaps) + 1)
    rates = list(needed_hop_rates(1.0, tree, swaps, ones, promised_efficiency(tree, swaps, depth)))
    found = tree_buffering(tree, rates, swaps, depth, [0.001] * (len(rates) + 1))
    assert found.rate_hz == pytest.approx(1.0, rel=1e-9)
    drawn_hz, drawn_factor = buffered_run(
        tree, rates, swaps, depth, decay_per_s=0.001, until_s=1e5 / sum(rates), seed=3
    )
    assert 0.975 < drawn_hz < 1.05
    assert found.waiting_factor == pytest.approx(drawn_factor, abs=0.2 * (1.0 - drawn_factor))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_impossible_arguments_are_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueError, match=r"rates\[1\]"):
        best_tree([1.0, bad], [0.5])
    with pytest.raises(ValueError, match=r"swap_successes\[0\]"):
        best_tree([1.0, 1.0], [bad])
    with pytest.raises(ValueError, match="swap_success"):
        tree_rate([1.0, 1.0], bad)
    with pytest.raises(ValueError, match="rate_b"):
        merged(1.0, bad, 3)
    with pytest.raises(ValueError, match="efficiency"):
        needed_hop_rates(1.0, (0, 1), [0.5], [1.0, 1.0], bad)
    with pytest.raises(ValueError, match="purification_costs"):
        needed_hop_rates(1.0, (0, 1), [0.5], [1.0, bad], 0.9)
    with pytest.raises(ValueError, match="threshold"):
        depth_limit(1.0, bad, 0.5)
    if bad != 0.0:
        with pytest.raises(ValueError, match="decay_b_per_s"):
            waiting_factor(1.0, 1.0, 3, 0.0, bad)
    with pytest.raises(ValueError, match="depth"):
        buffer_efficiency((0, 1), [1.0, 1.0], [0.5], 0)
    with pytest.raises(ValueError, match="tree"):
        buffer_efficiency((1, 0), [1.0, 1.0], [0.5], 3)
    with pytest.raises(ValueError, match="rates"):
        tree_rate([], 0.5)
