"""An agent made of the raw stub: says what the test says, over real gRPC and mutual TLS."""

import asyncio
from contextlib import suppress
from types import TracebackType

import grpc
import grpc.aio

from controller.identity.credentials import Tls, open_aio_channel
from controller.identity.peers import Identity, Kind
from controller.wire.southbound import election_to_pb
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.southbound.v1 import agent_pb2_grpc as rpc
from tests.integration.control.conftest import ELECTION, SETTINGS
from tests.unit.control.model_agent import ELECTION as MODELS_ELECTION
from tests.unit.control.model_agent import ModelAgent, hello


class RawAgent:
    """One stream to the controller, with a model agent to answer by the rules when asked to."""

    def __init__(self, tls: Tls, address: str) -> None:
        self.model = ModelAgent(tls.identity.name)
        self._channel = open_aio_channel(tls, address, Identity(Kind.CONTROLLER, "one"))
        stub = rpc.AgentServiceStub(self._channel)
        self._writing = asyncio.Lock()
        self._beats = True
        self._beating: asyncio.Task[None] | None = None
        self.call: grpc.aio.StreamStreamCall[pb.SessionRequest, pb.SessionResponse] = stub.Session()

    async def __aenter__(self) -> "RawAgent":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call.cancel()
        await self.fall_silent()
        await self._channel.close()

    async def say(self, **message: object) -> None:
        await self._write(pb.SessionRequest(election_id=election_to_pb(ELECTION), **message))  # type: ignore[arg-type]

    async def hello(self, *, beating: bool = True, **more: object) -> None:
        request = hello(**{"node": self.model.node, "in_force": self.model.entries, **more})  # type: ignore[arg-type]
        self._beats = beating
        await self._write(request)

    async def fall_silent(self) -> None:
        """Stop the heartbeats. To be done before the controller is made to end the stream.

        A write on an ended stream makes a grpc.aio client report INTERNAL in place of the status, and a write that
        is cancelled cancels the call.
        """
        self._beats = False
        if self._beating is not None:
            await self._beating

    async def _beat(self) -> None:
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError):
            while self._beats:
                await self.say(heartbeat=pb.Heartbeat())
                await asyncio.sleep(SETTINGS.heartbeat_interval_ms / 4000)

    async def _write(self, request: pb.SessionRequest) -> None:
        async with self._writing:
            await self.call.write(request)

    async def next(self, kind: str) -> pb.SessionResponse:
        """Return the next message of that kind, skipping heartbeats."""
        async with asyncio.timeout(10):
            while True:
                message: object = await self.call.read()
                assert isinstance(message, pb.SessionResponse), "the stream has ended"
                if message.WhichOneof("message") == "heartbeat" != kind:
                    continue
                assert message.WhichOneof("message") == kind, message
                if kind == "welcome" and self._beats:
                    self._beating = asyncio.create_task(self._beat())
                return message

    async def take_update(self) -> None:
        """Take one whole update, and answer it by the rules."""
        while not self.model.complete:
            message = await self.next("config_update")
            message.election_id.CopyFrom(election_to_pb(MODELS_ELECTION))
            self.model.take(message)
        answer = self.model.answer()
        assert answer is not None
        answer.election_id.CopyFrom(election_to_pb(ELECTION))
        await self._write(answer)

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """Read until the controller ends the stream, and return why."""
        async with asyncio.timeout(10):
            try:
                while isinstance(await self.call.read(), pb.SessionResponse):
                    pass
            except grpc.aio.AioRpcError as error:
                return error.code(), error.details() or ""
            return await self.call.code(), await self.call.details()
