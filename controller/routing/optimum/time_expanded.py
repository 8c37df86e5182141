"""The most that key stores and key to come can carry: relays and bursts planned step by step, by column generation.

A demand takes as much key of every link of its route as it carries, when it carries it. What a link makes and nobody
takes is stored for later steps, as far as its store allows. The bound prices key by link and step.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy.sparse import csc_array

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.net import Floats, Int64s
from controller.routing.optimum.columns import maximum
from controller.routing.optimum.plan import directed
from controller.routing.optimum.pricing import Priced, Pricer, rounded
from controller.routing.optimum.problem import Problem, Want
from controller.routing.optimum.timed import Relay, TimedProblem

_SCALE: Final = 2.0**36
"""Steps in the dearest price that a plan can give a reason for."""
_STEADY: Final = 0.5
"""How much of the best prices so far goes into the next."""
_NOTHING: Final = 1e-9
_SHRUNK: Final = (0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1.0)
"""By how much amounts are made smaller, in turn, until whole ones keep all limits; no demand at all always does."""


class TimedPiece(NamedTuple):
    """What a demand sends one way in one step, at a constant rate.

    Attributes:
        want, step: Their numbers.
        millibit: On each link, > 0.
        links: From the demand's source to its target.
    """

    want: int
    step: int
    millibit: int
    links: tuple[int, ...]


class Bottleneck(NamedTuple):
    """A link whose key in some steps limits what is carried.

    Attributes:
        link: Its number.
        steps: Ascending.
        price: What one more bit would be worth in the dearest of them, in units of weight.
    """

    link: int
    steps: tuple[int, ...]
    price: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimedPlan:
    """Amounts on routes, step by step, that every store has the key for, and a proof of how good they are.

    Attributes:
        pieces: By want, step, and links.
        carried_millibit: Of each demand in each step; of a relay in proportion to the length of the step; shape
            (n_wants, n_steps).
        stored_millibit: What each store holds at each bound of a step; shape (n_steps + 1, n_links).
        value: The sum of weight x bit carried.
        bound: No plan is worth more; proven by `prices`, whatever the solver did.
        asked: What it would be worth to carry all in full.
        prices: Of a bit of each link's key in each step, >= 0, in units of weight; shape (n_steps, n_links).
        rounds: How often all demands were priced.
        bottlenecks: By price, highest first; none where all is carried.
    """

    pieces: tuple[TimedPiece, ...]
    carried_millibit: Int64s
    stored_millibit: Int64s
    value: float
    bound: float
    asked: float
    prices: Floats
    rounds: int
    bottlenecks: tuple[Bottleneck, ...]

    @property
    def gap(self) -> float:
        """Return how much better a plan might be, as a part of the bound; in [0, 1]."""
        return max(0.0, self.bound - self.value) / self.bound if self.bound > 0 else 0.0

    @property
    def fits(self) -> bool | None:
        """Return True if all is carried in full, False if no plan does that; None: too close to tell."""
        if self.value >= self.asked * (1 - 1e-12):
            return True
        return False if self.bound < self.asked * (1 - 1e-12) else None


def time_expanded(problem: TimedProblem, *, enough: float = 0.0, most_rounds: int | None = None) -> TimedPlan:
    """Return the plan of the most weight x bit carried. Exact but for the solver's tolerance and whole millibits.

    Cost: each round searches one tree for each step and source, and solves a sparse linear program with a row for each
    link and step, and for each relay and step; few rounds.

    Args:
        problem: Links, their key over time, and the demands.
        enough: Stop at a gap of this; in [0, 1).
        most_rounds: Stop after so many; None goes on to the optimum.

    Raises:
        ArithmeticError: The solver gave up.
    """
    ahead = _Ahead(problem)
    proof = ahead.prove(np.zeros(ahead.shape))
    best, rounds = proof, 1
    new = ahead.add(proof)
    amounts = np.zeros(0)
    while new:
        reached, amounts, shadow = ahead.solve()
        if best.bound - reached <= max(_NOTHING, enough) * best.bound or rounds == most_rounds:
            break
        new = 0
        for prices in (_STEADY * best.prices + (1 - _STEADY) * shadow, shadow):
            proof = ahead.prove(prices)
            rounds += 1
            best = min(best, proof, key=lambda one: one.bound)
            new = ahead.add(proof)
            if new or best.bound - reached <= _NOTHING * best.bound:
                break
    return ahead.plan(amounts, best, rounds)


def proven_bound(problem: TimedProblem, prices: Floats) -> float:
    """Return the bound that prices of key prove, by weak duality; any prices prove one. In whole numbers.

    Args:
        problem: Links, their key over time, and the demands.
        prices: Of a bit of each link's key in each step, >= 0; shape (n_steps, n_links).

    Raises:
        InvalidValue: The prices are of another shape, negative or not finite.
    """
    if prices.shape != problem.made_millibit_per_s.shape or not bool((np.isfinite(prices) & (prices >= 0)).all()):
        raise InvalidValue("", ("prices", "are not a number of at least 0 for each step and link"))
    return _Ahead(problem).prove(prices).bound


class _Proof(NamedTuple):
    bound: float
    prices: Floats
    priced: list[Priced]
    gains: list[int]


class _Ahead:
    """Column generation over time: routes by demand and step, and the stores between steps."""

    def __init__(self, problem: TimedProblem) -> None:
        self._problem = problem
        self._durations: list[int] = problem.durations_s().tolist()
        self._steps = [problem.steps_of(want) for want in problem.wants]
        self._weights = np.array([want.weight for want in problem.wants])
        self.shape = problem.made_millibit_per_s.shape
        self._fullest = problem.fullest_millibit()
        floors = [store.floor_bit * 1000 for store in problem.stores]
        self._lowest = [[min(floor, most) for floor, most in zip(floors, row, strict=True)] for row in self._fullest]
        # What no demand can ever take needs no place in the program.
        self._asked = [
            want.rate_millibit_per_s * (want.end_s - want.begin_s)
            if isinstance(want, Relay)
            else want.volume_bit * 1000
            for want in problem.wants
        ]
        useful = [sum(self._asked) + floor for floor in floors]
        self._made = [
            [min(made, most) for made, most in zip(row, useful, strict=True)] for row in problem.made_millibit()
        ]
        self._highest = [[min(full, most) for full, most in zip(row, useful, strict=True)] for row in self._fullest]
        # A relay is limited by its scarcest step: a bit there may be worth as much as all the others with it.
        peaks = [
            want.weight * ((want.end_s - want.begin_s) / min(self._durations[step] for step in steps))
            for want, steps in zip(problem.wants, self._steps, strict=True)
            if isinstance(want, Relay)
        ]
        self.top = max([*peaks, float(self._weights.max(initial=0.0))]) or 1.0
        self._gains = [math.ceil(want.weight / self.top * _SCALE) for want in problem.wants]
        self._active: list[dict[int, int]] = [{} for _ in self._durations]
        for number, steps in enumerate(self._steps):
            for step in steps:
                self._active[step][number] = len(self._active[step])
        self._problems = [self._problem_of(step) for step in range(self.shape[0])]
        self._pricers = [Pricer(one) for one in self._problems]
        self._known: set[tuple[int, int, tuple[int, ...]]] = set()
        self._columns: list[tuple[int, int, tuple[int, ...]]] = []

    def _problem_of(self, step: int) -> Problem:
        floors = [store.floor_bit * 1000 for store in self._problem.stores]
        before, after = self._fullest[step], self._fullest[step + 1]
        usable = [min(one, other) >= floor for one, other, floor in zip(before, after, floors, strict=True)]
        wants = [self._problem.wants[number] for number in self._active[step]]
        return Problem(
            net=self._problem.net,
            rooms=np.array(usable, np.int64),
            wants=tuple(
                Want(source=want.source, target=want.target, volume=1, most=want.most, ground=want.ground)
                for want in wants
            ),
            grounds=self._problem.grounds,
        )

    def prove(self, prices: Floats) -> _Proof:
        """Return the bound that prices prove, and what each demand would pay for at those."""
        costs = rounded(prices / self.top, _SCALE)
        priced = [pricer.price(row) for pricer, row in zip(self._pricers, costs, strict=True)]
        steps: list[list[int]] = costs.tolist()
        # Key at its price when it is made; stored key at the difference of prices, where that pays off.
        total: int = sum(
            made * cost for row, of in zip(self._made, steps, strict=True) for made, cost in zip(row, of, strict=True)
        )
        total += sum(held * cost for held, cost in zip(self._highest[0], steps[0], strict=True))
        total -= sum(held * cost for held, cost in zip(self._lowest[-1], steps[-1], strict=True))
        for bound in range(1, self.shape[0]):
            for link, (before, after) in enumerate(zip(steps[bound - 1], steps[bound], strict=True)):
                held = self._highest[bound][link] if after > before else self._lowest[bound][link]
                total += (after - before) * held
        gains = []
        for number, (want, gain) in enumerate(zip(self._problem.wants, self._gains, strict=True)):
            paid = {step: int(priced[step].costs[self._active[step][number]]) for step in self._steps[number]}
            if isinstance(want, Relay):
                duration = want.end_s - want.begin_s
                spare: int = max(0, gain * duration - sum(self._durations[step] * cost for step, cost in paid.items()))
                total += want.rate_millibit_per_s * spare
            else:
                spare = max(0, gain - min(paid.values()))
                total += self._asked[number] * spare
            gains.append(spare)
        proven = total / (_SCALE * 1000) * self.top * (1 + 1e-15)
        return _Proof(bound=proven, prices=costs / _SCALE * self.top, priced=priced, gains=gains)

    def add(self, proof: _Proof) -> int:
        """Add the ways that a demand would pay for, and return how many are new."""
        before = len(self._columns)
        for number, want in enumerate(self._problem.wants):
            if proof.gains[number] == 0:
                continue
            for step in self._steps[number]:
                at = self._active[step][number]
                if not isinstance(want, Relay) and proof.priced[step].costs[at] >= self._gains[number]:
                    continue
                column = number, step, proof.priced[step].way(at)
                if column[2] and column not in self._known:
                    self._known.add(column)
                    self._columns.append(column)
        return len(self._columns) - before

    def solve(self) -> tuple[float, Floats, Floats]:
        """Return the optimum over the ways known so far: its worth, amounts in millibit, and prices of key."""
        n_steps, n_links = self.shape
        n_wants, n_columns = len(self._problem.wants), len(self._columns)
        unit = float(np.median(self._asked))
        n_key = n_steps * n_links
        relay_rows = {
            (number, step): n_key + at
            for at, (number, step) in enumerate(
                (number, step)
                for number, steps in enumerate(self._steps)
                if isinstance(self._problem.wants[number], Relay)
                for step in steps
            )
        }
        # Variables: ways, then the share of each demand, then what stores hold at the bounds between steps and the end.
        entries: list[tuple[int, int, float]] = []
        for at, (number, step, way) in enumerate(self._columns):
            entries.extend((step * n_links + link, at, 1.0) for link in way)
            entries.append((relay_rows.get((number, step), n_key + len(relay_rows) + number), at, -1.0))
        for (number, step), row in relay_rows.items():
            share = self._asked[number] / (self._problem.wants[number].end_s - self._problem.wants[number].begin_s)
            entries.append((row, n_columns + number, share * self._durations[step] / unit))
        for number, want in enumerate(self._problem.wants):
            if not isinstance(want, Relay):
                entries.append((n_key + len(relay_rows) + number, n_columns + number, self._asked[number] / unit))
        rows, columns, values = (np.array(part) for part in zip(*entries, strict=True))
        held = np.arange(n_key)
        later = held[:-n_links] if n_links else held
        first = n_columns + n_wants
        n_rows = n_key + len(relay_rows) + n_wants
        matrix = csc_array(
            (
                np.concatenate([values, np.ones(n_key), -np.ones(later.size)]),
                (
                    np.concatenate([rows, held, later + n_links]).astype(np.int64),
                    np.concatenate([columns, first + held, first + later]).astype(np.int64),
                ),
            ),
            shape=(n_rows, first + n_key),
        )
        limits = np.zeros(n_rows)
        limits[:n_key] = np.array(self._made, float).ravel() / unit
        limits[:n_links] += np.array(self._highest[0], float) / unit
        gains = np.zeros(first + n_key)
        gains[n_columns:first] = self._weights / self.top * np.array(self._asked, float) / unit
        low, high = np.zeros(first + n_key), np.full(first + n_key, np.inf)
        high[n_columns:first] = 1.0
        low[first:] = np.array(self._lowest[1:], float).ravel() / unit
        high[first:] = np.array(self._highest[1:], float).ravel() / unit
        solved = maximum(gains, matrix, limits, low=low, high=high)
        return (
            float(gains @ solved.values) * unit * self.top / 1000,
            solved.values[:n_columns] * unit,
            solved.prices[:n_key].reshape(self.shape) * self.top,
        )

    def plan(self, amounts: Floats, proof: _Proof, rounds: int) -> TimedPlan:
        """Return the plan of some amounts, in whole millibits."""
        for shrunk in _SHRUNK:
            pieces = self._whole(np.floor(amounts * (1 - shrunk)) if shrunk else np.rint(amounts))
            stored = self._stored(pieces)
            if stored is not None:
                break
        assert stored is not None
        carried = np.zeros((len(self._problem.wants), self.shape[0]), np.int64)
        for piece in pieces:
            carried[piece.want, piece.step] += piece.millibit
        value = math.fsum((self._weights * carried.sum(axis=1)).tolist()) / 1000
        asked = math.fsum(want.weight * want.asked_bit for want in self._problem.wants)
        return TimedPlan(
            pieces=pieces,
            carried_millibit=carried,
            stored_millibit=np.array(stored, np.int64).reshape(self.shape[0] + 1, self.shape[1]),
            value=value,
            bound=max(value, proof.bound),
            asked=asked,
            prices=proof.prices,
            rounds=rounds,
            bottlenecks=() if value >= asked * (1 - 1e-12) else self._bottlenecks(proof.prices),
        )

    def _whole(self, amounts: Floats) -> tuple[TimedPiece, ...]:
        parts: dict[tuple[int, int], list[tuple[tuple[int, ...], int]]] = defaultdict(list)
        for (number, step, way), amount in zip(self._columns, amounts.tolist(), strict=False):
            if amount > 0:
                parts[number, step].append((way, int(amount)))
        pieces = []
        for number, want in enumerate(self._problem.wants):
            steps = self._steps[number]
            sums = {step: sum(amount for _, amount in parts[number, step]) for step in steps}
            if isinstance(want, Relay):
                rate = min([want.rate_millibit_per_s, *(sums[step] // self._durations[step] for step in steps)])
                left = {step: rate * self._durations[step] for step in steps}
            else:
                left, rest = {}, self._asked[number]
                for step in steps:
                    left[step] = min(rest, sums[step])
                    rest -= left[step]
            for step in steps:
                local = self._problems[step], self._active[step][number]
                for way, amount in sorted(parts[number, step], key=lambda part: (-part[1], part[0])):
                    taken = min(amount, left[step])
                    left[step] -= taken
                    if taken > 0:
                        pieces.append(TimedPiece(want=number, step=step, millibit=taken, links=directed(*local, way)))
        return tuple(sorted(pieces, key=lambda piece: (piece.want, piece.step, piece.links)))

    def _stored(self, pieces: tuple[TimedPiece, ...]) -> list[list[int]] | None:
        """Return what stores hold over time, or None where one is drawn below its floor."""
        taken = [[0] * self.shape[1] for _ in self._durations]
        for piece in pieces:
            for link in piece.links:
                taken[piece.step][link] += piece.millibit
        held = [store.initial_bit * 1000 for store in self._problem.stores]
        stored = [held]
        for step, made in enumerate(self._problem.made_millibit()):
            held = [
                min(full, before + more - less)
                for full, before, more, less in zip(self._fullest[step + 1], held, made, taken[step], strict=True)
            ]
            if any(now < low for now, low in zip(held, self._lowest[step + 1], strict=True)):
                return None
            stored.append(held)
        return stored

    def _bottlenecks(self, prices: Floats) -> tuple[Bottleneck, ...]:
        found = []
        scarce = prices > 1e-6 * float(self._weights.min(initial=1.0))
        for link in np.flatnonzero(scarce.any(axis=0)).tolist():
            steps = tuple(np.flatnonzero(scarce[:, link]).tolist())
            found.append(Bottleneck(link=link, steps=steps, price=float(prices[:, link].max())))
        return tuple(sorted(found, key=lambda one: (-one.price, one.link)))
