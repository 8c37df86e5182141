"""What demands can get of entangled pairs, against programs of another form and the rates of swap trees."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from controller.domain.refusals import InvalidValue
from controller.physics.buffered_regime import best_tree, tree_rate
from controller.routing.kernels.net import net_of
from controller.routing.optimum import hop_layers as layered
from controller.routing.optimum import pair_types as typed
from controller.routing.optimum.hop_layers import hop_layers
from controller.routing.optimum.pair_types import pair_types
from controller.routing.optimum.pairs import PairProblem, PairWant


def random_pairs(seed: int, *, equal: bool = True) -> PairProblem:
    """Return a problem with parallel links, dead ones, nodes without swaps, and limits on rates and hops."""
    chance = np.random.default_rng(seed)
    n_nodes = int(chance.integers(2, 7))
    n_links = int(chance.integers(0, 10))
    wants = []
    for _ in range(int(chance.integers(0, 4))):
        source, target = chance.choice(n_nodes, 2, replace=False).tolist()
        wants.append(
            PairWant(
                source=source,
                target=target,
                most_millihertz=int(chance.integers(1, 5)) * 700 if chance.random() < 0.4 else None,
                weight=float(chance.choice([0.5, 1.0, 2.0])),
                most_hops=int(chance.integers(1, 4)) if chance.random() < 0.4 else None,
            )
        )
    choices = [0.0, 0.3, 0.5, 0.8, 1.0]
    return PairProblem(
        net=net_of(n_nodes, [tuple(chance.choice(n_nodes, 2, replace=False).tolist()) for _ in range(n_links)]),
        rates_millihertz=chance.integers(0, 6, n_links).astype(np.int64) * 1000,
        successes=np.full(n_nodes, chance.choice(choices)) if equal else chance.choice(choices, n_nodes),
        wants=tuple(wants),
    )


def chain(rates: Sequence[int], successes: Sequence[float]) -> PairProblem:
    """Return the problem of what the ends of a chain get."""
    n_links = len(rates)
    return PairProblem(
        net=net_of(n_links + 1, [(hop, hop + 1) for hop in range(n_links)]),
        rates_millihertz=np.array(rates, np.int64),
        successes=np.array([1.0, *successes, 1.0]),
        wants=(PairWant(source=0, target=n_links),),
    )


def routes(problem: PairProblem, want: PairWant) -> Iterator[tuple[int, ...]]:
    """Yield every loop-free route of a demand that is not too long."""

    def onward(nodes: tuple[int, ...], links: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if nodes[-1] == want.target:
            yield links
        elif len(links) < (want.most_hops or 99):
            for link in range(problem.rates_millihertz.size):
                ends = int(problem.net.tails[link]), int(problem.net.heads[link])
                if nodes[-1] in ends and (far := sum(ends) - nodes[-1]) not in nodes:
                    yield from onward((*nodes, far), (*links, link))

    return onward((want.source,), ())


def most_on_routes(problem: PairProblem) -> float:
    """Return the optimum over all routes there are, each a variable."""
    ways = [(number, way) for number, want in enumerate(problem.wants) for way in routes(problem, want)]
    if not ways:
        return 0.0
    n_links = problem.rates_millihertz.size
    rows = np.zeros((n_links + len(problem.wants), len(ways)))
    for at, (number, way) in enumerate(ways):
        rows[list(way), at] = 1.0
        rows[n_links + number, at] = float(problem.successes[0]) ** (len(way) - 1)
    limits = [*problem.rates_millihertz, *(want.most_millihertz or 1e9 for want in problem.wants)]
    gains = [problem.wants[number].weight * rows[n_links + number, at] for at, (number, _) in enumerate(ways)]
    return -float(linprog(-np.array(gains), A_ub=rows, b_ub=limits).fun)


def test_layers_of_hops_say_what_all_routes_say_and_types_of_pairs_bound_them() -> None:
    for seed in range(320):
        problem = random_pairs(seed)
        best = most_on_routes(problem)
        answer = hop_layers(problem)
        assert answer.value == pytest.approx(best, rel=1e-7, abs=1e-4), seed
        assert answer.bound >= max(best * (1 - 1e-9), answer.value), seed
        assert answer.bound - answer.value <= 1e-6 * answer.bound + 1e-4, seed
        if seed % 4 == 0:
            types = pair_types(problem)
            assert types.bound >= answer.value * (1 - 1e-12), seed
            assert types.bound - types.value <= 1e-6 * types.bound + 1e-4, seed


def test_pieces_are_routes_of_their_demands_and_take_no_more_than_links_make() -> None:
    for seed in range(60):
        problem = random_pairs(seed)
        answer = hop_layers(problem)
        taken = np.zeros(problem.rates_millihertz.size)
        for piece in answer.pieces:
            assert piece.links in set(routes(problem, problem.wants[piece.want])), seed
            taken[list(piece.links)] += piece.taken_millihertz
        assert (taken <= problem.rates_millihertz * (1 + 1e-15)).all(), seed
        for want, rate in zip(problem.wants, answer.rates_millihertz, strict=True):
            assert rate <= (want.most_millihertz or math.inf) * (1 + 1e-12), seed


def test_swaps_of_types_of_pairs_take_no_more_pairs_than_there_are() -> None:
    for seed in range(60):
        problem = random_pairs(seed, equal=False)
        n_nodes = problem.successes.size
        answer = pair_types(problem)
        there = np.zeros((n_nodes, n_nodes))
        for link, rate in enumerate(problem.rates_millihertz):
            ends = sorted((int(problem.net.tails[link]), int(problem.net.heads[link])))
            there[ends[0], ends[1]] += rate
        for swap in answer.swaps:
            for end in (swap.first, swap.second):
                near, far = sorted((end, swap.at))
                there[near, far] -= swap.rate_millihertz
            there[swap.first, swap.second] += problem.successes[swap.at] * swap.rate_millihertz
        for want, rate in zip(problem.wants, answer.rates_millihertz, strict=True):
            near, far = sorted((want.source, want.target))
            there[near, far] -= rate
            assert rate <= (want.most_millihertz or math.inf) * (1 + 1e-9), seed
        assert there.min() > -1e-2, seed
        assert answer.bound - answer.value <= 1e-6 * answer.bound + 1e-4, seed


def test_prices_prove_the_bounds_by_themselves_and_any_others_prove_one() -> None:
    chance = np.random.default_rng(5)
    for seed in range(40):
        problem = random_pairs(seed)
        types, layers = pair_types(problem), hop_layers(problem)
        assert typed.proven_bound(problem, types.prices) == pytest.approx(types.bound, rel=1e-9, abs=1e-6)
        assert layered.proven_bound(problem, layers.prices) == layers.bound
        some = chance.random((problem.successes.size,) * 2)
        assert typed.proven_bound(problem, some + some.T) >= types.value * (1 - 1e-9), seed
        assert layered.proven_bound(problem, chance.random(layers.prices.size)) >= layers.value * (1 - 1e-9), seed


def test_no_swap_gains_at_the_prices_of_pairs() -> None:
    problem = random_pairs(11, equal=False)
    prices = pair_types(problem).prices
    for first, at, second in np.ndindex(*(problem.successes.size,) * 3):
        if len({first, at, second}) == 3:
            # Chances count rounded up there, so that this holds of the true ones all the more.
            assert problem.successes[at] * prices[first, second] <= prices[first, at] + prices[at, second]


def test_types_of_pairs_bound_the_best_swap_tree_of_a_chain() -> None:
    chance = np.random.default_rng(3)
    for _ in range(40):
        n_links = int(chance.integers(2, 7))
        rates = (chance.integers(1, 20, n_links) * 1000).tolist()
        successes = chance.choice([0.4, 0.5, 0.9, 1.0], n_links - 1).tolist()
        tree, _ = best_tree([float(rate) for rate in rates], successes)
        answer = pair_types(chain(rates, successes))
        assert answer.bound >= tree * (1 - 1e-12)
        assert answer.value == pytest.approx(answer.bound, rel=1e-6)


@pytest.mark.parametrize(("one", "other", "success"), [(1000, 4000, 0.5), (3000, 3000, 1.0), (2000, 1000, 0.0)])
def test_two_links_give_the_chance_of_a_swap_times_the_smaller_rate(one: int, other: int, success: float) -> None:
    problem = chain([one, other], [success])
    assert pair_types(problem).value == pytest.approx(success * min(one, other), abs=1e-6)
    assert pair_types(problem).bound == pytest.approx(success * min(one, other), abs=1e-4)


def test_four_equal_links_give_two_levels_of_swaps_and_routes_at_once_give_three_swaps() -> None:
    problem = chain([8000] * 4, [0.5] * 3)
    assert pair_types(problem).value == pytest.approx(tree_rate([8000.0] * 4, 0.5))
    assert hop_layers(replace(problem, successes=np.full(5, 0.5))).value == pytest.approx(8000 * 0.5**3)


def test_a_mix_of_trees_beats_every_tree_on_three_links() -> None:
    problem = chain([1000, 4000, 1000], [0.5] * 2)
    assert tree_rate([1000.0, 4000.0, 1000.0], 0.5) == 250
    # Each tree swaps one outer link twice and the other once; in turns both give a pair for six of theirs.
    assert pair_types(problem).value == pytest.approx(1000 / 3, rel=1e-6)


def test_demands_that_nothing_joins_get_nothing_and_none_is_no_mistake() -> None:
    apart = PairProblem(
        net=net_of(4, [(0, 1), (2, 3)]),
        rates_millihertz=np.array([1000, 1000], np.int64),
        successes=np.ones(4),
        wants=(PairWant(source=0, target=2),),
    )
    for problem in (apart, replace(apart, wants=())):
        for answer in (pair_types(problem), hop_layers(problem)):
            assert answer.value == 0
            assert answer.bound == pytest.approx(0, abs=1e-4)


def test_what_is_out_of_range_is_refused_by_name() -> None:
    good = chain([1000, 1000], [0.5])
    for fields, named in (
        ({"rates_millihertz": np.array([1000.0, math.nan])}, "rates_millihertz"),
        ({"rates_millihertz": np.array([-1, 5], np.int64)}, "rates_millihertz"),
        ({"successes": np.array([1.0, math.nan, 1.0])}, "successes"),
        ({"successes": np.array([1.0, 1.5, 1.0])}, "successes"),
        ({"wants": (PairWant(source=0, target=9),)}, "wants[0].target"),
        ({"wants": (PairWant(source=1, target=1),)}, "wants[0].target"),
        ({"wants": (PairWant(source=0, target=1, weight=math.inf),)}, "wants[0].weight"),
        ({"wants": (PairWant(source=0, target=1, most_millihertz=0),)}, "wants[0].most_millihertz"),
        ({"wants": (PairWant(source=0, target=1, most_hops=0),)}, "wants[0].most_hops"),
    ):
        with pytest.raises(InvalidValue) as refused:
            replace(good, **fields)
        assert named in refused.value.message
    with pytest.raises(InvalidValue, match="pair_types"):
        hop_layers(good)
    with pytest.raises(InvalidValue, match="prices"):
        typed.proven_bound(good, np.full((3, 3), math.nan))
    long = chain([1000] * 70, [1.0] * 69)
    with pytest.raises(InvalidValue, match="71 nodes, more than 60"):
        pair_types(long)
