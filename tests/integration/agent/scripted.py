"""A controller that does what a test says, over real gRPC; and a line of three nodes for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import grpc
import grpc.aio

from controller.config.link_section import LinkSimulation
from controller.domain.entries import (
    ApplicationEntry,
    ApplicationRemote,
    Entry,
    HopRole,
    LinkEntry,
    RelayHopEntry,
    digest_of,
    entry_hash,
)
from controller.domain.link import Basis, Link, LinkEnd, Provenance
from controller.domain.node import Interface, Node, Technology
from controller.domain.route import Hop
from controller.identity import lab_ca
from controller.identity.credentials import grpc_server_credentials
from controller.identity.interceptor import IdentityInterceptor, peer_identity
from controller.identity.peers import Kind, parse_identity
from controller.identity.tls_files import Tls, load_tls
from controller.wire.entries import entry_to_bytes
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.southbound.v1 import agent_pb2_grpc
from qinet.types.v1 import types_pb2
from southbound.agent.clock import SystemClock
from southbound.agent.drivers.simulated import SimulatedChannel, SimulatedLink, SimulatedModule
from southbound.agent.keyplane.events import Answer, GetKeys, GetKeysById
from southbound.agent.node import Agent, AgentPlan
from southbound.agent.uplink import ControllerAddress

TIMEOUT_S = 20.0
NODES = ("a", "b", "c")
LINKS = {"a-b": ("a", "b"), "b-c": ("b", "c")}


class AgentSession:
    """One agent's stream, as the controller sees it."""

    def __init__(self, hello: pb.Hello) -> None:
        self.hello = hello
        self.said: list[pb.SessionRequest] = []
        self.outbox: asyncio.Queue[pb.SessionResponse | None] = asyncio.Queue()
        self.changed = asyncio.Condition()
        self.over = False

    async def until(self, wanted: Callable[[pb.SessionRequest], bool]) -> pb.SessionRequest:
        async with asyncio.timeout(TIMEOUT_S), self.changed:
            while True:
                for request in self.said:
                    if wanted(request):
                        return request
                await self.changed.wait()


class Controller(agent_pb2_grpc.AgentServiceServicer):
    """Welcomes everybody under `election`, and acknowledges every notification."""

    def __init__(self, tls: Tls, election: tuple[int, int] = (1, 1), port: int = 0) -> None:
        self._tls = tls
        self._port = port
        self.election = election
        self.heartbeat_ms = 200
        self.silent = False
        self.sessions: dict[str, AgentSession] = {}
        self.hellos: list[pb.Hello] = []
        self.in_force: dict[str, dict[str, bytes]] = {}
        self._nonce = 0
        self._changed = asyncio.Condition()
        self._server = grpc.aio.server(
            interceptors=[IdentityInterceptor({Kind.NODE})], options=[("grpc.so_reuseport", 0)]
        )
        agent_pb2_grpc.add_AgentServiceServicer_to_server(self, self._server)

    async def __aenter__(self) -> "Controller":
        self._port = self._server.add_secure_port(f"127.0.0.1:{self._port}", grpc_server_credentials(self._tls))
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        await self._server.stop(0)

    @property
    def port(self) -> int:
        return self._port

    @property
    def address(self) -> ControllerAddress:
        return ControllerAddress(name=self._tls.identity.name, address=f"127.0.0.1:{self._port}")

    async def Session(
        self,
        request_iterator: AsyncIterator[pb.SessionRequest],
        context: "grpc.aio.ServicerContext[pb.SessionRequest, pb.SessionResponse]",
    ) -> AsyncIterator[pb.SessionResponse]:
        requests = aiter(request_iterator)
        hello = (await anext(requests)).hello
        assert peer_identity(context).name == hello.node
        session = AgentSession(hello)
        self.hellos.append(hello)
        reading = asyncio.create_task(self._read(requests, session))
        beating = asyncio.create_task(self._beat(session))
        try:
            yield self.response(
                welcome=pb.Welcome(
                    heartbeat_interval_ms=self.heartbeat_ms, report_interval_ms=300, max_message_bytes=4 << 20
                )
            )
            async with self._changed:
                self.sessions[hello.node] = session
                self._changed.notify_all()
            while (response := await session.outbox.get()) is not None:
                yield response
        finally:
            session.over = True
            for task in (reading, beating):
                task.cancel()
            await asyncio.gather(reading, beating, return_exceptions=True)

    def response(self, **said: object) -> pb.SessionResponse:
        epoch, term = self.election
        return pb.SessionResponse(election_id=types_pb2.ElectionId(epoch=epoch, term=term), **said)  # type: ignore[arg-type]

    async def _read(self, requests: AsyncIterator[pb.SessionRequest], session: AgentSession) -> None:
        with suppress(grpc.aio.AioRpcError, StopAsyncIteration):
            async for request in requests:
                if request.HasField("notification"):
                    ack = pb.NotificationAck(sequence=request.notification.sequence)
                    session.outbox.put_nowait(self.response(notification_ack=ack))
                async with session.changed:
                    session.said.append(request)
                    session.changed.notify_all()
        session.outbox.put_nowait(None)

    async def _beat(self, session: AgentSession) -> None:
        while True:
            await asyncio.sleep(self.heartbeat_ms / 1000)
            if not self.silent:
                session.outbox.put_nowait(self.response(heartbeat=pb.Heartbeat()))

    async def session(self, node: str, *, after: AgentSession | None = None) -> AgentSession:
        async with asyncio.timeout(TIMEOUT_S), self._changed:
            while node not in self.sessions or self.sessions[node] is after:
                await self._changed.wait()
            return self.sessions[node]

    async def configure(
        self,
        node: str,
        entries: Iterable[Entry],
        deletes: Iterable[str] = (),
        *,
        raw: Mapping[str, bytes] = {},
        remaining_s: int | None = None,
    ) -> pb.SessionRequest:
        """Send an update and return the answer."""
        session = await self.session(node)
        held = self.in_force.setdefault(node, {})
        upserts = {entry.id: entry_to_bytes(entry) for entry in entries} | dict(raw)
        wanted = {name: content for name, content in held.items() if name not in set(deletes)} | upserts
        self._nonce += 1
        nonce = self._nonce
        update = pb.ConfigUpdate(
            nonce=nonce,
            version=nonce,
            base_digest=digest(held),
            target_digest=digest(wanted),
            upserts=[
                pb.ConfigEntry(id=name, content=content, remaining_s=remaining_s) for name, content in upserts.items()
            ],
            deletes=list(deletes),
            parts=1,
        )
        session.outbox.put_nowait(self.response(config_update=update))
        answer = await session.until(lambda said: nonce in {said.ack.nonce, said.nack.nonce})
        if answer.HasField("ack"):
            assert answer.ack.digest == digest(wanted)
            self.in_force[node] = wanted
        return answer


def digest(entries: Mapping[str, bytes]) -> bytes:
    return digest_of({name: entry_hash(name, content) for name, content in entries.items()})


def certificate(directory: Path, who: str) -> Tls:
    """Return a new certificate of the CA that a test keeps in its directory."""
    return load_tls(lab_ca.issue(directory / "pki", parse_identity(who), now=datetime.now(UTC), renew=True))


@dataclass
class Line:
    """Three nodes in a line, their certificates and channels, for one test."""

    directory: Path
    block_s: float = 0.1
    block_secret_bit: int = 40_000
    history_s: float = 1.0
    channels: dict[str, SimulatedChannel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lab_ca.init_ca(self.directory / "pki", now=datetime.now(UTC))
        for link in LINKS:
            self.channels[link] = SimulatedChannel(simulated(link, self.block_s, self.block_secret_bit))

    def tls(self, who: str) -> Tls:
        return certificate(self.directory, who)

    def plan(self, node: str, *controllers: ControllerAddress, **changed: tuple[str, int]) -> AgentPlan:
        clock = SystemClock()
        links = [make_link(link, ends) for link, ends in LINKS.items() if node in ends]
        plan = AgentPlan(
            node=Node(
                name=node,
                interfaces=tuple(
                    Interface(number=number, technology=Technology.DV_QKD) for number, _ in enumerate(links, 1)
                ),
            ),
            links=links,
            find_module=lambda link: SimulatedModule(self.channels[link], clock, history_s=self.history_s),
            tls=self.tls(f"node/{node}"),
            controllers=controllers,
            state_dir=self.directory / "state" / node,
            clock=clock,
        )
        return replace(plan, **changed)  # type: ignore[arg-type]

    async def start(self, node: str, *controllers: ControllerAddress) -> Agent:
        return await Agent.start(self.plan(node, *controllers))


def simulated(link: str, block_s: float, block_secret_bit: int) -> SimulatedLink:
    return SimulatedLink(
        link=link,
        seed="test",
        figures=LinkSimulation(
            block_s=block_s,
            block_secret_bit=block_secret_bit,
            qber_mean=0.02,
            qber_drift=0.0,
            drift_period_s=3600.0,
            rate_spread=0.0,
            recalibration_every_s=0.0,
            recalibration_s=0.0,
            loss_db=None,
            module=None,
            provenance=Provenance(basis=Basis.ASSUMED, source="test"),
        ),
    )


def make_link(name: str, ends: tuple[str, str]) -> Link:
    return Link(
        name=name,
        ends=(LinkEnd(node=ends[0], interface=2 if ends[0] == "b" else 1), LinkEnd(node=ends[1], interface=1)),
        model_skr_millibit_per_s=400_000_000,
    )


def link_entry(link: str, node: str, addresses: Mapping[str, str]) -> LinkEntry:
    one, other = LINKS[link]
    far = other if node == one else one
    return LinkEntry(
        link=link,
        local_interface=1,
        remote_interface=1,
        neighbour=far,
        neighbour_address=addresses[far],
        enabled=True,
        authentication_floor_bit=0,
        authentication_rate_millibit_per_s=0,
        qber_limit=0.11,
        key_ttl_s=3600,
    )


def hop_entry(node: str, addresses: Mapping[str, str], *, version: int = 1, shares: int = 1) -> RelayHopEntry:
    """Return a node's part of relay `r1` from a to c over b."""
    first, second = Hop(link="a-b", start="a", end="b"), Hop(link="b-c", start="b", end="c")
    return RelayHopEntry(
        relay="r1",
        share=0,
        shares=shares,
        route_version=version,
        role={"a": HopRole.HEAD, "b": HopRole.TRANSIT, "c": HopRole.FAR}[node],
        previous={"a": None, "b": first, "c": second}[node],
        next={"a": first, "b": second, "c": None}[node],
        head="a",
        far="c",
        far_address={"a": addresses["c"], "b": "", "c": addresses["a"]}[node],
        rate_millibit_per_s=2_000_000,
        forward_share=0.5,
        chunk_bit=1024,
        stock_low_bit=4096,
        stock_high_bit=8192,
    )


def application_entry(node: str, addresses: Mapping[str, str]) -> ApplicationEntry:
    far = "c" if node == "a" else "a"
    saes = {"a": ("alice",), "c": ("bob",)}
    return ApplicationEntry(
        application="app",
        local_saes=saes[node],
        remotes=(ApplicationRemote(node=far, address=addresses[far], relay="r1", saes=saes[far]),),
        key_size_bit=256,
        ttl_s=3600,
    )


def line_entries(node: str, addresses: Mapping[str, str]) -> list[Entry]:
    entries: list[Entry] = [link_entry(link, node, addresses) for link, ends in LINKS.items() if node in ends]
    entries.append(hop_entry(node, addresses))
    if node != "b":
        entries.append(application_entry(node, addresses))
    return entries


async def eventually(claim: Callable[[], bool]) -> None:
    """Wait until something that nobody tells of holds."""
    async with asyncio.timeout(TIMEOUT_S):
        while not claim():
            await asyncio.sleep(0.01)


class Running:
    """The agents of a test."""

    def __init__(self, line: Line, controller: Controller, stack: AsyncExitStack) -> None:
        self.line = line
        self.controller = controller
        self.agents: dict[str, Agent] = {}
        self._stack = stack

    async def start(self, *nodes: str) -> None:
        for node in nodes:
            self.agents[node] = await self.line.start(node, self.controller.address)
            self._stack.push_async_callback(self.agents[node].stop)

    async def configure(self) -> None:
        addresses = {node: agent.peer_address for node, agent in self.agents.items()}
        for node in self.agents:
            answer = await self.controller.configure(node, line_entries(node, addresses))
            assert answer.HasField("ack"), answer

    def available(self) -> int:
        status = self.agents["a"].status("alice", "bob")
        return 0 if status is None else status.stored_key_count

    async def taken_at_a(self, number: int = 1) -> Answer:
        """Fetch keys as the master, once they are there."""
        await eventually(lambda: self.available() >= number)
        return await self.agents["a"].ask(GetKeys(now_s=0, request=0, master="alice", slave="bob", number=number))

    async def taken_at_c(self, key_ids: Iterable[str]) -> Answer:
        """Fetch keys as the slave."""
        asked = GetKeysById(now_s=0, request=0, slave="bob", master="alice", key_ids=tuple(key_ids))
        return await self.agents["c"].ask(asked)
