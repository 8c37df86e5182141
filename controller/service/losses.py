"""When so much vanishes at once that moving services would spread the trouble: then a person decides.

A controller that loses its own network, or a fault in a release, looks like the whole quantum network failing. What
was lost counts for as long as it is gone, and was lost in the last 30 s.

The share alone would stop the restoration of small networks at every cut: in a line of three nodes one cut is half of
all links. So there is a floor of five, and for links more than any one node has: what one event can take with it (a
node, a duct of a few fibres) is what restoration is for.
"""

from collections import Counter
from typing import Final

from controller.domain.link import Establishment
from controller.domain.snapshot import Snapshot

WINDOW_MS: Final = 30_000
SHARE: Final = 0.2
FLOOR: Final = 5


class Losses:
    """What vanished lately and is still gone: links and agents, by when they did, in service time."""

    def __init__(self) -> None:
        self._links: dict[str, int] = {}
        self._agents: dict[str, int] = {}

    def link_down(self, link: str, now_ms: int) -> None:
        """Note that a link went down."""
        self._links[link] = now_ms

    def link_up(self, link: str) -> None:
        """Note that a link works again, or is no more."""
        self._links.pop(link, None)

    def links(self) -> list[str]:
        """Return the links that went down lately."""
        return list(self._links)

    def agent_lost(self, node: str, now_ms: int) -> None:
        """Note that an agent's session ended."""
        self._agents[node] = now_ms

    def agent_back(self, node: str) -> None:
        """Note that an agent is back, or its node is no more."""
        self._agents.pop(node, None)

    def forget(self) -> None:
        """Begin anew: what was lost so far has been told."""
        self._links.clear()
        self._agents.clear()

    def too_many(self, snapshot: Snapshot, now_ms: int) -> str:
        """Return what vanished, for a person, when it is too much to act on by itself; else ""."""
        for lost in (self._links, self._agents):
            for name in [name for name, since_ms in lost.items() if now_ms - since_ms > WINDOW_MS]:
                del lost[name]
        agents = len(snapshot.agents)
        if len(self._agents) >= FLOOR and len(self._agents) > SHARE * agents:
            return f"{len(self._agents)} of {agents} agents were lost within {WINDOW_MS // 1000} s"
        if len(self._links) < FLOOR:
            return ""
        links = [link for link in snapshot.links.values() if link.establishment is Establishment.ESTABLISHED]
        busiest = max(Counter(node for link in links for node in link.nodes).values(), default=0)
        if len(self._links) > max(SHARE * len(links), busiest):
            return f"{len(self._links)} of {len(links)} links went down within {WINDOW_MS // 1000} s"
        return ""
