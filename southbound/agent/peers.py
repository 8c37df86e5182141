"""Streams to other agents over gRPC: the smaller node name dials, one stream per pair, names checked on both sides."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final, Protocol

import grpc
import grpc.aio

from controller.domain.names import is_label
from controller.identity.credentials import AnyTls, grpc_server_credentials, open_aio_channel
from controller.identity.interceptor import IdentityInterceptor
from controller.identity.peers import Identity, Kind, peer_identity
from qinet.peer.v1 import pairs_pb2, peer_pb2_grpc
from qinet.peer.v1 import peer_pb2 as pb
from southbound.agent.keyplane.events import Event, PeerDown, PeerUp, Received
from southbound.agent.keyplane.messages import Message
from southbound.agent.listening import ListenRefused
from southbound.agent.peer_wire import message_from_pb, message_to_pb

log = logging.getLogger(__name__)

RULES_VERSION: Final = 2
HEARTBEAT_S: Final = 2.0
MISSED_HEARTBEATS: Final = 3
OUTBOX_SIZE: Final = 8192
MAX_MESSAGE_BYTES: Final = 16 << 20
_PAIRS_AT_ONCE: Final = 256
_HELLO_TIMEOUT_S: Final = 5.0
_FIRST_DELAY_S: Final = 0.05
_LAST_DELAY_S: Final = 5.0
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.so_reuseport", 0),
)


class Post(Protocol):
    """Takes events for the key plane, see `KeyRoom.post`."""

    def __call__(self, event: Event, *, stream: "PeerStream | None" = None) -> Awaitable[None]:
        """Take an event."""


class PairSide(Protocol):
    """The node's pair engine, see `PairRoom`."""

    def peer_up(self, node: str, stream: "PeerStream") -> None:
        """Send to a node on this stream from now on."""

    def peer_down(self, node: str) -> None:
        """The stream to a node has ended."""

    def received(self, node: str, travelling: Sequence[pairs_pb2.PairMessage]) -> None:
        """Take messages of a node's engine, in order."""


class PeerStream:
    """One stream that stands, or stood: what is sent on it is kept in order, and no more than OUTBOX_SIZE waits."""

    def __init__(self, node: str) -> None:
        self.node = node
        self._outbox: asyncio.Queue[_Waiting] = asyncio.Queue(OUTBOX_SIZE)
        self._ahead: pb.PeerMessage | None = None
        self.ended = asyncio.Event()

    def send(self, message: Message) -> None:
        """Send a message. When too many wait the stream ends, for none may be left out of the middle."""
        if not self.ended.is_set():
            self._put(message_to_pb(message))

    def send_pair(self, message: pairs_pb2.PairMessage) -> None:
        """Send a message of the pair engine, as `send` does."""
        if not self.ended.is_set():
            self._put(message)

    def _put(self, message: "_Waiting") -> None:
        try:
            self._outbox.put_nowait(message)
        except asyncio.QueueFull:
            log.warning("peer does not read, stream ended peer=%s waiting=%d", self.node, OUTBOX_SIZE)
            self.ended.set()

    def end(self) -> None:
        """End the stream; what waits is dropped."""
        self.ended.set()

    @property
    def fill(self) -> float:
        """Return how much waits, over what may; ratio in [0, 1]."""
        return self._outbox.qsize() / OUTBOX_SIZE

    async def outgoing(self) -> AsyncGenerator[pb.PeerMessage, None]:
        """Yield what is to be sent, a heartbeat where nothing else was, until the stream ends."""
        ended = asyncio.ensure_future(self.ended.wait())
        getting: asyncio.Future[_Waiting] | None = None
        try:
            while not self.ended.is_set():
                if self._ahead is not None:
                    ahead, self._ahead = self._ahead, None
                    yield ahead
                elif self._outbox.empty():
                    getting = asyncio.ensure_future(self._outbox.get())
                    done, _ = await asyncio.wait(
                        {getting, ended}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
                    )
                    if getting in done:
                        yield self._gathered(getting.result())
                    else:
                        getting.cancel()
                        if not done:
                            yield pb.PeerMessage(heartbeat=pb.PeerHeartbeat())
                else:
                    yield self._gathered(self._outbox.get_nowait())
        finally:
            ended.cancel()
            if getting is not None:
                getting.cancel()

    def _gathered(self, first: "_Waiting") -> pb.PeerMessage:
        """Return what travels next: a message, or all those of the pair engine that wait behind one another."""
        if isinstance(first, pb.PeerMessage):
            return first
        batch = [first]
        while not self._outbox.empty() and len(batch) < _PAIRS_AT_ONCE:
            following = self._outbox.get_nowait()
            if isinstance(following, pb.PeerMessage):
                self._ahead = following
                break
            batch.append(following)
        if len(batch) == 1:
            return pb.PeerMessage(pair=first)
        return pb.PeerMessage(pairs=pairs_pb2.PairBatch(messages=batch))


_Waiting = pb.PeerMessage | pairs_pb2.PairMessage


class Peers:
    """All streams of one agent.

    A node that is not wanted (see `want`) is neither dialled nor let in. Of two streams of one node the newer
    counts; the older has ended for the key plane before the newer one begins.
    """

    def __init__(
        self, *, node: str, tls: AnyTls, post: Post, on_change: Callable[[], None], pairs: PairSide | None = None
    ) -> None:
        """Prepare; `on_change` is called when a stream begins or ends, `pairs` takes what pair engines say."""
        self._node = node
        self._tls = tls
        self._post = post
        self._on_change = on_change
        self._pairs = pairs
        self._addresses: Mapping[str, str] = {}
        self._wanted: frozenset[str] = frozenset()
        self._streams: dict[str, PeerStream] = {}
        self._gone_since_s: dict[str, float] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._dialling: dict[str, asyncio.Task[None]] = {}
        self._redial: dict[str, asyncio.Event] = {}
        self._holding: set[asyncio.Task[None]] = set()
        self._server: grpc.aio.Server | None = None
        self._stopping = False

    async def listen(self, host: str, port: int) -> int:
        """Start the server and return its port.

        Raises:
            ListenRefused: The address cannot be listened on.
        """
        server = grpc.aio.server(interceptors=[IdentityInterceptor({Kind.NODE})], options=_OPTIONS)
        peer_pb2_grpc.add_PeerServiceServicer_to_server(_Servicer(self), server)
        try:
            bound = server.add_secure_port(f"{host}:{port}", grpc_server_credentials(self._tls))
        except RuntimeError as problem:
            raise ListenRefused(f"{host}:{port}", str(problem)) from None
        await server.start()
        self._server = server
        return bound

    def want(self, nodes: frozenset[str], addresses: Mapping[str, str]) -> None:
        """Hold streams to these nodes and no others; `addresses` says where they listen, as far as it is known."""
        if self._stopping:
            return
        for node in nodes - self._wanted:
            self._gone_since_s[node] = time.monotonic()
        moved = {node for node, address in addresses.items() if self._addresses.get(node) != address}
        self._wanted, self._addresses = nodes, dict(addresses)
        for node, stream in self._streams.items():
            if node not in nodes:
                stream.end()
        for node in [node for node in self._dialling if node not in nodes]:
            self._dialling.pop(node).cancel()
        for node in nodes:
            if self._node < node and node not in self._dialling:
                self._redial[node] = asyncio.Event()
                self._dialling[node] = asyncio.create_task(self._dial(node), name=f"dial-{self._node}-{node}")
            elif node in moved and node in self._redial:
                self._redial[node].set()

    def unheard(self, node: str) -> bool:
        """Tell whether a wanted node was unheard for three heartbeats."""
        if node in self._streams or node not in self._wanted:
            return False
        gone_s = self._gone_since_s.get(node)
        return gone_s is not None and time.monotonic() - gone_s > MISSED_HEARTBEATS * HEARTBEAT_S

    def send(self, node: str, message: Message) -> None:
        """Send a message that is not the key plane's; it is lost where no stream stands."""
        if (stream := self._streams.get(node)) is not None:
            stream.send(message)

    def connected(self) -> frozenset[str]:
        """Return the nodes that a stream stands to."""
        return frozenset(self._streams)

    @property
    def fill(self) -> float:
        """Return the fullest outbox over its size."""
        return max((stream.fill for stream in self._streams.values()), default=0.0)

    async def stop(self) -> None:
        """End every stream and the server. Safe to repeat."""
        self._stopping = True
        tasks = [*self._dialling.values(), *self._holding]
        self._dialling.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(0.0)

    async def _dial(self, node: str) -> None:
        failures = 0
        while True:
            redial = self._redial[node]
            redial.clear()
            if self._addresses.get(node):
                try:
                    stood = await self._call(node, self._addresses[node])
                except grpc.aio.AioRpcError as problem:
                    stood = False
                    log.debug("dial failed node=%s peer=%s why=%s", self._node, node, problem.details())
                failures = 0 if stood else failures + 1
            else:
                failures = 16
            longest_s = min(_LAST_DELAY_S, _FIRST_DELAY_S * 1.6 ** min(failures, 16))
            with suppress(TimeoutError):
                async with asyncio.timeout(longest_s * (0.5 + secrets.randbelow(1000) / 2000)):
                    await redial.wait()

    async def _call(self, node: str, address: str) -> bool:
        """Hold one stream that we dial; return whether it stood."""
        async with open_aio_channel(self._tls, address, Identity(Kind.NODE, node), _OPTIONS) as channel:
            call = peer_pb2_grpc.PeerServiceStub(channel).Exchange()

            async def read() -> pb.PeerMessage | None:
                response = await call.read()
                return response.message if isinstance(response, pb.ExchangeResponse) else None

            try:
                async with asyncio.timeout(_HELLO_TIMEOUT_S):
                    await call.write(pb.ExchangeRequest(message=_hello(self._node)))
                    answer = await read()
                if answer is None or _hello_problem(answer, node):
                    problem = await call.details() if answer is None else _hello_problem(answer, node)
                    log.debug("peer refused node=%s peer=%s why=%s", self._node, node, problem)
                    return False
                stream = PeerStream(node)
                writing = asyncio.create_task(_write(call, stream))
                try:
                    await self.hold(stream, read)
                finally:
                    writing.cancel()
                    await asyncio.gather(writing, return_exceptions=True)
                return True
            except (TimeoutError, asyncio.InvalidStateError):
                return False
            finally:
                call.cancel()

    def refusal(self, node: str) -> str:
        """Return why a stream of that node is not let in, "" if it is."""
        if self._stopping:
            return f"{self._node} is shutting down"
        if node not in self._wanted:
            return f"nothing configured here joins {self._node} with {node} (yet)"
        if node > self._node:
            return f"{self._node} dials {node}: the smaller node name does"
        return ""

    @property
    def node(self) -> str:
        """Return whose streams these are."""
        return self._node

    def serve(self, stream: PeerStream, read: "Callable[[], Awaitable[pb.PeerMessage | None]]") -> "asyncio.Task[None]":
        """Hold a stream in a task of its own, which ends with the agent at the latest; the stream ends with it."""
        task = asyncio.create_task(self.hold(stream, read))
        self._holding.add(task)
        task.add_done_callback(self._holding.discard)
        task.add_done_callback(lambda _: stream.end())
        return task

    async def hold(self, stream: PeerStream, read: "Callable[[], Awaitable[pb.PeerMessage | None]]") -> None:
        """Hand what comes on a stream to the key plane, from PeerUp to PeerDown, until either side ends it."""
        node = stream.node
        if (older := self._streams.get(node)) is not None:
            older.end()
        # Held for the life of the stream: the newer one begins after the older has ended.
        async with self._locks.setdefault(node, asyncio.Lock()):
            if stream.ended.is_set() or self._stopping:
                return
            self._streams[node] = stream
            parts: list[asyncio.Task[object]] = []
            try:
                await self._post(PeerUp(now_s=0.0, node=node), stream=stream)
                if self._pairs is not None:
                    self._pairs.peer_up(node, stream)
                self._on_change()
                parts = [asyncio.create_task(self._read(stream, read)), asyncio.create_task(stream.ended.wait())]
                await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stream.end()
                self._streams.pop(node, None)
                self._gone_since_s[node] = time.monotonic()
                for part in parts:
                    part.cancel()
                await asyncio.gather(*parts, return_exceptions=True)
                if self._pairs is not None:
                    self._pairs.peer_down(node)
                if not self._stopping:
                    await self._post(PeerDown(now_s=0.0, node=node))
                self._on_change()

    async def _read(self, stream: PeerStream, read: "Callable[[], Awaitable[pb.PeerMessage | None]]") -> None:
        while True:
            try:
                async with asyncio.timeout(MISSED_HEARTBEATS * HEARTBEAT_S):
                    travelling = await read()
            except (TimeoutError, grpc.aio.AioRpcError):
                return
            if travelling is None:
                return
            kind = travelling.WhichOneof("kind")
            if kind in {"pair", "pairs"}:
                said = [travelling.pair] if kind == "pair" else travelling.pairs.messages
                if len(said) > _PAIRS_AT_ONCE:
                    log.warning("peer says more at once than it may, stream ended peer=%s", stream.node)
                    return
                if self._pairs is not None:
                    self._pairs.received(stream.node, said)
            elif (message := message_from_pb(travelling)) is not None:
                await self._post(Received(now_s=0.0, node=stream.node, message=message))


class _Servicer(peer_pb2_grpc.PeerServiceServicer):
    """The side that is dialled."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def Exchange(
        self,
        request_iterator: AsyncIterator[pb.ExchangeRequest],
        context: "grpc.aio.ServicerContext[pb.ExchangeRequest, pb.ExchangeResponse]",
    ) -> AsyncIterator[pb.ExchangeResponse]:
        """Serve one stream: see peer.proto."""
        peers, node = self._peers, peer_identity(context).name
        requests = aiter(request_iterator)

        async def read() -> pb.PeerMessage | None:
            request = await anext(requests, None)
            return None if request is None else request.message

        try:
            async with asyncio.timeout(_HELLO_TIMEOUT_S):
                hello = await read()
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no hello came")
        if hello is None or not hello.HasField("hello"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be a hello")
        if hello.hello.node != node:
            claimed = hello.hello.node if is_label(hello.hello.node) else "something else"
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED, f"the certificate is that of node {node}, the hello says {claimed}"
            )
        if problem := _hello_problem(hello, node) or peers.refusal(node):
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, problem)
        yield pb.ExchangeResponse(message=_hello(peers.node))
        stream = PeerStream(node)
        holding = peers.serve(stream, read)
        try:
            async with aclosing(stream.outgoing()) as outgoing:
                async for message in outgoing:
                    yield pb.ExchangeResponse(message=message)
        finally:
            stream.end()
            await asyncio.gather(holding, return_exceptions=True)


async def _write(call: Any, stream: PeerStream) -> None:
    try:
        async with aclosing(stream.outgoing()) as outgoing:
            async for message in outgoing:
                await call.write(pb.ExchangeRequest(message=message))
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass
    finally:
        stream.end()


def _hello(node: str) -> pb.PeerMessage:
    return pb.PeerMessage(hello=pb.PeerHello(node=node, rules_version=RULES_VERSION))


def _hello_problem(message: pb.PeerMessage, node: str) -> str:
    if not message.HasField("hello") or message.hello.node != node:
        return f"the first message is no hello of {node}"
    if message.hello.rules_version != RULES_VERSION:
        return f"it follows version {message.hello.rules_version} of the peer rules, and this agent {RULES_VERSION}"
    return ""
