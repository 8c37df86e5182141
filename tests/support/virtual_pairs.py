"""A network of pair engines in virtual time: latencies of fibre, streams that end, crashes, faults to order."""

import heapq
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from controller.domain.entries import PathEntry
from controller.domain.pair_link import PairHardware, PairModel
from southbound.agent.pairs.effects import Effect, Send
from southbound.agent.pairs.engine import PairEngine
from southbound.agent.pairs.messages import Message
from southbound.agent.pairs.route import FIBRE_LIGHT_M_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Fibre:
    """One link between two engines."""

    name: str
    ends: tuple[str, str]
    model: PairModel
    length_m: float = 0.0


@dataclass
class Site:
    """One node: its engine, and what outlives it."""

    name: str
    hardware: PairHardware
    engine: PairEngine
    entries: dict[str, PathEntry] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    armed_s: float = math.inf
    lives: int = 1


class VirtualNetwork:
    """Engines, the streams between neighbours, and a clock that jumps from one event to the next."""

    def __init__(
        self,
        nodes: Mapping[str, PairHardware],
        fibres: Iterable[Fibre],
        *,
        seed: int = 0,
        announce: bool = True,
        late_s: float = 0.0,
    ) -> None:
        """Begin.

        Args:
            nodes: By name.
            fibres: Between them.
            seed: Of everything that is drawn.
            announce: See `PairEngine`.
            late_s: Up to this much later than fibre and timers have it everything is done, as on a busy machine.
        """
        self._late_s = late_s
        self._arrived_s: dict[tuple[str, str], float] = {}
        self.now_s = 1.0
        self._random = Random(seed)
        self._announce = announce
        self.fibres = {fibre.name: fibre for fibre in fibres}
        self._latency_s: dict[tuple[str, str], float] = {}
        for fibre in self.fibres.values():
            one, other = fibre.ends
            shortest = min(fibre.length_m / FIBRE_LIGHT_M_PER_S, self._latency_s.get((one, other), math.inf))
            self._latency_s[one, other] = self._latency_s[other, one] = shortest
        self._queue: list[tuple[float, int, str, str, Message | None, int]] = []
        self._serial = 0
        self._streams: dict[tuple[str, str], int] = {}
        """By pair of nodes, both ways: number of the stream that stands; a message of another one is lost."""
        self.sites = {name: Site(name, hardware, self._engine(name, hardware)) for name, hardware in nodes.items()}
        self.steps = 0
        self.watch: Callable[[], None] | None = None
        """Called after every event."""
        self.tap: Callable[[str, str, Message], None] | None = None
        """Called with sender, receiver and message of everything that is sent."""
        self.loses: Callable[[Message], bool] = lambda message: False
        """Says which messages are lost though their stream stands, which the engines are promised never happens."""
        for site in self.sites.values():
            self._links(site)
        for one, other in sorted({tuple(sorted(fibre.ends)) for fibre in self.fibres.values()}):
            self.connect(one, other)

    def _engine(self, name: str, hardware: PairHardware) -> PairEngine:
        return PairEngine(
            name,
            hardware,
            Random(self._random.getrandbits(64)),
            now_s=self.now_s,
            grace_s=2.0 * self._late_s,
            announce=self._announce,
        )

    def _links(self, site: Site) -> None:
        for fibre in self.fibres.values():
            if site.name in fibre.ends:
                neighbour = fibre.ends[fibre.ends[0] == site.name]
                site.engine.set_link(fibre.name, neighbour, fibre.model, self.now_s)

    def connect(self, one: str, other: str) -> None:
        """Have a stream stand."""
        self._serial += 1
        self._streams[one, other] = self._streams[other, one] = self._serial
        for node, neighbour in ((one, other), (other, one)):
            self.sites[node].engine.peer_up(neighbour, self.now_s)
        for node in (one, other):
            self._after(self.sites[node])

    def disconnect(self, one: str, other: str) -> None:
        """End a stream: what is under way on it is lost."""
        if self._streams.pop((one, other), None) is None:
            return
        del self._streams[other, one]
        for node, neighbour in ((one, other), (other, one)):
            self.sites[node].engine.peer_down(neighbour, self.now_s)
            self._after(self.sites[node])

    def neighbours(self, node: str) -> list[str]:
        """Return the nodes that a stream stands to."""
        return [other for one, other in self._streams if one == node]

    def crash(self, node: str, *, down_s: float = 0.0) -> None:
        """Replace an engine by a fresh one, which gets its entries again; its streams end, and stand again later."""
        site = self.sites[node]
        neighbours = self.neighbours(node)
        for neighbour in neighbours:
            self.disconnect(node, neighbour)
        site.engine = self._engine(node, site.hardware)
        site.lives += 1
        site.armed_s = math.inf
        if down_s:
            self.run(down_s)
        self._links(site)
        site.engine.set_paths(site.entries.values(), self.now_s)
        self._after(site)
        for neighbour in neighbours:
            self.connect(node, neighbour)

    def fault(self, link: str, **fault: Any) -> None:
        """Have a fault of a link begin at both ends, or end; see `PairEngine.fault`."""
        for node in self.fibres[link].ends:
            self.sites[node].engine.fault(link, self.now_s, **fault)
            self._after(self.sites[node])

    def put(self, node: str, *entries: PathEntry) -> None:
        """Set entries at a node, beside those that are there."""
        site = self.sites[node]
        site.entries |= {entry.id: entry for entry in entries}
        self._set(site)

    def take(self, node: str, *entry_ids: str) -> None:
        """Remove entries of a node."""
        site = self.sites[node]
        for entry_id in entry_ids:
            site.entries.pop(entry_id, None)
        self._set(site)

    def install(self, entry: PathEntry) -> None:
        """Set a path at all nodes of its route, its head last."""
        for node in reversed(entry.nodes):
            self.put(node, entry)

    def passive(self, entry: PathEntry) -> None:
        """Have the head use a version no longer."""
        self.put(entry.head, replace(entry, passive=True))

    def remove(self, entry: PathEntry) -> None:
        """Remove a path from all nodes of its route."""
        for node in entry.nodes:
            self.take(node, entry.id)

    def _set(self, site: Site) -> None:
        refused = site.engine.set_paths(site.entries.values(), self.now_s)
        assert not refused, refused
        self._after(site)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.run_until(lambda: False, seconds)

    def run_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Let time pass until something is so, or so many seconds are over; return whether it is so."""
        end_s = self.now_s + seconds
        queue, sites, streams = self._queue, self.sites, self._streams
        while queue and queue[0][0] <= end_s:
            at_s, _, node, sender, message, stream = heapq.heappop(queue)
            site = sites[node]
            if at_s > self.now_s:
                self.now_s = at_s
            if message is not None:
                if streams.get((sender, node)) != stream:
                    continue
                site.engine.handle(sender, message, at_s)
            elif stream == site.lives and at_s >= site.armed_s:
                site.armed_s = math.inf
                site.engine.tick(at_s)
            else:
                continue
            self.steps += 1
            self._after(site)
            if self.watch is not None:
                self.watch()
            if done():
                return True
        self.now_s = end_s
        return done()

    def _after(self, site: Site) -> None:
        engine, name = site.engine, site.name
        if engine.outbox:
            for neighbour, message in engine.outbox:
                stream = self._streams.get((name, neighbour))
                if stream is not None and not self.loses(message):
                    if self.tap is not None:
                        self.tap(name, neighbour, message)
                    self._serial += 1
                    at_s = self.now_s + self._latency_s[name, neighbour]
                    if self._late_s:
                        at_s += self._random.random() * self._late_s
                        at_s = self._arrived_s[name, neighbour] = max(at_s, self._arrived_s.get((name, neighbour), 0.0))
                    heapq.heappush(self._queue, (at_s, self._serial, neighbour, name, message, stream))
            engine.outbox.clear()
        if engine.effects:
            site.effects += [effect for effect in engine.effects if not isinstance(effect, Send)]
            engine.effects.clear()
        due_s = engine.next_due()
        if self._late_s and due_s < site.armed_s:
            due_s = max(due_s, self.now_s) + self._random.random() * self._late_s
        if due_s < site.armed_s:
            site.armed_s = due_s
            self._serial += 1
            heapq.heappush(self._queue, (due_s, self._serial, name, "", None, site.lives))
