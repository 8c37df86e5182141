"""Many demands for entangled pairs on one network: what planning of pairs is asked. Rates in mHz, pairs per 1,000 s."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.net import Floats, Int64s, Net

MOST_RATE_MILLIHERTZ: Final = 2**44
"""The largest rate of one link: about 17 GHz."""
MOST_PAIR_WANTS: Final = 100_000
_WEIGHTS: Final = (1e-6, 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairWant:
    """One demand for pairs.

    Attributes:
        source, target: Nodes; different.
        most_millihertz: More pairs than that are worth nothing; 1 to MOST_RATE_MILLIHERTZ, None is no limit.
        weight: The worth of each pair, 1e-6 to 1e6.
        most_hops: Most links of a route, >= 1; None is no limit. Where all links have one fidelity this is what a
            required fidelity asks for. The pair-type bound holds with any, and looks at none.
    """

    source: int
    target: int
    most_millihertz: int | None = None
    weight: float = 1.0
    most_hops: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairProblem:
    """A network that makes pairs, and what is wanted of it.

    Attributes:
        rates_millihertz: Pairs that each link makes; 0 to MOST_RATE_MILLIHERTZ; shape (n_links,).
        successes: The chance that a swap at each node succeeds, in [0, 1]; shape (n_nodes,).
        wants: The demands; none is no mistake.

    Raises:
        InvalidValue: A shape or a value is out of range; names the want and the field.
    """

    net: Net
    rates_millihertz: Int64s
    successes: Floats
    wants: tuple[PairWant, ...]

    def __post_init__(self) -> None:
        n_nodes, n_links = self.net.first.size - 1, self.net.tails.size
        rates, successes = self.rates_millihertz, self.successes
        problems: list[tuple[str, str]] = []
        if rates.shape != (n_links,) or rates.dtype != np.int64:
            problems.append(("rates_millihertz", f"are not {n_links} whole numbers"))
        elif n_links and not (rates.min() >= 0 and rates.max() <= MOST_RATE_MILLIHERTZ):
            problems.append(("rates_millihertz", f"are not all in 0..{MOST_RATE_MILLIHERTZ}"))
        if successes.shape != (n_nodes,) or not bool(((successes >= 0) & (successes <= 1)).all()):
            problems.append(("successes", f"are not {n_nodes} numbers in [0, 1]"))
        if len(self.wants) > MOST_PAIR_WANTS:
            problems.append(("wants", f"{len(self.wants)} are more than {MOST_PAIR_WANTS}; divide them"))
        else:
            for number, want in enumerate(self.wants):
                problems += [(f"wants[{number}].{field}", what) for field, what in _problems(n_nodes, want)]
        if problems:
            raise InvalidValue("", *problems[:20])

    def most_millihertz(self) -> list[int]:
        """Return what each demand can get at most, whatever else there is.

        Every pair of a demand holds one qubit at each of its ends that a link there made; swaps only lose pairs.
        """
        ends = np.concatenate([self.net.tails, self.net.heads])
        made = np.zeros(self.net.first.size - 1, np.int64)
        np.add.at(made, ends, np.concatenate([self.rates_millihertz, self.rates_millihertz]))
        return [
            min(
                int(made[want.source]),
                int(made[want.target]),
                *(() if want.most_millihertz is None else (want.most_millihertz,)),
            )
            for want in self.wants
        ]


def _problems(n_nodes: int, want: PairWant) -> list[tuple[str, str]]:
    found = []
    for field, node in (("source", want.source), ("target", want.target)):
        if not (_whole(node) and 0 <= node < n_nodes):
            found.append((field, f"{node} is none of the {n_nodes} nodes"))
    if want.source == want.target:
        found.append(("target", f"is the source, {want.source}"))
    most = want.most_millihertz
    if most is not None and not (_whole(most) and 1 <= most <= MOST_RATE_MILLIHERTZ):
        found.append(("most_millihertz", f"{most} is no whole number in 1..{MOST_RATE_MILLIHERTZ}"))
    if not (math.isfinite(want.weight) and _WEIGHTS[0] <= want.weight <= _WEIGHTS[1]):
        found.append(("weight", f"{want.weight} is not in {_WEIGHTS[0]}..{_WEIGHTS[1]}"))
    if want.most_hops is not None and not (_whole(want.most_hops) and want.most_hops >= 1):
        found.append(("most_hops", f"{want.most_hops} is no positive number of links"))
    return found


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer)
