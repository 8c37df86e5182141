"""Where the routes of one demand may go in an entanglement network, and what each link can do there now.

A link is looked at when the search for the rest of a route first comes to it: what is free, what its nodes have free.
"""

from typing import Final, NamedTuple

import numba
import numpy as np

from controller.routing.kernels.compiled import FLAGS, FLOATS, INT32S, INT64S, kernel, merged
from controller.routing.kernels.net import NET, Flags, Floats, Int32s, Int64s, Net
from controller.routing.kernels.pairs_menu import MENU, Menu, put_float, take_float, tuple_of

SLOT: Final = 0
MEMORY: Final = 1
BUFFERED: Final = 2
AT_ONCE: Final = 3
"""Regimes as kernels know them: their place in `domain.pair_link.Regime`."""
MAX_ROUNDS: Final = 2
NO_HOPS: Final = 2**30
"""Hops where there is no way."""
_UNSEEN: Final = -1


class Site(NamedTuple):
    """What is free, and what a demand leaves open.

    Attributes:
        room: Free on each link, in the unit of its regime, maybe negative; shape (n_links,).
        memories: Free qubits of each node; shape (n_nodes,).
        avoided: Links that may not be used; shape (n_links,).
        passable: Nodes that may be passed on the way; shape (n_nodes,).
    """

    room: Int64s
    memories: Int64s
    avoided: Flags
    passable: Flags


class Survey(NamedTuple):
    """What a route may use.

    Attributes:
        counts: How many choices each link has, -1 of links never come to; shape (n_links,).
        kept: Those choices, as rows of the menu, from the menu's `first` of the link on; shape (n_choices,).
        rates_hz: Of each of them, with what is free now; at the same places as `kept`.
        least_losses: The least -ln w of the choices of each link come to; shape (n_links,).
        losses: Least -ln w from each node on to the goal, its own swap not counted; infinite without a way and where
            more is lost than may be; shape (n_nodes,).
        hops: Fewest links on to the goal over such nodes, or NO_HOPS; shape (n_nodes,).
        near: The nodes with hops, in order.
    """

    counts: Int32s
    kept: Int64s
    rates_hz: Floats
    least_losses: Floats
    losses: Floats
    hops: Int64s
    near: Int32s


SITE: Final = numba.types.NamedTuple([INT64S, INT64S, FLAGS, FLAGS], Site)  # type: ignore[no-untyped-call]
SURVEY: Final = numba.types.NamedTuple(  # type: ignore[no-untyped-call]
    [INT32S, INT64S, FLOATS, FLOATS, FLOATS, INT64S, INT32S], Survey
)
_MADE = tuple_of(
    [
        numba.types.Array(kind, 1, "C")
        for kind in (numba.int32, numba.int64, *[numba.float64] * 3, numba.int64, numba.int32)
    ]
)


@merged
def share_of(amount: int, part: int, whole: int) -> int:
    """Return amount * part // whole of numbers from 0 to 2^62, though the product may be larger."""
    if part == 0 or amount <= 9223372036854775807 // part:
        return amount * part // whole
    found, rest = 0, 0
    for bit in range(62, -1, -1):
        found, rest = 2 * found, 2 * rest
        if part >> bit & 1:
            found += amount // whole
            rest += amount % whole
        found += rest // whole
        rest %= whole
    return found


@merged
def rounds_held(net: Net, site: Site, regime: int, start: int, goal: int, storeless: int, link: int) -> int:
    """Return the most rounds that a link and both its nodes have room for, -1 where not even a pair fits.

    `storeless` is 1 where the start needs no memories, 2 where the goal does not, 3 where neither does.
    """
    tail, head = net.tails[link], net.heads[link]
    bare_start, bare_goal = storeless & 1 != 0, storeless & 2 != 0
    ends_bare = (bare_start and start in (tail, head)) or (bare_goal and goal in (tail, head))
    most = 0 if ends_bare or regime == SLOT else MAX_ROUNDS
    for rounds in range(most, -1, -1):
        least = 1 << rounds if regime == MEMORY else rounds + 1
        if site.room[link] < (least if regime == MEMORY else 1):
            continue
        holds = True
        for node in (tail, head):
            if node == start:
                holds = holds and (bare_start or site.memories[node] >= least)
            elif node == goal:
                holds = holds and (bare_goal or site.memories[node] >= least)
            else:
                holds = holds and site.memories[node] >= least + 1
        if holds:
            return rounds
    return -1


@merged
def _before(menu: Menu, row: int, rate: float, other: int, other_rate: float, regime: int) -> bool:
    """Tell whether one choice comes before another: faster, then purer, then by rounds and option."""
    pace, theirs = rate, other_rate
    if regime == SLOT:
        pace, theirs = menu.successes[row], menu.successes[other]
    if pace != theirs:
        return bool(pace > theirs)
    if menu.losses[row] != menu.losses[other]:
        return bool(menu.losses[row] < menu.losses[other])
    if menu.rounds[row] != menu.rounds[other]:
        return bool(menu.rounds[row] < menu.rounds[other])
    return bool(menu.options[row] < menu.options[other])


@merged
def pick(menu: Menu, link: int, regime: int, rounds: int, room: int, kept: Int64s, rates: Floats) -> int:
    """Put the choices of a link that may be of use at its places, and return how many.

    In the memory regime, where more rounds take more memories, all; else, fastest first, those that are neither slower
    nor worse than another.
    """
    base, count = menu.first[link], 0
    scaled = regime in (BUFFERED, AT_ONCE) and room < menu.capacities[link]
    if regime == MEMORY:
        for row in range(base, menu.first[link + 1]):
            if menu.rounds[row] <= rounds:
                kept[base + count] = row
                rates[base + count] = menu.rates_hz[row]
                count += 1
        return count
    for at in range(base, menu.first[link + 1]):
        row = menu.ordered[at]
        if menu.rounds[row] > rounds:
            continue
        rate = menu.rates_hz[row]
        if scaled:
            within = share_of(max(0, room), menu.option_mhz[row], menu.fastest_mhz[link]) / 1000 / menu.costs[row]
            if within <= 0.0:
                continue
            rate = min(rate, within)
        # What is scaled may change places, seldom.
        place = base + count
        while place > base and _before(menu, row, rate, kept[place - 1], rates[place - 1], regime):
            kept[place] = kept[place - 1]
            rates[place] = rates[place - 1]
            place -= 1
        kept[place] = row
        rates[place] = rate
        count += 1
    good = min(1, count)
    for place in range(base + 1, base + count):
        if menu.losses[kept[place]] < menu.losses[kept[base + good - 1]]:
            kept[base + good] = kept[place]
            rates[base + good] = rates[place]
            good += 1
    return good


@kernel(_MADE(NET, MENU, SITE, numba.int64, numba.int64, numba.int64, numba.int64, numba.int64, numba.float64))
def surveyed(
    net: Net,
    menu: Menu,
    site: Site,
    regime: int,
    start: int,
    goal: int,
    storeless: int,
    most_hops: int,
    allowed: float,
) -> tuple[Int32s, Int64s, Floats, Floats, Floats, Int64s, Int32s]:
    """Return the fields of a Survey; Dijkstra's method from the goal. Cost: O(m + k log k), k links within reach."""
    n_nodes, n_links = site.passable.size, site.room.size
    count = np.full(n_links, _UNSEEN, np.int32)
    kept = np.empty(menu.rounds.size, np.int64)
    rates = np.empty(menu.rounds.size, np.float64)
    least_losses = np.empty(n_links, np.float64)
    losses = np.full(n_nodes, np.inf)
    losses[goal] = 0.0
    keys, items = np.empty(64, np.float64), np.empty(64, np.int32)
    size = put_float(keys, items, 0, 0.0, goal)
    while size:
        total, node = keys[0], items[0]
        size = take_float(keys, items, size)
        if total > losses[node] or node == start:
            continue
        onward = total + (0.0 if node == goal else menu.swap_losses[node])
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if not (site.passable[far] or far in (start, goal)):
                continue
            if count[link] == _UNSEEN:
                count[link] = 0
                if menu.regimes[link] == regime and not site.avoided[link]:
                    rounds = rounds_held(net, site, regime, start, goal, storeless, link)
                    if rounds >= 0:
                        count[link] = pick(menu, link, regime, rounds, site.room[link], kept, rates)
                least = np.inf
                for row in range(menu.first[link], menu.first[link] + count[link]):
                    least = min(least, menu.losses[kept[row]])
                least_losses[link] = least
            if count[link] == 0:
                continue
            reached = onward + least_losses[link]
            if reached < losses[far] and reached <= allowed:
                losses[far] = reached
                if size == keys.size:
                    more_keys, more_items = np.empty(2 * size, np.float64), np.empty(2 * size, np.int32)
                    more_keys[:size], more_items[:size] = keys, items
                    keys, items = more_keys, more_items
                size = put_float(keys, items, size, reached, far)
    hops = np.full(n_nodes, NO_HOPS, np.int64)
    hops[goal] = 0
    queue = np.empty(n_nodes, np.int32)
    queue[0] = goal
    done, found = 0, 1
    while done < found:
        node = queue[done]
        done += 1
        if node == start or hops[node] >= most_hops:
            continue
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            passable = site.passable[far] or far in (start, goal)
            if hops[far] == NO_HOPS and count[link] > 0 and losses[far] < np.inf and passable:
                hops[far] = hops[node] + 1
                queue[found] = far
                found += 1
    found = 0
    for node in range(n_nodes):
        if hops[node] != NO_HOPS:
            queue[found] = node
            found += 1
    return count, kept, rates, least_losses, losses, hops, queue[:found].copy()


@kernel(
    tuple_of([numba.types.Array(numba.int64, 1, "C"), numba.types.Array(numba.float64, 1, "C")])(
        NET, MENU, SITE, numba.int64, numba.int64, numba.int64, numba.int64, numba.int64
    )
)
def picked(
    net: Net, menu: Menu, site: Site, regime: int, start: int, goal: int, storeless: int, link: int
) -> tuple[Int64s, Floats]:
    """Return (rows of the menu, rates) of one link of a regime, as a survey keeps them."""
    kept = np.empty(menu.rounds.size, np.int64)
    rates = np.empty(menu.rounds.size, np.float64)
    rounds = rounds_held(net, site, regime, start, goal, storeless, link)
    count = 0 if rounds < 0 else pick(menu, link, regime, rounds, site.room[link], kept, rates)
    first = menu.first[link]
    return kept[first : first + count].copy(), rates[first : first + count].copy()
