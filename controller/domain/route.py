"""A route: the sequence of links, and so of nodes, from one node to another."""

from collections.abc import Iterator
from dataclasses import dataclass

from controller.domain.refusals import InvalidValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step of a route. It names the link as well as the neighbour: links may be parallel."""

    link: str
    start: str
    end: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A loop-free way through the network.

    Attributes:
        nodes: Names in order, at least two, no name twice.
        links: Names in order, one fewer than nodes.
    """

    nodes: tuple[str, ...]
    links: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.nodes) < 2 or len(self.links) != len(self.nodes) - 1:
            raise InvalidValue("", ("route", "a route of n links has n + 1 nodes, and at least one link"))
        if len(set(self.nodes)) != len(self.nodes):
            raise InvalidValue("", ("route", "a route passes no node twice"))

    @property
    def source(self) -> str:
        """Return the first node."""
        return self.nodes[0]

    @property
    def target(self) -> str:
        """Return the last node."""
        return self.nodes[-1]

    @property
    def transit(self) -> tuple[str, ...]:
        """Return the nodes between the ends."""
        return self.nodes[1:-1]

    def hops(self) -> Iterator[Hop]:
        """Yield the hops in order."""
        for start, link, end in zip(self.nodes, self.links, self.nodes[1:], strict=False):
            yield Hop(link=link, start=start, end=end)

    def reversed(self) -> "Route":
        """Return the same way from the other end."""
        return Route(nodes=self.nodes[::-1], links=self.links[::-1])
