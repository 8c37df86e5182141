"""Runs the key plane: one task feeds it events, makes what it decides durable, and only then lets it out."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from southbound.agent.clock import ServiceTime
from southbound.agent.keyplane.events import (
    Answer,
    Append,
    BlockFinished,
    ClearAlarm,
    Effect,
    Entropy,
    Erase,
    Event,
    Figures,
    GetKeys,
    GetKeysById,
    KeyStatus,
    NeedEntropy,
    PeerDown,
    PeerUp,
    Persist,
    RaiseAlarm,
    Record,
    RelayFigures,
    RouteConfirmed,
    RoutesChanged,
    Send,
    Tick,
    WakeAt,
)
from southbound.agent.keyplane.messages import Message
from southbound.agent.keyplane.plane import KeyPlane
from southbound.agent.storage import Storage, Write

log = logging.getLogger(__name__)

INBOX_SIZE: Final = 1024
_BLOCKS_SIZE: Final = 16
"""Blocks come by themselves and can wait: what peers, applications and the controller want goes first."""
_TURN_S: Final = 0.010
"""How long events are handled before the loop gets a turn and what was decided is committed."""
_ANSWER_TIMEOUT_S: Final = 20.0


class Stream(Protocol):
    """A stream to a peer that stands, or stood."""

    def send(self, message: Message) -> None:
        """Send the message without waiting; drop it if the stream has ended."""


class RoomClosed(Exception):  # noqa: N818 (what happened)
    """The key room was closed before an event became durable."""


Notice = RaiseAlarm | ClearAlarm | RouteConfirmed | RoutesChanged


@dataclass(slots=True)
class _Item:
    event: Event
    writes: Sequence[Write] = ()
    done: "asyncio.Future[None] | None" = None
    stream: Stream | None = None


@dataclass(slots=True)
class _Batch:
    writes: list[Write] = field(default_factory=list)
    out: list[tuple[Stream, Message] | Answer | Notice] = field(default_factory=list)
    done: "list[asyncio.Future[None]]" = field(default_factory=list)


class KeyRoom:
    """The key plane of a node, on its event loop.

    `on_notice` is called, once it is durable, with what others must know: alarms, and what changed of relays' routes.
    """

    def __init__(
        self, plane: KeyPlane, storage: Storage, service_time: ServiceTime, on_notice: Callable[[Notice], None]
    ) -> None:
        self._plane = plane
        self._storage = storage
        self._service_time = service_time
        self._on_notice = on_notice
        self._inbox: asyncio.Queue[_Item] = asyncio.Queue(INBOX_SIZE)
        self._blocks: asyncio.Queue[_Item] = asyncio.Queue(_BLOCKS_SIZE)
        self._settings: asyncio.Queue[_Item] = asyncio.Queue()
        self._arrived = asyncio.Event()
        self._streams: dict[str, Stream] = {}
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._settling: set[asyncio.Future[None]] = set()
        self._requests = 0
        self._wake: asyncio.TimerHandle | None = None
        self._wanted_entropy = 0
        self._open = True

    async def restore(self, records: Iterable[Record]) -> None:
        """Give the plane what it kept. Call it first, once."""
        batch = _Batch()
        self._take(self._plane.restore(records, self._service_time.now_s()), batch)
        self._feed_entropy(batch)
        await self._carry_out(batch)

    async def run(self) -> None:
        """Handle events until cancelled.

        Raises:
            sqlite3.Error: The disk failed: the plane is ahead of it, so the agent must end.
        """
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch = _Batch()
            until = time.monotonic() + _TURN_S
            # Who settles something is waited for by a network: hundreds of chunks in the inbox would hold up a move.
            while not self._settings.empty():
                self._handle(self._settings.get_nowait(), batch)
            while not self._inbox.empty() and time.monotonic() < until:
                self._handle(self._inbox.get_nowait(), batch)
            # One block a turn at least, or endless traffic would starve the links that feed it.
            if not self._blocks.empty():
                self._handle(self._blocks.get_nowait(), batch)
            while not self._blocks.empty() and self._inbox.empty() and time.monotonic() < until:
                self._handle(self._blocks.get_nowait(), batch)
            self._take(self._plane.finish(self._service_time.now_s()), batch)
            self._feed_entropy(batch)
            if not (self._inbox.empty() and self._blocks.empty() and self._settings.empty()):
                self._arrived.set()
            await self._carry_out(batch)
            await asyncio.sleep(0)

    async def post(self, event: Event, *, writes: Sequence[Write] = (), stream: Stream | None = None) -> None:
        """Hand over an event (its `now_s` is filled in), waiting while the inbox is full.

        Args:
            event: What happened.
            writes: What must become durable together with what the plane decides on it.
            stream: With PeerUp: where messages to that node go from now on.
        """
        queue = self._blocks if isinstance(event, BlockFinished) else self._inbox
        await self._put(queue, _Item(event, writes, None, stream))

    async def settle(self, event: Event, *, writes: Sequence[Write] = ()) -> None:
        """Hand over an event and return when the writes and what the plane decided on it are durable.

        It goes before whatever waits in the inbox.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settling.add(done)
        try:
            await self._put(self._settings, _Item(event, writes, done))
            await done
        finally:
            self._settling.discard(done)

    async def ask(self, event: GetKeys | GetKeysById) -> Answer:
        """Ask for keys; `request` and `now_s` of the event are filled in. 503 where the plane takes too long."""
        if not self._open:
            return _closed(0)
        self._requests += 1
        number = self._requests
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                await self._put(self._inbox, _Item(replace(event, request=number)))
                return await answer
        except TimeoutError:
            return Answer(number, 503, "the key management entity is overloaded: try again later")
        finally:
            self._asked.pop(number, None)

    def status(self, master: str, slave: str) -> KeyStatus | None:
        """Return the figures of 014's `status`, or None where no association serves the pair."""
        return self._plane.status(master, slave, self._service_time.now_s())

    def figures(self) -> Figures:
        """Return the figures for reports and metrics."""
        return self._plane.figures()

    def relay_figures(self, relay: str) -> RelayFigures | None:
        """Return the figures of one relay that ends here; None where it does not."""
        return self._plane.relay_figures(relay)

    def peers(self) -> frozenset[str]:
        """Return the nodes that a stream is needed to."""
        return self._plane.peers()

    def fill(self) -> float:
        """Return the length of the inbox over its size."""
        return self._inbox.qsize() / INBOX_SIZE

    def close(self) -> None:
        """Answer what is open with 503; nothing is handled any more. Cancel `run` first."""
        self._open = False
        if self._wake is not None:
            self._wake.cancel()
        for number, answer in self._asked.items():
            if not answer.done():
                answer.set_result(_closed(number))
        for done in self._settling:
            if not done.done():
                done.set_exception(RoomClosed())

    async def _put(self, queue: "asyncio.Queue[_Item]", item: _Item) -> None:
        await queue.put(item)
        self._arrived.set()

    def _handle(self, item: _Item, batch: _Batch) -> None:
        event = replace(item.event, now_s=self._service_time.now_s())
        if isinstance(event, PeerDown):
            self._streams.pop(event.node, None)
        elif isinstance(event, PeerUp) and item.stream is not None:
            self._streams[event.node] = item.stream
        batch.writes.extend(item.writes)
        self._take(self._plane.handle(event, more=True), batch)
        if item.done is not None:
            batch.done.append(item.done)

    def _feed_entropy(self, batch: _Batch) -> None:
        while self._wanted_entropy:
            wanted, self._wanted_entropy = self._wanted_entropy, 0
            entropy = Entropy(now_s=self._service_time.now_s(), data=os.urandom(wanted))
            self._take(self._plane.handle(entropy), batch)

    def _take(self, effects: Iterable[Effect], batch: _Batch) -> None:
        for effect in effects:
            match effect:
                case Persist() | Erase() | Append():
                    batch.writes.append(effect)
                case Send(node=node, message=message):
                    # To the stream that the plane knows of now, not to the one that may stand when this is durable.
                    if (stream := self._streams.get(node)) is not None:
                        batch.out.append((stream, message))
                case Answer() | RaiseAlarm() | ClearAlarm() | RouteConfirmed() | RoutesChanged():
                    batch.out.append(effect)
                case WakeAt(at_s=at_s):
                    self._wake_at(at_s)
                case NeedEntropy(byte_count=byte_count):
                    self._wanted_entropy = max(self._wanted_entropy, byte_count)

    def _wake_at(self, at_s: float) -> None:
        if self._wake is not None:
            self._wake.cancel()
        delay_s = min(3600.0, max(0.001, at_s - self._service_time.now_s()))
        self._wake = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        if not self._inbox.full():
            self._inbox.put_nowait(_Item(Tick(now_s=0.0)))
            self._arrived.set()
        elif self._open:
            self._wake = asyncio.get_running_loop().call_later(0.01, self._tick)

    async def _carry_out(self, batch: _Batch) -> None:
        if batch.writes:
            await self._storage.commit(batch.writes, self._service_time.stamp())
        for item in batch.out:
            match item:
                case Answer():
                    asked = self._asked.get(item.request)
                    if asked is not None and not asked.done():
                        asked.set_result(item)
                case (stream, message):
                    stream.send(message)
                case _:
                    self._on_notice(item)
        for done in batch.done:
            if not done.done():
                done.set_result(None)


def _closed(number: int) -> Answer:
    return Answer(number, 503, "the key management entity is shutting down")
