"""The loopback service by which faults are ordered: qinet.lab.v1, over mutual TLS, for users."""

import ipaddress
import time

import grpc
import grpc.aio

from controller.domain.refusals import InvalidValue, NotFound, Refusal
from controller.identity.credentials import AnyTls, grpc_server_credentials
from controller.identity.interceptor import IdentityInterceptor
from controller.identity.peers import Kind
from qinet.lab.v1 import lab_pb2 as pb
from qinet.lab.v1 import lab_pb2_grpc
from southbound.agent.listening import ListenRefused, require_free
from southbound.fleet.fleet import Fleet


class LabService(lab_pb2_grpc.LabServiceServicer):
    """Translates; what happens is the fleet's."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def OrderFault(
        self,
        request: pb.OrderFaultRequest,
        context: "grpc.aio.ServicerContext[pb.OrderFaultRequest, pb.OrderFaultResponse]",
    ) -> pb.OrderFaultResponse:
        """Put a fault in force; see lab.proto."""
        ordered_s = time.monotonic()
        try:
            changed = await self._order(request)
        except Refusal as refusal:
            await context.abort(_code(refusal), refusal.message)
        return pb.OrderFaultResponse(monotonic_s=ordered_s, changed=changed)

    async def GetFleet(
        self, request: pb.GetFleetRequest, context: "grpc.aio.ServicerContext[pb.GetFleetRequest, pb.GetFleetResponse]"
    ) -> pb.GetFleetResponse:
        """Tell what runs; see lab.proto."""
        agents = self._fleet.agents
        return pb.GetFleetResponse(
            nodes=[
                pb.FleetNode(
                    node=name,
                    running=name in agents,
                    delivery_address=agents[name].delivery_address if name in agents else "",
                    peer_address=agents[name].peer_address if name in agents else "",
                )
                for name in self._fleet.plans
            ],
            links=[
                pb.FleetLink(
                    link=name,
                    cut=channel.condition.cut,
                    rate_factor=channel.condition.factor,
                    qber=channel.condition.qber,
                )
                for name, channel in self._fleet.channels.items()
            ]
            + [
                pb.FleetLink(
                    link=name,
                    cut=condition.cut,
                    rate_factor=condition.factor,
                    werner_factor=None if condition.werner_factor == 1.0 else condition.werner_factor,
                )
                for name, condition in self._fleet.pair_conditions.items()
            ],
        )

    async def _order(self, request: pb.OrderFaultRequest) -> bool:
        fleet = self._fleet
        match request.WhichOneof("fault"):
            case "cut":
                return fleet.cut(request.cut.link)
            case "repair":
                return fleet.repair(request.repair.link)
            case "rate":
                return fleet.rate(request.rate.link, request.rate.factor)
            case "qber":
                return fleet.qber(request.qber.link, request.qber.qber)
            case "fidelity":
                return fleet.fidelity(request.fidelity.link, request.fidelity.factor)
            case "crash":
                return await fleet.crash(request.crash.node)
            case "restart":
                return await fleet.restart(request.restart.node)
            case "lie":
                return fleet.lie(request.lie.node, lies=request.lie.lies)
            case "slow":
                return fleet.slow(request.slow.node, request.slow.delay_ms)
            case "clock":
                return fleet.clock(request.clock.node, lost=request.clock.lost)
            case _:
                known = "cut, repair, rate, qber, fidelity, crash, restart, lie, slow or clock"
                raise InvalidValue("", ("fault", f"is required: {known}"))


def _code(refusal: Refusal) -> grpc.StatusCode:
    if isinstance(refusal, NotFound):
        return grpc.StatusCode.NOT_FOUND
    if isinstance(refusal, InvalidValue):
        return grpc.StatusCode.INVALID_ARGUMENT
    return grpc.StatusCode.FAILED_PRECONDITION


class LabServer:
    """The service on its port."""

    def __init__(self, fleet: Fleet, tls: AnyTls, listen: tuple[str, int]) -> None:
        """Prepare to serve a fleet under the identity of one of its nodes, at that host and port.

        Raises:
            InvalidValue: The host is not a loopback address.
        """
        host, _ = listen
        if not _is_loopback(host):
            raise InvalidValue(
                "", ("--lab-listen", f"{host!r} is not a loopback address: faults are ordered locally only")
            )
        self._listen = listen
        self._tls = tls
        self._server = grpc.aio.server(
            interceptors=[IdentityInterceptor({Kind.USER})], options=[("grpc.so_reuseport", 0)]
        )
        lab_pb2_grpc.add_LabServiceServicer_to_server(LabService(fleet), self._server)

    async def bind(self) -> str:
        """Take the port and return host:port; nobody is answered before `serve`.

        Raises:
            ListenRefused: The address cannot be listened on.
        """
        host, port = self._listen
        await require_free(host, port)
        try:
            bound = self._server.add_secure_port(f"{host}:{port}", grpc_server_credentials(self._tls))
        except RuntimeError as problem:
            raise ListenRefused(f"{host}:{port}", str(problem)) from None
        return f"{host}:{bound}"

    async def serve(self) -> None:
        """Answer."""
        await self._server.start()

    async def stop(self) -> None:
        """Stop; orders in progress end."""
        await self._server.stop(1.0)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
