"""One version of a path at one node: what every regime shares, and what it needs of the engine around it."""

from abc import ABC, abstractmethod
from enum import Enum
from random import Random
from typing import Final, Protocol

from controller.domain.entries import PathEntry
from controller.domain.pair_link import PairHardware, Regime, usable_success
from southbound.agent.pairs.links import Link, binomial
from southbound.agent.pairs.messages import Herald, PathMessage, Resync, Swapped, Sweep, Swept, Token
from southbound.agent.pairs.route import HopPart, Route
from southbound.agent.pairs.states import Pair, SwapNoise
from southbound.agent.pairs.timers import Timers

_DRAIN_MARGIN_S: Final = 0.05

WorkMessage = Herald | Swapped | Sweep | Swept | Token


class Host(Protocol):
    """The engine, as its parts see it."""

    node: str
    now_s: float
    random: Random
    hardware: PairHardware
    noise: SwapNoise
    timers: Timers
    grace_s: float

    def send(self, neighbour: str, message: PathMessage) -> None:
        """Send to a neighbour; lost where no stream stands."""

    def link(self, name: str) -> Link | None:
        """Return a link of this node; None where there is none."""

    def hears(self, neighbour: str) -> bool:
        """Tell whether a stream stands to a neighbour that has said hello."""

    def sequence(self) -> int:
        """Return a number that this node has not given to a pair."""

    def decay_rate(self, node: str) -> float:
        """Return 1 / T of this node's memories, or a neighbour's."""

    def take_memories(self, wanted: int, *, least: int = 0) -> int:
        """Take memories, as many as are free but no more than wanted; none where fewer than `least` are free."""

    def free_memories(self, taken: int) -> None:
        """Give memories back; parts that lack some are asked soon (`Part.memories_freed`)."""

    @property
    def memories_free(self) -> int:
        """Return how many memories nobody has taken."""

    def delivered(self, part: "Part", lane: int, pair: Pair) -> None:
        """Take a pair between the ends of the path; at an end."""

    def missed(self, part: "Part", pair: Pair) -> None:
        """Take the word of a pair that the other end of the path has, and this end had no memory for."""

    def begun(self, part: "Part", at_s: float) -> None:
        """Take the word that a part has begun anew."""


class Phase(Enum):
    """IDLE: does nothing. ACTIVE: makes pairs. DRAINING: makes no new ones, what is under way is finished."""

    IDLE = "idle"
    ACTIVE = "active"
    DRAINING = "draining"


class Part(ABC):
    """The node's part in one version of a path."""

    def __init__(self, host: Host, entry: PathEntry, route: Route) -> None:
        self.host = host
        self.entry = entry
        self.route = route
        self.path = entry.path
        self.version = entry.route_version
        self.phase = Phase.IDLE
        self.generation = 0
        self._begun = 0
        self.seed = 0
        self.end_s = 0.0
        self._begins_s: float | None = None
        self.slot_s = 0.0
        """SLOT: common length of the slots, once the far end has answered; the longest attempt of the route."""
        self.late_total = 0
        self.dropped_total = 0
        self.refused_total = 0
        """Pairs, or lanes, that there was no memory for."""

    @property
    def watched_lanes(self) -> int:
        """How many lanes the head watches one by one; 1 where they are not independent."""
        return 1

    @property
    def in_use(self) -> bool:
        """Whether pairs of this version are still taken."""
        return self.phase is not Phase.IDLE

    def start(self, generation: int, at_s: float, seed: int) -> None:
        """Begin, or begin anew with another generation, at a time."""
        self.clear()
        self.phase, self.generation, self.seed = Phase.ACTIVE, generation, seed
        self._begun = generation
        if self._needs_far_end:
            self._begins_s = at_s
        else:
            self.begin(at_s)
        self.host.begun(self, at_s)

    def stop(self, generation: int, at_s: float) -> None:
        """Make no more pairs from a time on; what is under way then is finished."""
        self.generation = generation
        if self.phase is not Phase.ACTIVE:
            return
        self.phase, self.end_s = Phase.DRAINING, at_s
        finished_s = max(at_s, self.host.now_s) + 2.0 * self.route.latency_s + _DRAIN_MARGIN_S
        self.host.timers.at(finished_s, self._drained, generation)

    def _drained(self, generation: int) -> None:
        if self.phase is Phase.DRAINING and self.generation == generation:
            self.phase = Phase.IDLE
            self.clear()

    def belongs(self, generation: int) -> bool:
        """Tell whether something is of what was begun last; while that drains, its news are of a generation before."""
        return self._begun <= generation <= self.generation

    def ask_head(self) -> None:
        """Tell the head that state was lost here, or on the way here."""
        if self.route.left is not None:
            self.host.send(self.route.left, Resync(self.path, self.version))

    def drop(self) -> None:
        """End all that there is, at once."""
        self.phase = Phase.IDLE
        self.clear()

    def lit(self, hop: HopPart) -> bool:
        """Tell whether attempts are made on a hop: there is light, and the other end is heard."""
        link = self.host.link(hop.link)
        known = link is not None and link.neighbour == hop.neighbour and not link.cut
        return known and self.host.hears(hop.neighbour)

    def success(self, hop: HopPart) -> float:
        """Return the probability that one attempt on a hop makes a pair to use; 0 where none can be made."""
        link = self.host.link(hop.link)
        return usable_success(link.success(hop.option)) if link is not None and self.lit(hop) else 0.0

    def heralded_pair(self, hop: HopPart, at_s: float) -> Pair:
        """Return a new pair of a hop as it is at its herald."""
        link = self.host.link(hop.link)
        werner = 0.0 if link is None else link.werner(hop.option)
        mine, theirs = self.host.decay_rate(self.host.node), self.host.decay_rate(hop.neighbour)
        left_rate, right_rate = (mine, theirs) if hop.at_left else (theirs, mine)
        return Pair(self.host.sequence(), werner, werner, werner, at_s, left_rate, right_rate)

    def count(self, hop: HopPart, attempts: float, pairs: int) -> None:
        """Count attempts on a hop that are over, and those that made a pair to use.

        Some of the others made one that was measured to test the link: `LINK_TEST_SHARE` of all pairs.
        """
        if attempts > 0 and (link := self.host.link(hop.link)) is not None:
            host = self.host
            link.meter.add(host.now_s, attempts, pairs, attempts * link.model_success(hop.option))
            success = link.success(hop.option)
            usable = usable_success(success)
            if tests := binomial(host.random, int(attempts) - pairs, (success - usable) / (1.0 - usable)):
                link.test(hop.option, tests, host.random, host.now_s)

    @property
    def storeless(self) -> bool:
        """Whether this is an end that holds nothing: without memories, it measures its halves as they come."""
        return self.host.hardware.memories == 0 and self.route.place in (0, self.route.last)

    def longest_attempt_s(self) -> float:
        """Return the longest attempt period of this node's hops on the route."""
        links = (self.host.link(hop.link) for hop in self.route.hops)
        return max((link.model.attempt_period_s for link in links if link is not None), default=0.0)

    def activated(self) -> None:
        """Go on when the far end has answered: all nodes of the route take part."""
        if self._begins_s is not None and self.phase is Phase.ACTIVE:
            begins_s, self._begins_s = max(self._begins_s, self.host.now_s), None
            self.begin(begins_s)

    @property
    def _needs_far_end(self) -> bool:
        """Whether pairs that this head draws would be delivered here though the far end takes no part."""
        one_hop = self.route.last == 1 and self.route.place == 0 and self.route.hops[0].draws
        return one_hop and self.entry.regime is not Regime.SLOT  # slots wait for it in any case

    def memories_freed(self) -> bool:
        """Take what was missing, where memories are free again; True where the whole version must begin anew for it.

        A version begins while the one before it, whose memories it is planned to have, is still being finished.
        """
        return False

    @abstractmethod
    def begin(self, at_s: float) -> None:
        """Begin at a time, with nothing there."""

    @abstractmethod
    def clear(self) -> None:
        """Drop all pairs, timers and memories."""

    @abstractmethod
    def hop_changed(self, hop: HopPart) -> None:
        """Follow a change of a hop's link: what was drawn for later counts no more."""

    @abstractmethod
    def handle(self, sender: str, message: WorkMessage) -> None:
        """Take a message of this version."""

    def halves(self) -> int:
        """Return how many halves of pairs this node holds for the version, as far as it keeps them itself."""
        return 0

    def pairs_on(self, link: str) -> int:
        """Return how many memory pairs of a link hold a pair, or are being filled."""
        return 0

    def stuck(self, lanes: frozenset[int], generation: int) -> bool:
        """Begin stuck lanes anew, at the head; False where that takes a new generation of the whole version."""
        return False
