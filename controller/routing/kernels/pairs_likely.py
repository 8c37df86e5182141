"""What looks like the best plans of the memory regime: a few quick routes, and guesses improved hop by hop."""

from typing import Final

import numba
import numpy as np

from controller.routing.kernels.compiled import kernel, merged
from controller.routing.kernels.net import NET, Floats, Int32s, Int64s, Net
from controller.routing.kernels.pairs_lane import cutoffs_of, guessed, halved
from controller.routing.kernels.pairs_menu import MENU, Menu, tuple_of
from controller.routing.kernels.pairs_survey import NO_HOPS, SITE, SURVEY, Site, Survey
from controller.routing.kernels.pairs_waits import HOPS, LOSS, SLOWNESS, WAITS, Waits, least_to_goal

_NO_WAIT_S: Final = 1e-9
_I2 = numba.types.Array(numba.int64, 2, "C")
_I1 = numba.types.Array(numba.int64, 1, "C")
_F1 = numba.types.Array(numba.float64, 1, "C")


@merged
def lanes_within(
    menu: Menu, site: Site, links: Int64s, nodes: Int64s, rows: Int64s, hops: int, chosen: int, storeless: int
) -> int:
    """Return how many lanes of a route the free memories hold; of hops from `chosen` on the least."""
    most = 1 << 62
    before = 0
    for hop in range(hops):
        rounds = menu.rounds[rows[hop]] if hop < chosen else 0
        pairs = 1 << rounds
        most = min(most, site.room[links[hop]] >> rounds)
        if hop > 0 or storeless & 1 == 0:
            most = min(most, site.memories[nodes[hop]] // (before + pairs))
        before = pairs
    if storeless & 2 == 0:
        most = min(most, site.memories[nodes[hops]] // before)
    return most


@merged
def _worth(
    successes: Floats,
    periods_s: Floats,
    werners: Floats,
    lengths_km: Floats,
    rounds: Int32s,
    decays: Floats,
    swap_successes: Floats,
    swap_qualities: Floats,
    at_km: Floats,
    swaps: Int64s,
    grid: Floats,
    means: Floats,
    purities: Floats,
    least_fidelity: float,
) -> tuple[int, float]:
    """Return (1, rate of a lane) of what keeps the fidelity by the guess, else (0, fidelity)."""
    hops = means.size
    rate, fidelity = 0.0, 0.0
    # First whether it could without waiting; then with which cut-off.
    low, high = -2, grid.size - 1
    while True:
        if low == -2:
            cutoff = _NO_WAIT_S if hops > 1 else np.inf
        elif low == -1:
            cutoff = np.inf
        else:
            cutoff = grid[min((low + high) // 2 if low < high else low, grid.size - 1)]
        rate, werner = guessed(
            successes, periods_s, werners, lengths_km, rounds, decays, swap_successes, swap_qualities, at_km, swaps,
            cutoff, means, purities,
        )  # fmt: skip
        fidelity = (1.0 + 3.0 * werner) / 4.0
        keeps = fidelity >= least_fidelity
        if low == -2:
            if not keeps:
                rate, werner = guessed(
                    successes, periods_s, werners, lengths_km, rounds, decays, swap_successes, swap_qualities, at_km,
                    swaps, np.inf, means, purities,
                )  # fmt: skip
                return 0, (1.0 + 3.0 * werner) / 4.0
            low = -1
        elif low == -1:
            if keeps:
                return 1, rate
            low = 1
        elif low < high:
            if keeps:
                high = (low + high) // 2
            else:
                low = (low + high) // 2 + 1
        elif keeps:
            return 1, rate
        else:
            return 0, fidelity


@kernel(tuple_of([_I1, _I2, _I2, _I1, _F1])(NET, MENU, SITE, SURVEY, WAITS, *[numba.int64] * 4, numba.float64))
def likely_plans(
    net: Net,
    menu: Menu,
    site: Site,
    survey: Survey,
    waits: Waits,
    start: int,
    goal: int,
    storeless: int,
    most_hops: int,
    least_fidelity: float,
) -> tuple[Int64s, Int64s, Int64s, Int64s, Floats]:
    """Return (hops, links, rows, keeps, worth) of some plans; links and rows of each in its row, -1 beyond its hops.

    Of the fastest, the purest and the shortest route, each begun without and with one round of purification; keeps 1:
    by the guess it keeps the fidelity, and its worth is a rate; 0: its worth is the fidelity; -1: it has no room.
    """
    longest = min(most_hops, survey.near.size)
    hops_of, keeps_of, worth_of = np.zeros(6, np.int64), np.zeros(6, np.int64), np.zeros(6)
    all_links, all_rows = np.full((6, longest), -1, np.int64), np.full((6, longest), -1, np.int64)
    routes = np.full((3, longest), -1, np.int64)
    found, n_routes = 0, 0
    n_links = site.room.size
    of_links = np.empty(n_links)
    seen = np.full(site.passable.size, -1, np.int64)
    links, nodes = np.empty(longest, np.int64), np.empty(longest + 1, np.int64)
    for kind in (SLOWNESS, LOSS, HOPS):
        for link in range(n_links):
            if waits.link_place[link] >= 0:
                of_links[link] = waits.least_s[link]
                if kind == LOSS:
                    of_links[link] = survey.least_losses[link]
                elif kind == HOPS:
                    of_links[link] = 1.0
        least = least_to_goal(net, menu, site, survey, start, goal, kind, of_links)
        node, hops = start, 0
        nodes[0] = start
        seen[start] = kind
        while node != goal:
            next_link, next_node, fewest = -1, -1, np.inf
            for at in range(net.first[node], net.first[node + 1]):
                link, far = net.links[at], net.fars[at]
                if waits.link_place[link] < 0 or seen[far] == kind or survey.hops[far] == NO_HOPS:
                    continue
                if not (site.passable[far] or far == goal):
                    continue
                rest = of_links[link]
                if kind == LOSS and far != goal:
                    rest += menu.swap_losses[far]
                rest += least[far]
                if next_link < 0 or rest < fewest:
                    next_link, next_node, fewest = link, far, rest
            if next_link < 0 or hops >= longest:
                break
            links[hops] = next_link
            hops += 1
            node = next_node
            nodes[hops] = node
            seen[node] = kind
        if node != goal:
            continue
        known = False
        for other in range(n_routes):
            same = True
            for hop in range(longest):
                if routes[other, hop] != (links[hop] if hop < hops else -1):
                    same = False
            known = known or same
        if known:
            continue
        routes[n_routes, :hops] = links[:hops]
        n_routes += 1
        # The lane, its hops as each choice makes them.
        successes, periods_s, werners = np.empty(hops), np.empty(hops), np.empty(hops)
        lengths_km, rounds = np.empty(hops), np.empty(hops, np.int32)
        decays, swap_successes, swap_qualities = np.empty(hops + 1), np.empty(hops + 1), np.empty(hops + 1)
        at_km = np.zeros(hops + 1)
        for hop in range(hops):
            periods_s[hop], lengths_km[hop] = menu.periods_s[links[hop]], menu.lengths_km[links[hop]]
            at_km[hop + 1] = at_km[hop] + lengths_km[hop]
        for end in range(hops + 1):
            bare = (end == 0 and storeless & 1 != 0) or (end == hops and storeless & 2 != 0)
            decays[end] = 0.0 if bare else menu.decays_per_s[nodes[end]]
            swap_successes[end], swap_qualities[end] = menu.swap_successes[nodes[end]], menu.swap_qualities[nodes[end]]
        swaps, grid = halved(hops), cutoffs_of(decays, hops)
        means, purities = np.empty(hops), np.empty(hops)
        rows = np.empty(hops, np.int64)
        for begun in range(2):
            for hop in range(hops):
                first = menu.first[links[hop]]
                chosen = -1
                for choice in range(first, first + survey.counts[links[hop]]):
                    row = survey.kept[choice]
                    off = abs(menu.rounds[row] - begun)
                    if chosen >= 0:
                        theirs = abs(menu.rounds[chosen] - begun)
                        if off > theirs or (off == theirs and menu.losses[row] >= menu.losses[chosen]):
                            continue
                    chosen = row
                rows[hop] = chosen
            now_keeps, now_worth = -2, 0.0
            improved = True
            while improved:
                improved = False
                for hop in range(hops):
                    before = rows[hop]
                    best_row, best_keeps, best_worth = before, now_keeps, now_worth
                    first = menu.first[links[hop]]
                    top_row, top_keeps, top_worth = before, -3, 0.0
                    for choice in range(first, first + survey.counts[links[hop]]):
                        row = survey.kept[choice]
                        if row == before and now_keeps > -2:
                            keeps, worth = now_keeps, now_worth
                        else:
                            rows[hop] = row
                            for other in range(hops):
                                successes[other] = menu.successes[rows[other]]
                                werners[other] = menu.raw_werners[rows[other]]
                                rounds[other] = menu.rounds[rows[other]]
                            lanes = lanes_within(menu, site, links, nodes, rows, hops, hops, storeless)
                            keeps, worth = -1, 0.0
                            if lanes >= 1:
                                keeps, worth = _worth(
                                    successes, periods_s, werners, lengths_km, rounds, decays, swap_successes,
                                    swap_qualities, at_km, swaps, grid, means, purities, least_fidelity,
                                )  # fmt: skip
                                if keeps == 1:
                                    worth *= lanes
                            if row == before:
                                now_keeps, now_worth = keeps, worth
                                best_keeps, best_worth = keeps, worth
                        if keeps > top_keeps or (keeps == top_keeps and worth > top_worth):
                            top_row, top_keeps, top_worth = row, keeps, worth
                    rows[hop] = before
                    if top_keeps > now_keeps or (top_keeps == now_keeps and top_worth > now_worth):
                        best_row, best_keeps, best_worth = top_row, top_keeps, top_worth
                        improved = True
                    rows[hop], now_keeps, now_worth = best_row, best_keeps, best_worth
            if now_keeps >= 0:
                hops_of[found], keeps_of[found], worth_of[found] = hops, now_keeps, now_worth
                all_links[found, :hops] = links[:hops]
                all_rows[found, :hops] = rows
                found += 1
    return hops_of[:found], all_links[:found], all_rows[:found], keeps_of[:found], worth_of[:found]
