"""Plans over time, against flows on arcs step by step, and stores simulated on their own."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import coo_array

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.net import net_of
from controller.routing.optimum.problem import anywhere
from controller.routing.optimum.time_expanded import TimedPlan, proven_bound, time_expanded
from controller.routing.optimum.timed import Burst, KeyStore, Relay, TimedProblem, TimedWant
from tests.support.pages import ROOT, blocks

HOUR_S = 3600


def random_ahead(seed: int) -> TimedProblem:
    """Return a problem with steps of all lengths, dark links, floors, small stores, and key that gets too old."""
    chance = np.random.default_rng(seed)
    n_nodes, n_links, n_steps = int(chance.integers(2, 5)), int(chance.integers(0, 6)), int(chance.integers(1, 5))
    net = net_of(n_nodes, [tuple(chance.choice(n_nodes, 2, replace=False).tolist()) for _ in range(n_links)])
    bounds_s = (0, *np.cumsum(chance.integers(1, 4, n_steps) * 100).tolist())
    stores = []
    for _ in range(n_links):
        floor = int(chance.integers(0, 3)) * 1000
        initial = floor + int(chance.integers(0, 3)) * 1000
        capacity = initial + int(chance.integers(0, 4)) * 1000
        ttl_s = int(chance.integers(1, 6)) * 70 if chance.random() < 0.3 else None
        stores.append(KeyStore(initial_bit=initial, floor_bit=floor, capacity_bit=capacity, ttl_s=ttl_s))
    wants: list[TimedWant] = []
    for _ in range(int(chance.integers(0, 4))):
        source, target = chance.choice(n_nodes, 2, replace=False).tolist()
        begin, end = sorted(chance.choice(n_steps + 1, 2, replace=False).tolist())
        weight, most = float(chance.choice([0.5, 1.0, 2.0])), int(chance.integers(1, 4))
        amount = int(chance.integers(1, 8))
        if chance.random() < 0.5:
            wants.append(
                Relay(source=source, target=target, rate_millibit_per_s=amount * 3000, begin_s=bounds_s[begin],
                      end_s=bounds_s[end], weight=weight, most=most)
            )  # fmt: skip
        else:
            wants.append(
                Burst(source=source, target=target, volume_bit=amount * 1000, begin_s=bounds_s[begin],
                      deadline_s=bounds_s[end], weight=weight, most=most)
            )  # fmt: skip
    made = chance.integers(0, 4, (n_steps, n_links)) * 5000 * (chance.random((n_steps, n_links)) < 0.8)
    return TimedProblem(net=net, bounds_s=bounds_s, made_millibit_per_s=made.astype(np.int64), stores=tuple(stores),
                        wants=tuple(wants), grounds=(anywhere(net),))  # fmt: skip


def ceiling_bit(problem: TimedProblem, link: int, at_s: int) -> float:
    """Return the most that a store can hold at a time: added up second by second."""
    store = problem.stores[link]
    young = math.inf if store.ttl_s is None else store.ttl_s
    held = float(store.initial_bit) if at_s - problem.bounds_s[0] < young else 0.0
    for step, rate in enumerate(problem.made_millibit_per_s[:, link]):
        begin, end = max(problem.bounds_s[step], at_s - young), min(problem.bounds_s[step + 1], at_s)
        held += int(rate) * max(0.0, end - begin) / 1000
    return min(held, float(store.capacity_bit))


def most_on_arcs(problem: TimedProblem) -> float:
    """Return the optimum as flows on directed arcs, a copy of the network for each demand, step and hop; in bit."""
    n_nodes, (n_steps, n_links) = problem.net.first.size - 1, problem.made_millibit_per_s.shape
    entries: list[tuple[int, int, float]] = []  # of rows <= limits
    equal: list[tuple[int, int, float]] = []
    limits, gains, bounds = [0.0] * (n_steps * n_links), [], []
    n_equal = 0

    def variable(gain: float, low: float, high: float) -> int:
        gains.append(gain)
        bounds.append((low, high))
        return len(gains) - 1

    def floor(link: int, bound: int) -> float:
        return min(problem.stores[link].floor_bit, ceiling_bit(problem, link, problem.bounds_s[bound]))

    for link, store in enumerate(problem.stores):
        before = None
        for step in range(n_steps):
            row, seconds = step * n_links + link, problem.bounds_s[step + 1] - problem.bounds_s[step]
            limits[row] = float(problem.made_millibit_per_s[step, link]) * seconds / 1000
            if before is None:
                limits[row] += store.initial_bit
            else:
                entries.append((row, before, -1.0))
            before = variable(0.0, floor(link, step + 1), ceiling_bit(problem, link, problem.bounds_s[step + 1]))
            entries.append((row, before, 1.0))
    for want in problem.wants:
        share = variable(want.weight * want.asked_bit, 0.0, 1.0)
        hops = min(want.most or n_nodes, n_nodes)
        whole = n_equal
        for step in problem.steps_of(want):
            seconds = problem.bounds_s[step + 1] - problem.bounds_s[step]
            if isinstance(want, Relay) or step == problem.steps_of(want)[0]:
                whole = n_equal
                n_equal += 1
                part = want.rate_millibit_per_s * seconds / 1000 if isinstance(want, Relay) else want.asked_bit
                equal.append((whole, share, -part))
            for link in range(n_links):
                if any(floor(link, bound) < problem.stores[link].floor_bit for bound in (step, step + 1)):
                    continue
                ends = int(problem.net.tails[link]), int(problem.net.heads[link])
                for hop in range(hops):
                    for near, far in (ends, ends[::-1]):
                        if (hop == 0) != (near == want.source) or far == want.source or near == want.target:
                            continue
                        flow = variable(0.0, 0.0, math.inf)
                        entries.append((step * n_links + link, flow, 1.0))
                        if hop:
                            equal.append((n_equal + hop * n_nodes + near, flow, -1.0))
                        equal.append((whole if far == want.target else n_equal + (hop + 1) * n_nodes + far, flow, 1.0))
            n_equal += (hops + 1) * n_nodes
    if not gains:
        return 0.0

    def matrix(of: list[tuple[int, int, float]], height: int) -> coo_array:
        i, j, value = zip(*of, strict=True) if of else ((), (), ())
        return coo_array((value, (np.array(i, int), np.array(j, int))), (height, len(gains))).tocsr()

    answer = linprog(-np.array(gains), A_ub=matrix(entries, len(limits)) if limits else None, b_ub=limits or None,
                     A_eq=matrix(equal, n_equal) if n_equal else None, b_eq=np.zeros(n_equal) if n_equal else None,
                     bounds=bounds)  # fmt: skip
    assert answer.status == 0, answer.message
    return -float(answer.fun)


def check_stores(problem: TimedProblem, plan: TimedPlan) -> None:
    """Simulate every store step by step: all that is made goes in, all that is taken goes out, none below its floor."""
    for link, store in enumerate(problem.stores):
        held = store.initial_bit * 1000
        for step, rate in enumerate(problem.made_millibit_per_s[:, link].tolist()):
            taken = sum(piece.millibit for piece in plan.pieces if piece.step == step and link in piece.links)
            held += rate * (problem.bounds_s[step + 1] - problem.bounds_s[step]) - taken
            most = round(ceiling_bit(problem, link, problem.bounds_s[step + 1]) * 1000)
            assert held >= min(store.floor_bit * 1000, most)
            held = min(held, most)
            assert held <= store.capacity_bit * 1000
            assert plan.stored_millibit[step + 1, link] == held


def check_pieces(problem: TimedProblem, plan: TimedPlan) -> None:
    """Routes join the ends of their demand; relays get one rate in all of their steps, bursts no more than asked."""
    carried = np.zeros_like(plan.carried_millibit)
    for piece in plan.pieces:
        want = problem.wants[piece.want]
        node = want.source
        for link in piece.links:
            ends = int(problem.net.tails[link]), int(problem.net.heads[link])
            assert node in ends
            node = sum(ends) - node
        assert node == want.target
        assert len(piece.links) <= (want.most or 99)
        assert piece.step in problem.steps_of(want)
        carried[piece.want, piece.step] += piece.millibit
    assert (carried == plan.carried_millibit).all()
    for want, amounts in zip(problem.wants, carried, strict=True):
        assert amounts.sum() <= want.asked_bit * 1000
        if isinstance(want, Relay):
            steps = problem.steps_of(want)
            rates = amounts[list(steps)] / problem.durations_s()[list(steps)]
            assert (rates == rates[0]).all()
            assert rates[0] <= want.rate_millibit_per_s


def test_plans_are_the_optimum_of_flows_on_arcs_and_keep_every_store() -> None:
    for seed in range(300):
        problem = random_ahead(seed)
        plan = time_expanded(problem)
        best = most_on_arcs(problem)
        assert plan.value == pytest.approx(best, rel=1e-5, abs=2), seed
        assert plan.bound >= best * (1 - 1e-9) - 1e-6, seed
        assert plan.bound <= best * (1 + 1e-6) + 2, seed
        check_stores(problem, plan)
        check_pieces(problem, plan)


def test_any_prices_prove_a_bound_and_those_of_the_plan_prove_its_own() -> None:
    chance = np.random.default_rng(1)
    for seed in range(30):
        problem = random_ahead(seed)
        plan = time_expanded(problem)
        assert proven_bound(problem, plan.prices) == pytest.approx(plan.bound, rel=1e-6, abs=1), seed
        assert proven_bound(problem, chance.random(plan.prices.shape) * 2) >= plan.value * (1 - 1e-9), seed


def satellite(rate_millibit_per_s: int, capacity_bit: int = 10**9) -> TimedProblem:
    """Return two days, each with a pass over each of two ground stations of 600 s, and a relay between those."""
    bounds_s, passes = [0], []
    for day in range(2):
        for station, hour in ((0, 6), (1, 18)):
            begin = (24 * day + hour) * HOUR_S
            passes.append((len(bounds_s), station))
            bounds_s += [begin, begin + 600]
    bounds_s.append(48 * HOUR_S)
    made = np.zeros((len(bounds_s) - 1, 2), np.int64)
    for step, station in passes:
        made[step, station] = 1_000_000
    net = net_of(3, [(0, 2), (1, 2)])
    relay = Relay(source=0, target=1, rate_millibit_per_s=rate_millibit_per_s, begin_s=18 * HOUR_S + 600,
                  end_s=48 * HOUR_S)  # fmt: skip
    return TimedProblem(net=net, bounds_s=tuple(bounds_s), made_millibit_per_s=made,
                        stores=(KeyStore(capacity_bit=capacity_bit),) * 2, wants=(relay,),
                        grounds=(anywhere(net),))  # fmt: skip


def test_key_of_the_passes_of_a_satellite_is_carried_through_the_night() -> None:
    night_s = 24 * HOUR_S - 600  # from the second station's first pass to its next
    rate = 600 * 1_000_000 // night_s
    plan = time_expanded(satellite(rate))
    assert plan.fits
    assert plan.bottlenecks == ()
    check_stores(satellite(rate), plan)
    assert plan.stored_millibit[5].min() > 0  # at midnight or later, before the next pass


def test_a_satellite_that_is_asked_for_too_much_is_refused_with_the_store_and_the_night() -> None:
    problem = satellite(600 * 1_000_000 // (24 * HOUR_S) * 2)
    plan = time_expanded(problem)
    assert plan.fits is False
    night = plan.bottlenecks[0]
    assert night.link == 1
    assert set(range(5, 7)) <= set(night.steps)
    small = time_expanded(replace(satellite(6000), stores=(KeyStore(capacity_bit=100_000),) * 2))
    assert small.fits is False
    assert small.value < plan.value


def test_a_store_rides_out_an_announced_outage_and_a_burst_waits_for_its_end() -> None:
    net = net_of(2, [(0, 1)])
    made = np.array([[2000], [0], [2000]], np.int64)
    relay = Relay(source=0, target=1, rate_millibit_per_s=1000, begin_s=0, end_s=3000)
    burst = Burst(source=0, target=1, volume_bit=1000, begin_s=1000, deadline_s=3000)
    problem = TimedProblem(net=net, bounds_s=(0, 1000, 2000, 3000), made_millibit_per_s=made,
                           stores=(KeyStore(initial_bit=500, floor_bit=500, capacity_bit=1500),),
                           wants=(relay, burst), grounds=(anywhere(net),))  # fmt: skip
    plan = time_expanded(problem)
    assert plan.fits
    assert plan.carried_millibit.tolist() == [[1_000_000] * 3, [0, 0, 1_000_000]]
    assert plan.stored_millibit[:, 0].tolist() == [500_000, 1_500_000, 500_000, 500_000]

    urgent = replace(problem, wants=(relay, replace(burst, deadline_s=2000)))
    answer = time_expanded(urgent)
    assert answer.fits is False
    assert [(one.link, set(one.steps) >= {1}) for one in answer.bottlenecks] == [(0, True)]

    # Key that gets too old during the outage is of no use: what is left then is below the floor.
    old = replace(problem, stores=(replace(problem.stores[0], ttl_s=500),), wants=(relay,))
    assert time_expanded(old).value == 0


def test_what_is_out_of_range_is_refused_by_name() -> None:
    good = satellite(1)
    store, relay = good.stores[0], good.wants[0]
    for fields, named in (
        ({"bounds_s": (0,)}, "bounds_s"),
        ({"bounds_s": (0, 20, 10)}, "bounds_s[2]: 10 s is not after 20 s"),
        ({"bounds_s": (0, math.nan, 10)}, "bounds_s[1]"),
        ({"bounds_s": (-5, 10)}, "bounds_s[0]"),
        ({"made_millibit_per_s": good.made_millibit_per_s - 1}, "made_millibit_per_s"),
        ({"made_millibit_per_s": good.made_millibit_per_s * math.nan}, "made_millibit_per_s"),
        ({"stores": (store,)}, "stores"),
        ({"stores": (store, replace(store, floor_bit=1))}, "stores[1].initial_bit"),
        ({"stores": (store, replace(store, initial_bit=2, capacity_bit=1))}, "stores[1].initial_bit"),
        ({"stores": (store, replace(store, ttl_s=0))}, "stores[1].ttl_s"),
        ({"wants": (replace(relay, begin_s=1),)}, "wants[0].begin_s: 1 s is no bound of a step"),
        ({"wants": (replace(relay, end_s=0),)}, "wants[0].end_s"),  # type: ignore[arg-type]  # one of the two kinds has it
        ({"wants": (replace(relay, target=0),)}, "wants[0].target"),
        ({"wants": (replace(relay, weight=math.nan),)}, "wants[0].weight"),
        ({"wants": (Burst(source=0, target=1, volume_bit=0, begin_s=0, deadline_s=48 * HOUR_S),)}, "volume_bit"),
        ({"wants": (replace(relay, ground=1),)}, "wants[0].ground"),
    ):
        with pytest.raises(InvalidValue) as refused:
            replace(good, **fields)
        assert named in refused.value.message
    with pytest.raises(InvalidValue, match="prices"):
        proven_bound(good, np.full((9, 2), math.nan))


def test_no_demands_are_no_mistake() -> None:
    plan = time_expanded(replace(satellite(1), wants=()))
    assert (plan.pieces, plan.value, plan.bound, plan.fits) == ((), 0.0, 0.0, True)


def test_the_example_of_the_page_on_planning_holds() -> None:
    [(_, code)] = list(blocks((ROOT / "docs" / "planning.md").read_text(), "python"))
    exec(compile(code, "planning.md", "exec"), {})
