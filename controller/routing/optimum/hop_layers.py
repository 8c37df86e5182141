"""The most that routes of swaps made at once can deliver: a linear program over links, one layer for each hop.

A route of h links delivers q^(h-1) pairs for each that it takes of every link, so what matters of a route is how long
it is: flows on a copy of the network for each hop say as much as flows on all routes. Source: Chakraborty, Elkouss,
Rijsman, Wehner, path program; with one fidelity for all links its fidelity limit is a limit on hops.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy.sparse import csc_array

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.net import Floats, Int64s, Net
from controller.routing.optimum.columns import maximum
from controller.routing.optimum.pairs import PairProblem, PairWant

MOST_LAYERED: Final = 2_000_000
"""The largest sum over demands of hops x links."""
_SAFE: Final = 1 - 1e-12
_NOTHING: Final = 1e-10


class PairPiece(NamedTuple):
    """A part of a demand that goes one way.

    Attributes:
        want: The number of the demand.
        taken_millihertz: Pairs that it takes of each of its links, > 0.
        links: From the demand's source to its target; no node twice.
    """

    want: int
    taken_millihertz: float
    links: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HopLayers:
    """Rates on routes, and a proof of how good they are.

    Attributes:
        pieces: By want, then by links; no link is taken more than it makes.
        rates_millihertz: What each demand gets of them; shape (n_wants,).
        value: The sum of weight x rate.
        bound: No rates on routes are worth more; proven by `prices`, whatever the solver did.
        prices: Of a pair of each link, >= 0, in units of weight; shape (n_links,).
    """

    pieces: tuple[PairPiece, ...]
    rates_millihertz: Floats
    value: float
    bound: float
    prices: Floats

    @property
    def gap(self) -> float:
        """Return how much better rates might be, as a part of the bound; in [0, 1]."""
        return max(0.0, self.bound - self.value) / self.bound if self.bound > 0 else 0.0


def hop_layers(problem: PairProblem) -> HopLayers:
    """Return the most that routes can deliver whose swaps are all made at once.

    Cost: a sparse linear program of at most 2 x hops x links variables for each demand.

    Raises:
        InvalidValue: Nodes swap with different chances, or demands x hops x links are more than MOST_LAYERED.
        ArithmeticError: The solver gave up.
    """
    success = _one_success(problem)
    n_nodes, n_links = problem.net.first.size - 1, problem.rates_millihertz.size
    size = sum(_hops(want, n_nodes) for want in problem.wants) * n_links
    if size > MOST_LAYERED:
        raise InvalidValue("", ("wants", f"{size} hops x links are more than {MOST_LAYERED}; limit most_hops"))
    layers = _layers(problem)
    most = problem.most_millihertz()
    prices = np.zeros(n_links)
    flows = np.zeros(layers.links.size)
    if flows.size:
        unit = float(problem.rates_millihertz.max())
        delivered = np.where(layers.arrives, success ** (layers.hops - 1.0), 0.0)
        weights = np.array([want.weight for want in problem.wants])[layers.wants]
        top = float(weights.max())
        solved = maximum(
            delivered * weights / top,
            _matrix(layers, delivered, n_links, len(problem.wants)),
            np.concatenate([problem.rates_millihertz, most, np.zeros(layers.n_joints)]) / unit,
        )
        flows = solved.values * unit
        prices = solved.prices[:n_links] * top
    pieces = _pieces(problem, layers, flows, success, most)
    rates = np.zeros(len(problem.wants))
    for piece in pieces:
        rates[piece.want] += piece.taken_millihertz * success ** (len(piece.links) - 1)
    value = float(sum(want.weight * rate for want, rate in zip(problem.wants, rates, strict=True)))
    return HopLayers(
        pieces=pieces, rates_millihertz=rates, value=value, bound=proven_bound(problem, prices), prices=prices
    )


def proven_bound(problem: PairProblem, prices: Floats) -> float:
    """Return the bound that prices of pairs of each link prove, by weak duality; any prices prove one.

    Each demand pays for what it gets beyond the cheapest route of each length; rounded to the safe side.
    Cost: O(hops x links) for each demand.

    Args:
        problem: The network and the demands.
        prices: >= 0; shape (n_links,).

    Raises:
        InvalidValue: The prices are of another shape, negative or not finite, or chances of swaps differ.
    """
    if prices.shape != problem.rates_millihertz.shape or not bool((np.isfinite(prices) & (prices >= 0)).all()):
        raise InvalidValue("", ("prices", f"are not {problem.rates_millihertz.size} numbers of at least 0"))
    success = _one_success(problem)
    bound = float(problem.rates_millihertz @ prices)
    n_nodes = problem.net.first.size - 1
    making = problem.rates_millihertz > 0
    near = np.concatenate([problem.net.tails[making], problem.net.heads[making]])
    far = np.concatenate([problem.net.heads[making], problem.net.tails[making]])
    paid = np.concatenate([prices[making], prices[making]])
    for most, want in zip(problem.most_millihertz(), problem.wants, strict=True):
        useful = (near != want.target) & (far != want.source)
        costs = np.full(n_nodes, np.inf)
        costs[want.source] = 0.0
        excess = 0.0
        for hop in range(_hops(want, n_nodes)):
            onward = np.full(n_nodes, np.inf)
            np.minimum.at(onward, far[useful], costs[near[useful]] + paid[useful])
            costs = onward
            delivered = success**hop
            if np.isfinite(costs[want.target]) and delivered > 0:
                excess = max(excess, want.weight - float(costs[want.target]) / delivered * _SAFE)
        bound += most * excess
    return bound * (1 + 1e-12)


class _Layers(NamedTuple):
    """Flows over one direction of a link as one hop of one demand.

    Attributes:
        wants, hops, links, nears, fars: Of each flow; hops from 1; shape (n_flows,).
        arrives: Whether it ends at the target; shape (n_flows,).
        n_joints: How many copies of nodes are between two hops.
        ins, outs: The joint that a flow goes to and comes from; -1 at the ends; shape (n_flows,).
    """

    wants: Int64s
    hops: Int64s
    links: Int64s
    nears: Int64s
    fars: Int64s
    arrives: Int64s
    n_joints: int
    ins: Int64s
    outs: Int64s


def _one_success(problem: PairProblem) -> float:
    successes = problem.successes
    if successes.size and successes.min() != successes.max():
        raise InvalidValue(
            "", ("successes", "differ from node to node, which layers of hops cannot tell; take pair_types")
        )
    return float(successes[0]) if successes.size else 1.0


def _hops(want: PairWant, n_nodes: int) -> int:
    return min(n_nodes - 1 if want.most_hops is None else want.most_hops, n_nodes - 1)


def _layers(problem: PairProblem) -> _Layers:
    n_nodes = problem.net.first.size - 1
    making = np.flatnonzero(problem.rates_millihertz > 0)
    links = np.concatenate([making, making])
    nears = np.concatenate([problem.net.tails[making], problem.net.heads[making]]).astype(np.int64)
    fars = np.concatenate([problem.net.heads[making], problem.net.tails[making]]).astype(np.int64)
    parts: list[tuple[Int64s, ...]] = []
    n_joints = 0
    for number, want in enumerate(problem.wants):
        hops = _hops(want, n_nodes)
        before = _distances(nears, fars, want.source, n_nodes)
        after = _distances(nears, fars, want.target, n_nodes)
        if before[want.target] > hops:
            continue
        for hop in range(1, hops + 1):
            useful = np.flatnonzero(
                (before[nears] < hop)
                & (after[fars] <= hops - hop)
                & ((nears == want.source) == (hop == 1))
                & (nears != want.target)
                & (fars != want.source)
            )
            arrives = fars[useful] == want.target
            joint = n_joints + (hop - 1) * n_nodes
            parts.append(
                (
                    np.full(useful.size, number),
                    np.full(useful.size, hop),
                    links[useful],
                    nears[useful],
                    fars[useful],
                    arrives.astype(np.int64),
                    np.where(arrives, -1, joint + fars[useful]),
                    np.where(hop == 1, -1, joint - n_nodes + nears[useful]),
                )
            )
        n_joints += (hops - 1) * n_nodes
    if not parts:
        parts.append(tuple(np.zeros(0, np.int64) for _ in range(8)))
    wants, hops_, links_, nears_, fars_, arrives_, ins, outs = (
        np.concatenate(some).astype(np.int64) for some in zip(*parts, strict=True)
    )
    return _Layers(wants, hops_, links_, nears_, fars_, arrives_, n_joints, ins, outs)


def _distances(nears: Int64s, fars: Int64s, start: int, n_nodes: int) -> Int64s:
    distances = np.full(n_nodes, n_nodes)
    distances[start] = 0
    hop = 0
    while (reached := np.unique(fars[(distances[nears] == hop) & (distances[fars] == n_nodes)])).size:
        hop += 1
        distances[reached] = hop
    return distances


def _matrix(layers: _Layers, delivered: Floats, n_links: int, n_wants: int) -> csc_array:
    number = np.arange(layers.links.size)
    arriving = np.flatnonzero(layers.arrives)
    into, out_of = np.flatnonzero(layers.ins >= 0), np.flatnonzero(layers.outs >= 0)
    first = n_links + n_wants
    rows = [layers.links, n_links + layers.wants[arriving], first + layers.ins[into], first + layers.outs[out_of]]
    values = [np.ones(number.size), delivered[arriving], -np.ones(into.size), np.ones(out_of.size)]
    return csc_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate([number, arriving, into, out_of]))),
        shape=(first + layers.n_joints, number.size),
    )


def _pieces(
    problem: PairProblem, layers: _Layers, flows: Floats, success: float, most: list[int]
) -> tuple[PairPiece, ...]:
    """Return routes from flows, followed back from the targets, that keep every limit."""
    nothing = _NOTHING * float(problem.rates_millihertz.max(initial=0))
    left = np.where(flows > nothing, flows, 0.0)
    into: dict[int, list[int]] = defaultdict(list)
    for flow in np.flatnonzero(left).tolist():
        into[int(layers.ins[flow])].append(flow)
    amounts: dict[tuple[int, tuple[int, ...]], float] = defaultdict(float)
    for last in into[-1]:
        while left[last] > nothing:
            walk = [last]
            while layers.outs[walk[-1]] >= 0:
                walk.append(max(into[int(layers.outs[walk[-1]])], key=lambda flow: left[flow], default=-1))
                if walk[-1] < 0:
                    break
            amount = float(left[walk].min()) if walk[-1] >= 0 else 0.0
            if amount <= 0.0:
                break
            left[walk] -= amount
            want = int(layers.wants[last])
            way = _loop_free(problem.net, problem.wants[want].source, [int(layers.links[flow]) for flow in walk[::-1]])
            amounts[want, way] += amount
    rooms = problem.rates_millihertz.astype(float)
    lacks = [float(limit) for limit in most]
    pieces = []
    for (want, way), amount in sorted(amounts.items()):
        share = success ** (len(way) - 1)
        kept = min(amount, float(rooms[list(way)].min()), lacks[want] / share if share > 0 else amount)
        if kept > 0:
            rooms[list(way)] -= kept
            lacks[want] -= kept * share
            pieces.append(PairPiece(want=want, taken_millihertz=kept, links=way))
    return tuple(pieces)


def _loop_free(net: Net, source: int, walk: list[int]) -> tuple[int, ...]:
    """Return a walk without its loops, which only take pairs and make it longer."""
    nodes, links = [source], list[int]()
    for link in walk:
        far = int(net.tails[link] + net.heads[link]) - nodes[-1]
        links.append(link)
        if far in nodes:
            at = nodes.index(far)
            del nodes[at + 1 :], links[at:]
        else:
            nodes.append(far)
    return tuple(links)
