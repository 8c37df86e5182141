"""Where agents dial in: streams, timers and TLS around the registry and its sessions."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import grpc
import grpc.aio
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from controller.domain.refusals import Precondition
from controller.domain.snapshot import ElectionId
from controller.identity.credentials import AnyTls, grpc_server_credentials
from controller.identity.interceptor import IdentityInterceptor, peer_identity
from controller.identity.peers import Kind
from controller.ports.agents import NO_LIFETIMES, Deliver
from controller.ports.clock import Clock
from controller.ports.observations import Observations
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.southbound.v1 import agent_pb2_grpc as rpc
from southbound.control.endings import Code, Ending, SessionRefused
from southbound.control.inventories import Topology
from southbound.control.registry import Registry
from southbound.control.session import AgentSession, ignore
from southbound.control.settings import ControlSettings
from southbound.repeats import Repeats

log = logging.getLogger(__name__)

_DOMAIN: Final = "qinet.southbound"
_TICK_S: Final = 1.0
_STOPPING: Final = Ending(
    code=Code.UNAVAILABLE, reason="STOPPING", message="the controller is being shut down: try the next one, or later"
)
_CLOSED: Final = Ending(code=Code.CANCELLED, reason="CLOSED", message="the agent closed the stream, or it broke")

_Context = grpc.aio.ServicerContext[pb.SessionRequest, pb.SessionResponse]


class AgentServer(rpc.AgentServiceServicer):
    """The agents port over gRPC. Everything runs on the event loop that it was started in.

    Each session has a task that reads, one that writes and one for its time, so that a slow agent delays only itself.
    """

    def __init__(
        self,
        *,
        deliver: Deliver,
        observations: Observations,
        clock: Clock,
        settings: ControlSettings | None = None,
        jitter: Callable[[], float] = random.random,
        push_to_ack: Callable[[int], None] = ignore,
        topology: Callable[[], Topology] | None = None,
    ) -> None:
        """Prepare to serve.

        Args:
            deliver: The writer's inbox.
            observations: Where measurements go.
            clock: Its monotonic time is used.
            settings: Of the sessions; None takes the defaults.
            jitter: Gives numbers in [0, 1), for back-off.
            push_to_ack: Told the milliseconds from each push to its Ack.
            topology: Returns what agents' inventories are compared with; None compares nothing.
        """
        self._clock = clock
        self._settings = settings or ControlSettings()
        self._registry = Registry(
            deliver=deliver,
            observations=observations,
            settings=self._settings,
            jitter=jitter,
            push_to_ack=push_to_ack,
            topology=topology,
        )
        self._server: grpc.aio.Server | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._stopping = False
        self._repeats = Repeats()

    @property
    def registry(self) -> Registry:
        """Return the sessions."""
        return self._registry

    def push(
        self,
        desired: Mapping[str, Mapping[str, bytes] | None],
        version: int,
        election: ElectionId,
        *,
        remaining_s: Mapping[str, int] = NO_LIFETIMES,
    ) -> None:
        """Take what the writer wants; see controller.ports.agents.AgentPort."""
        self._registry.push(desired, version, election, now_ms=self._clock.monotonic_ms(), remaining_s=remaining_s)

    def reconfigure(self, settings: ControlSettings) -> None:
        """Run the sessions that begin from now on with these; those that stand keep what their agents were told."""
        self._settings = settings
        self._registry.reconfigure(settings)

    async def start(self, tls: AnyTls, address: str) -> int:
        """Listen at `host:port`, and return the port; port 0 takes a free one.

        Raises:
            TlsRefused: The certificate is not a daemon's.
            Precondition: ADDRESS_IN_USE: somebody else listens there.
        """
        server = grpc.aio.server(
            interceptors=[IdentityInterceptor({Kind.NODE})],
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", self._settings.max_message_bytes),
                ("grpc.max_send_message_length", -1),
            ],
        )
        rpc.add_AgentServiceServicer_to_server(self, server)
        try:
            port = server.add_secure_port(address, grpc_server_credentials(tls))
        except RuntimeError:
            port = 0
        if not port:
            raise Precondition(
                "ADDRESS_IN_USE",
                f"cannot listen for agents at {address}: another program does, or the address is not this machine's; "
                "choose another in the configuration (southbound)",
                {"address": address},
            )
        await server.start()
        self._server = server
        self._ticker = asyncio.create_task(self._tick(), name="agents-tick")
        return port

    async def stop(self, grace_s: float = 2.0) -> None:
        """Tell the agents to go elsewhere, and stop listening. Safe to repeat."""
        self._stopping = True
        self._registry.end_all(_STOPPING)
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        if self._server is not None:
            await self._server.stop(grace_s)
            self._server = None

    async def Session(  # type: ignore[override]  # the stub's union of sync and async contexts fits no real servicer
        self, request_iterator: AsyncIterator[pb.SessionRequest], context: _Context
    ) -> None:
        """Hold one agent's session."""
        node = peer_identity(context).name
        try:
            session = await self._open(node, context)
        except SessionRefused as refusal:
            line = f"agent refused node={node} reason={refusal.ending.reason}: {refusal.ending.message}"
            if (told := self._repeats.note(line, self._clock.monotonic_ms() / 1000)) is not None:
                log.warning("%s", told)
            await context.abort(*_answer(refusal.ending))
        if session is None:
            return
        log.info("agent connected node=%s store=%s", node, session.store_id)
        try:
            await self._hold(session, context)
        finally:
            session.end(_CLOSED)
            self._registry.collect(session)
            ending = session.ending or _CLOSED
            log.info("agent gone node=%s reason=%s: %s", node, ending.reason, ending.message)
        if ending is not _CLOSED:
            await context.abort(*_answer(ending))

    async def _open(self, node: str, context: _Context) -> AgentSession | None:
        if self._stopping:
            raise SessionRefused(_STOPPING)
        try:
            async with asyncio.timeout(self._settings.hello_timeout_ms / 1000):
                first = await _heard(context)
        except TimeoutError:
            raise SessionRefused(
                Ending(
                    code=Code.DEADLINE_EXCEEDED,
                    reason="NO_HELLO",
                    message=f"nodes/{node}: no Hello within {self._settings.hello_timeout_ms} ms",
                    facts={"node": node},
                )
            ) from None
        if first is None:
            return None
        return self._registry.open(node, first, self._clock.monotonic_ms())

    async def _hold(self, session: AgentSession, context: _Context) -> None:
        awake, ended = asyncio.Event(), asyncio.Event()

        def woken() -> None:
            awake.set()
            if session.ending is not None:
                ended.set()

        session.woken = woken
        tasks = [
            asyncio.create_task(work, name=f"agent-{session.node}-{what}")
            for what, work in (
                ("read", self._read(session, context)),
                ("write", self._write(session, context, awake)),
                ("time", self._keep_time(session)),
                ("end", ended.wait()),
            )
        ]
        woken()
        try:
            finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            session.woken = ignore
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in finished:
            # A broken stream shows as an error of gRPC's; any other error is ours, and must be seen.
            if not task.cancelled() and (fault := task.exception()) is not None:
                log.log(
                    logging.DEBUG if isinstance(fault, (grpc.RpcError, grpc.aio.UsageError)) else logging.ERROR,
                    "agent's stream failed node=%s",
                    session.node,
                    exc_info=fault,
                )

    async def _read(self, session: AgentSession, context: _Context) -> None:
        while session.ending is None:
            if self._registry.blocked(session.node):
                await self._wait_for_room(session)
                continue
            request = await _heard(context)
            if request is None:
                return
            session.receive(request, self._clock.monotonic_ms())
            self._registry.collect(session)

    async def _wait_for_room(self, session: AgentSession) -> None:
        session.pause()
        # The inbox has no way to say that there is room again, and waits for nobody.
        while not self._registry.offer_again(session.node):  # noqa: ASYNC110
            await asyncio.sleep(self._settings.inbox_retry_ms / 1000)
        session.resume(self._clock.monotonic_ms())

    async def _write(self, session: AgentSession, context: _Context, awake: asyncio.Event) -> None:
        while session.ending is None:
            now_ms = self._clock.monotonic_ms()
            message = session.next_message(now_ms)
            self._registry.collect(session)
            if message is not None:
                await context.write(message)
                continue
            look_ms = session.look_ms
            with suppress(TimeoutError):
                async with asyncio.timeout(None if look_ms is None else max(0, look_ms - now_ms) / 1000):
                    await awake.wait()
            awake.clear()

    async def _keep_time(self, session: AgentSession) -> None:
        while session.ending is None:
            await asyncio.sleep(max(1, session.tick_ms - self._clock.monotonic_ms()) / 1000)
            session.tick(self._clock.monotonic_ms())
            self._registry.collect(session)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._registry.tick(self._clock.monotonic_ms())


async def _heard(context: _Context) -> pb.SessionRequest | None:
    """Return the next message, or None when the agent has closed its side."""
    request: object = await context.read()  # the stub forgets that this may be EOF
    return request if isinstance(request, pb.SessionRequest) else None


def _answer(ending: Ending) -> tuple[grpc.StatusCode, str, Any]:
    code = grpc.StatusCode[ending.code.value]
    status = status_pb2.Status(code=code.value[0], message=ending.message)
    status.details.add().Pack(ErrorInfo(reason=ending.reason, domain=_DOMAIN, metadata=dict(ending.facts)))
    return code, ending.message, rpc_status.to_status(status).trailing_metadata
