"""BUFFERED, AT_ONCE: one hop at the end that draws, which makes pairs all the time at the rate reserved for the path.

Attempts are spaced so that the model's success probability gives the reserved rate of pairs to use. Pairs are purified
in nested rounds as they come: each level holds one that waits for the next. What finds no room is lost. The other end
hears of a pair when it is finished, and counts it then.
"""

import math
from collections.abc import Callable

from controller.domain.entries import PathEntry
from controller.domain.pair_capacity import buffered_hop_memories
from controller.domain.pair_link import usable_success
from southbound.agent.pairs.links import attempts_until_success
from southbound.agent.pairs.part import Part, Phase
from southbound.agent.pairs.route import HopPart
from southbound.agent.pairs.states import Pair, purified
from southbound.agent.pairs.timers import Timer

Finished = Callable[["Stream", Pair], None]
"""Takes a pair that is there now, purified as often as planned; it counts as held until it is `spent`."""


def room_of(entry: PathEntry, hop: HopPart) -> int:
    """Return the memories that a hop's pairs take at either end: its buffer, or what its purification needs."""
    return buffered_hop_memories(entry.buffer_pairs, hop.rounds)


class Stream:
    """What one end draws for one hop of a path."""

    def __init__(self, part: Part, hop: HopPart, finished: Finished) -> None:
        self._part = part
        self._finished = finished
        self.hop = hop
        self.room = room_of(part.entry, hop)
        self.held = 0
        """Pairs of this hop that exist as far as is known here, unfinished ones included."""
        self._waiting: list[Pair | None] = [None] * hop.rounds
        self._spacing_s = math.inf
        self._since_s = 0.0
        self._attempts = 0
        self._lit = False
        self._timer: Timer | None = None

    def start(self, at_s: float) -> None:
        """Begin at a time, with nothing there."""
        self.stop()
        host = self._part.host
        link = host.link(self.hop.link)
        if link is not None and self.hop.rate_hz > 0.0:
            # The plan may not ask for attempts faster than the hardware makes them.
            success = usable_success(link.model_success(self.hop.option))
            self._spacing_s = max(link.model.attempt_period_s, success / self.hop.rate_hz)
        self._attempt(at_s)

    def stop(self) -> None:
        """End it; pairs that wait for another are dropped."""
        self._part.host.timers.off(self._timer)
        self._timer = None
        self._waiting = [None] * self.hop.rounds
        self.held = 0

    def redraw(self, now_s: float) -> None:
        """Draw again what was drawn for later: the link has changed."""
        self._part.host.timers.off(self._timer)
        if self._lit and self._since_s < math.inf and self._spacing_s < math.inf:
            self._part.count(self.hop, max(0.0, (now_s - self._since_s) // self._spacing_s), 0)
        self._attempt(max(now_s, self._since_s))

    def spent(self) -> None:
        """Take the word that a pair of this hop is no more."""
        self.held = max(0, self.held - 1)

    def _attempt(self, at_s: float) -> None:
        host = self._part.host
        self._since_s = at_s
        self._timer = None
        success = self._part.success(self.hop)
        self._lit = self._part.lit(self.hop)  # a dark fibre is not a weak one: nobody tries
        if success <= 0.0 or math.inf in (self._spacing_s, at_s):
            return
        self._attempts = attempts_until_success(success, host.random.random())
        herald_s = at_s + self._attempts * self._spacing_s
        self._timer = host.timers.at(herald_s, self._heralded, herald_s)

    def _heralded(self, herald_s: float) -> None:
        part = self._part
        part.count(self.hop, self._attempts, 1)
        if part.phase is Phase.DRAINING and herald_s > part.end_s:
            return
        if self.held >= self.room:
            part.refused_total += 1
        else:
            self.held += 1
            self._there(0, part.heralded_pair(self.hop, herald_s))
        self._attempt(herald_s)

    def _there(self, level: int, pair: Pair) -> None:
        if level == self.hop.rounds:
            self._finished(self, pair)
            return
        other = self._waiting[level]
        if other is None:
            self._waiting[level] = pair
            return
        self._waiting[level] = None
        host = self._part.host
        success, better = purified(other, pair, max(host.now_s, pair.at_s))
        if host.random.random() < success:
            host.timers.at(better.at_s + self.hop.news_s, self._known, self._part.generation, level + 1, better)
        else:
            self.spent()
        self.spent()

    def _known(self, generation: int, level: int, pair: Pair) -> None:
        if self._part.in_use and self._part.belongs(generation):
            self._there(level, pair)
