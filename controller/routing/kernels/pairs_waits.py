"""Lower bounds of how long a lane of the memory regime takes, for a beginning of a route and for all of it.

All pairs of a route must be there before its last swap; so the mean time is at least that of the last of them, by
the success of the last swap. What is to come after a beginning counts with the best chance that any rest offers for
each time on a fixed grid. And a segment's time is, by chance, never below an exponential one whose rate is that of its
slowest hop times the success of its swaps.
"""

import math
from typing import Final, NamedTuple

import numba
import numpy as np

from controller.routing.kernels.compiled import FLOATS, INT64S, kernel, merged
from controller.routing.kernels.net import NET, Floats, Int64s, Net
from controller.routing.kernels.pairs_menu import MENU, Menu, put_float, take_float, tuple_of
from controller.routing.kernels.pairs_survey import NO_HOPS, SITE, SURVEY, Site, Survey

_EVEN: Final = 48
_WIDE: Final = 24
TIMES: Final = _EVEN + _WIDE
GRID: Final = np.concatenate((np.linspace(0.0, 3.0, _EVEN + 1)[1:], np.geomspace(3.0, 1000.0, _WIDE + 1)[1:]))
"""Times in parts of what a quick route takes: even steps up to three times that, and wide ones beyond."""
SLOWNESS: Final = 0
LOSS: Final = 1
HOPS: Final = 2
"""What a way may be short in."""
Table = np.ndarray[tuple[int, int], np.dtype[np.float64]]


class Waits(NamedTuple):
    """The bounds on one ground.

    Attributes:
        steps_s: Between the times of the grid; shape (TIMES,).
        place: Where a row of the menu that does not purify, of a link near, has its chances; shape (n_choices,).
        chances: P(a raw pair of one memory pair is there), at each time; shape (n, TIMES).
        link_place: Where a link near has those of its best choice for each time, in `link_chances`; shape (n_links,).
        link_chances: As `chances`.
        node_place: Where a node near has its own in `to_goal`; shape (n_nodes,).
        to_goal: The largest P(all pairs of a rest are there) on to the goal, at each time; shape (n_near, TIMES).
        least_s: Least mean time to a raw pair of each link near; shape (n_links,).
        paces_hz: Largest pace of each link near; shape (n_links,).
        best_success: No node near swaps with more, in an array of one.
    """

    steps_s: Floats
    place: Int64s
    chances: Table
    link_place: Int64s
    link_chances: Table
    node_place: Int64s
    to_goal: Table
    least_s: Floats
    paces_hz: Floats
    best_success: Floats


TABLE: Final = numba.types.Array(numba.float64, 2, "C", readonly=True)
WAITS: Final = numba.types.NamedTuple(  # type: ignore[no-untyped-call]
    [FLOATS, INT64S, TABLE, INT64S, TABLE, INT64S, TABLE, FLOATS, FLOATS, FLOATS], Waits
)
_F1 = numba.types.Array(numba.float64, 1, "C")
_I1 = numba.types.Array(numba.int64, 1, "C")
_F2 = numba.types.Array(numba.float64, 2, "C")


@merged
def least_to_goal(
    net: Net, menu: Menu, site: Site, survey: Survey, start: int, goal: int, kind: int, of_links: Floats
) -> Floats:
    """Return the least sum over a rest from each node near, of its links and of the nodes passed after the first."""
    least = np.full(site.passable.size, np.inf)
    least[goal] = 0.0
    keys, items = np.empty(64, np.float64), np.empty(64, np.int32)
    size = put_float(keys, items, 0, 0.0, goal)
    while size:
        total, node = keys[0], items[0]
        size = take_float(keys, items, size)
        if total > least[node] or node == start:
            continue
        onward = total + (menu.swap_losses[node] if kind == LOSS and node != goal else 0.0)
        for at in range(net.first[node], net.first[node + 1]):
            link, far = net.links[at], net.fars[at]
            if survey.counts[link] <= 0 or survey.hops[far] == NO_HOPS:
                continue
            reached = onward + of_links[link]
            if reached < least[far]:
                least[far] = reached
                if size == keys.size:
                    more_keys, more_items = np.empty(2 * size, np.float64), np.empty(2 * size, np.int32)
                    more_keys[:size], more_items[:size] = keys, items
                    keys, items = more_keys, more_items
                size = put_float(keys, items, size, reached, far)
    return least


@kernel(
    tuple_of([_F1, _I1, _F2, _I1, _F2, _I1, _F2, _F1, _F1, _F1])(
        NET, MENU, SITE, SURVEY, numba.int64, numba.int64, FLOATS
    )
)
def waits_of(
    net: Net, menu: Menu, site: Site, survey: Survey, start: int, goal: int, grid: Floats
) -> tuple[Floats, Int64s, Table, Int64s, Table, Int64s, Table, Floats, Floats, Floats]:
    """Return the fields of Waits. Cost: O(hops k TIMES), k links near."""
    n_links, times = site.room.size, grid.size
    least_s, paces = np.empty(n_links), np.empty(n_links)
    place, link_place = np.full(menu.rounds.size, -1, np.int64), np.full(n_links, -1, np.int64)
    node_place = np.full(site.passable.size, -1, np.int64)
    rows, links = 0, 0
    best_success = 0.0
    for nth in range(survey.near.size):
        node = survey.near[nth]
        node_place[node] = nth
        best_success = max(best_success, menu.swap_successes[node])
        for at in range(net.first[node], net.first[node + 1]):
            link = net.links[at]
            if survey.counts[link] <= 0 or link_place[link] >= 0 or survey.hops[net.fars[at]] == NO_HOPS:
                continue
            link_place[link] = links
            links += 1
            least_s[link], paces[link] = np.inf, 0.0
            for choice in range(menu.first[link], menu.first[link] + survey.counts[link]):
                row = survey.kept[choice]
                least_s[link] = min(least_s[link], 1.0 / survey.rates_hz[choice])
                paces[link] = max(paces[link], menu.paces_hz[row])
                if menu.rounds[row] == 0:
                    place[row] = rows
                    rows += 1
    quick_s = least_to_goal(net, menu, site, survey, start, goal, SLOWNESS, least_s)[start]
    steps_s = np.empty(times)
    for time in range(times):
        steps_s[time] = grid[time] * quick_s - (grid[time - 1] * quick_s if time else 0.0)
    chances, link_chances = np.empty((rows, times)), np.zeros((links, times))
    for link in range(n_links):
        if link_place[link] < 0:
            continue
        best = link_chances[link_place[link]]
        for choice in range(menu.first[link], menu.first[link] + survey.counts[link]):
            row = survey.kept[choice]
            if menu.rounds[row] != 0:
                continue
            one = chances[place[row]]
            success, period_s = menu.successes[row], menu.periods_s[link]
            log_failure = math.log1p(-success) if success < 1.0 else -np.inf
            for time in range(times):
                attempts = math.floor(grid[time] * quick_s / period_s * (1.0 + 1e-12))
                one[time] = -math.expm1(attempts * log_failure) if attempts > 0.0 else 0.0
            for time in range(times):
                best[time] = max(best[time], one[time])
    near = survey.near.size
    to_goal = np.zeros((near, times))
    to_goal[node_place[goal]] = 1.0
    # Nodes by hops, so that most is known after one round.
    order = np.argsort(survey.hops[survey.near], kind="mergesort")
    rising = True
    while rising:
        rising = False
        for nth in order:
            node = survey.near[nth]
            if node == goal:
                continue
            mine = to_goal[nth]
            for at in range(net.first[node], net.first[node + 1]):
                link, far = net.links[at], net.fars[at]
                if link_place[link] < 0 or far == start or node_place[far] < 0:
                    continue
                chance, theirs = link_chances[link_place[link]], to_goal[node_place[far]]
                for time in range(times):
                    offered = chance[time] * theirs[time]
                    if offered > mine[time]:
                        mine[time] = offered
                        rising = True
    return (
        steps_s,
        place,
        chances,
        link_place,
        link_chances,
        node_place,
        to_goal,
        least_s,
        paces,
        np.full(1, best_success),
    )
