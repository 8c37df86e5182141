"""BUFFERED: every segment has a buffer of K pairs, and a node swaps whenever both of its segments hold one.

The node of a segment keeps the buffers of its two children, first in, first out. It makes no pair that its own buffer,
at the node of the segment around, has no room for. What it says of a swap passes all nodes of the segment, so the
makers of both children hear that there is room again.
"""

from collections import deque

from controller.domain.entries import PathEntry
from southbound.agent.pairs.messages import Herald, Swapped
from southbound.agent.pairs.part import Host, Part, Phase, WorkMessage
from southbound.agent.pairs.route import HopPart, Route
from southbound.agent.pairs.states import Pair, swapped
from southbound.agent.pairs.stream import Stream, room_of

_LEFT, _RIGHT = 0, 1


class Buffers(Part):
    """The node's part in a path of the buffered regime."""

    def __init__(self, host: Host, entry: PathEntry, route: Route) -> None:
        super().__init__(host, entry, route)
        self._depth = max(1, entry.buffer_pairs)
        self._streams = [Stream(self, hop, self._finished) for hop in route.hops if hop.draws]
        self._queues: tuple[deque[Pair], deque[Pair]] = (deque(), deque())
        self._ahead = 0
        """Pairs of the own segment that are not spent yet, as far as is known here."""
        # The pair of the last swap is delivered at once; all others lie in a buffer at both of their ends.
        ends = sum(route.place in (one.left, one.right) for one in route.segments if one.parent_place is not None)
        self._needed = self._depth * ends + sum(room_of(entry, hop) for hop in route.hops)
        self._taken = 0

    def begin(self, at_s: float) -> None:
        """See `Part`: without the memories of all buffers it does not take part."""
        if not self.storeless:
            self._taken = self.host.take_memories(self._needed, least=self._needed)
            if not self._taken:
                self.refused_total += 1
                return
        for stream in self._streams:
            stream.start(at_s)

    def clear(self) -> None:
        """See `Part`."""
        for stream in self._streams:
            stream.stop()
        for queue in self._queues:
            queue.clear()
        self._ahead = 0
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
        for stream in self._streams:
            if stream.hop.hop == hop.hop and self.phase is Phase.ACTIVE and not self._idle:
                stream.redraw(self.host.now_s)

    def halves(self) -> int:
        """See `Part`: those that wait for a swap here."""
        return sum(len(queue) for queue in self._queues)

    def pairs_on(self, link: str) -> int:
        """See `Part`."""
        return sum(stream.held for stream in self._streams if stream.hop.link == link)

    def handle(self, sender: str, message: WorkMessage) -> None:
        """See `Part`."""
        route = self.route
        if not self.belongs(message.generation) or self._idle:
            self.late_total += 1
            if not isinstance(message, Swapped):
                return
        if isinstance(message, Swapped):
            if sender == route.left:
                if route.place < message.right and route.right is not None:
                    self.host.send(route.right, message)
            elif route.place > message.left and route.left is not None:
                self.host.send(route.left, message)
            if self.belongs(message.generation) and not self._idle:
                self._hear(message)
        elif isinstance(message, Herald):
            hop = next((one for one in route.hops if one.hop == message.hop), None)
            if hop is not None and hop.neighbour == sender and not hop.draws:
                self._there(hop, message.pair)

    def _finished(self, stream: Stream, pair: Pair) -> None:
        hop = stream.hop
        message = Herald(self.path, self.version, self.generation, 0, hop.hop, (), self.host.now_s, pair)
        self.host.send(hop.neighbour, message)
        if hop.swap_place is None:
            stream.spent()
        self._there(hop, pair)

    def _there(self, hop: HopPart, pair: Pair) -> None:
        if hop.swap_place is None:
            self.host.delivered(self, 0, pair)
        elif hop.swap_place == self.route.place:
            self._put(_RIGHT if hop.at_left else _LEFT, pair)

    def _put(self, side: int, pair: Pair) -> None:
        queue = self._queues[side]
        if len(queue) >= self._depth:
            # Its maker counts the same pairs, so this takes a maker that has lost count.
            self.refused_total += 1
            return
        queue.append(pair)
        self._swap()

    def _swap(self) -> None:
        """Swap as long as there are two pairs and room for what comes of them."""
        host, own = self.host, self.route.own
        assert own is not None
        lefts, rights = self._queues
        while lefts and rights and (own.parent_place is None or self._ahead < self._depth):
            left, right = lefts.popleft(), rights.popleft()
            pair: Pair | None = None
            quality = host.hardware.swap_success
            if quality >= 1.0 or host.random.random() < quality:
                outcome = host.random.getrandbits(2)
                pair = swapped(left, right, host.noise, host.now_s, sequence=host.sequence(), outcome=outcome)
                self._ahead += own.parent_place is not None
            else:
                self.dropped_total += 1
            message = Swapped(
                self.path, self.version, self.generation, 0, own.left, own.right, (), pair,
                left.sequence, right.sequence,
            )  # fmt: skip
            for neighbour in (self.route.left, self.route.right):
                if neighbour is not None:
                    host.send(neighbour, message)
            for stream in self._streams:
                if stream.hop.swap_place == own.place:
                    stream.spent()

    def _hear(self, message: Swapped) -> None:
        place, own = self.route.place, self.route.own
        segment = self.route.segment_of(message.left, message.right)
        if segment is None:
            return
        for stream in self._streams:
            if stream.hop.hop in (segment.left_hop, segment.right_hop):
                stream.spent()
        if message.pair is not None and place in (segment.left, segment.right):
            if segment.parent_place is None:
                self.host.delivered(self, 0, message.pair)
            elif segment.parent_place == place:
                self._put(_RIGHT if segment.left == place else _LEFT, message.pair)
        if own is not None and own.parent_place == segment.place and own != segment:
            self._ahead = max(0, self._ahead - 1)
            self._swap()
