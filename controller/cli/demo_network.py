"""What the demonstration asks of the controller, as an operator's gRPC client."""

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from controller.cli.demo_paths import DEADLINE_S, Paths, State, follow
from controller.identity.credentials import open_channel
from controller.identity.peers import Identity, Kind
from controller.identity.tls_files import files_in, load_tls
from qinet.lab.v1 import lab_pb2, lab_pb2_grpc
from qinet.northbound.v1 import (
    application_pb2,
    application_service_pb2,
    application_service_pb2_grpc,
    key_relay_pb2,
    key_relay_service_pb2,
    key_relay_service_pb2_grpc,
    operations_service_pb2,
    operations_service_pb2_grpc,
)

RELAY: Final = "demo"
__all__ = ["DEADLINE_S", "RELAY", "Network", "State"]


class Network:
    """One operator's view of the controller and the lab.

    Attributes:
        within_s: How long anything may take that the agents do together.
    """

    def __init__(
        self, pki: Path, operator: Identity, northbound: str, lab: str, lab_peer: Identity, *, within_s: float
    ) -> None:
        self.within_s = within_s
        tls = load_tls(files_in(pki, operator))
        self._channels = [
            open_channel(tls, northbound, Identity(Kind.CONTROLLER, "controller")),
            open_channel(tls, lab, lab_peer),
        ]
        north, south = self._channels
        self._relays = key_relay_service_pb2_grpc.KeyRelayServiceStub(north)
        self._applications = application_service_pb2_grpc.ApplicationServiceStub(north)
        self._operations = operations_service_pb2_grpc.OperationsServiceStub(north)
        self._lab = lab_pb2_grpc.LabServiceStub(south)
        self.paths = Paths(north)

    def __enter__(self) -> "Network":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for channel in self._channels:
            channel.close()

    def connected(self) -> int:
        """Return how many agents hold a session."""
        connected, token = 0, ""
        while True:
            request = operations_service_pb2.ListAgentsRequest(page_size=1000, page_token=token)
            answer = self._operations.ListAgents(request, timeout=DEADLINE_S)
            connected += sum(agent.connected for agent in answer.agents)
            token = answer.next_page_token
            if not token:
                return connected

    def register(self, master: tuple[str, str], slave: tuple[str, str]) -> None:
        """Put two SAEs, given as (id, node), into the directory, and register the application that joins them."""
        for sae, node in (master, slave):
            self._applications.CreateSae(
                application_service_pb2.CreateSaeRequest(
                    sae_id=sae, sae=application_pb2.Sae(node=f"nodes/{node}"), request_id=f"demo-{sae}"
                ),
                timeout=DEADLINE_S,
            )
        self._applications.CreateApplication(
            application_service_pb2.CreateApplicationRequest(
                application_id=RELAY,
                application=application_pb2.Application(
                    server_sae=f"saes/{master[0]}", client_saes=[f"saes/{slave[0]}"]
                ),
                request_id="demo-application",
            ),
            timeout=DEADLINE_S,
        )

    def create(
        self, source: str, target: str, rate_bit_per_s: float, *, name: str = RELAY, no_trusted_transit: bool = False
    ) -> key_relay_pb2.KeyRelay:
        """Create a key relay; the one that bears the demonstration's name feeds its application."""
        wanted = self._wanted(source, target, rate_bit_per_s)
        wanted.no_trusted_transit = no_trusted_transit
        if name == RELAY:
            wanted.application = f"applications/{RELAY}"
        request = key_relay_service_pb2.CreateKeyRelayRequest(
            key_relay_id=name, key_relay=wanted, request_id=f"demo-relay-{name}"
        )
        return self._relays.CreateKeyRelay(request, timeout=DEADLINE_S).key_relay

    @staticmethod
    def _wanted(source: str, target: str, rate_bit_per_s: float) -> key_relay_pb2.KeyRelay:
        return key_relay_pb2.KeyRelay(source=f"nodes/{source}", target=f"nodes/{target}", rate_bit_per_s=rate_bit_per_s)

    def routes(self, source: str, target: str, rate_bit_per_s: float, *, avoid: str = "", shares: int = 1) -> int:
        """Return how many candidate routes there are.

        Raises:
            grpc.RpcError: There is none; says what is the bottleneck.
        """
        wanted = self._wanted(source, target, rate_bit_per_s)
        wanted.shares = shares
        if avoid:
            wanted.avoid_links.append(avoid)
        answer = self._relays.ComputeRoutes(
            key_relay_service_pb2.ComputeRoutesRequest(key_relay=wanted, max_candidates=1), timeout=DEADLINE_S
        )
        return len(answer.candidates)

    def relay(self) -> key_relay_pb2.KeyRelay:
        """Return the relay as it is."""
        request = key_relay_service_pb2.GetKeyRelayRequest(name=f"keyRelays/{RELAY}")
        return self._relays.GetKeyRelay(request, timeout=DEADLINE_S).key_relay

    def follow(
        self, until: Callable[[key_relay_pb2.KeyRelay], bool], within_s: float, what: str, *, name: str = RELAY
    ) -> tuple[key_relay_pb2.KeyRelay, float]:
        """Watch a relay until the condition holds; return it and the monotonic time at which we were told.

        Raises:
            Precondition: TIMED_OUT; says how the relay is.
        """
        stream = self._relays.WatchKeyRelays(key_relay_service_pb2.WatchKeyRelaysRequest(), timeout=within_s)
        return follow(stream, lambda step: step.key_relay, f"keyRelays/{name}", until, what)

    def cut(self, link: str) -> float:
        """Cut a link's fibre; return the monotonic time of the order."""
        ordered = time.monotonic()
        self._lab.OrderFault(lab_pb2.OrderFaultRequest(cut=lab_pb2.CutFault(link=link)), timeout=DEADLINE_S)
        return ordered

    def repair(self, link: str) -> None:
        """Make a link as new again."""
        self._lab.OrderFault(lab_pb2.OrderFaultRequest(repair=lab_pb2.RepairFault(link=link)), timeout=DEADLINE_S)
