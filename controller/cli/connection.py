"""Where the controller is, who we are, and a channel to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from controller.cli.exits import Exit, Stop

if TYPE_CHECKING:
    import grpc

    from qinet.northbound.v1.application_service_pb2_grpc import ApplicationServiceStub
    from qinet.northbound.v1.entanglement_service_pb2_grpc import EntanglementServiceStub
    from qinet.northbound.v1.key_relay_service_pb2_grpc import KeyRelayServiceStub
    from qinet.northbound.v1.operations_service_pb2_grpc import OperationsServiceStub
    from qinet.northbound.v1.placement_service_pb2_grpc import PlacementServiceStub
    from qinet.northbound.v1.topology_service_pb2_grpc import TopologyServiceStub

DEFAULT_CONTROLLER: Final = "localhost:7400"
DEFAULT_PKI: Final = "pki"
DEFAULT_USER: Final = "user/operator"
_LARGEST_MESSAGE_BYTE: Final = 64 * 2**20
# A channel that lost its controller looks for it again after at most this.
_RECONNECT_MS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The controller to ask, and the files to ask with.

    Attributes:
        address: `host:port` or `[ipv6]:port`.
        controller_name: Of the identity `controller/{name}` that must answer there.
        pki: Directory as `qinetctl pki` keeps it.
        user: Our identity, `user/{name}`, in that directory.
        ca, certificate, key: Files to use instead of the directory's; None: the directory's.
        timeout_s: Deadline of every call that ends; > 0.
    """

    address: str
    controller_name: str
    pki: Path
    user: str
    ca: Path | None
    certificate: Path | None
    key: Path | None
    timeout_s: float


class Network:
    """The controller's services over one channel."""

    def __init__(self, channel: "grpc.Channel", *, address: str, timeout_s: float) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._channel = channel

    @cached_property
    def topology(self) -> "TopologyServiceStub":
        """The network as the operator wants it."""
        from qinet.northbound.v1.topology_service_pb2_grpc import TopologyServiceStub

        return TopologyServiceStub(self._channel)

    @cached_property
    def relays(self) -> "KeyRelayServiceStub":
        """Key relays and routes."""
        from qinet.northbound.v1.key_relay_service_pb2_grpc import KeyRelayServiceStub

        return KeyRelayServiceStub(self._channel)

    @cached_property
    def entanglement(self) -> "EntanglementServiceStub":
        """Entanglement paths and their routes."""
        from qinet.northbound.v1.entanglement_service_pb2_grpc import EntanglementServiceStub

        return EntanglementServiceStub(self._channel)

    @cached_property
    def applications(self) -> "ApplicationServiceStub":
        """Applications and the SAE directory."""
        from qinet.northbound.v1.application_service_pb2_grpc import ApplicationServiceStub

        return ApplicationServiceStub(self._channel)

    @cached_property
    def operations(self) -> "OperationsServiceStub":
        """Alarms and agents."""
        from qinet.northbound.v1.operations_service_pb2_grpc import OperationsServiceStub

        return OperationsServiceStub(self._channel)

    @cached_property
    def placements(self) -> "PlacementServiceStub":
        """Better placements of what runs."""
        from qinet.northbound.v1.placement_service_pb2_grpc import PlacementServiceStub

        return PlacementServiceStub(self._channel)


def target_of(context: typer.Context) -> Target:
    """Return what the global options say."""
    target = context.find_root().obj
    if not isinstance(target, Target):
        raise TypeError("the root command has not read the global options")
    return target


@contextmanager
def connected(context: typer.Context) -> Iterator[Network]:
    """Open a channel to the controller, and close it at the end. Nothing is sent before the first call.

    Raises:
        Stop: USAGE for a malformed name; REFUSED or UNREACHABLE for what calls inside fail with.
        TlsRefused: A TLS file is missing, or does not go with the others.
    """
    import grpc

    target = target_of(context)
    with opened(target) as channel:
        try:
            yield Network(channel, address=target.address, timeout_s=target.timeout_s)
        except grpc.RpcError as refused:
            from controller.cli.explain import explained

            raise explained(refused, address=target.address, timeout_s=target.timeout_s) from None


@contextmanager
def opened(target: Target) -> "Iterator[grpc.Channel]":
    """Open a channel to a controller that follows it to its leader, and close it at the end; raises as `connected`."""
    from datetime import UTC, datetime

    from controller.cli.leader import LedChannel
    from controller.domain.refusals import InvalidValue
    from controller.identity.credentials import open_channel
    from controller.identity.peers import Identity, Kind, parse_identity
    from controller.identity.tls_files import TlsFiles, files_in, load_tls

    try:
        user = parse_identity(target.user)
    except InvalidValue as problem:
        raise Stop(Exit.USAGE, f"--as: {problem}") from None
    try:
        controller = Identity(Kind.CONTROLLER, target.controller_name)
    except InvalidValue as problem:
        raise Stop(Exit.USAGE, f"--controller-name: {problem}") from None
    host, colon, port = target.address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Stop(Exit.USAGE, f"--controller: {target.address!r} is not host:port or [ipv6]:port")
    kept = files_in(target.pki, user)
    explicit = TlsFiles(
        ca=target.ca or kept.ca, certificate=target.certificate or kept.certificate, key=target.key or kept.key
    )
    tls = load_tls(explicit, now=datetime.now(UTC), expect=None if target.certificate else user)
    options = [
        ("grpc.max_receive_message_length", _LARGEST_MESSAGE_BYTE),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),
    ]
    channel = LedChannel(
        open_channel(tls, target.address, controller, options),
        lambda address, leader: open_channel(tls, address, leader, options),
        tls,
    )
    try:
        yield channel
    finally:
        channel.close()
