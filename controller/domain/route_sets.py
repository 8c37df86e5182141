"""The sets of routes that a key relay has side by side while it changes them: wanted, retiring, backup, releasing."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from controller.domain.capacity import link_charge_millibit_per_s
from controller.domain.key_relay import MAX_SHARES, Demand, KeyRelay, Phase, Releasing, RouteSet
from controller.domain.route import Route

MAX_RETIRING: Final = 3
"""Sets that a relay may still be leaving; one more, and the oldest is given up though it was not drained."""
_UNUSED: Final = frozenset({Phase.INSTALLING, Phase.BREAKING})


def new_set(demand: Demand, routes: tuple[Route, ...], version: int, *, in_use: bool = False) -> RouteSet:
    """Return routes as a set that carries what the demand asks."""
    return RouteSet(
        version=version,
        routes=routes,
        in_use=in_use,
        charge_millibit_per_s=link_charge_millibit_per_s(demand.rate_millibit_per_s),
        forward_share=demand.forward_share,
    )


def wanted_set(relay: KeyRelay) -> RouteSet | None:
    """Return the routes that are wanted, None when there are none; in use once the head end may have been told."""
    if not relay.routes:
        return None
    return new_set(relay.demand, relay.routes, relay.route_version, in_use=relay.phase not in _UNUSED)


def told_sets(relay: KeyRelay) -> tuple[RouteSet, ...]:
    """Return every set that nodes are told of: the wanted one first, then those it leaves, then its backup."""
    wanted = wanted_set(relay)
    return (
        *((wanted,) if wanted else ()),
        *relay.retiring,
        *((relay.backup,) if relay.backup else ()),
    )


def versions_in_use(relay: KeyRelay) -> frozenset[int]:
    """Return the versions that the head end is told to originate on."""
    return frozenset(routes.version for routes in told_sets(relay) if routes.in_use)


def highest_version(relay: KeyRelay) -> int:
    """Return the highest version that the relay has given to any of its sets."""
    return max((relay.route_version, *(routes.version for routes in told_sets(relay))))


def given_up(routes: RouteSet, *, first_share: int = 0) -> tuple[Releasing, ...]:
    """Return what a set holds, as it stands once the set is given up; a backup's shares count from MAX_SHARES."""
    return tuple(
        Releasing(
            link=hop.link,
            share=share,
            charge_millibit_per_s=routes.charge_millibit_per_s,
            nodes=(min(hop.start, hop.end), max(hop.start, hop.end)),
        )
        for share, route in enumerate(routes.routes, start=first_share)
        for hop in route.hops()
    )


def releasing_with(relay: KeyRelay, *sets: RouteSet) -> tuple[Releasing, ...]:
    """Return what the relay is releasing once these of its sets are given up too."""
    more = (
        held for routes in sets for held in given_up(routes, first_share=MAX_SHARES if routes == relay.backup else 0)
    )
    return tuple(dict.fromkeys((*relay.releasing, *more)))


def all_given_up(relay: KeyRelay) -> tuple[Releasing, ...]:
    """Return what the relay is releasing once none of its sets is wanted anywhere."""
    return releasing_with(relay, *told_sets(relay))


def rerouted(
    relay: KeyRelay,
    routes: tuple[Route, ...],
    *,
    version: int,
    demand: Demand | None = None,
    backup: tuple[Route, ...] | None = None,
) -> KeyRelay:
    """Return the relay with other routes wanted, and what it leaves beside them: what it then holds, no more.

    What was in use retires and is drained; what was only being installed was never in use, and is given up.

    Args:
        relay: As it is, with the demand that its present routes serve.
        routes: One per share.
        version: Above every one that it has given; a new backup gets the next.
        demand: What is asked from now on; None leaves it.
        backup: Routes of a new backup; () for none; None keeps the present one where it serves as such.
    """
    asked = relay.demand if demand is None else demand
    present = wanted_set(relay)
    retiring, given = relay.retiring, list[RouteSet]()
    if present is not None and present.in_use:
        retiring = (*(replace(routes, in_use=False) for routes in retiring), present)
    elif present is not None:
        given.append(present)
    given += retiring[: -MAX_RETIRING or None]
    retiring = retiring[-MAX_RETIRING:]
    kept = relay.backup
    if kept is not None and (backup is not None or not _serves(kept, asked, routes)):
        given.append(kept)
        kept = None
    releasing = releasing_with(relay, *given)
    installed = relay.backup_installed and kept is not None
    if kept is None and backup:
        kept = new_set(asked, backup, version + 1)
    return replace(
        relay,
        demand=asked,
        routes=routes,
        route_version=version,
        retiring=retiring,
        backup=kept,
        backup_installed=installed,
        releasing=releasing,
    )


def _serves(backup: RouteSet, demand: Demand, routes: tuple[Route, ...]) -> bool:
    """Tell whether a backup carries what is asked, and shares nothing with the routes but the ends."""
    if not demand.protected or replace(backup, in_use=False) != new_set(demand, backup.routes, backup.version):
        return False
    return len(backup.routes) == demand.shares and disjoint(backup.routes, routes)


def disjoint(some: Iterable[Route], others: Iterable[Route]) -> bool:
    """Tell whether routes share no link, and no node but the ends; locations are not looked at.

    >>> one = Route(nodes=("a", "b", "c"), links=("ab", "bc"))
    >>> disjoint([one], [Route(nodes=("a", "c"), links=("ac",))]), disjoint([one], [one])
    (True, False)
    """
    mine, theirs = list(some), list(others)
    links = {link for route in mine for link in route.links} & {link for route in theirs for link in route.links}
    nodes = {node for route in mine for node in route.transit} & {node for route in theirs for node in route.transit}
    return not links and not nodes
