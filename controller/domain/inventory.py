"""What a node's agent claims that the node has, and how that differs from the topology, which is the operator's."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from controller.domain.link import Establishment, Link
from controller.domain.node import Capability, Interface, Node


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryLink:
    """A link as one of its ends knows it.

    Attributes:
        local_interface: Number of the interface at this end.
        neighbour: Node at the other end.
    """

    link: str
    local_interface: int
    neighbour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What an agent claims.

    Attributes:
        location: "" when it does not say.
    """

    capabilities: frozenset[Capability] = frozenset()
    interfaces: tuple[Interface, ...] = ()
    links: tuple[InventoryLink, ...] = ()
    location: str = ""


def inventory_differences(node: Node, links: Iterable[Link], inventory: Inventory) -> tuple[str, ...]:
    """Return in words how a claim differs from the topology; empty when they agree.

    A figure that one of the two does not state is no difference, and neither is a possible link that is not claimed.

    Args:
        node: As the topology has it.
        links: Those of the topology that end at it.
        inventory: The claim.

    >>> from controller.domain.node import Node
    >>> inventory_differences(Node(name="a"), (), Inventory(capabilities=Node(name="a").capabilities, location="x"))
    ()
    """
    return (*_of_the_node(node, inventory), *_of_interfaces(node, inventory), *_of_links(node, links, inventory))


def _of_the_node(node: Node, inventory: Inventory) -> Iterator[str]:
    for capability in sorted(node.capabilities - inventory.capabilities, key=lambda one: one.value):
        yield f"capability {capability.value}: the topology has it, the agent does not claim it"
    for capability in sorted(inventory.capabilities - node.capabilities, key=lambda one: one.value):
        yield f"capability {capability.value}: the agent claims it, the topology does not have it"
    if node.location and inventory.location and node.location != inventory.location:
        yield f"location: {node.location} in the topology, {inventory.location} by the agent"


def _of_interfaces(node: Node, inventory: Inventory) -> Iterator[str]:
    claimed = {one.number: one for one in inventory.interfaces}
    for interface in node.interfaces:
        found = claimed.pop(interface.number, None)
        name = f"interface {interface.number}"
        if found is None:
            yield f"{name}: the topology has it, the agent does not claim it"
            continue
        pairs: tuple[tuple[str, object, object], ...] = (
            ("technology", interface.technology.value, found.technology.value),
            ("role", interface.role.value, found.role.value),
            ("model", interface.model, found.model),
            ("max_absorption_db", interface.max_absorption_db, found.max_absorption_db),
        )
        for field, ours, theirs in pairs:
            if ours != theirs and ours not in ("", None) and theirs not in ("", None):
                yield f"{name}: {field} is {ours} in the topology, {theirs} by the agent"
    for number in sorted(claimed):
        yield f"interface {number}: the agent claims it, the topology does not have it"


def _of_links(node: Node, links: Iterable[Link], inventory: Inventory) -> Iterator[str]:
    claimed = {one.link: one for one in inventory.links}
    for link in sorted(links, key=lambda one: one.name):
        found = claimed.pop(link.name, None)
        if link.path:  # what an entanglement path makes is no hardware
            continue
        if found is None:
            if link.establishment is Establishment.ESTABLISHED:
                yield f"link {link.name}: the topology has it, the agent does not claim it"
            continue
        interface = next(end.interface for end in link.ends if end.node == node.name)
        if found.neighbour != link.far(node.name):
            yield f"link {link.name}: leads to {link.far(node.name)} in the topology, to {found.neighbour} by the agent"
        if found.local_interface != interface:
            yield (
                f"link {link.name}: at interface {interface} in the topology, at {found.local_interface} by the agent"
            )
    for name in sorted(claimed):
        yield f"link {name}: the agent claims it, the topology does not have it"
