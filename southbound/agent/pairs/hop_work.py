"""One hop of one lane at the end that draws: heralds, and the nested rounds of purification before its pair is there.

2^k elementary pairs are attempted at the same time. Places of the nest are numbered as in a heap: 1 is the pair that is
wanted, 2i and 2i + 1 are purified into i, from 2^k on they are elementary. Two that are purified begin again together.
"""

import math
from collections.abc import Callable

from southbound.agent.pairs.links import attempts_until_success
from southbound.agent.pairs.messages import Rounds
from southbound.agent.pairs.part import Part
from southbound.agent.pairs.route import HopPart
from southbound.agent.pairs.states import Pair, purified
from southbound.agent.pairs.timers import Timer, near

Announce = Callable[["HopWork", float, Pair | None], None]
"""Takes the work, when both ends will know of the pair, and the pair; None: what was announced is withdrawn."""


class HopWork:
    """What one end draws for one hop of one lane."""

    __slots__ = (
        "_announce", "_attempts", "_leaves", "_part", "_ready", "_since_s", "_tau_s", "_timers",
        "announced_s", "hop", "lane", "rounds",
    )  # fmt: skip

    def __init__(self, part: Part, hop: HopPart, lane: int, announce: Announce) -> None:
        self._part = part
        self._announce = announce
        self.hop = hop
        self.lane = lane
        self.rounds: Rounds = ()
        self._leaves = 1 << hop.rounds
        self._timers: list[Timer | None] = [None] * (2 * self._leaves)
        self._ready: list[Pair | None] = [None] * (2 * self._leaves)
        self._since_s = [math.inf] * (2 * self._leaves)
        """When attempts for an elementary pair began; infinite where none are being made."""
        self._attempts: list[float] = [0] * (2 * self._leaves)
        """Until the pair is there; infinite where none comes, 0 where nobody tries: a dark fibre is not a weak one."""
        self._tau_s = 1.0
        self.announced_s = math.inf
        """When the pair that was announced is there; infinite: none was."""

    def start(self, rounds: Rounds, at_s: float) -> None:
        """Begin at a time, which may lie ahead; what was under way is dropped."""
        at_s = near(at_s, self._part.host.now_s)
        self.stop(at_s)
        self.rounds = rounds
        link = self._part.host.link(self.hop.link)
        self._tau_s = 1.0 if link is None else link.model.attempt_period_s
        self._begin(1, at_s)

    def stop(self, at_s: float) -> None:
        """Drop what is under way; attempts are made until a time."""
        if self._leaves == 1:
            if self._since_s[1] < math.inf:
                if self.announced_s <= at_s:
                    self._part.count(self.hop, self._attempts[1], 1)
                else:
                    self._count_vain(1, at_s)
                self._since_s[1] = math.inf
        else:
            for place in range(1, 2 * self._leaves):
                self._part.host.timers.off(self._timers[place])
                self._timers[place] = self._ready[place] = None
                if self._since_s[place] < math.inf:
                    self._count_vain(place, at_s)
                    self._since_s[place] = math.inf
        self.announced_s = math.inf

    def redraw(self, now_s: float) -> None:
        """Draw again what was drawn for later: the link has changed. Waiting has no memory, so nothing is lost."""
        if self._leaves == 1:
            if self._since_s[1] < math.inf and self.announced_s > now_s:
                self._count_vain(1, now_s)
                was_announced = self.announced_s < math.inf
                self._attempt(1, max(now_s, self._since_s[1]))
                if was_announced and self.announced_s == math.inf:
                    self._announce(self, math.inf, None)
            return
        for place in range(self._leaves, 2 * self._leaves):
            if self._since_s[place] < math.inf:
                self._part.host.timers.off(self._timers[place])
                self._count_vain(place, now_s)
                self._attempt(place, max(now_s, self._since_s[place]))

    def _count_vain(self, place: int, at_s: float) -> None:
        """Count the attempts that were made until a time without a pair."""
        if self._attempts[place]:
            self._part.count(self.hop, max(0.0, (at_s - self._since_s[place]) // self._tau_s), 0)

    def _begin(self, place: int, at_s: float) -> None:
        if place >= self._leaves:
            self._attempt(place, at_s)
        else:
            self._begin(2 * place, at_s)
            self._begin(2 * place + 1, at_s)

    def _attempt(self, place: int, at_s: float) -> None:
        part = self._part
        success = part.success(self.hop)
        self._since_s[place] = at_s
        if success <= 0.0:
            self._attempts[place] = math.inf if part.lit(self.hop) else 0
            self._timers[place] = None
            if place == 1:
                self.announced_s = math.inf
            return
        attempts = attempts_until_success(success, part.host.random.random())
        self._attempts[place] = attempts
        herald_s = at_s + attempts * self._tau_s
        if place == 1:
            self.announced_s = herald_s
            self._announce(self, herald_s, part.heralded_pair(self.hop, herald_s))
        else:
            self._timers[place] = part.host.timers.at(herald_s, self._heralded, place, herald_s)

    def _heralded(self, place: int, herald_s: float) -> None:
        self._part.count(self.hop, self._attempts[place], 1)
        self._since_s[place] = math.inf
        self._there(place, self._part.heralded_pair(self.hop, herald_s))

    def _there(self, place: int, pair: Pair) -> None:
        """Purify it with the other of its round if that is there."""
        host = self._part.host
        self._timers[place] = None
        if (other := self._ready[place ^ 1]) is None:
            self._ready[place] = pair
            return
        self._ready[place ^ 1] = None
        success, better = purified(other, pair, max(host.now_s, pair.at_s, other.at_s))
        known_s = better.at_s + self.hop.news_s
        above = place // 2
        if host.random.random() >= success:
            self._timers[above] = host.timers.at(known_s, self._begin, above, known_s)
        elif above == 1:
            self.announced_s = known_s
            self._announce(self, known_s, better)
        else:
            self._timers[above] = host.timers.at(known_s, self._there, above, better)
