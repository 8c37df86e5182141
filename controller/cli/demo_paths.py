"""What the demonstration asks of the controller about entanglement paths, and how it watches services of both kinds.

Fidelity is F = <Phi+|rho|Phi+>.
"""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import grpc

from controller.domain.refusals import Precondition
from qinet.northbound.v1 import (
    entanglement_path_pb2,
    entanglement_service_pb2,
    entanglement_service_pb2_grpc,
    key_relay_pb2,
)
from qinet.types.v1 import pairs_pb2

PATH: Final = "demo"
DEADLINE_S: Final = 20.0
Computed = entanglement_service_pb2.ComputeEntanglementRouteResponse
State = key_relay_pb2.KeyRelay.State


class Watched(Protocol):
    """A key relay or an entanglement path."""

    @property
    def name(self) -> str:
        """Return its resource name."""

    @property
    def state(self) -> Any:
        """Return where it is in its life."""

    @property
    def state_reason(self) -> str:
        """Return why."""


S = TypeVar("S", bound=Watched)


def follow(
    stream: Any, service_of: Callable[[Any], S], name: str, until: Callable[[S], bool], what: str
) -> tuple[S, float]:
    """Read a watch until the condition holds for a service; return it and the monotonic time at which we were told.

    Args:
        stream: Of the watch; it ends by its own deadline, and is cancelled here.
        service_of: Takes the service from a message.
        name: The service's resource name.
        until: The condition.
        what: Is waited for, for a person.

    Raises:
        Precondition: TIMED_OUT; says how the service is.
    """
    last: S | None = None
    began = time.monotonic()
    try:
        for step in stream:
            seen = service_of(step)
            if seen.name == name:
                last = seen
                if until(last):
                    return last, time.monotonic()
    except grpc.RpcError as ended:
        if ended.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
    finally:
        stream.cancel()
    now = f"it is {State.Name(last.state)}: {last.state_reason}" if last else "it is not there"
    waited_s = time.monotonic() - began
    raise Precondition("TIMED_OUT", f"waited {waited_s:.0f} s in vain for {what}; {now}", {"what": what})


class Paths:
    """The entanglement paths of a network, as an operator has them."""

    def __init__(self, north: grpc.Channel) -> None:
        self._service = entanglement_service_pb2_grpc.EntanglementServiceStub(north)

    def route(self, wanted: entanglement_path_pb2.EntanglementPath, *, avoid_link: str = "") -> Computed:
        """Return the best route and plan for a demand.

        Raises:
            grpc.RpcError: There is none; says what limits.
        """
        asked = entanglement_path_pb2.EntanglementPath()
        asked.CopyFrom(wanted)
        if avoid_link:
            asked.avoid_links.append(f"links/{avoid_link}")
        request = entanglement_service_pb2.ComputeEntanglementRouteRequest(entanglement_path=asked)
        return self._service.ComputeEntanglementRoute(request, timeout=DEADLINE_S)

    def create(self, wanted: entanglement_path_pb2.EntanglementPath) -> None:
        """Create the entanglement path of the demonstration."""
        request = entanglement_service_pb2.CreateEntanglementPathRequest(
            entanglement_path_id=PATH, entanglement_path=wanted, request_id="demo-path"
        )
        self._service.CreateEntanglementPath(request, timeout=DEADLINE_S)

    def path(self) -> entanglement_path_pb2.EntanglementPath:
        """Return the path as it is, with what its ends reported last."""
        request = entanglement_service_pb2.GetEntanglementPathRequest(name=f"entanglementPaths/{PATH}")
        return self._service.GetEntanglementPath(request, timeout=DEADLINE_S).entanglement_path

    def follow(
        self, until: Callable[[entanglement_path_pb2.EntanglementPath], bool], within_s: float, what: str
    ) -> tuple[entanglement_path_pb2.EntanglementPath, float]:
        """Watch the path until the condition holds; return it and the monotonic time at which we were told.

        Raises:
            Precondition: TIMED_OUT; says how the path is.
        """
        request = entanglement_service_pb2.WatchEntanglementPathsRequest()
        stream = self._service.WatchEntanglementPaths(request, timeout=within_s)
        return follow(stream, lambda step: step.entanglement_path, f"entanglementPaths/{PATH}", until, what)


def wanted_path(
    source: str, target: str, *, fidelity: float, rate_hz: float, test_share: float, measured: bool
) -> entanglement_path_pb2.EntanglementPath:
    """Return a demand of pairs between two nodes."""
    use = pairs_pb2.PAIR_USE_MEASURE if measured else pairs_pb2.PAIR_USE_KEEP
    return entanglement_path_pb2.EntanglementPath(
        source=f"nodes/{source}",
        target=f"nodes/{target}",
        minimum_fidelity=fidelity,
        rate_hz=rate_hz,
        test_share=test_share,
        use=use,
    )


def links_of(path: entanglement_path_pb2.EntanglementPath | Computed) -> list[str]:
    """Return the links of a path's route, or of one that was computed, in its order."""
    return [hop.link.removeprefix("links/") for hop in path.route.hops]
