"""Mutual TLS for gRPC and for HTTPS, out of one set of files; files that rotate count as they are at each handshake.

A gRPC client can check a server only by a DNS name, so daemons are checked by `{name}.{kind}.qinet`, whatever
address they were reached at. grpcio cannot be told a minimum TLS version: gRPC servers add an `IdentityInterceptor`.
"""

import ssl
from collections.abc import Sequence

import grpc
import grpc.aio

from controller.domain.refusals import InvalidValue
from controller.identity.peers import Identity
from controller.identity.rotation import AnyTls, RotatingTls, now_in_force
from controller.identity.tls_files import Tls, TlsFiles, TlsRefused, files_in, load_tls

__all__ = [
    "AnyTls",
    "ChannelOptions",
    "RotatingTls",
    "Tls",
    "TlsFiles",
    "TlsRefused",
    "channel_options",
    "files_in",
    "grpc_channel_credentials",
    "grpc_server_credentials",
    "https_client_context",
    "https_server_context",
    "load_tls",
    "open_aio_channel",
    "open_channel",
]

ChannelOptions = Sequence[tuple[str, str | int]]


def grpc_server_credentials(tls: AnyTls) -> grpc.ServerCredentials:
    """Return credentials of a gRPC server to which only clients with a certificate of our CA connect.

    Raises:
        TlsRefused: TLS_NOT_A_SERVER: the certificate is a user's or an SAE's, which no client can check.
    """
    files = now_in_force(tls)
    _require_daemon(files)
    if isinstance(tls, RotatingTls):
        return _rotating_server_credentials(tls)
    return grpc.ssl_server_credentials([(files.key_pem, files.certificate_pem)], files.ca_pem, require_client_auth=True)


def _rotating_server_credentials(tls: RotatingTls) -> grpc.ServerCredentials:
    served = tls.current

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # Called before each handshake, on a thread of gRPC's; None keeps what it has, tickets of sessions included.
        nonlocal served
        newest = tls.current
        if newest is served:
            return None
        served = newest
        return _server_configuration(newest)

    return grpc.dynamic_ssl_server_credentials(
        _server_configuration(served),
        fetch,  # type: ignore[arg-type]  # the stub forgets that None means no change
        require_client_authentication=True,
    )


def _server_configuration(tls: Tls) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(tls.key_pem, tls.certificate_pem)], tls.ca_pem)


def grpc_channel_credentials(tls: AnyTls) -> grpc.ChannelCredentials:
    """Return credentials of a gRPC client; go with `channel_options`, which name the server to expect.

    A channel keeps the files that were in force when it was opened.
    """
    tls = now_in_force(tls)
    return grpc.ssl_channel_credentials(tls.ca_pem, tls.key_pem, tls.certificate_pem)


def channel_options(peer: Identity, more: ChannelOptions = ()) -> list[tuple[str, str | int]]:
    """Return channel options under which only that peer's certificate is accepted, whatever address is dialled.

    Raises:
        InvalidValue: The peer is a user or an SAE: they serve nothing.
    """
    if peer.dns_name is None:
        raise InvalidValue("", ("peer", f"{peer} is no daemon: only nodes and controllers are dialled"))
    return [("grpc.ssl_target_name_override", peer.dns_name), *more]


def open_aio_channel(tls: AnyTls, address: str, peer: Identity, options: ChannelOptions = ()) -> grpc.aio.Channel:
    """Open a channel of grpc.aio to the named peer; call it in the event loop that will use it.

    Args:
        tls: Who we are.
        address: `host:port` or `[ipv6]:port`.
        peer: Who must answer there, a node or controller.
        options: More channel options, as message sizes and keepalive.

    A server that is somebody else, or has no certificate of our CA, makes calls fail with UNAVAILABLE.
    """
    return grpc.aio.secure_channel(address, grpc_channel_credentials(tls), channel_options(peer, options))


def open_channel(tls: AnyTls, address: str, peer: Identity, options: ChannelOptions = ()) -> grpc.Channel:
    """Open a blocking channel to the named peer; arguments as for `open_aio_channel`."""
    return grpc.secure_channel(address, grpc_channel_credentials(tls), channel_options(peer, options))


def https_server_context(tls: AnyTls, *, allow_tls_1_2: bool = False) -> ssl.SSLContext:
    """Return the context of an HTTPS server (GS QKD 014, metrics) that only clients with a certificate of our CA enter.

    Args:
        tls: Who we are.
        allow_tls_1_2: Accept TLS 1.2 beside 1.3; nothing older ever.

    Raises:
        TlsRefused: TLS_NOT_A_SERVER: the certificate is a user's or an SAE's.
    """
    files = now_in_force(tls)
    _require_daemon(files)
    context = _server_context(files, allow_tls_1_2=allow_tls_1_2)
    if isinstance(tls, RotatingTls):
        _let_rotate(context, tls, allow_tls_1_2=allow_tls_1_2)
    return context


def _server_context(tls: Tls, *, allow_tls_1_2: bool) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER, tls, allow_tls_1_2=allow_tls_1_2)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _let_rotate(context: ssl.SSLContext, tls: RotatingTls, *, allow_tls_1_2: bool) -> None:
    """Have each handshake of the context go on in one of the newest files."""
    newest, inside = tls.current, context

    def choose(connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
        # Called at each handshake, whether or not the client names a host.
        nonlocal newest, inside
        if tls.current is not newest:
            current = tls.current
            try:
                inside = _server_context(current, allow_tls_1_2=allow_tls_1_2)
            except TlsRefused:  # its files are being replaced again: that rotation brings what to use
                return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
            newest = current
        connection.context = inside
        return None

    # A resumed session is not verified again: it would outlive the CA that vouched for the client.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    context.sni_callback = choose


def https_client_context(tls: AnyTls, *, allow_tls_1_2: bool = False) -> ssl.SSLContext:
    """Return the context of an HTTPS client. It checks the server's host name or IP address.

    Args:
        tls: Who we are.
        allow_tls_1_2: Accept TLS 1.2 beside 1.3; nothing older ever.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, now_in_force(tls), allow_tls_1_2=allow_tls_1_2)


def _context(side: int, tls: Tls, *, allow_tls_1_2: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_2 if allow_tls_1_2 else ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=tls.ca_pem.decode("ascii", "replace"))
    try:
        # ssl reads a key from a file only. Where it changed since `tls` was read, the pair may no longer fit.
        context.load_cert_chain(tls.files.certificate, tls.files.key)
    except (OSError, ssl.SSLError) as problem:
        raise TlsRefused(
            "TLS_FILE_UNREADABLE",
            f"{tls.files.certificate}: cannot be used with {tls.files.key} ({problem}): "
            "check that nobody is replacing them",
            {"file": tls.files.certificate},
        ) from None
    return context


def _require_daemon(tls: Tls) -> None:
    if tls.identity.dns_name is None:
        raise TlsRefused(
            "TLS_NOT_A_SERVER",
            f"{tls.files.certificate}: is {tls.identity}'s, and a server needs a node's or a controller's: "
            "issue one with `qinetctl pki issue node/NAME` or `controller/NAME`",
            {"file": tls.files.certificate},
        )
