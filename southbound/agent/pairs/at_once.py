"""AT_ONCE: link pairs are buffered, swapped ones cannot be; so once every hop holds a pair, all swaps follow at once.

From the far end on every node sets a pair of its hop towards the far end aside, and says so to the node before with a
token. With the head's own the sweep begins: each node swaps what comes with the pair that it has set aside.
"""

from collections import deque

from controller.domain.entries import PathEntry
from southbound.agent.pairs.messages import Herald, Sweep, Swept, Token
from southbound.agent.pairs.part import Host, Part, Phase, WorkMessage
from southbound.agent.pairs.route import HopPart, Route
from southbound.agent.pairs.states import Pair, swapped
from southbound.agent.pairs.stream import Stream, room_of


class AtOnce(Part):
    """The node's part in a path whose swaps are made all at once."""

    def __init__(self, host: Host, entry: PathEntry, route: Route) -> None:
        super().__init__(host, entry, route)
        self._depth = max(1, entry.buffer_pairs)
        self._streams = {hop.hop: Stream(self, hop, self._finished) for hop in route.hops if hop.draws}
        self._onward: deque[Pair] = deque()
        """Pairs of the hop towards the far end, the oldest first; the first `_aside` are set aside."""
        self._aside = 0
        self._tokens = 0
        self._needed = sum(room_of(entry, hop) for hop in route.hops)
        self._taken = 0

    def begin(self, at_s: float) -> None:
        """See `Part`: without the memories of all buffers it does not take part."""
        if not self.storeless:
            self._taken = self.host.take_memories(self._needed, least=self._needed)
            if not self._taken:
                self.refused_total += 1
                return
        for stream in self._streams.values():
            stream.start(at_s)

    def clear(self) -> None:
        """See `Part`."""
        for stream in self._streams.values():
            stream.stop()
        self._onward.clear()
        self._aside = self._tokens = 0
        self.host.free_memories(self._taken)
        self._taken = 0

    @property
    def _idle(self) -> bool:
        return not (self._taken or self.storeless)

    def memories_freed(self) -> bool:
        """See `Part`."""
        return self._begins_s is None and self._idle and self.host.memories_free >= self._needed

    def hop_changed(self, hop: HopPart) -> None:
        """See `Part`."""
        stream = self._streams.get(hop.hop)
        if stream is not None and self.phase is Phase.ACTIVE and not self._idle:
            stream.redraw(self.host.now_s)

    def halves(self) -> int:
        """See `Part`: those of the hop onward."""
        return len(self._onward)

    def pairs_on(self, link: str) -> int:
        """See `Part`."""
        return sum(stream.held for stream in self._streams.values() if stream.hop.link == link)

    def handle(self, sender: str, message: WorkMessage) -> None:
        """See `Part`."""
        if not self.belongs(message.generation) or self._idle:
            self.late_total += 1
            return
        if isinstance(message, Swept):
            self._deliver(message.pairs)
        elif isinstance(message, Herald):
            if sender == self.route.right and message.hop == self.route.place:
                self._put(message.pair)
        elif isinstance(message, Token):
            if sender == self.route.right and self._tokens < self._depth:
                self._tokens += 1
                self._set_aside()
        elif isinstance(message, Sweep) and sender == self.route.left:
            self._sweep(message)

    def _finished(self, stream: Stream, pair: Pair) -> None:
        hop = stream.hop
        message = Herald(self.path, self.version, self.generation, 0, hop.hop, (), self.host.now_s, pair)
        self.host.send(hop.neighbour, message)
        if hop.at_left:
            self._put(pair)

    def _put(self, pair: Pair) -> None:
        if len(self._onward) >= self._depth:
            self.refused_total += 1
            return
        self._onward.append(pair)
        self._set_aside()

    def _set_aside(self) -> None:
        route = self.route
        while self._aside < len(self._onward) and (self._tokens or route.place == route.last - 1):
            if route.place < route.last - 1:
                self._tokens -= 1
            if route.left is None:
                pair = self._take()
                self._pass_on(pair, pair.sequence)
            else:
                self._aside += 1
                self.host.send(route.left, Token(self.path, self.version, self.generation))

    def _take(self) -> Pair:
        if (stream := self._streams.get(self.route.place)) is not None:
            stream.spent()
        return self._onward.popleft()

    def _pass_on(self, pair: Pair | None, spent: int) -> None:
        route = self.route
        assert route.right is not None
        message = Sweep(
            self.path, self.version, self.generation, self.host.now_s, route.place + 1, (pair,), spent=spent
        )
        self.host.send(route.right, message)

    def _sweep(self, message: Sweep) -> None:
        host, route = self.host, self.route
        if (stream := self._streams.get(route.place - 1)) is not None:
            stream.spent()
        if route.place == route.last:
            self._deliver(message.pairs)
            host.send(route.nodes[route.last - 1], Swept(self.path, self.version, self.generation, message.pairs))
            return
        if not self._aside or len(message.pairs) != 1:
            return
        self._aside -= 1
        right, left = self._take(), message.pairs[0]
        pair: Pair | None = None
        if left is not None:
            if host.random.random() < host.hardware.swap_success:
                outcome = host.random.getrandbits(2)
                pair = swapped(left, right, host.noise, host.now_s, sequence=host.sequence(), outcome=outcome)
            else:
                self.dropped_total += 1
        self._pass_on(pair, right.sequence)

    def _deliver(self, pairs: tuple[Pair | None, ...]) -> None:
        for pair in pairs:
            if pair is not None:
                self.host.delivered(self, 0, pair)
