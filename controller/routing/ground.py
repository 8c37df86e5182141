"""What services do not change of a graph, kept from one snapshot to the next and brought up to date by what differs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np

from controller.domain.capacity import capacity_millibit_per_s
from controller.domain.link import Link, LinkKind
from controller.domain.node import Node
from controller.domain.snapshot import Snapshot
from controller.routing.kernels.net import Flags, Int64s, frozen
from controller.routing.usable import Unusable, why_unusable
from controller.routing.wiring import Wiring, wiring_of

V = TypeVar("V")
_STRETCH: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The links of a snapshot, with what they are worth.

    Attributes:
        snapshot: That it was made of, without services.
        usable: Whether a link may carry something new; shape (n_links,).
        capacities: What may be promised on each in millibit/s; shape (n_links,).
        unusable: By name, the links that carry nothing new; also those that make no key and have no number.
    """

    snapshot: Snapshot
    wiring: Wiring
    usable: Flags
    capacities: Int64s
    unusable: Mapping[str, Unusable]

    def fits(self, snapshot: Snapshot) -> bool:
        """Tell whether it would be the same for that snapshot: no collection changes, there are only other ones."""
        made = self.snapshot
        return (
            made.nodes is snapshot.nodes
            and made.links is snapshot.links
            and made.conditions is snapshot.conditions
            and made.connected is snapshot.connected
        )

    def at(self, snapshot: Snapshot) -> "Ground":
        """Return the ground of another snapshot, made of this one where nothing was built or removed.

        Cost: O(nodes + links) comparisons of identities, and what the links that differ need; else as `ground_of`.
        """
        if self.fits(snapshot):
            return self
        touched = _touched(self, snapshot)
        if touched is None:
            return ground_of(snapshot)
        usable, capacities, unusable = self.usable.copy(), self.capacities.copy(), dict(self.unusable)
        for name in touched:
            link = snapshot.links[name]
            number = self.wiring.link_number.get(name)
            why = why_unusable(snapshot, link)
            if why is None:
                unusable.pop(name, None)
            else:
                unusable[name] = Unusable(nodes=link.nodes, why=why)
            if number is not None:
                usable[number] = why is None
                capacities[number] = capacity_millibit_per_s(link, snapshot.condition(name))
        return _ground(snapshot, self.wiring, usable, capacities, unusable)


def ground_of(snapshot: Snapshot) -> Ground:
    """Return the ground of a snapshot, made anew. Cost: O(n log n + m log m)."""
    links = [snapshot.links[name] for name in sorted(snapshot.links)]
    keyed = [link for link in links if _is_wired(link, snapshot.nodes)]
    unusable = {}
    for link in links:
        why = why_unusable(snapshot, link)
        if why is not None:
            unusable[link.name] = Unusable(nodes=link.nodes, why=why)
    return _ground(
        snapshot,
        wiring_of(snapshot.nodes, keyed),
        np.array([link.name not in unusable for link in keyed], dtype=np.bool_),
        np.array([capacity_millibit_per_s(link, snapshot.condition(link.name)) for link in keyed], dtype=np.int64),
        unusable,
    )


def _ground(
    snapshot: Snapshot, wiring: Wiring, usable: Flags, capacities: Int64s, unusable: Mapping[str, Unusable]
) -> Ground:
    frozen(usable)
    frozen(capacities)
    return Ground(
        snapshot=replace(snapshot, relays={}, paths={}, requests={}, histories={}, reserved=None),
        wiring=wiring,
        usable=usable,
        capacities=capacities,
        unusable=unusable,
    )


def _is_wired(link: Link, nodes: Mapping[str, Node]) -> bool:
    return link.kind is LinkKind.QKD and link.nodes[0] in nodes and link.nodes[1] in nodes


def _touched(ground: Ground, snapshot: Snapshot) -> Iterable[str] | None:
    """Return the links that may be worth something else than before; None where the wiring is another."""
    made = ground.snapshot
    links = _differing(made.links, snapshot.links)
    nodes = _differing(made.nodes, snapshot.nodes)
    if links is None or nodes is None:
        return None
    if any(_built(made.links[name]) != _built(snapshot.links[name]) for name in links):
        return None
    if any(_stands(made.nodes[name]) != _stands(snapshot.nodes[name]) for name in nodes):
        return None
    conditions = _differing(made.conditions, snapshot.conditions)
    if conditions is None:
        both = made.conditions.keys() | snapshot.conditions.keys()
        conditions = [name for name in both if made.condition(name) is not snapshot.condition(name)]
    ends = set(nodes)
    if made.connected is not snapshot.connected:
        ends |= made.connected ^ snapshot.connected
    touched = dict.fromkeys(links) | dict.fromkeys(name for name in conditions if name in snapshot.links)
    if ends:
        touched |= dict.fromkeys(name for name, link in snapshot.links.items() if not ends.isdisjoint(link.nodes))
    return touched


def _differing(before: Mapping[str, V], after: Mapping[str, V]) -> list[str] | None:
    """Return the keys of what is another object now; None where there are other keys, or in another order."""
    if before is after:
        return []
    keys = list(before)
    if keys != list(after):
        return None
    old, new = list(before.values()), list(after.values())
    # Lists are compared by identity first: most stretches are done at once.
    return [
        keys[number]
        for begin in range(0, len(keys), _STRETCH)
        if old[begin : begin + _STRETCH] != new[begin : begin + _STRETCH]
        for number in range(begin, min(begin + _STRETCH, len(keys)))
        if old[number] is not new[number]
    ]


def _built(link: Link) -> tuple[object, ...]:
    return link.nodes, link.kind, link.ducts


def _stands(node: Node) -> tuple[object, ...]:
    return node.capabilities, node.place, node.trust_domain
