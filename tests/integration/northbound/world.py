"""A controller without agents' wires: the real writer, desk, store and gRPC server; agents that obey at once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2
from prometheus_client import CollectorRegistry

from apps.optimiser import Optimiser
from apps.restoration import Restoration
from apps.retry_blocked import RetryBlocked
from controller.domain.admission import DEFAULT_ADMISSION, Admission
from controller.domain.entries import entry_hash
from controller.domain.events import AgentConnected, AgentEvent, AlarmRaised, ConfigConfirmed, LinkReport, ServiceReport
from controller.domain.snapshot import AgentRecord, ElectionId, Snapshot
from controller.identity.credentials import open_aio_channel
from controller.identity.peers import Identity, Kind
from controller.identity.tls_files import Tls
from controller.northbound.guard import Limits
from controller.northbound.operations import ControllerFacts
from controller.northbound.server import NorthboundServer, NorthboundSettings
from controller.observability.metrics import Metrics
from controller.ports.clock import SystemClock
from controller.ports.observations import Observations
from controller.service.desk import Desk
from controller.service.writer import Writer
from controller.store.memory import MemoryStore
from controller.wire.entries import entry_to_bytes
from controller.wire.northbound_link import link_to_pb
from controller.wire.northbound_node import node_to_pb
from qinet.northbound.v1 import topology_service_pb2
from qinet.northbound.v1.application_service_pb2_grpc import ApplicationServiceStub
from qinet.northbound.v1.entanglement_service_pb2_grpc import EntanglementServiceStub
from qinet.northbound.v1.key_relay_service_pb2_grpc import KeyRelayServiceStub
from qinet.northbound.v1.operations_service_pb2_grpc import OperationsServiceStub
from qinet.northbound.v1.placement_service_pb2_grpc import PlacementServiceStub
from qinet.northbound.v1.topology_service_pb2_grpc import TopologyServiceStub

Party = Callable[[str], Tls]
CONTROLLER = Identity(Kind.CONTROLLER, "c1")


class Client:
    """Stubs of all services on one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.topology = TopologyServiceStub(channel)
        self.relays = KeyRelayServiceStub(channel)
        self.applications = ApplicationServiceStub(channel)
        self.operations = OperationsServiceStub(channel)
        self.entanglement = EntanglementServiceStub(channel)
        self.placements = PlacementServiceStub(channel)


class ObedientAgents:
    """Apply every wish as soon as they hear it, while they obey (ports.agents.AgentPort)."""

    def __init__(self) -> None:
        self.obeying = True
        self.deliver: Callable[[AgentEvent, None], bool] | None = None
        self.in_force: dict[str, dict[str, bytes]] = {}

    def push(
        self,
        desired: Mapping[str, Mapping[str, bytes] | None],
        version: int,
        election: ElectionId,
        *,
        remaining_s: Mapping[str, int] | None = None,
    ) -> None:
        if not self.obeying:
            return
        for node, entries in desired.items():
            self.in_force[node] = {key: entry_hash(key, content) for key, content in (entries or {}).items()}
            if self.deliver is not None and entries is not None:
                self.deliver(ConfigConfirmed(node=node, version=version, in_force=self.in_force[node]), None)


class Controller:
    """One controller; `client` makes callers of it."""

    def __init__(
        self,
        writer: Writer,
        agents: ObedientAgents,
        observations: Observations,
        port: int,
        party: Party,
        registry: CollectorRegistry,
    ) -> None:
        self.writer = writer
        self.party = party
        self.registry = registry
        self.desk = writer.desk
        self.observations = observations
        self.port = port
        self.agents = agents

    async def tell(self, event: AgentEvent) -> None:
        """Have the writer take an event, and wait until its effect is committed."""
        done = asyncio.Event()
        assert self.writer.deliver(event, done.set)
        await done.wait()

    async def connect(self, *nodes: str) -> None:
        for node in nodes:
            revision = self.desk.published.snapshot.revision
            record = AgentRecord(node=node, store_id="s", peer_address=f"{node}:1", delivery_address=f"{node}:2")
            await self.tell(
                AgentConnected(record=record, in_force=self.agents.in_force.get(node, {}), version=revision)
            )

    async def confirm_keys(self, relay: str) -> None:
        """Have both ends say that a first key was confirmed on the route in force, and the others are empty."""
        document = self.desk.published.snapshot.relays[relay]
        for node in (document.demand.source, document.demand.target):
            await self.tell(
                ServiceReport(node=node, service=relay, route_version=document.route_version, confirmed=True)
            )

    async def confirm_pairs(self, path: str) -> None:
        """Have both ends say that a pair was delivered on the route in force, and the others are empty."""
        document = self.desk.published.snapshot.paths[path]
        for node in (document.demand.source, document.demand.target):
            await self.tell(
                ServiceReport(node=node, service=document.key, route_version=document.route_version, confirmed=True)
            )

    async def cut(self, link: str) -> None:
        node = self.desk.published.snapshot.links[link].nodes[0]
        await self.tell(LinkReport(node=node, link=link, down_reason="fibre cut"))

    async def alarm(self, event: AlarmRaised) -> None:
        await self.tell(event)


@asynccontextmanager
async def controller(
    party: Party,
    *,
    limits: Limits | None = None,
    heartbeat_s: float = 60,
    max_message_bytes: int = 8 << 20,
    admission: Admission = DEFAULT_ADMISSION,
) -> AsyncIterator[Controller]:
    """Run a controller on a free port."""
    agents, clock, observations = ObedientAgents(), SystemClock(), Observations()
    metrics = Metrics(CollectorRegistry())
    deaths: list[BaseException] = []
    running: list[Any] = [Restoration(), RetryBlocked(), Optimiser()]
    writer = Writer(
        store=MemoryStore(),
        apps=running,
        encode=entry_to_bytes,
        agents=agents,
        clock=clock,
        metrics=metrics,
        loop=asyncio.get_running_loop(),
        on_death=deaths.append,
        admission=admission,
    )
    writer.start()
    agents.deliver = writer.deliver
    settings = NorthboundSettings(
        address="127.0.0.1:0",
        heartbeat_s=heartbeat_s,
        max_message_bytes=max_message_bytes,
        limits=limits or Limits(),
    )
    async with serving(party, writer.desk, settings, observations, metrics) as port:
        try:
            yield Controller(writer, agents, observations, port, party, metrics.registry)
        finally:
            await asyncio.to_thread(writer.stop)
    assert not deaths


@asynccontextmanager
async def serving(
    party: Party,
    desk: Desk,
    settings: NorthboundSettings,
    observations: Observations | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[int]:
    """Serve a desk; yield the port."""
    server = NorthboundServer(
        tls=party("controller/c1"),
        desk=desk,
        observations=observations or Observations(),
        clock=SystemClock(),
        facts=ControllerFacts(name="c1", address="c1:7000", version="1.2.3", config_hash="ab12", start_ms=1000),
        settings=settings,
        metrics=metrics,
    )
    port = await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@asynccontextmanager
async def client(party: Party, port: int, who: str = "user/alice") -> AsyncIterator[Client]:
    """Call as somebody."""
    async with open_aio_channel(party(who), f"127.0.0.1:{port}", CONTROLLER) as channel:
        yield Client(channel)


def topology(snapshot: Snapshot, **more: Any) -> topology_service_pb2.ApplyTopologyRequest:
    """Return the request that makes the network this one."""
    return topology_service_pb2.ApplyTopologyRequest(
        nodes=[node_to_pb(node) for node in snapshot.nodes.values()],
        links=[link_to_pb(link) for link in snapshot.links.values()],
        network_name="test",
        **more,
    )


def reason_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    """Return the ErrorInfo of a refusal."""
    packed = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    for detail in status_pb2.Status.FromString(packed).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info
    raise AssertionError("no ErrorInfo")
