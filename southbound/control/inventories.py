"""Compares what agents claim with the topology: a difference is an alarm for as long as it lasts."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from controller.domain import events
from controller.domain.alarm import CONTROLLER, Alarm, Severity
from controller.domain.inventory import Inventory, inventory_differences
from controller.domain.link import Link
from controller.domain.node import Node
from controller.wire.southbound import MAX_TEXT

INVENTORY_MISMATCH: Final = "INVENTORY_MISMATCH"


class Topology(Protocol):
    """The committed topology; a snapshot is one."""

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Return the nodes, by name."""

    @property
    def links(self) -> Mapping[str, Link]:
        """Return the links, by name."""


class Inventories:
    """What every agent claimed in its last Hello, and the alarms that follow.

    An agent states its inventory with Hello alone. So what the operator changes afterwards ends differences at once,
    but makes none before the agent was heard again: it may have changed as well.
    """

    def __init__(self, topology: Callable[[], Topology] | None) -> None:
        """Compare with what `topology` returns; None compares nothing."""
        self._topology = topology
        self._claims: dict[str, Inventory] = {}
        self._differences: dict[str, tuple[str, ...]] = {}
        self._links: Mapping[str, Link] = {}
        self._nodes: Mapping[str, Node] = {}
        self._links_at: dict[str, list[Link]] = {}

    def claimed(self, node: str, inventory: Inventory) -> list[events.AgentEvent]:
        """Take a Hello's inventory, and return what it raises or clears."""
        if self._topology is None:
            return []
        self._refresh(self._topology())
        self._claims[node] = inventory
        self._differences[node] = self._compared(node)
        return [self._event(node)]

    def look(self) -> list[tuple[str, events.AgentEvent]]:
        """Return what a change of the topology has altered since the last look, by node."""
        if self._topology is None or not self._refresh(self._topology()):
            return []
        told: list[tuple[str, events.AgentEvent]] = []
        for node, before in self._differences.items():
            if not before or node not in self._nodes:
                continue
            now = set(self._compared(node))
            still = tuple(one for one in before if one in now)
            if still != before:
                self._differences[node] = still
                told.append((node, self._event(node)))
        return told

    def forget(self, node: str) -> list[events.AgentEvent]:
        """Drop what a node that was taken out claimed, with its alarm."""
        self._claims.pop(node, None)
        if self._differences.pop(node, None) is None:
            return []
        return [events.AlarmCleared(key=_key(node))]

    def _refresh(self, topology: Topology) -> bool:
        if topology.nodes is self._nodes and topology.links is self._links:
            return False
        if topology.links is not self._links:
            self._links_at = {}
            for link in topology.links.values():
                for end in link.ends:
                    self._links_at.setdefault(end.node, []).append(link)
        self._nodes, self._links = topology.nodes, topology.links
        return True

    def _compared(self, node: str) -> tuple[str, ...]:
        if node not in self._nodes:
            return ()
        return inventory_differences(self._nodes[node], self._links_at.get(node, ()), self._claims[node])

    def _event(self, node: str) -> events.AgentEvent:
        differences = self._differences[node]
        if not differences:
            return events.AlarmCleared(key=_key(node))
        message = f"nodes/{node} claims another inventory than the topology has: {'; '.join(differences)}"
        return events.AlarmRaised(
            alarm=Alarm(
                node=CONTROLLER,
                object=f"nodes/{node}",
                kind=INVENTORY_MISMATCH,
                severity=Severity.MINOR,
                message=message if len(message) <= MAX_TEXT else f"{message[: MAX_TEXT - 4]} ...",
            )
        )


def _key(node: str) -> tuple[str, str, str]:
    return CONTROLLER, f"nodes/{node}", INVENTORY_MISMATCH
