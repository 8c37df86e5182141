"""When a node counts as down for relaying: two words are needed, the lost session and what its neighbours hear."""

from controller.domain.link import Establishment
from controller.domain.snapshot import Snapshot


def unreachable(snapshot: Snapshot, node: str) -> bool:
    """Tell whether a node is down for relaying.

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
