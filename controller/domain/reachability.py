"""What works: a link that generates and is wanted; a node unless two words say no, the lost session and its neighbours.

A lost session alone takes nothing away: what is installed there goes on without a controller.
"""

from collections.abc import Iterable

from controller.domain.link import Establishment
from controller.domain.service import RouteSet
from controller.domain.snapshot import Snapshot


def generates(snapshot: Snapshot, link: str) -> bool:
    """Tell whether a link makes key or pairs, by what its ends say and what the operator wants."""
    known = snapshot.links.get(link)
    return known is not None and known.admin_enabled and snapshot.condition(link).generating


def threatened_links(snapshot: Snapshot) -> frozenset[str]:
    """Return the links that share a duct with one that is down: what took that one may take them a moment later.

    A link that the operator disabled threatens none. Cost: O(links).
    """
    down = [name for name, condition in snapshot.conditions.items() if not condition.generating]
    ducts = {duct for name in down if (link := snapshot.links.get(name)) is not None for duct in link.ducts}
    if not ducts:
        return frozenset()
    return frozenset(name for name, link in snapshot.links.items() if not ducts.isdisjoint(link.ducts))


def down_links(links: Iterable[str], snapshot: Snapshot) -> list[str]:
    """Return those of the links that make nothing, by name."""
    return sorted(link for link in links if not generates(snapshot, link))


def fault(snapshot: Snapshot, routes: RouteSet | None) -> str:
    """Return what of routes does not work, for a person; "" when all does."""
    if routes is None:
        return ""
    told = []
    for link in sorted(routes.links()):
        condition = snapshot.condition(link)
        if not condition.generating:
            state = "down and out of stored key" if condition.exhausted else "down"
            told.append(f"links/{link} is {state}" + (f" ({condition.down_reason})" if condition.down_reason else ""))
        elif not generates(snapshot, link):
            told.append(f"links/{link} is disabled")
    for node in sorted(routes.nodes() - snapshot.connected):
        if unreachable(snapshot, node):
            told.append(f"nodes/{node} is unreachable")
    return ", ".join(told)


def unreachable(snapshot: Snapshot, node: str) -> bool:
    """Tell whether a node is down for relaying, and for swapping.

    It has no session, and every neighbour that has one says that it does not hear it either; at least one does. A
    lost session alone is a controller's trouble, and a neighbour's word alone that of one connection.
    """
    if node in snapshot.connected or node not in snapshot.nodes:
        return False
    said = False
    for link in snapshot.links.values():
        if node not in link.nodes or link.establishment is not Establishment.ESTABLISHED:
            continue
        neighbour = link.far(node)
        if neighbour in snapshot.connected:
            if neighbour not in snapshot.condition(link.name).unreachable_from:
                return False
            said = True
    return said
