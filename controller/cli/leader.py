"""Following the leader: a call that a controller refuses because another one leads is made there, once."""

import socket
import ssl
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

import grpc

from controller.cli.output import tell

if TYPE_CHECKING:
    from controller.identity.peers import Identity
    from controller.identity.tls_files import Tls

NOT_LEADER: Final = "NOT_LEADER"
LEADER_ADDRESS: Final = "leader_address"
"""Fact of the refusal: host:port of the leader's northbound; named as in GetClusterStatusResponse."""
_HANDSHAKE_S: Final = 5.0

OpenTo = Callable[[str, "Identity"], grpc.Channel]
"""Opens a channel to (host:port, who must answer there)."""


def leader_named_by(error: grpc.RpcError) -> str:
    """Return the address of the leader that a refusal names; empty if it is another refusal, or names none."""
    if error.code() is not grpc.StatusCode.UNAVAILABLE:
        return ""
    from google.rpc.error_details_pb2 import ErrorInfo
    from grpc_status import rpc_status

    try:
        status = rpc_status.from_call(cast("grpc.Call", error))  # what stubs raise is both
    except ValueError:  # the details contradict the status that they came with
        return ""
    for packed in status.details if status else ():
        info = ErrorInfo()
        if packed.Unpack(info) and info.reason == NOT_LEADER:
            return str(info.metadata.get(LEADER_ADDRESS, ""))
    return ""


def controller_at(address: str, tls: "Tls") -> "Identity | None":
    """Return which controller of our CA answers at an address; None if nobody does, or somebody else.

    gRPC can be told only one name to expect, and a refusal need not tell the leader's: so we look first who is there.
    """
    from controller.identity.credentials import https_client_context
    from controller.identity.peers import Kind, PeerRefused, certificate_identity

    host, _, port = address.rpartition(":")
    context = https_client_context(tls)
    context.check_hostname = False  # daemons are known by the name in their certificate, wherever they are reached
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=_HANDSHAKE_S) as plain,
            context.wrap_socket(plain) as secure,
        ):
            shown = secure.getpeercert(binary_form=True)
    except (OSError, ssl.SSLError, ValueError):
        return None
    from cryptography import x509

    try:
        found = certificate_identity(x509.load_der_x509_certificate(shown or b""))
    except (ValueError, PeerRefused):
        return None
    return found if found.kind is Kind.CONTROLLER else None


class LedChannel(grpc.Channel):
    """A channel to a controller, which leads on to the leader that it names: one step, never further.

    Reads are answered by any controller; only a call that is refused as NOT_LEADER is made again, and from then on
    every call goes to that leader.
    """

    def __init__(self, first: grpc.Channel, open_to: OpenTo, tls: "Tls") -> None:
        self._current = first
        self._open_to = open_to
        self._tls = tls
        self._channels = [first]

    def led_by(self, error: grpc.RpcError) -> bool:
        """Take the step to the leader that a refusal names; False if there is none to take."""
        if len(self._channels) > 1 or not (address := leader_named_by(error)):
            return False
        leader = controller_at(address, self._tls)
        if leader is None:
            tell(f"the leader is said to be at {address}, but no controller of our CA answers there")
            return False
        tell(f"that controller does not lead: asking {leader} at {address}")
        self._current = self._open_to(address, leader)
        self._channels.append(self._current)
        return True

    def unary_unary(self, *method: Any, **more: Any) -> Any:
        """Return what makes a call with one answer."""

        def call(request: Any, *arguments: Any, **options: Any) -> Any:
            try:
                return self._current.unary_unary(*method, **more)(request, *arguments, **options)
            except grpc.RpcError as error:
                if not self.led_by(error):
                    raise
            return self._current.unary_unary(*method, **more)(request, *arguments, **options)

        return call

    def unary_stream(self, *method: Any, **more: Any) -> Any:
        """Return what makes a call with many answers."""

        def call(request: Any, *arguments: Any, **options: Any) -> _LedStream:
            return _LedStream(self, lambda: self._current.unary_stream(*method, **more)(request, *arguments, **options))

        return call

    def stream_unary(self, *method: Any, **more: Any) -> Any:
        """Return what makes a call with many requests: qinetctl has none, so that it is not led on."""
        return self._current.stream_unary(*method, **more)

    def stream_stream(self, *method: Any, **more: Any) -> Any:
        """Return what makes a call with many requests and answers; as `stream_unary`."""
        return self._current.stream_stream(*method, **more)

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None:
        """Tell of changes of the connection."""
        self._current.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Any) -> None:
        """Tell no more."""
        self._current.unsubscribe(callback)

    def close(self) -> None:
        """Close every connection."""
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> "LedChannel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _LedStream:
    """The answers to one call; they may come from the leader after a refusal."""

    def __init__(self, channel: LedChannel, begin: Callable[[], Any]) -> None:
        self._channel = channel
        self._begin = begin
        self._call = begin()

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._call
        except grpc.RpcError as error:
            if not self._channel.led_by(error):
                raise
        else:
            return
        self._call = self._begin()
        yield from self._call

    def cancel(self) -> None:
        """End the call."""
        self._call.cancel()
