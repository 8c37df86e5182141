"""The search of the memory regime: ways from the start, then allocations of whole routes, in the order of their bounds.

Neither the waiting time nor the decay keeps its order when a route grows, so nothing is dropped but what a bound
excludes. A search stops where a whole plan has come up, to be predicted outside, and goes on with what that gave.
"""

from typing import Final, NamedTuple

import numba
import numpy as np

from controller.routing.kernels.compiled import INT64S, kernel, merged
from controller.routing.kernels.net import NET, Floats, Int64s, Net
from controller.routing.kernels.pairs_lane import halved
from controller.routing.kernels.pairs_likely import lanes_within
from controller.routing.kernels.pairs_menu import MENU, Menu, tuple_of
from controller.routing.kernels.pairs_survey import SITE, SURVEY, Site, Survey
from controller.routing.kernels.pairs_waits import TIMES, WAITS, Table, Waits

DONE: Final = 0
PLAN: Final = 1
OUT: Final = 2
"""Why a search stopped: nothing is left; a plan is to be predicted; the steps ran out."""

_MADE, _QUEUED, _INTS, _FLOATS_USED = range(4)
_KIND, _HOPS, _LINKS, _LANES, _ROUTE, _CHOSEN, _ROWS = range(7)
_BOUND, _LOSS, _PACE, _LEAST = range(4)
_WAY, _PLAN = 0, 1
SAME: Final = 1e-9
_FIRST_ROOM: Final = 256


class State(NamedTuple):
    """A search between two of its stops; its arrays grow.

    Attributes:
        used: Items made, items queued, ints and floats used of the pools.
        ints: Of each item what it is, its hops, where its links and then its nodes begin in the pool, its lanes,
            where its route begins in the pool of floats, its hops with a choice, where its rows of the menu begin.
        floats: Of each item its bound, its loss, its slowest pace, its longest least time.
        chances: Of each item, P(all its pairs are there) at each time.
        queue: Items, as a heap.
        pool: Links, nodes and rows.
        routes: Of each whole route the chances after each hop, the losses after each hop, the weights of the paces.
    """

    used: Int64s
    ints: Int64s
    floats: Floats
    chances: Table
    queue: Int64s
    pool: Int64s
    routes: Floats


_I1 = numba.types.Array(numba.int64, 1, "C")
_I2 = numba.types.Array(numba.int64, 2, "C")
_F1 = numba.types.Array(numba.float64, 1, "C")
_F2 = numba.types.Array(numba.float64, 2, "C")
STATE: Final = numba.types.NamedTuple([_I1, _I2, _F2, _F2, _I1, _I1, _F1], State)  # type: ignore[no-untyped-call]


def begun(start: int) -> State:
    """Return a search that has only its start."""
    state = State(
        used=np.array([1, 1, 1, 0], np.int64),
        ints=np.zeros((_FIRST_ROOM, 7), np.int64),
        floats=np.zeros((_FIRST_ROOM, 4)),
        chances=np.ones((_FIRST_ROOM, TIMES)),
        queue=np.zeros(_FIRST_ROOM, np.int64),
        pool=np.zeros(4 * _FIRST_ROOM, np.int64),
        routes=np.zeros(4 * _FIRST_ROOM),
    )
    state.ints[0, _LANES] = 2**62
    state.floats[0] = np.inf, 0.0, np.inf, 0.0
    state.pool[0] = start
    return state


@merged
def _comes_first(one: int, other: int, ints: Int64s, floats: Floats, pool: Int64s) -> bool:
    """Tell whether an item is taken up before another: larger bound, fewer hops, first links, made earlier."""
    if floats[one, _BOUND] != floats[other, _BOUND]:
        return bool(floats[one, _BOUND] > floats[other, _BOUND])
    hops = ints[one, _HOPS]
    if hops != ints[other, _HOPS]:
        return bool(hops < ints[other, _HOPS])
    a, b = ints[one, _LINKS], ints[other, _LINKS]
    if a != b:
        for hop in range(hops):
            if pool[a + hop] != pool[b + hop]:
                return bool(pool[a + hop] < pool[b + hop])
    return one < other


@merged
def _put(item: int, size: int, queue: Int64s, ints: Int64s, floats: Floats, pool: Int64s) -> None:
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if not _comes_first(item, queue[parent], ints, floats, pool):
            break
        queue[place] = queue[parent]
        place = parent
    queue[place] = item


@merged
def _take(size: int, queue: Int64s, ints: Int64s, floats: Floats, pool: Int64s) -> None:
    """Take off the first of so many items."""
    item = queue[size - 1]
    size -= 1
    place = 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and _comes_first(queue[child + 1], queue[child], ints, floats, pool):
            child += 1
        if not _comes_first(queue[child], item, ints, floats, pool):
            break
        queue[place] = queue[child]
        place = child
    if size:
        queue[place] = item


@merged
def _may_win(bound: float, hops: int, fewest: int, links: Int64s, best_hz: float, best_links: Int64s) -> bool:
    """Tell whether a route that begins with these links, and has at least `fewest`, can be preferred to the best."""
    if bound <= 0.0:
        return False
    if best_hz < 0.0:
        return True
    if abs(bound - best_hz) > SAME * best_hz:
        return bound > best_hz
    if fewest != best_links.size:
        return fewest < best_links.size
    for hop in range(min(hops, best_links.size)):
        if links[hop] != best_links[hop]:
            return bool(links[hop] < best_links[hop])
    return True


@kernel(
    tuple_of([numba.int64, numba.int64, numba.int64, numba.float64, STATE])(
        NET,
        MENU,
        SITE,
        SURVEY,
        WAITS,
        *[numba.int64] * 4,
        numba.float64,
        numba.float64,
        INT64S,
        *[numba.int64] * 2,
        STATE,
    )
)
def advance(
    net: Net,
    menu: Menu,
    site: Site,
    survey: Survey,
    waits: Waits,
    start: int,
    goal: int,
    storeless: int,
    most_hops: int,
    allowed: float,
    best_hz: float,
    best_links: Int64s,
    steps: int,
    least_steps: int,
    state: State,
) -> tuple[int, int, int, float, State]:
    """Go on until a plan is to be predicted; return (why stopped, its item, steps left, largest bound left, state).

    `best_hz` is of the best plan so far, -1 without one, `best_links` its links; `steps` says how many items may still
    be looked at, and a search goes on until `least_steps` of them are left.
    """
    used, ints, floats = state.used.copy(), state.ints, state.floats
    chances, queue, pool, routes = state.chances, state.queue, state.pool, state.routes
    times = chances.shape[1]
    trial = np.empty(times)
    while used[_QUEUED]:
        item = queue[0]
        _take(used[_QUEUED], queue, ints, floats, pool)
        used[_QUEUED] -= 1
        kind, hops, at_links = ints[item, _KIND], ints[item, _HOPS], ints[item, _LINKS]
        node = pool[at_links + hops + hops]
        bound = floats[item, _BOUND]
        if not _may_win(bound, hops, hops + survey.hops[node], pool[at_links : at_links + hops], best_hz, best_links):
            continue
        if hops and steps <= least_steps:
            return OUT, item, steps, bound, State(used, ints, floats, chances, queue, pool, routes)
        steps -= 1
        if kind == _PLAN and ints[item, _CHOSEN] == hops:
            return PLAN, item, steps, bound, State(used, ints, floats, chances, queue, pool, routes)
        # Room for all that one step may make.
        wanted = net.first[node + 1] - net.first[node] + 64
        while used[_MADE] + wanted > ints.shape[0]:
            more = 2 * ints.shape[0]
            more_ints, more_floats = np.zeros((more, 7), np.int64), np.zeros((more, 4))
            more_chances, more_queue = np.empty((more, times)), np.empty(more, np.int64)
            more_ints[: ints.shape[0]], more_floats[: ints.shape[0]] = ints, floats
            more_chances[: used[_MADE]], more_queue[: queue.size] = chances[: used[_MADE]], queue
            ints, floats, chances, queue = more_ints, more_floats, more_chances, more_queue
        while used[_INTS] + wanted * (2 * hops + 4) > pool.size:
            more_pool = np.empty(2 * pool.size, np.int64)
            more_pool[: pool.size] = pool
            pool = more_pool
        if kind == _WAY and node != goal:
            swapped = floats[item, _LOSS] + (menu.swap_losses[node] if hops else 0.0)
            for at in range(net.first[node], net.first[node + 1]):
                link, far = net.links[at], net.fars[at]
                if survey.counts[link] <= 0 or hops + 1 + survey.hops[far] > most_hops:
                    continue
                if not (site.passable[far] or far in (start, goal)):
                    continue
                passed = False
                for place in range(at_links + hops, at_links + 2 * hops + 1):
                    passed = passed or pool[place] == far
                if passed:
                    continue
                rest = survey.losses[far] + (menu.swap_losses[far] if far != goal else 0.0)
                loss = swapped + survey.least_losses[link]
                if loss + rest > allowed:
                    continue
                lanes = min(ints[item, _LANES], site.room[link])
                for end in (node, np.int64(far)):
                    if end == start:
                        if storeless & 1 == 0:
                            lanes = min(lanes, site.memories[end])
                    elif end == goal:
                        if storeless & 2 == 0:
                            lanes = min(lanes, site.memories[end])
                    else:
                        lanes = min(lanes, site.memories[end] // 2)
                made = used[_MADE]
                mine = chances[made]
                mean_s = 0.0
                chance, theirs = waits.link_chances[waits.link_place[link]], waits.to_goal[waits.node_place[far]]
                for time in range(times):
                    mine[time] = chances[item, time] * chance[time]
                    trial[time] = waits.steps_s[time] * (1.0 - mine[time] * theirs[time])
                for time in range(times):
                    mean_s += trial[time]
                fewest = hops + 1 + survey.hops[far]
                pace = min(floats[item, _PACE], waits.paces_hz[link])
                least = max(floats[item, _LEAST], waits.least_s[link])
                if fewest > 1:
                    success = waits.best_success[0]
                    if far == goal:
                        success = 0.0
                        for place in range(at_links + hops + 1, at_links + 2 * hops + 1):
                            success = max(success, menu.swap_successes[pool[place]])
                    # Every hop of nested halving lies at least so deep.
                    depth = 0
                    while 2 << depth <= fewest:
                        depth += 1
                    mean_s = max(mean_s, 1.0 / (pace * success ** float(depth - 1))) / success
                limit = lanes * (1.0 / max(mean_s, least))
                base = used[_INTS]
                for hop in range(hops):
                    pool[base + hop] = pool[at_links + hop]
                    pool[base + hops + 1 + hop] = pool[at_links + hops + hop]
                pool[base + hops] = link
                pool[base + 2 * hops + 1] = node
                pool[base + 2 * hops + 2] = far
                if not _may_win(limit, hops + 1, fewest, pool[base : base + hops + 1], best_hz, best_links):
                    continue
                ints[made, _KIND], ints[made, _HOPS], ints[made, _LINKS] = _WAY, hops + 1, base
                ints[made, _LANES] = lanes
                floats[made, _BOUND], floats[made, _LOSS] = limit, loss
                floats[made, _PACE], floats[made, _LEAST] = pace, least
                used[_MADE] += 1
                used[_INTS] += 2 * hops + 3
                _put(made, used[_QUEUED], queue, ints, floats, pool)
                used[_QUEUED] += 1
            continue
        if kind == _WAY:
            # A whole route: what comes after each of its hops at best, then its first hop's choices.
            base = used[_FLOATS_USED]
            while base + (hops + 1) * (times + 1) + hops > routes.size:
                more_routes = np.empty(2 * routes.size)
                more_routes[: routes.size] = routes
                routes = more_routes
            used[_FLOATS_USED] += (hops + 1) * (times + 1) + hops
            after = base + hops * times
            losses_at, weights_at = base + (hops + 1) * times, base + (hops + 1) * (times + 1)
            for time in range(times):
                routes[after + time] = 1.0
            routes[losses_at + hops] = 0.0
            loss = 0.0
            for hop in range(hops - 1, -1, -1):
                link = pool[at_links + hop]
                chance = waits.link_chances[waits.link_place[link]]
                for time in range(times):
                    routes[base + hop * times + time] = routes[base + (hop + 1) * times + time] * chance[time]
                routes[losses_at + hop] = routes[losses_at + hop + 1] + survey.least_losses[link]
                routes[weights_at + hop] = 1.0
            for place in range(at_links + hops + 1, at_links + 2 * hops):
                loss += menu.swap_losses[pool[place]]
            swaps = halved(hops)
            for swap in range(hops - 3, -1, -1):
                q = menu.swap_successes[pool[at_links + hops + swaps[swap, 1]]]
                for hop in range(swaps[swap, 0], swaps[swap, 2]):
                    routes[weights_at + hop] *= q
            ints[item, _ROUTE] = base
            floats[item, _LOSS] = loss
            for time in range(times):
                chances[item, time] = 1.0
        base, done = ints[item, _ROUTE], ints[item, _CHOSEN]
        losses_at, weights_at = base + (hops + 1) * times, base + (hops + 1) * (times + 1)
        rest_at = base + (done + 1) * times
        link = pool[at_links + done]
        half = hops // 2
        least = 0.0
        for hop in range(hops):
            least = max(least, waits.least_s[pool[at_links + hop]])
        for choice in range(menu.first[link], menu.first[link] + survey.counts[link]):
            row = survey.kept[choice]
            loss = floats[item, _LOSS] + menu.losses[row]
            if loss + routes[losses_at + done + 1] > allowed:
                continue
            made, rows_at = used[_MADE], used[_INTS]
            for hop in range(done):
                pool[rows_at + hop] = pool[ints[item, _ROWS] + hop]
            pool[rows_at + done] = row
            lanes = lanes_within(
                menu, site, pool[at_links : at_links + hops], pool[at_links + hops : at_links + 2 * hops + 1],
                pool[rows_at : rows_at + done + 1], hops, done + 1, storeless,
            )  # fmt: skip
            mine = chances[made]
            one = waits.chances[waits.place[row - menu.rounds[row]]]
            for time in range(times):
                mine[time] = one[time]
            for _ in range(menu.rounds[row]):
                for time in range(times):
                    mine[time] *= mine[time]
            for time in range(times):
                mine[time] *= chances[item, time]
                trial[time] = waits.steps_s[time] * (1.0 - mine[time] * routes[rest_at + time])
            mean_s = 0.0
            for time in range(times):
                mean_s += trial[time]
            if half:
                left, right = np.inf, np.inf
                for hop in range(hops):
                    if hop <= done:
                        pace = menu.paces_hz[pool[rows_at + hop]] * routes[weights_at + hop]
                    else:
                        pace = waits.paces_hz[pool[at_links + hop]] * routes[weights_at + hop]
                    if hop < half:
                        left = min(left, pace)
                    else:
                        right = min(right, pace)
                apart_s = 1.0 / left + 1.0 / right - 1.0 / (left + right) if left + right < np.inf else 0.0
                mean_s = max(mean_s, apart_s) / menu.swap_successes[pool[at_links + hops + half]]
            limit = lanes * (1.0 / max(mean_s, least))
            if not _may_win(limit, hops, hops, pool[at_links : at_links + hops], best_hz, best_links):
                continue
            ints[made, _KIND], ints[made, _HOPS], ints[made, _LINKS] = _PLAN, hops, at_links
            ints[made, _ROUTE], ints[made, _CHOSEN], ints[made, _ROWS] = base, done + 1, rows_at
            floats[made, _BOUND], floats[made, _LOSS] = limit, loss
            used[_MADE] += 1
            used[_INTS] += done + 1
            _put(made, used[_QUEUED], queue, ints, floats, pool)
            used[_QUEUED] += 1
    return DONE, -1, steps, 0.0, State(used, ints, floats, chances, queue, pool, routes)


def plan_of(state: State, item: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return (links, rows of the menu) of an item whose plan is whole."""
    hops, at, rows = (int(state.ints[item, column]) for column in (_HOPS, _LINKS, _ROWS))
    return tuple(state.pool[at : at + hops].tolist()), tuple(state.pool[rows : rows + hops].tolist())
