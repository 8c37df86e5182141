"""QKD links whose key is made of the pairs of an entanglement path, and what their keys rest on.

The ends of such a path authenticate each other with keys that it does not make: those of a key relay, or some that
they held before. So a link rests on a relay, a relay rests on the links that it runs on, and no way leads round: a
relay never runs on a link that rests on it.
"""

from collections.abc import Collection

from controller.domain.entanglement_path import PRE_SHARED, EntanglementPath
from controller.domain.key_relay import KeyRelay
from controller.domain.snapshot import Snapshot


def authenticated_by(snapshot: Snapshot, relay: str) -> list[EntanglementPath]:
    """Return the paths whose key is authenticated with a relay's keys, by name."""
    return sorted(
        (
            path
            for path in snapshot.paths.values()
            if path.demand.authentication == relay and relay != PRE_SHARED and not path.removed
        ),
        key=lambda path: path.name,
    )


def links_resting_on(snapshot: Snapshot, relay: str) -> frozenset[str]:
    """Return the links whose key is authenticated with a relay's keys, directly or over other relays and links."""
    found: set[str] = set()
    relays: Collection[str] = {relay}
    while relays:
        new = {path.demand.key_link for name in relays for path in authenticated_by(snapshot, name)} - found
        found |= new
        relays = [other.name for other in relays_on(snapshot, new)] if new else ()
    return frozenset(found)


def relays_on(snapshot: Snapshot, links: Collection[str]) -> list[KeyRelay]:
    """Return the key relays that use one of the links, or keep it for their backup, or still hold some of it.

    What a relay that is being removed holds counts only while somebody is there to confirm that it is gone.
    """

    def holds(relay: KeyRelay) -> bool:
        held = [one for one in relay.releasing if one.link in links]
        return any(not (relay.removed and snapshot.connected.isdisjoint(one.nodes)) for one in held)

    return [relay for relay in snapshot.relays.values() if not relay.told_links().isdisjoint(links) or holds(relay)]
