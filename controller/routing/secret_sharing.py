"""Routes for the shares of a key by break probability: the safest set, or the cheapest one that is safe enough.

Sets are put together from the ways in order, safest or cheapest first, and left where they can no more be best. Being
touched is never less likely for having been touched elsewhere (Harris, FKG), so the product of what routes risk alone
bounds any set of them from below, however they overlap.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from controller.domain.capacity import link_charge_millibit_per_s
from controller.domain.key_relay import Demand
from controller.domain.refusals import InvalidValue, Precondition, TooHard
from controller.domain.route import Route
from controller.routing.break_probability import break_probability, chance_of_any, check_probabilities
from controller.routing.graph import Graph
from controller.routing.kernels.cheapest import cheapest_way
from controller.routing.kernels.compiled import NONE
from controller.routing.kernels.disjoint import cheapest_disjoint
from controller.routing.kernels.k_shortest import ShortestWays
from controller.routing.kernels.net import Int64s
from controller.routing.search import Way
from controller.routing.terrain import Terrain, terrain_of

STEPS: Final = 20_000
"""Ways and sets of them that an answer may look at by default; about a second."""
MOST_SHARES: Final = 8
_FIRST_WAYS: Final = 16
"""Ways that are looked at first; then twice as many, until no other way can matter."""
_DEAREST: Final = 2.0**38
"""What the least trusted node costs when ways are put in the order of trust."""
_ROUNDING: Final = 1e-12
"""Relative; break probabilities that differ by less are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareSet:
    """Routes for the shares of a key, and how good they are for sure.

    Attributes:
        routes: One per share, in the order of (cost, links by name).
        threshold: Shares that give the key away.
        break_probability: That so many of the routes pass a compromised node.
        cost: Of all routes together.
        bound: No allowed set breaks with less (`find_safest`) or costs less (`find_cheapest_within`).
        gap: The part of the value that might still be saved, in [0, 1]; 0 when the routes are proven best.
    """

    routes: tuple[Route, ...]
    threshold: int
    break_probability: float
    cost: int
    bound: float
    gap: float


def find_safest(
    graph: Graph,
    demand: Demand,
    k: int,
    compromise: Mapping[str, float],
    *,
    threshold: int | None = None,
    costs: Int64s | None = None,
    steps: int = STEPS,
) -> ShareSet:
    """Return the k routes that are least likely to give a key away that goes over them in shares.

    Exact, to rounding, when it ends within its steps, else the best set found with a bound. Of sets that break alike
    the cheapest that was looked at, and always the same. Routes may overlap where links have room for all that goes
    over them; no two are the same.

    Args:
        graph: Where there is room.
        demand: What is asked; its `shares` are not looked at, and it must pass nothing.
        k: How many, in 1..8.
        compromise: How likely each node is compromised, by name, in [0, 1]; for all that may be passed.
        threshold: Shares that give the key away (Shamir); None wants all (XOR).
        costs: Of each link of the wiring, >= 1; None counts links.
        steps: Ways and sets of them that may be looked at.

    Raises:
        NotFound: An end is no node of the network.
        InvalidValue: A number is out of its range, or the demand must pass something.
        Precondition: NO_ROUTE: there are not so many ways with that room.
        TooHard: No set was found within the steps.
    """
    hunt = _Hunt(graph, demand, compromise, costs, steps)
    hunt.seek(_Asked(k=k, threshold=_checked(k, threshold), most_break=None))
    return hunt.answer(f"{k} routes")


def find_cheapest_within(
    graph: Graph,
    demand: Demand,
    most_break: float,
    compromise: Mapping[str, float],
    *,
    most_shares: int = 4,
    threshold: int | None = None,
    costs: Int64s | None = None,
    steps: int = STEPS,
) -> ShareSet:
    """Return the cheapest routes that give a key away with at most that probability.

    As many shares as are cheapest, up to `most_shares` (1..8), the key being all of them together (XOR); with a
    threshold just `most_shares` of them. `most_break` is in [0, 1]. Other arguments, exactness and errors as of
    `find_safest`, NO_ROUTE where proven that no set is safe enough; of sets that cost alike the one that
    breaks least of those looked at.
    """
    if not 0.0 <= most_break <= 1.0:
        raise InvalidValue("", ("most_break", f"{most_break} is not in [0, 1]"))
    least_threshold = _checked(most_shares, threshold)
    hunt = _Hunt(graph, demand, compromise, costs, steps)
    for k in range(1 if threshold is None else most_shares, most_shares + 1):
        hunt.seek(_Asked(k=k, threshold=k if threshold is None else least_threshold, most_break=most_break))
    return hunt.answer(f"set of up to {most_shares} routes that gives a key away with at most {most_break:g}")


def _checked(k: int, threshold: int | None) -> int:
    if not 1 <= k <= MOST_SHARES:
        raise InvalidValue("", ("shares", f"{k} is not in 1..{MOST_SHARES}"))
    if threshold is not None and not 1 <= threshold <= k:
        raise InvalidValue("", ("threshold", f"{threshold} is not in 1..{k}, the number of shares"))
    return k if threshold is None else threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """How many routes, how many of them give the key away, and how likely that may be (None: as little as can be)."""

    k: int
    threshold: int
    most_break: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A way that may carry a share.

    Attributes:
        risk: That it passes a compromised node, other than those that all ways pass.
    """

    way: Way
    relays: tuple[str, ...]
    cost: int
    risk: float


_Ranked = tuple[float, float, tuple[Way, ...]]
"""What sets are ordered by: (value, the other figure, ways)."""


class _Hunt:
    """A search on one network; `seek` what is asked, perhaps several things of which the best is wanted."""

    def __init__(
        self, graph: Graph, demand: Demand, compromise: Mapping[str, float], costs: Int64s | None, steps: int
    ) -> None:
        if demand.pass_nodes or demand.pass_links:
            raise InvalidValue("", ("pass_nodes", "nothing to pass can be asked of routes that are chosen for trust"))
        self._demand = demand
        self._terrain = terrain_of(graph, demand)
        self._need = link_charge_millibit_per_s(demand.rate_millibit_per_s)
        self._compromise = compromise
        self._costs = np.ones(len(graph.rooms), np.int64) if costs is None else costs
        self._left = steps
        self._steps = steps
        names = graph.wiring.nodes
        passed = [names[node] for node in np.flatnonzero(self._terrain.passable).tolist()]
        check_probabilities(compromise, set(passed) - {demand.source, demand.target})
        # Nodes that all ways pass break every set: they are reckoned once, and then left out of all comparisons.
        self._common = self._on_all_ways()
        self._certain = chance_of_any(compromise[name] for name in sorted(self._common))
        self._chances = {**compromise, **dict.fromkeys(self._common, 0.0)}
        self._best: tuple[_Ranked, _Asked] | None = None
        self._bound = math.inf

    def _on_all_ways(self) -> set[str]:
        terrain = self._terrain
        safest = self._first(terrain, self._costs)
        if safest is None:
            return set()
        common = set()
        for node in terrain.nodes_on(safest)[1:-1]:
            if self._first(terrain.closing([node], ()), self._costs) is None:
                common.add(terrain.graph.wiring.nodes[node])
        return common

    def _first(self, terrain: Terrain, costs: Int64s) -> Way | None:
        graph = terrain.graph
        found = cheapest_way(
            graph.wiring.net,
            costs,
            graph.rooms,
            terrain.open,
            terrain.passable,
            self._need,
            terrain.start,
            terrain.goal,
        )
        return None if found.cost == NONE else tuple(found.links.tolist())

    def seek(self, asked: _Asked) -> None:
        """Look for the best set of what is asked, better than what is known already."""
        costs, unit = self._trust_costs() if asked.most_break is None else (self._costs, 0.0)
        terrain, graph = self._terrain, self._terrain.graph
        ways = ShortestWays(
            graph.wiring.net,
            costs,
            graph.rooms,
            terrain.open,
            terrain.passable,
            self._need,
            terrain.start,
            terrain.goal,
            most=terrain.most,
        )
        if asked.most_break is not None and self._whole(self._least_risk() ** asked.threshold) > asked.most_break:
            return
        self._offer_disjoint(costs, asked)
        candidates: list[_Candidate] = []
        wanted = _FIRST_WAYS
        while True:
            fresh = ways.more(wanted - len(candidates))
            candidates += [self._candidate(tuple(found.links.tolist())) for found in fresh]
            self._left -= len(fresh)
            whole = len(candidates) < wanted
            self._combine(candidates, asked)
            unseen = math.inf if whole or not fresh else self._unseen(candidates, asked, fresh[-1].cost, unit)
            if self._left <= 0:
                unseen = min(unseen, self._least_left)
            settled = self._best is not None and unseen >= self._best[0][0] * (1 - _ROUNDING)
            if self._left <= 0 or unseen == math.inf or settled:
                self._bound = min(self._bound, self._best[0][0] if settled and self._best else unseen)
                return
            wanted *= 2

    def _trust_costs(self) -> tuple[Int64s, float]:
        """Return costs of links that order ways by trust, and how much trust (as -ln) one of them stands for.

        Each link bears half of what its two nodes cost, and one more since it must cost something: so a way costs
        less than its trust by no more than its links.
        """
        net, names = self._terrain.graph.wiring.net, self._terrain.graph.wiring.nodes
        ends = (self._terrain.start, self._terrain.goal)
        trust = np.array(
            [
                0.0 if number in ends or not self._terrain.passable[number] else -math.log1p(-min(p, 1 - 1e-15))
                for number, p in enumerate(self._chances.get(name, 0.0) for name in names)
            ]
        )
        unit = float(trust.max(initial=0.0)) / _DEAREST or 1.0
        priced = np.floor(trust / unit).astype(np.int64)
        costs: Int64s = priced[net.tails] + priced[net.heads] + 1
        return costs, unit / 2

    def _candidate(self, way: Way) -> _Candidate:
        names = self._terrain.graph.wiring.nodes
        relays = tuple(names[node] for node in self._terrain.nodes_on(way)[1:-1])
        return _Candidate(
            way=way,
            relays=relays,
            cost=sum(int(self._costs[link]) for link in way),
            risk=chance_of_any(self._chances[name] for name in relays),
        )

    def _unseen(self, candidates: Sequence[_Candidate], asked: _Asked, last: int, unit: float) -> float:
        """Return what no set can undercut of which some way was not looked at yet."""
        if asked.most_break is not None:
            return last + sum(sorted(each.cost for each in candidates)[: asked.k - 1])
        risk = self._risk_of(last, unit)
        others = sorted(min(each.risk, risk) for each in candidates)[: asked.threshold - 1]
        return self._whole(risk * math.prod(others))

    def _risk_of(self, cost: int, unit: float) -> float:
        """Return what a way risks at least that costs so much trust: each link counts one, which is no risk."""
        return -math.expm1(-max(0, cost - len(self._terrain.passable)) * unit)

    def _least_risk(self) -> float:
        """Return what any way risks at least."""
        costs, unit = self._trust_costs()
        safest = self._first(self._terrain, costs)
        return (
            1.0 if safest is None else self._risk_of(sum(int(costs[link]) for link in safest), unit) * (1 - _ROUNDING)
        )

    def _whole(self, chance: float) -> float:
        """Return the break probability with the nodes that all ways pass."""
        return self._certain + (1.0 - self._certain) * chance

    def _combine(self, candidates: Sequence[_Candidate], asked: _Asked) -> None:
        """Try all sets of these ways that may be better than the best one known."""
        self._least_left = math.inf
        safest = asked.most_break is None
        ordered = sorted(candidates, key=lambda each: (each.risk if safest else each.cost, each.way))
        least = min((each.risk for each in candidates), default=0.0)
        for chosen in self._sets(ordered, [], 0, asked, least):
            self._offer(chosen, asked)

    def _offer(self, chosen: Sequence[_Candidate], asked: _Asked) -> None:
        """Take a set as the best if it is."""
        chance = float(f"{self._whole(self._chance(chosen, asked.threshold)):.14g}")
        if asked.most_break is not None and chance > asked.most_break:
            return
        cost = sum(each.cost for each in chosen)
        ways = tuple(sorted((each.way for each in chosen), key=lambda way: (self._cost(way), way)))
        ranked = (chance, float(cost), ways) if asked.most_break is None else (float(cost), chance, ways)
        if self._best is None or ranked < self._best[0]:
            self._best = ranked, asked

    def _offer_disjoint(self, costs: Int64s, asked: _Asked) -> None:
        """Begin with ways that share no node, if there are such: mostly good, and what is worse needs no look."""
        terrain, graph = self._terrain, self._terrain.graph
        found = cheapest_disjoint(
            graph.wiring.net,
            graph.rooms,
            terrain.open,
            terrain.passable,
            costs,
            need=self._need,
            start=terrain.start,
            goal=terrain.goal,
            k=asked.k,
        )
        if found.ways and all(len(way) <= terrain.most for way in found.ways):
            self._offer([self._candidate(tuple(way.tolist())) for way in found.ways], asked)

    def _cost(self, way: Way) -> int:
        return sum(int(self._costs[link]) for link in way)

    def _chance(self, chosen: Sequence[_Candidate], threshold: int) -> float:
        return break_probability([each.relays for each in chosen], self._chances, threshold=threshold)

    def _sets(
        self, ordered: Sequence[_Candidate], chosen: list[_Candidate], begin: int, asked: _Asked, least: float
    ) -> Iterator[list[_Candidate]]:
        """Yield the sets of k that have room and are not known to be worse than the best, extending what is chosen."""
        if len(chosen) == asked.k:
            yield chosen
            return
        to_come = asked.k - len(chosen) - 1
        for place in range(begin, len(ordered) - to_come):
            now = [*chosen, ordered[place]]
            following = ordered[place + 1 : place + 1 + to_come]
            self._left -= 1
            value, hopeless = self._value_at_least(now, following, asked, least)
            # What comes later in the order of ways is no better, where only this one way differs.
            in_order = not chosen or asked.most_break is not None
            if self._best is not None and value > self._best[0][0] and in_order:
                return
            if self._left < 0:
                if not in_order:
                    rest = [each.risk for each in ordered[place:]]
                    value = self._whole(self._risk_at_least(chosen, rest, asked))
                self._least_left = min(self._least_left, value)
                return
            if self._best is not None and value > self._best[0][0]:
                continue
            if not hopeless and self._has_room(now):
                yield from self._sets(ordered, now, place + 1, asked, least)

    def _value_at_least(
        self, now: Sequence[_Candidate], following: Sequence[_Candidate], asked: _Asked, least: float
    ) -> tuple[float, bool]:
        """Return what no set undercuts that extends these by ways further on, and whether none of them is allowed."""
        if asked.most_break is None:
            return self._whole(self._risk_at_least(now, [each.risk for each in following], asked)), False
        cost = sum(each.cost for each in (*now, *following))
        risk = self._risk_at_least(now, [least] * len(following), asked)
        return cost, self._whole(risk) > asked.most_break

    def _risk_at_least(self, now: Sequence[_Candidate], others: Sequence[float], asked: _Asked) -> float:
        """Return what no set breaks with less of which these are a part, and whose others risk no less than those.

        Any t routes of it being touched is enough; and more routes only add to what t of them give away.
        """
        if len(now) >= asked.threshold:
            return self._chance(now, asked.threshold) * (1 - _ROUNDING)
        more = sorted(others)[: asked.threshold - len(now)]
        return self._chance(now, len(now)) * math.prod(more) * (1 - _ROUNDING)

    def _has_room(self, chosen: Sequence[_Candidate]) -> bool:
        rooms = self._terrain.graph.rooms
        uses = Counter(link for each in chosen for link in each.way)
        return all(use * self._need <= int(rooms[link]) for link, use in uses.items() if use > 1)

    def answer(self, what: str) -> ShareSet:
        """Return the best set of all that was sought."""
        between = f"from nodes/{self._demand.source} to nodes/{self._demand.target}"
        if self._best is None:
            if self._left < 0:
                raise TooHard("TOO_HARD", f"no {what} {between} found in {self._steps} steps; allow more")
            raise Precondition(
                "NO_ROUTE",
                f"no {what} {between} within the limits of the demand; ask for less, or add links around the nodes"
                " that are trusted least",
                {"source": self._demand.source, "target": self._demand.target},
            )
        (value, other, ways), asked = self._best
        bound = min(value, self._bound)
        safest = asked.most_break is None
        return ShareSet(
            routes=tuple(self._terrain.route(way) for way in ways),
            threshold=asked.threshold,
            break_probability=value if safest else other,
            cost=int(other if safest else value),
            bound=bound,
            gap=0.0 if value == bound else (value - bound) / value,
        )
