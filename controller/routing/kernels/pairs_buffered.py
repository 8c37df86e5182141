"""The best route where pairs of all segments are buffered and all nodes swap with one success: by thresholds.

A rate R is within reach iff some way from the start keeps Yeung's condition for R and the fidelity: labels (share of
the tree used, -ln w), both of which only grow and keep their order, so that what is not better in both is dropped.
They are taken up in the order of -ln w with the least that any rest adds. R is raised by halving what is open, to
what the route found has, until just above it there is none.
"""

from typing import Final

import numba
import numpy as np

from controller.routing.kernels.compiled import FLOATS, NONE, OUT_OF_STEPS, kernel, merged
from controller.routing.kernels.net import NET, Floats, Int32s, Int64s, Net
from controller.routing.kernels.pairs_menu import MENU, Menu, put_float, take_float, tuple_of
from controller.routing.kernels.pairs_survey import SITE, SURVEY, Site, Survey

DEEPEST: Final = 40
"""No path is so long that a hop would have to lie deeper; as `physics.buffered_regime.UNLIMITED_DEPTH`."""
WHOLE: Final = 1 << DEEPEST
"""All of a tree, in shares of which a leaf takes a power of two."""
_ROUNDING: Final = 1e-12
_CLOSE: Final = 1.0 + 1e-9

_INT32S = numba.types.Array(numba.int32, 1, "C")
_INT64S = numba.types.Array(numba.int64, 1, "C")


@merged
def depth_of(rate: float, need: float, powers: Floats) -> int:
    """Return the deepest place at which a rate is still enough, -1 where none is."""
    if rate < need:
        return -1
    if rate * powers[DEEPEST] >= need:
        return DEEPEST
    depth = 0
    while rate * powers[depth + 1] >= need:
        depth += 1
    return depth


@merged
def kraft(used: int, depth: int) -> int:
    """Return the share of the tree used after one more leaf that lies no deeper."""
    leaf = WHOLE >> depth
    return ((used + leaf - 1) // leaf + 1) * leaf


@merged
def doubled_ints(values: Int64s) -> Int64s:
    """Return the values in an array of twice the size."""
    more = np.empty(2 * values.size, np.int64)
    more[: values.size] = values
    return more


@merged
def doubled_floats(values: Floats) -> Floats:
    """Return the values in an array of twice the size."""
    more = np.empty(2 * values.size, np.float64)
    more[: values.size] = values
    return more


@merged
def rate_of(rates: Floats, hops: int, least: float, powers: Floats) -> float:
    """Return the rate of the best tree over so many hops, of which `least` is known to be within reach."""
    best = least
    for hop in range(hops):
        for depth in range(0 if hops == 1 else 1, min(hops, DEEPEST + 1)):
            rate = rates[hop] * powers[depth]
            if rate <= best:
                break
            used = 0
            for other in range(hops):
                deep = depth_of(rates[other], rate * (1.0 - _ROUNDING), powers)
                used = kraft(used, deep) if deep >= 0 else 2 * WHOLE
                if used > WHOLE:
                    break
            if used <= WHOLE:
                best = rate
    return best


@kernel(
    tuple_of([numba.int64, numba.int64, numba.int64, numba.float64])(
        NET,
        MENU,
        SITE,
        SURVEY,
        numba.int64,
        numba.int64,
        numba.int64,
        numba.boolean,
        numba.float64,
        FLOATS,
        numba.float64,
        numba.float64,
        numba.int64,
    )
)
def purest(
    net: Net,
    menu: Menu,
    site: Site,
    survey: Survey,
    start: int,
    goal: int,
    most_hops: int,
    limited: bool,
    allowed: float,
    powers: Floats,
    need: float,
    widest: float,
    steps: int,
) -> tuple[int, int, int, float]:
    """Return (status, labels made, hops, rate) of the purest route that has a rate.

    `limited` says whether the hop limit may exclude a way without loops; `powers` are the swap success to the power of
    each depth, shape (41,); `need` is the rate; no link is faster than `widest`; `steps` are labels that may be made.
    """
    n_nodes = site.passable.size
    deepest = depth_of(widest, need, powers)
    if deepest < 0:
        return NONE, 0, 0, 0.0
    leaf = WHOLE >> deepest
    head = np.full(n_nodes, -1, np.int64)
    room = 256
    nodes, hops_of, parents = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    used_of, following = np.empty(room, np.int64), np.empty(room, np.int64)
    losses, rates = np.empty(room, np.float64), np.empty(room, np.float64)
    keys, items = np.empty(room, np.float64), np.empty(room, np.int32)
    nodes[0], hops_of[0], parents[0], used_of[0], losses[0], rates[0] = start, 0, -1, 0, 0.0, 0.0
    made = 1
    size = put_float(keys, items, 0, 0.0, 0)
    while size:
        label = items[0]
        size = take_float(keys, items, size)
        node, hops, used, loss = nodes[label], hops_of[label], used_of[label], losses[label]
        if node == goal:
            paces = np.empty(hops, np.float64)
            at, place = label, hops
            while parents[at] >= 0:
                place -= 1
                paces[place] = rates[at]
                at = parents[at]
            return 0, made, hops, rate_of(paces, hops, 0.0, powers)
        other = head[node]
        while other >= 0:
            if used_of[other] <= used and losses[other] <= loss and (not limited or hops_of[other] <= hops):
                break
            other = following[other]
        if other >= 0:
            continue
        following[label] = head[node]
        head[node] = label
        swapped = loss + (menu.swap_losses[node] if hops else 0.0)
        for place in range(net.first[node], net.first[node + 1]):
            link, far = net.links[place], net.fars[place]
            if far == start or survey.counts[link] <= 0 or hops + 1 + survey.hops[far] > most_hops:
                continue
            if not (site.passable[far] or far == goal):
                continue
            rest = survey.losses[far] + (menu.swap_losses[far] if far != goal else 0.0)
            first = menu.first[link]
            last = first + survey.counts[link]
            depth = depth_of(survey.rates_hz[first], need, powers)
            for choice in range(first, last):
                if depth < 0:
                    break
                this = depth
                if choice + 1 < last:
                    depth = depth_of(survey.rates_hz[choice + 1], need, powers)
                    if depth == this:
                        continue
                else:
                    depth = -1
                onward = swapped + menu.losses[survey.kept[choice]]
                if onward + rest > allowed:
                    continue
                share = kraft(used, this)
                # Each hop still to come takes a leaf.
                if share + survey.hops[far] * leaf > WHOLE:
                    continue
                other = head[far]
                while other >= 0:
                    earlier = not limited or hops_of[other] <= hops + 1
                    if earlier and used_of[other] <= share and losses[other] <= onward:
                        break
                    other = following[other]
                if other >= 0:
                    continue
                if made >= steps:
                    return OUT_OF_STEPS, made, 0, 0.0
                if made == nodes.size:
                    nodes, hops_of, parents = doubled_ints(nodes), doubled_ints(hops_of), doubled_ints(parents)
                    used_of, following = doubled_ints(used_of), doubled_ints(following)
                    losses, rates, keys = doubled_floats(losses), doubled_floats(rates), doubled_floats(keys)
                    more = np.empty(2 * items.size, np.int32)
                    more[: items.size] = items
                    items = more
                nodes[made], hops_of[made], parents[made], used_of[made] = far, hops + 1, label, share
                losses[made], rates[made] = onward, survey.rates_hz[choice]
                size = put_float(keys, items, size, onward + rest, made)
                made += 1
    return NONE, made, 0, 0.0


@merged
def _purest_on(menu: Menu, survey: Survey, links: Int32s, need: float, powers: Floats) -> Int64s:
    """Return the rows of the menu, as places in `survey.kept`, of the purest choices with which a route has a rate."""
    hops = links.size
    most = 16
    losses, used_of = np.empty(most, np.float64), np.empty(most, np.int64)
    parents, choices = np.empty(most, np.int64), np.empty(most, np.int64)
    losses[0], used_of[0], parents[0], choices[0] = 0.0, 0, -1, -1
    begin, made = 0, 1
    for hop in range(hops):
        link = links[hop]
        first = menu.first[link]
        last = first + survey.counts[link]
        wide = (made - begin) * (last - first)
        some_losses, some_used = np.empty(wide, np.float64), np.empty(wide, np.int64)
        some_parents, some_choices = np.empty(wide, np.int64), np.empty(wide, np.int64)
        grown = 0
        for label in range(begin, made):
            depth = depth_of(survey.rates_hz[first], need, powers)
            for choice in range(first, last):
                if depth < 0:
                    break
                this = depth
                if choice + 1 < last:
                    depth = depth_of(survey.rates_hz[choice + 1], need, powers)
                    if depth == this:
                        continue
                else:
                    depth = -1
                share = kraft(used_of[label], this)
                if share > WHOLE:
                    continue
                loss = losses[label] + menu.losses[survey.kept[choice]]
                place = grown
                while place and (
                    some_losses[place - 1] > loss or (some_losses[place - 1] == loss and some_used[place - 1] > share)
                ):
                    some_losses[place], some_used[place] = some_losses[place - 1], some_used[place - 1]
                    some_parents[place], some_choices[place] = some_parents[place - 1], some_choices[place - 1]
                    place -= 1
                some_losses[place], some_used[place] = loss, share
                some_parents[place], some_choices[place] = label, choice
                grown += 1
        begin = made
        for place in range(grown):
            if made > begin and some_used[place] >= used_of[made - 1]:
                continue
            if made == losses.size:
                losses, used_of = doubled_floats(losses), doubled_ints(used_of)
                parents, choices = doubled_ints(parents), doubled_ints(choices)
            losses[made], used_of[made] = some_losses[place], some_used[place]
            parents[made], choices[made] = some_parents[place], some_choices[place]
            made += 1
    rows = np.empty(hops, np.int64)
    label = begin
    for hop in range(hops - 1, -1, -1):
        rows[hop] = choices[label]
        label = parents[label]
    return rows


@kernel(
    tuple_of([numba.int64, numba.int64, _INT32S, _INT64S])(
        NET,
        MENU,
        SITE,
        SURVEY,
        numba.int64,
        numba.int64,
        numba.float64,
        FLOATS,
        numba.float64,
        numba.int64,
        numba.int64,
    )
)
def first_of(
    net: Net,
    menu: Menu,
    site: Site,
    survey: Survey,
    start: int,
    goal: int,
    allowed: float,
    powers: Floats,
    need: float,
    longest: int,
    steps: int,
) -> tuple[int, int, Int32s, Int64s]:
    """Return (status, labels made, links, menu rows) of the first route, by hops and then by names, that has a rate.

    Hop by hop; a label is dropped only for one that is not worse and comes first. Its choices are the purest.
    """
    n_nodes = site.passable.size
    none_links, none_rows = np.empty(0, np.int32), np.empty(0, np.int64)
    head = np.full(n_nodes, -1, np.int64)
    room = 256
    nodes, parents, links = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    used_of, ranks, following = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    losses = np.empty(room, np.float64)
    nodes[0], parents[0], links[0], used_of[0], ranks[0], losses[0] = start, -1, -1, 0, 0, 0.0
    begin, made = 0, 1
    level = np.zeros(1, np.int64)
    n_links = max(1, site.room.size)
    for hops in range(1, longest + 1):
        begin = made
        for at in range(level.size):
            label = level[at]
            node = nodes[label]
            swapped = losses[label] + (menu.swap_losses[node] if hops > 1 else 0.0)
            for place in range(net.first[node], net.first[node + 1]):
                link, far = net.links[place], net.fars[place]
                if far == start or survey.counts[link] <= 0 or hops + survey.hops[far] > longest:
                    continue
                if not (site.passable[far] or far == goal):
                    continue
                rest = survey.losses[far] + (menu.swap_losses[far] if far != goal else 0.0)
                first = menu.first[link]
                last = first + survey.counts[link]
                depth = depth_of(survey.rates_hz[first], need, powers)
                for choice in range(first, last):
                    if depth < 0:
                        break
                    this = depth
                    if choice + 1 < last:
                        depth = depth_of(survey.rates_hz[choice + 1], need, powers)
                        if depth == this:
                            continue
                    else:
                        depth = -1
                    onward = swapped + menu.losses[survey.kept[choice]]
                    share = kraft(used_of[label], this)
                    if share > WHOLE or onward + rest > allowed:
                        continue
                    if made >= steps:
                        return OUT_OF_STEPS, made, none_links, none_rows
                    if made == nodes.size:
                        nodes, parents, links = doubled_ints(nodes), doubled_ints(parents), doubled_ints(links)
                        used_of, ranks = doubled_ints(used_of), doubled_ints(ranks)
                        following, losses = doubled_ints(following), doubled_floats(losses)
                    nodes[made], parents[made], links[made], used_of[made] = far, label, link, share
                    losses[made] = onward
                    ranks[made] = ranks[label] * n_links + link
                    made += 1
        found = -1
        for label in range(begin, made):
            if nodes[label] == goal and (found < 0 or ranks[label] < ranks[found]):
                found = label
        if found >= 0:
            way = np.empty(hops, np.int32)
            for place in range(hops - 1, -1, -1):
                way[place] = links[found]
                found = parents[found]
            return 0, made, way, _purest_on(menu, survey, way, need, powers)
        order = np.argsort(ranks[begin:made], kind="mergesort")
        for label in range(begin, made):
            head[nodes[label]] = -1
        kept = 0
        rank, before = -1, -1
        level = np.empty(made - begin, np.int64)
        for at in range(order.size):
            place = order[at]
            label = begin + place
            key = ranks[label]
            if key != before:
                rank, before = rank + 1, key
            node = nodes[label]
            other = head[node]
            while other >= 0:
                if used_of[other] <= used_of[label] and losses[other] <= losses[label]:
                    break
                other = following[other]
            ranks[label] = rank
            if other < 0:
                following[label] = head[node]
                head[node] = label
                level[kept] = label
                kept += 1
        level = level[:kept]
        for label in range(begin, made):
            head[nodes[label]] = -1
        if kept == 0:
            break
    return NONE, made, none_links, none_rows


@kernel(
    tuple_of([numba.int64, numba.float64, _INT32S, _INT64S])(
        NET,
        MENU,
        SITE,
        SURVEY,
        numba.int64,
        numba.int64,
        numba.int64,
        numba.float64,
        FLOATS,
        numba.int64,
    )
)
def best_rate(
    net: Net,
    menu: Menu,
    site: Site,
    survey: Survey,
    start: int,
    goal: int,
    most_hops: int,
    allowed: float,
    powers: Floats,
    steps: int,
) -> tuple[int, float, Int32s, Int64s]:
    """Return (status, rate, links, choices) of the route of the highest rate; exact.

    Of equal rates: fewest hops, then the links that are first by number. The choices are the purest that have the
    rate, as places in `survey.kept`. Status NONE: no route; OUT_OF_STEPS: then the rate is one that none exceeds.

    Cost: some ten searches of O(labels log labels), with few labels at a node.

    `powers` are the swap success to the power of each depth, shape (41,); `steps` are labels that may be made in all.
    """
    limited = most_hops < site.passable.size - 1
    none_links, none_rows = np.empty(0, np.int32), np.empty(0, np.int64)
    most = np.empty(2, np.float64)
    for side in range(2):
        end = start if side == 0 else goal
        most[side] = 0.0
        for place in range(net.first[end], net.first[end + 1]):
            link = net.links[place]
            if survey.counts[link] > 0:
                rate = survey.rates_hz[menu.first[link]]
                near = net.fars[place] == start or net.fars[place] == goal
                most[side] = max(most[side], rate if near else rate * powers[1])
    high = min(most[0], most[1])
    widest = 0.0
    for node in survey.near:
        for place in range(net.first[node], net.first[node + 1]):
            link = net.links[place]
            if survey.counts[link] > 0:
                widest = max(widest, survey.rates_hz[menu.first[link]])
    deep = 0
    while 1 << deep < survey.hops[start]:
        deep += 1
    # Of so many hops one lies as deep as that.
    high = min(high, widest * powers[min(deep, DEEPEST)])
    low, longest, need = -1.0, 0, 0.0
    above = False
    while True:
        status, made, hops, rate = purest(
            net, menu, site, survey, start, goal, most_hops, limited, allowed, powers, need, widest, steps
        )
        steps -= made
        if status == OUT_OF_STEPS:
            return OUT_OF_STEPS, high, none_links, none_rows
        if status == NONE:
            if low < 0.0:
                return NONE, 0.0, none_links, none_rows
            if above:
                break
            high = need
            above = True
        else:
            low, longest = max(rate, low), hops
            above = high <= low * _CLOSE
        # Just above what is reached, the tolerance of the test included.
        need = low * (1.0 + _ROUNDING) if above else np.sqrt(low * high)
        if not above and need <= low * _CLOSE:
            above = True
            need = low * (1.0 + _ROUNDING)
    status, made, links, rows = first_of(
        net, menu, site, survey, start, goal, allowed, powers, low * (1.0 - _ROUNDING), longest, steps
    )
    if status == OUT_OF_STEPS:
        return OUT_OF_STEPS, high, none_links, none_rows
    return status, low, links, rows


@kernel(tuple_of([numba.float64, numba.types.Array(numba.int64, 2, "C")])(FLOATS, FLOATS))
def split_best(rates: Floats, successes: Floats) -> tuple[float, Int64s]:
    """Return (rate, splits) of the best swap tree, as `physics.buffered_regime.best_tree` does. Cost: O(n^3).

    `rates` are one per hop, `successes` one per transit node. The splits tell for each segment from one node to another
    the transit node where it is split; shape (n + 1, n + 1).
    """
    hops = rates.size
    best = np.zeros((hops + 1, hops + 1), np.float64)
    tops = np.zeros((hops + 1, hops + 1), np.int64)
    for hop in range(hops):
        best[hop, hop + 1] = rates[hop]
    for length in range(2, hops + 1):
        for start in range(hops - length + 1):
            end = start + length
            top, most, uneven = -1, -1.0, 0
            for node in range(start + 1, end):
                rate = successes[node - 1] * min(best[start, node], best[node, end])
                off = abs(2 * node - start - end)
                if rate > most or (rate == most and off < uneven):
                    top, most, uneven = node, rate, off
            best[start, end] = most
            tops[start, end] = top
    return best[0, hops], tops
