"""A man in the middle: our agent dials it, it dials the conformance suite with the agent's certificate, and what it
alters on the way makes our agent another, worse one."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import grpc
import grpc.aio

from controller.domain.entries import EMPTY_DIGEST
from controller.identity.credentials import grpc_server_credentials, open_aio_channel
from controller.identity.interceptor import IdentityInterceptor
from controller.identity.peers import Identity, Kind
from controller.identity.tls_files import Tls
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.southbound.v1 import agent_pb2_grpc as rpc

_Context = grpc.aio.ServicerContext[pb.SessionRequest, pb.SessionResponse]


@dataclass
class Stream:
    """One stream through the middle, and what a vice may want to remember of it.

    Attributes:
        digest: Of what the agent has in force, as it last said.
        own: Nonces of updates that the middle made up itself.
    """

    to_suite: "asyncio.Queue[pb.SessionRequest]" = field(default_factory=asyncio.Queue)
    to_agent: "asyncio.Queue[pb.SessionResponse | None]" = field(default_factory=asyncio.Queue)
    broken: asyncio.Event = field(default_factory=asyncio.Event)
    digest: bytes = EMPTY_DIGEST
    own: set[int] = field(default_factory=set)


class Vice:
    """What an agent does wrong: nothing, here. One object lives as long as the agent under test, restarts included.

    Attributes:
        also: Groups of checks that it needs besides that of what it fails.
    """

    also: tuple[str, ...] = ()

    async def opened(self, stream: Stream) -> None:
        """Take that the agent dialled; runs until the stream ends."""

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        """Return what becomes of a message of the agent."""
        return [request]

    def down(self, stream: Stream, response: pb.SessionResponse) -> list[pb.SessionResponse]:
        """Return what becomes of a message of the suite."""
        return [response]


class Between(rpc.AgentServiceServicer):
    """Stands between agent and suite."""

    def __init__(self, vice: Vice, *, controller: Tls, node: Tls, suite: str) -> None:
        self._vice = vice
        self._controller = controller
        self._node = node
        self._suite = suite
        self._running: set[asyncio.Task[None]] = set()
        self._server = grpc.aio.server(
            interceptors=[IdentityInterceptor({Kind.NODE})], options=[("grpc.so_reuseport", 0)]
        )
        rpc.add_AgentServiceServicer_to_server(self, self._server)

    async def start(self) -> str:
        port = self._server.add_secure_port("127.0.0.1:0", grpc_server_credentials(self._controller))
        await self._server.start()
        return f"127.0.0.1:{port}"

    async def stop(self) -> None:
        await self._server.stop(0)
        await asyncio.gather(*self._running, return_exceptions=True)

    async def Session(  # type: ignore[override]
        self, request_iterator: object, context: _Context
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        options = (("grpc.use_local_subchannel_pool", 1),)
        identity = Identity(Kind.CONTROLLER, self._controller.identity.name)
        async with open_aio_channel(self._node, self._suite, identity, options) as channel:
            call = rpc.AgentServiceStub(channel).Session()
            stream = Stream()
            works = (
                self._hear_agent(stream, context),
                self._hear_suite(stream, call),
                _tell_suite(stream, call),
                _tell_agent(stream, context),
                stream.broken.wait(),
            )
            tasks = [asyncio.ensure_future(work) for work in works]
            idle = asyncio.ensure_future(self._vice.opened(stream))
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                code, details = grpc.StatusCode.CANCELLED, ""
                if tasks[1].done():
                    code, details = await call.code(), await call.details()
            finally:
                call.cancel()
                # A write that is cut off leaves the stream in no state to be ended with a status.
                stream.to_agent.put_nowait(None)
                writer = tasks.pop(3)
                for work in (*tasks, idle):
                    work.cancel()
                try:
                    await asyncio.wait([writer], timeout=1.0)
                    await asyncio.gather(*tasks, idle, return_exceptions=True)
                finally:
                    writer.cancel()
        if code is not grpc.StatusCode.OK:
            await context.abort(code, details or "")

    async def _hear_agent(self, stream: Stream, context: _Context) -> None:
        while True:
            request: object = await context.read()
            if not isinstance(request, pb.SessionRequest):
                return
            if request.HasField("hello"):
                stream.digest = request.hello.base_digest
            if request.HasField("ack"):
                stream.digest = request.ack.digest
            for altered in self._vice.up(stream, request):
                stream.to_suite.put_nowait(altered)

    async def _hear_suite(
        self, stream: Stream, call: "grpc.aio.StreamStreamCall[pb.SessionRequest, pb.SessionResponse]"
    ) -> None:
        with suppress(grpc.aio.AioRpcError):
            while True:
                response: object = await call.read()
                if not isinstance(response, pb.SessionResponse):
                    return
                for altered in self._vice.down(stream, response):
                    stream.to_agent.put_nowait(altered)


async def _tell_suite(stream: Stream, call: "grpc.aio.StreamStreamCall[pb.SessionRequest, pb.SessionResponse]") -> None:
    try:
        while True:
            await call.write(await stream.to_suite.get())
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        # Who listens learns why the suite has ended it.
        await asyncio.Event().wait()


async def _tell_agent(stream: Stream, context: _Context) -> None:
    while (response := await stream.to_agent.get()) is not None:
        await context.write(response)
