"""MEMORY: independent lanes over one swap tree, with cut-offs; what one node does in them.

The node of a segment decides: it hears when its two pairs are there, swaps, and tells all nodes of the segment what
came of it and when both children begin again. Each beginning has a number within that of the segment around it
(`Rounds`); what belongs to an older one is dropped wherever it turns up, so that a beginning further out wins over
one further in.
A cut-off counts from a time that is agreed, so all begin again at that time, without waiting for the word.
"""

from controller.domain.entries import PathEntry
from southbound.agent.pairs.hop_work import HopWork
from southbound.agent.pairs.messages import Herald, Rounds, Swapped
from southbound.agent.pairs.part import Host, Part, Phase, WorkMessage
from southbound.agent.pairs.route import HopPart, Route
from southbound.agent.pairs.states import Pair, swapped
from southbound.agent.pairs.timers import Timer

_LEFT, _RIGHT = 0, 1
_ZEROS: tuple[Rounds, ...] = tuple((0,) * length for length in range(64))
_ROUNDING = 1.0 + 1e-12
_EARLY_S = 1e-9


class _Lane:
    """One lane at this node: its segment's two pairs, and the hops that it draws."""

    __slots__ = ("cutoff", "expected", "number", "pairs", "ready_s", "rounds", "works")

    def __init__(self, number: int) -> None:
        self.number = number
        self.rounds: Rounds = ()
        self.pairs: list[Pair | None] = [None, None]
        self.ready_s = [0.0, 0.0]
        self.expected: list[Timer | None] = [None, None]
        self.cutoff: Timer | None = None
        self.works: list[HopWork] = []


class Lanes(Part):
    """The node's part in a path of the memory regime."""

    def __init__(self, host: Host, entry: PathEntry, route: Route) -> None:
        super().__init__(host, entry, route)
        self._own = route.own
        self._length = 0 if route.own is None else route.own.depth + 2
        self._own_left, self._own_right = (0, 0) if route.own is None else (route.own.left, route.own.right)
        self._cutoff_s = None if route.own is None else route.own.cutoff_s
        self._farther_s = (
            0.0
            if route.own is None
            else max(route.news_s(route.place, route.own.left), route.news_s(route.place, route.own.right))
        )
        self._lanes: list[_Lane] = []
        self._memories_per_lane = sum(1 << hop.rounds for hop in route.hops)
        self._hops = {hop.hop: hop for hop in route.hops}
        self._taken = 0
        self._numbers: dict[int, int] = {}
        """By lane: the highest number that one of its beginnings has had, of those after that of the version."""

    @property
    def watched_lanes(self) -> int:
        """See `Part`."""
        return max(1, self.entry.lanes)

    def begin(self, at_s: float) -> None:
        """See `Part`: takes the memories of as many lanes as there is room for."""
        self._grow()
        self.refused_total += self.entry.lanes - len(self._lanes)
        for lane in self._lanes:
            self._adopt(lane, (self.generation,), at_s, 0, self.route.last)

    def _grow(self) -> None:
        for number in range(len(self._lanes), self.entry.lanes):
            if not self.storeless:
                if not self.host.take_memories(self._memories_per_lane, least=self._memories_per_lane):
                    break
                self._taken += self._memories_per_lane
            lane = _Lane(number)
            lane.works = [HopWork(self, hop, number, self._announce) for hop in self.route.hops if hop.draws]
            self._lanes.append(lane)

    def clear(self) -> None:
        """See `Part`."""
        for lane in self._lanes:
            self._forget(lane)
            for work in lane.works:
                work.stop(self.host.now_s)
        self._lanes.clear()
        self._numbers.clear()
        self.host.free_memories(self._taken)
        self._taken = 0

    def memories_freed(self) -> bool:
        """See `Part`: lanes that find room begin anew at all nodes, for what came of them until now was lost here."""
        if self._begins_s is None:
            had = len(self._lanes)
            self._grow()
            for number in range(had, len(self._lanes)):
                self._begin_lane(number, 0)
        return False

    def hop_changed(self, hop: HopPart) -> None:
        """See `Part`."""
        for lane in self._lanes:
            for work in lane.works:
                if work.hop.hop == hop.hop:
                    work.redraw(self.host.now_s)

    def halves(self) -> int:
        """See `Part`: those that wait for a swap here."""
        return sum(pair is not None for lane in self._lanes for pair in lane.pairs)

    def pairs_on(self, link: str) -> int:
        """See `Part`: all of a lane's, which attempts whenever it holds none."""
        return sum(len(self._lanes) << hop.rounds for hop in self.route.hops if hop.link == link)

    def stuck(self, lanes: frozenset[int], generation: int) -> bool:
        """See `Part`."""
        if len(lanes) == self.entry.lanes:
            return False
        self._grow()
        for number in lanes:
            self._begin_lane(number, generation)
        return True

    def _begin_lane(self, number: int, least: int) -> None:
        """Have all nodes begin a lane anew, with a number of its own from some on."""
        at_s = self.host.now_s + self.route.latency_s
        self._numbers[number] = max(least, self._numbers.get(number, self._begun) + 1)
        rounds = (self._numbers[number],)
        self._tell(
            Swapped(
                self.path, self.version, self.generation, number, 0, self.route.last, (), None,
                next_rounds=rounds, restart_s=at_s,
            )
        )  # fmt: skip
        if number < len(self._lanes):
            self._adopt(self._lanes[number], rounds, at_s, 0, self.route.last)

    def handle(self, sender: str, message: WorkMessage) -> None:
        """See `Part`."""
        if isinstance(message, Swapped):
            route = self.route
            if sender == route.left:
                if route.place < message.right and route.right is not None:
                    self.host.send(route.right, message)
            elif route.place > message.left and route.left is not None:
                self.host.send(route.left, message)
            if len(message.next_rounds) == 1 and self.phase is Phase.ACTIVE:
                if not self.belongs(message.generation) or message.lane >= self.entry.lanes:
                    return  # numbers of a generation may reach into those of the next
                known = self._numbers.get(message.lane, 0)
                self._numbers[message.lane] = max(known, message.next_rounds[0])
                self._grow()  # perhaps there was no memory for it when the others began
            if message.lane < len(self._lanes):
                self._hear(self._lanes[message.lane], message)
            elif self._misses(message) and message.pair is not None:
                self.host.missed(self, message.pair)
        elif isinstance(message, Herald):
            hop = self._hops.get(message.hop)
            if hop is None or hop.neighbour != sender or hop.draws:
                return
            if message.lane >= len(self._lanes):
                if hop.swap_place is None and message.at_s < float("inf"):
                    self.host.timers.at(message.at_s, self.host.missed, self, message.pair)
            else:
                self._expect(self._lanes[message.lane], hop, message.rounds, message.at_s, message.pair)

    def _misses(self, message: Swapped) -> bool:
        """Tell whether this is an end that should have a half of what is told, and has no lane for it."""
        whole = (message.left, message.right) == (0, self.route.last)
        return whole and self.route.place in (0, self.route.last) and message.rounds[:1] >= (self._begun,)

    def _hear(self, lane: _Lane, message: Swapped) -> None:
        route, place = self.route, self.route.place
        pair = message.pair
        if pair is not None and place in (message.left, message.right):
            if message.left == 0 and message.right == route.last:
                if message.rounds[:1] < (self._begun,):
                    self.late_total += 1
                    return
                self.host.delivered(self, lane.number, pair)
            elif self._own is not None:
                if (message.left, message.right) == (self._own.left, place):
                    self._child(lane, _LEFT, message.rounds, pair)
                elif (message.left, message.right) == (place, self._own.right):
                    self._child(lane, _RIGHT, message.rounds, pair)
        if message.next_rounds:
            self._adopt(lane, message.next_rounds, message.restart_s, message.left, message.right)

    def _child(self, lane: _Lane, side: int, rounds: Rounds, pair: Pair) -> None:
        if not self._current(lane, rounds[: self._length]):
            return
        # News that is faster than light in the fibre waits; news that is late counts from when it was due.
        route = self.route
        left, right = (self._own_left, route.place) if side == _LEFT else (route.place, self._own_right)
        child = route.segment_of(left, right)
        ready_s = self.host.now_s if child is None else pair.at_s + route.news_s(child.place, route.place)
        if ready_s > self.host.now_s + _EARLY_S:
            lane.expected[side] = self.host.timers.at(ready_s, self._ready, lane, side, pair, ready_s)
        else:
            self._ready(lane, side, pair, min(ready_s, self.host.now_s))

    def _current(self, lane: _Lane, rounds: Rounds) -> bool:
        """Tell whether something belongs to what the lane is at; follow it when it is ahead."""
        if rounds > lane.rounds and len(rounds) == self._length:
            self._forget(lane)
            lane.rounds = rounds
        return rounds == lane.rounds

    def _adopt(self, lane: _Lane, rounds: Rounds, at_s: float, left: int, right: int) -> None:
        """Have all that is inside a segment begin again, unless it is further already."""
        if self.phase is not Phase.ACTIVE:
            return
        length = len(rounds)
        own = self._own
        if (
            own is not None
            and length < self._length
            and left <= own.left
            and own.right <= right
            and rounds > lane.rounds[:length]
        ):
            self._forget(lane)
            lane.rounds = rounds + _ZEROS[self._length - length]
        for work in lane.works:
            hop = work.hop
            whole = max(2, hop.depth + 1)
            if left <= hop.hop < right and length <= whole and rounds > work.rounds[:length]:
                work.start(rounds + _ZEROS[whole - length], at_s)

    def _forget(self, lane: _Lane) -> None:
        timers = self.host.timers
        timers.off(lane.cutoff)
        timers.off(lane.expected[_LEFT])
        timers.off(lane.expected[_RIGHT])
        lane.pairs = [None, None]

    def _announce(self, work: HopWork, at_s: float, pair: Pair | None) -> None:
        """Tell both ends of a hop of its pair ahead of time."""
        hop = work.hop
        pair = pair if pair is not None else self.heralded_pair(hop, self.host.now_s)
        self.host.send(
            hop.neighbour,
            Herald(self.path, self.version, self.generation, work.lane, hop.hop, work.rounds, at_s, pair),
        )
        self._expect(self._lanes[work.lane], hop, work.rounds, at_s, pair)

    def _expect(self, lane: _Lane, hop: HopPart, rounds: Rounds, at_s: float, pair: Pair) -> None:
        """Await a pair of a hop that is announced for a time."""
        timers = self.host.timers
        if hop.swap_place is None:
            # One that is announced for the next round does not call off the one before.
            if (awaited := lane.expected[_LEFT]) is not None and awaited.arguments[1] == rounds:
                timers.off(awaited)
            if at_s < float("inf"):
                lane.expected[_LEFT] = timers.at(at_s, self._whole_route, lane, rounds, at_s, pair)
        elif hop.swap_place == self.route.place and self._current(lane, rounds):
            side = _RIGHT if hop.at_left else _LEFT
            timers.off(lane.expected[side])
            if at_s < float("inf"):
                lane.expected[side] = timers.at(at_s, self._heralded, lane, side, at_s, pair)

    def _heralded(self, lane: _Lane, side: int, at_s: float, pair: Pair) -> None:
        if self.phase is Phase.ACTIVE or at_s <= self.end_s:
            self._ready(lane, side, pair, at_s)

    def _whole_route(self, lane: _Lane, rounds: Rounds, at_s: float, pair: Pair) -> None:
        """Deliver the pair of a path of one hop, and begin the next."""
        if self.phase is Phase.DRAINING and at_s > self.end_s:
            return
        self.host.delivered(self, lane.number, pair)
        if lane.works and self.phase is Phase.ACTIVE:
            lane.works[0].start((rounds[0], rounds[1] + 1), at_s)

    def _ready(self, lane: _Lane, side: int, pair: Pair, ready_s: float) -> None:
        """Take one of the two pairs to swap; the older one waits no longer than the cut-off."""
        lane.pairs[side] = pair
        lane.ready_s[side] = ready_s
        if lane.pairs[1 - side] is None:
            if self._cutoff_s is not None:
                due_s = ready_s + self._cutoff_s
                lane.cutoff = self.host.timers.at(due_s * _ROUNDING + self.host.grace_s, self._cut_off, lane, due_s)
            return
        self.host.timers.off(lane.cutoff)
        first_s, last_s = sorted(lane.ready_s)
        if self._cutoff_s is not None and last_s - first_s > self._cutoff_s * _ROUNDING:
            self._cut_off(lane, first_s + self._cutoff_s)
        else:
            self._swap(lane, last_s)

    def _swap(self, lane: _Lane, now_s: float) -> None:
        host, own = self.host, self._own
        left, right = lane.pairs
        assert own is not None
        assert left is not None
        assert right is not None
        lane.pairs = [None, None]
        quality = host.hardware.swap_success
        if quality < 1.0 and host.random.random() >= quality:
            self._again(lane, None, left.sequence, right.sequence, now_s + self._farther_s)
            return
        pair = swapped(left, right, host.noise, now_s, sequence=host.sequence(), outcome=host.random.getrandbits(2))
        if own.parent_place is None:
            self._again(lane, pair, left.sequence, right.sequence, now_s + self._farther_s)
        else:
            self._tell(
                Swapped(
                    self.path, self.version, self.generation, lane.number, own.left, own.right, lane.rounds, pair,
                    left.sequence, right.sequence,
                )
            )  # fmt: skip

    def _cut_off(self, lane: _Lane, due_s: float) -> None:
        left, right = (0 if one is None else one.sequence for one in lane.pairs)
        lane.pairs = [None, None]
        self._again(lane, None, left, right, due_s)

    def _again(self, lane: _Lane, pair: Pair | None, left: int, right: int, restart_s: float) -> None:
        """Tell what came of a round, and have both children begin again."""
        own = self._own
        assert own is not None
        if pair is None:
            self.dropped_total += 1
        rounds = lane.rounds
        follows: Rounds = ()
        if self.phase is Phase.ACTIVE:
            follows = (*rounds[:-1], rounds[-1] + 1)
            self._forget(lane)
            lane.rounds = follows
        self._tell(
            Swapped(
                self.path, self.version, self.generation, lane.number, own.left, own.right, rounds, pair, left, right,
                follows, restart_s,
            )
        )  # fmt: skip
        if follows:
            for work in lane.works:
                if follows > work.rounds:
                    work.start(follows + _ZEROS[max(2, work.hop.depth + 1) - len(follows)], restart_s)

    def _tell(self, message: Swapped) -> None:
        route = self.route
        if route.left is not None:
            self.host.send(route.left, message)
        if route.right is not None:
            self.host.send(route.right, message)
