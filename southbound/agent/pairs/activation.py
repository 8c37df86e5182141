"""At the head of a path: which of its versions are in use, told along the path until the far end has answered."""

from random import Random
from typing import Final, Protocol

from southbound.agent.pairs.messages import Activate, Activated, PathMessage
from southbound.agent.pairs.part import Part, Phase
from southbound.agent.pairs.timers import Timer, Timers

_FIRST_REPEAT_S: Final = 0.5
_LAST_REPEAT_S: Final = 15.0
_GATHER_S: Final = 0.02
_PATIENCE_S: Final = 5.0
_PATIENCE_PAIRS: Final = 40.0


class HeadHost(Protocol):
    """The engine, as a head sees it."""

    now_s: float
    random: Random
    timers: Timers

    def send(self, neighbour: str, message: PathMessage) -> None:
        """Send to a neighbour; lost where no stream stands."""


class Head:
    """The head's side of one version."""

    def __init__(self, host: HeadHost, part: Part) -> None:
        self._host = host
        self._part = part
        self._wanted: bool | None = None
        self._answered = False
        self._repeat: Timer | None = None
        self._repeat_s = _FIRST_REPEAT_S
        self._gathering: Timer | None = None
        self._watch: Timer | None = None
        self._seen: dict[int, int] = {}
        """Pairs delivered by lane when the watch last looked; only lanes that delivered any."""
        self.delivered: dict[int, int] = {}
        self.reset_total = 0
        self._highest = 0
        self._seed: int | None = None
        """One for all generations: of what the far end had in an older one, the news may come in a newer one."""

    def count(self, lane: int) -> None:
        """Count a pair that was delivered here."""
        lane = lane if self._part.watched_lanes > 1 else 0
        self.delivered[lane] = self.delivered.get(lane, 0) + 1

    def want(self, active: bool) -> None:
        """Have the version in use, or not."""
        if active is not self._wanted:
            self._wanted = active
            self._issue()

    def close(self) -> None:
        """Set no more timers."""
        for timer in (self._repeat, self._gathering, self._watch):
            self._host.timers.off(timer)

    def answered(self, message: Activated) -> None:
        """Take an answer; one of a newer generation comes from a node that an earlier process of ours had told it."""
        if message.generation > self._part.generation:
            self._part.generation = message.generation
            self._issue()
        elif message.generation == self._part.generation:
            self._answered = True
            self._host.timers.off(self._repeat)

    def resync(self) -> None:
        """Begin anew soon: a node on the way has lost its state. Several that say so count as one."""
        if self._gathering is None and (self._wanted or not self._answered):
            due_s = self._host.now_s + _GATHER_S + self._part.route.latency_s
            self._gathering = self._host.timers.at(due_s, self._issue)

    def generation(self) -> int:
        """Return a generation above all before, also those of an earlier process."""
        self._highest = max(self._highest + 1, self._part.generation + 1, int(self._host.now_s * 1000.0))
        return self._highest

    def _issue(self) -> None:
        host, part = self._host, self._part
        host.timers.off(self._gathering)
        host.timers.off(self._repeat)
        self._gathering = None
        self._answered = False
        self._repeat_s = _FIRST_REPEAT_S + 2.0 * part.route.latency_s
        generation, at_s = self.generation(), host.now_s + part.route.latency_s
        if self._seed is None:
            self._seed = host.random.getrandbits(63)
        seed = self._seed
        part.generation = generation
        # Told before it is begun, so that the next node is ready for what comes of it.
        slot_s = part.longest_attempt_s()
        self._tell(Activate(part.path, part.version, generation, bool(self._wanted), at_s, seed, slot_s))
        if self._wanted:
            part.start(generation, at_s, seed)
            self._look_again()
        else:
            part.stop(generation, at_s)

    def _tell(self, message: Activate) -> None:
        """Send it, and again until it is answered; begun in the past is begun at once."""
        if self._answered or message.generation != self._part.generation:
            return
        assert self._part.route.right is not None
        self._host.send(self._part.route.right, message)
        self._repeat = self._host.timers.at(self._host.now_s + self._repeat_s, self._tell, message)
        self._repeat_s = min(_LAST_REPEAT_S, 2.0 * self._repeat_s)

    def _look_again(self) -> None:
        part = self._part
        self._host.timers.off(self._watch)
        self._seen = dict(self.delivered)
        lane_hz = part.entry.rate_millihertz / 1000.0 / part.watched_lanes
        patience_s = _PATIENCE_S + 20.0 * part.route.latency_s + (_PATIENCE_PAIRS / lane_hz if lane_hz > 0.0 else 60.0)
        self._watch = self._host.timers.at(self._host.now_s + patience_s, self._look)

    def _look(self) -> None:
        part = self._part
        if part.phase is not Phase.ACTIVE:
            return
        idle = frozenset(
            lane for lane in range(part.watched_lanes) if self.delivered.get(lane, 0) == self._seen.get(lane, 0)
        )
        if not idle:
            self._look_again()
            return
        self.reset_total += 1
        generation = self.generation()
        if part.stuck(idle, generation):
            self._look_again()
        else:
            self._issue()
