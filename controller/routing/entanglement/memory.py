"""The best route in the memory regime: best first, with bounds that no route beyond them exceeds.

A few quick routes give a first plan to beat. Then ways from the start are taken up in the order of their bounds, then
the allocations of a whole route, and what is whole is predicted exactly (`kernels.pairs_memory`, `kernels.pairs_lane`).
When the best prediction is not below any bound left the search has proven it best; else its steps ran out and the
largest bound left is told.
"""

import math
from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from controller.domain.refusals import TooHard
from controller.physics.lane import Lane
from controller.physics.memory_regime import predict_lane
from controller.physics.swap_tree import nested_halving
from controller.routing.entanglement.candidate import Candidate, Links, better, may_win
from controller.routing.entanglement.choices import Choice, choice_at
from controller.routing.entanglement.ground import SAME, Ground
from controller.routing.entanglement.lanes import lane_over
from controller.routing.entanglement.menu import menu_of
from controller.routing.kernels.net import Floats, frozen
from controller.routing.kernels.pairs_lane import (
    TABLES,
    LaneFigures,
    Purified,
    longest_cutoff,
    purified,
    rate_unlimited,
)
from controller.routing.kernels.pairs_likely import likely_plans
from controller.routing.kernels.pairs_memory import OUT, PLAN, advance, begun, plan_of
from controller.routing.kernels.pairs_round import FIGURES
from controller.routing.kernels.pairs_waits import GRID, Waits, waits_of

_STEPS_OF_PREDICTED_HOP: Final = 12
_LONGER: Final = 3
_CUTOFF_GAIN: Final = 1.02
"""How much a cut-off might raise the rate: only by cutting short a message under way."""

_NOISE: Final = 1e-7
"""What rounding may make of a fidelity on a grid, by this way of summing or by that."""

Choices = tuple[Choice, ...]
Rows = tuple[int, ...]
"""Choices of hops as rows of the wiring's menu."""


def lane_of(ground: Ground, links: Links, choices: Choices, cutoff_s: float | None = None) -> Lane:
    """Return one lane of a route."""
    wiring = ground.network.wiring
    nodes = ground.nodes_on(links)
    return lane_over(
        (
            (wiring.edges[link], choice.success_probability, choice.raw_werner, choice.rounds)
            for link, choice in zip(links, choices, strict=True)
        ),
        [wiring.stations[node] for node in nodes],
        [0.0 if node in ground.storeless else wiring.stations[node].decay_per_s for node in nodes],
        cutoff_s,
    )


def lanes_within(ground: Ground, links: Links, choices: Choices) -> int:
    """Return how many lanes of a route the free memories hold; of hops without a choice the least."""
    network = ground.network
    rounds = [choice.rounds for choice in choices] + [0] * (len(links) - len(choices))
    most = 2**62
    before = 0
    node = ground.start
    for link, times in zip(links, rounds, strict=True):
        most = min(most, network.room[link] >> times)
        if node not in ground.storeless:
            most = min(most, network.memories[node] // (before + (1 << times)))
        before = 1 << times
        a, b = network.wiring.edges[link].ends
        node = b if node == a else a
    return most if node in ground.storeless else min(most, network.memories[node] // before)


class MemorySearch:
    """One search on one ground."""

    def __init__(self, ground: Ground, least_fidelity: float) -> None:
        self._ground = ground
        self._least_fidelity = least_fidelity
        self._wiring = ground.network.wiring
        self._menu = menu_of(self._wiring)
        self._best: Candidate | None = None
        self._settled: set[tuple[Links, Rows]] = set()
        self._steps = 0

    def best(self, steps: int) -> Candidate | None:
        """Return the best candidate, or None; its bound is above its rate where steps ran out.

        A prediction counts as twelve steps a hop. While there is no candidate it may take some times as many.

        Raises:
            TooHard: There may be one, but none was found.
        """
        self._steps = steps
        left_hz = 0.0
        ground = self._ground
        terms = self._wiring.net, self._menu, ground.site, ground.survey
        waits = Waits(*waits_of(*terms, ground.start, ground.goal, GRID))
        for array in waits:
            frozen(array)
        # What likely keeps the fidelity first: to find that something does not is what takes longest.
        for keeps, links, rows in self._likely(waits):
            if self._best is None or (keeps and self._steps > 2 * _STEPS_OF_PREDICTED_HOP * len(links)):
                self._settle(links, rows)
        state = begun(ground.start)
        while True:
            best_hz, best_links = -1.0, _NO_LINKS
            if self._best is not None:
                best_hz, best_links = self._best.rate_hz, np.array(self._best.links, np.int64)
            why, item, self._steps, bound_hz, state = advance(
                *terms,
                waits,
                ground.start,
                ground.goal,
                ground.bare_ends,
                ground.most,
                ground.allowed,
                best_hz,
                best_links,
                self._steps,
                0 if self._best is not None else -_LONGER * steps,
                state,
            )
            if why != PLAN:
                left_hz = bound_hz if why == OUT else 0.0
                break
            self._settle(*plan_of(state, item))
        if self._best is None:
            if left_hz:
                raise TooHard(
                    "TOO_HARD",
                    "no plan of the memory regime with that fidelity was found, nor was it shown that there is none,"
                    " within the steps of a search; ask for less fidelity or fewer hops",
                    {"upper_bound_hz": left_hz},
                )
            return None
        return replace(self._best, bound_hz=max(self._best.rate_hz, left_hz))

    def _likely(self, waits: Waits) -> list[tuple[bool, Links, Rows]]:
        """Return (whether it likely keeps the fidelity, links, rows) of a few plans, the most promising first."""
        ground = self._ground
        hops, links, rows, keeps, worth = likely_plans(
            self._wiring.net,
            self._menu,
            ground.site,
            ground.survey,
            waits,
            ground.start,
            ground.goal,
            ground.bare_ends,
            ground.most,
            self._least_fidelity,
        )
        order = sorted(range(len(hops)), key=lambda plan: (keeps[plan], worth[plan]), reverse=True)
        return [
            (keeps[plan] > 0, tuple(links[plan, : hops[plan]].tolist()), tuple(rows[plan, : hops[plan]].tolist()))
            for plan in order
        ]

    def _settle(self, links: Links, rows: Rows) -> None:
        """Predict one allocation of one route, and keep it where it is better than what was found."""
        if (links, rows) in self._settled:
            return
        self._settled.add((links, rows))
        ground = self._ground
        choices = tuple(choice_at(self._wiring, row, float(self._menu.rates_hz[row])) for row in rows)
        lanes = lanes_within(ground, links, choices)
        if lanes < 1:
            return
        lane, ready = self._figures(links, rows)
        if self._best is not None:
            self._steps -= _STEPS_OF_PREDICTED_HOP * len(links)
            most_hz = lanes * rate_unlimited(lane, ready, *TABLES) * _CUTOFF_GAIN
            if not may_win(most_hz, links, len(links), (self._best.rate_hz, self._best.links)):
                return
        self._steps -= _STEPS_OF_PREDICTED_HOP * len(links)
        place, cutoff_s, rate_hz, werner = longest_cutoff(lane, ready, self._least_fidelity, *TABLES)
        if place >= 0 and (1 + 3 * werner) / 4 < self._least_fidelity + _NOISE:
            # So close only the physics itself says whether it keeps the fidelity.
            exact = predict_lane(lane_of(ground, links, choices, None if place == 0 else cutoff_s))
            if exact.fidelity < self._least_fidelity:
                place, cutoff_s, rate_hz, werner = longest_cutoff(lane, ready, self._least_fidelity + _NOISE, *TABLES)
        if place < 0:
            return
        cutoff = None if place == 0 else cutoff_s
        lanes = int(min(lanes, self._lanes_in_time(lane, lanes, links, choices, cutoff)))
        if lanes < 1:
            return
        candidate = Candidate(
            links=links,
            choices=choices,
            tree=nested_halving(len(links)),
            lanes=lanes,
            cutoff_s=cutoff,
            rate_hz=lanes * rate_hz,
            werner=werner,
            bound_hz=lanes * rate_hz,
        )
        if self._best is None or _preferred(candidate, self._best):
            self._best = candidate

    def _lanes_in_time(
        self, lane: LaneFigures, lanes: int, links: Links, choices: Choices, cutoff_s: float | None
    ) -> float:
        """Return how many lanes the free swap time of the transit nodes lets run; infinite where `lanes` surely do."""
        ground = self._ground
        nodes = ground.nodes_on(links)[1:-1]
        # A swap takes at least a raw pair of each hop beside it.
        raw_hz = lane.successes / lane.periods_s
        most_hz = np.minimum(raw_hz[:-1], raw_hz[1:])
        busy = most_hz * self._menu.durations_s[nodes] * 1e6 * lanes
        if all(each <= ground.network.swap_time[node] for each, node in zip(busy.tolist(), nodes, strict=True)):
            return math.inf
        one = predict_lane(lane_of(ground, links, choices, cutoff_s))
        most = math.inf
        for place, node in enumerate(ground.nodes_on(links)):
            busy_us = one.swap_attempts[place] * one.rate_hz * float(self._menu.durations_s[node]) * 1e6
            if busy_us > 0.0:
                most = min(most, math.floor(ground.network.swap_time[node] / busy_us * (1 + 1e-12)))
        return most

    def _figures(self, links: Links, rows: Rows) -> tuple[LaneFigures, Purified]:
        """Return a lane as kernels read it, with its purified pairs."""
        ground, menu = self._ground, self._menu
        of, on, nodes = list(rows), list(links), ground.nodes_on(links)
        decays = menu.decays_per_s[nodes]
        for place in (0, -1):
            if nodes[place] in ground.storeless:
                decays[place] = 0.0
        lane = LaneFigures(
            successes=menu.successes[of],
            periods_s=menu.periods_s[on],
            werners=menu.raw_werners[of],
            lengths_km=menu.lengths_km[on],
            rounds=menu.rounds[of],
            decays_per_s=decays,
            swap_successes=menu.swap_successes[nodes],
            swap_qualities=menu.swap_qualities[nodes],
        )
        for array in lane:
            frozen(array)
        return lane, purified_of(lane)


def purified_of(lane: LaneFigures) -> Purified:
    """Return the purified pairs of a lane's hops."""
    parts: list[tuple[float, Floats, Floats, Floats]] = []
    if not lane.rounds.any():
        parts = [_RAW] * lane.rounds.size
    else:
        decays = lane.decays_per_s.tolist()
        for hop, figures in enumerate(
            zip(
                lane.successes.tolist(),
                lane.periods_s.tolist(),
                lane.werners.tolist(),
                lane.lengths_km.tolist(),
                lane.rounds.tolist(),
                strict=True,
            )
        ):
            parts.append(_purified(*figures, decays[hop] + decays[hop + 1]) if figures[4] else _RAW)
    first = np.zeros(len(parts) + 1, np.int64)
    first[1:] = np.cumsum([part[1].size for part in parts])
    ready = Purified(
        first=first,
        mass=np.concatenate([part[1] for part in parts]),
        weight=np.concatenate([part[2] for part in parts]),
        figures=np.concatenate([part[3] for part in parts]),
        slots_s=np.array([part[0] for part in parts]),
    )
    for array in ready:
        frozen(array)
    return ready


_NO_LINKS: Final = np.zeros(0, np.int64)
_RAW: Final = (0.0, np.zeros(0), np.zeros(0), np.zeros(FIGURES))


@lru_cache(maxsize=1024)
def _purified(  # noqa: PLR0917  # what a cache remembers by
    success: float, period_s: float, werner: float, length_km: float, rounds: int, decay_per_s: float
) -> tuple[float, Floats, Floats, Floats]:
    made: tuple[float, Floats, Floats, Floats] = purified(
        success, period_s, werner, length_km, decay_per_s, rounds, *TABLES
    )
    return made


def _preferred(one: Candidate, best: Candidate) -> bool:
    if better((one.rate_hz, one.links), (best.rate_hz, best.links)):
        return True
    if one.links != best.links or abs(one.rate_hz - best.rate_hz) > SAME * best.rate_hz:
        return False
    ranks = [[(choice.rounds, choice.option) for choice in each.choices] for each in (one, best)]
    return (-one.werner, ranks[0]) < (-best.werner, ranks[1])
