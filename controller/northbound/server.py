"""The northbound gRPC server: mutual TLS 1.3, guarded services, health and reflection."""

from dataclasses import dataclass, field
from typing import Final

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection

from controller.domain.refusals import Refusal
from controller.identity.credentials import AnyTls, grpc_server_credentials
from controller.identity.interceptor import IdentityInterceptor
from controller.identity.peers import Kind
from controller.northbound.applications import ApplicationService
from controller.northbound.entanglement import EntanglementService
from controller.northbound.guard import GuardInterceptor, Limits
from controller.northbound.key_relays import KeyRelayService
from controller.northbound.operations import ControllerFacts, OperationsService
from controller.northbound.placements import PlacementService
from controller.northbound.route_search import RouteSearch
from controller.northbound.topology import TopologyService
from controller.northbound.views import Views
from controller.observability.metrics import Metrics
from controller.ports.clock import Clock
from controller.ports.observations import Observations
from controller.service.desk import Desk
from qinet.northbound.v1 import (
    application_service_pb2_grpc,
    entanglement_service_pb2_grpc,
    key_relay_service_pb2_grpc,
    operations_service_pb2_grpc,
    placement_service_pb2_grpc,
    topology_service_pb2_grpc,
)

SERVICES: Final = tuple(
    f"qinet.northbound.v1.{name}"
    for name in (
        "TopologyService",
        "KeyRelayService",
        "EntanglementService",
        "ApplicationService",
        "OperationsService",
        "PlacementService",
    )
)
"""Full names of the services of this API."""

CALLERS: Final = frozenset({Kind.USER, Kind.CONTROLLER})
"""Who may call: operators and their programs, and other controllers."""


class CannotListen(Refusal):
    """The address cannot be listened on; fatal at start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NorthboundSettings:
    """How the server serves.

    Attributes:
        address: host:port to listen on; port 0 picks one.
        max_message_bytes: Largest message taken or sent; larger ones are refused with RESOURCE_EXHAUSTED.
        heartbeat_s: A watch with nothing to tell says so after this time.
        keepalive_ms: A connection on which nothing is heard for so long is probed.
        limits: On calls and streams.
    """

    address: str
    max_message_bytes: int = 8 << 20
    heartbeat_s: float = 10.0
    keepalive_ms: int = 30_000
    limits: Limits = field(default_factory=Limits)


class NorthboundServer:
    """Made on the event loop that runs it: start once, stop once."""

    def __init__(
        self,
        *,
        tls: AnyTls,
        desk: Desk,
        observations: Observations,
        clock: Clock,
        facts: ControllerFacts,
        settings: NorthboundSettings,
        metrics: Metrics | None = None,
    ) -> None:
        self._address = settings.address
        self._credentials = grpc_server_credentials(tls)
        self._search = RouteSearch(metrics)
        self._health = HealthServicer()
        self.guard = GuardInterceptor(settings.limits)
        self._server = grpc.aio.server(
            interceptors=[IdentityInterceptor(CALLERS), self.guard],
            options=[
                # Without it a second controller would listen on the same port, and get some of the calls.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                ("grpc.keepalive_time_ms", settings.keepalive_ms),
                ("grpc.keepalive_timeout_ms", settings.keepalive_ms // 3),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ],
        )
        views = Views(observations, clock)
        beat = settings.heartbeat_s
        topology_service_pb2_grpc.add_TopologyServiceServicer_to_server(
            TopologyService(desk, views, heartbeat_s=beat), self._server
        )
        key_relay_service_pb2_grpc.add_KeyRelayServiceServicer_to_server(
            KeyRelayService(desk, views, self._search, heartbeat_s=beat), self._server
        )
        placement_service_pb2_grpc.add_PlacementServiceServicer_to_server(
            PlacementService(desk, heartbeat_s=beat), self._server
        )
        application_service_pb2_grpc.add_ApplicationServiceServicer_to_server(
            ApplicationService(desk, views, heartbeat_s=beat), self._server
        )
        self._operations = OperationsService(desk, views, self._search, clock, facts)
        operations_service_pb2_grpc.add_OperationsServiceServicer_to_server(self._operations, self._server)
        entanglement_service_pb2_grpc.add_EntanglementServiceServicer_to_server(
            EntanglementService(desk, views, self._search, heartbeat_s=beat), self._server
        )
        add_HealthServicer_to_server(self._health, self._server)
        names = (*SERVICES, "grpc.health.v1.Health", reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def start(self) -> int:
        """Listen, and return the port.

        Raises:
            CannotListen: Somebody listens there already, or the address is not ours.
        """
        try:
            port = self._server.add_secure_port(self._address, self._credentials)
        except RuntimeError as problem:
            raise self._cannot_listen(problem) from None
        if port == 0:
            raise self._cannot_listen("refused")
        self._operations.listens_on(port)
        for name in SERVICES:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        return port

    def configured(self, config_hash: str) -> None:
        """Tell callers which configuration is in force from now on."""
        self._operations.configured(config_hash)

    def _cannot_listen(self, problem: object) -> CannotListen:
        return CannotListen(
            "CANNOT_LISTEN",
            f"northbound cannot listen on {self._address} ({problem}): stop what listens there, or take another port",
            {"address": self._address},
        )

    async def stop(self, grace_s: float = 5.0) -> None:
        """Say NOT_SERVING and close the port; streams end at once (UNAVAILABLE), calls in flight within the grace."""
        await self._health.enter_graceful_shutdown()
        self.guard.end_streams()
        await self._server.stop(grace_s)
        self._search.close()
