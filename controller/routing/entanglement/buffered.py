"""The best route where pairs of all segments are buffered: the best swap tree on the best route.

Where all nodes that may be passed swap with one success the compiled search by thresholds finds it
(`kernels.pairs_buffered`); else see `unequal`.
"""

import math
from functools import lru_cache
from typing import Final

import numpy as np

from controller.domain.refusals import TooHard
from controller.physics.buffered_regime import UNLIMITED_DEPTH
from controller.physics.swap_tree import SwapTree
from controller.routing.entanglement.candidate import Candidate
from controller.routing.entanglement.choices import choice_at
from controller.routing.entanglement.ground import Ground
from controller.routing.entanglement.menu import menu_of
from controller.routing.entanglement.unequal import best_unequal
from controller.routing.kernels.compiled import NONE, OUT_OF_STEPS
from controller.routing.kernels.net import Floats, frozen
from controller.routing.kernels.pairs_buffered import best_rate, split_best

_MOST_LABELS: Final = 4_000_000
"""What one search by thresholds may look at: some seconds, and 300 MB; none of a real network comes near."""


def best_buffered(ground: Ground, steps: int) -> Candidate | None:
    """Return the route, choices and tree of the highest rate that keeps the ground's fidelity, or None.

    Of equal rates: fewest hops, then first link names; on the route, the best fidelity. Cost with one q: a few times
    O(labels log labels), with few labels at a node; where q differs, at most `steps` labels are looked at.

    Raises:
        TooHard: There are millions of labels.
    """
    if not ground.joined:
        return None
    successes = ground.transit_successes
    if len(successes) > 1:
        return best_unequal(ground, steps)
    success = successes[0] if successes else 1.0
    wiring = ground.network.wiring
    menu, survey = menu_of(wiring), ground.survey
    status, rate_hz, ways, places = best_rate(
        wiring.net,
        menu,
        ground.site,
        survey,
        ground.start,
        ground.goal,
        ground.most,
        ground.allowed,
        _powers(success),
        _MOST_LABELS,
    )
    if status == NONE:
        return None
    if status == OUT_OF_STEPS:
        raise TooHard(
            "TOO_HARD",
            "the best route of the buffered regime was not found within the steps of a search; ask for fewer hops",
            {"upper_bound_hz": rate_hz},
        )
    links = tuple(ways.tolist())
    rows, rates = survey.kept[places].tolist(), survey.rates_hz[places].tolist()
    value, splits = split_best(survey.rates_hz[places], np.full(len(links) - 1, success))
    transit = ground.nodes_on(links)[1:-1]
    loss = sum(menu.losses[rows].tolist()) + sum(ground.swap_losses[node] for node in transit)
    return Candidate(
        links=links,
        choices=tuple(choice_at(wiring, row, rate) for row, rate in zip(rows, rates, strict=True)),
        tree=_tree(splits.tolist(), 0, len(links)),
        rate_hz=value,
        werner=math.exp(-loss),
        bound_hz=value,
    )


def _tree(splits: list[list[int]], first: int, last: int) -> SwapTree:
    if last - first == 1:
        return first
    middle = splits[first][last]
    return _tree(splits, first, middle), _tree(splits, middle, last)


@lru_cache(maxsize=64)
def _powers(success: float) -> Floats:
    # The same powers as in the physics, so that equal rates are equal to the last bit.
    powers = np.array([success**depth for depth in range(UNLIMITED_DEPTH + 1)])
    frozen(powers)
    return powers
