"""Mutual TLS for gRPC and for HTTPS, out of one set of files.

A gRPC client can check a server only by a DNS name, so daemons are checked by `{name}.{kind}.qinet`, whatever
address they were reached at. grpcio cannot be told a minimum TLS version: gRPC servers add an `IdentityInterceptor`.
"""

import ssl
from collections.abc import Sequence

import grpc
import grpc.aio

from controller.domain.refusals import InvalidValue
from controller.identity.peers import Identity
from controller.identity.tls_files import Tls, TlsFiles, TlsRefused, files_in, load_tls

__all__ = [
    "ChannelOptions",
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


def grpc_server_credentials(tls: Tls) -> grpc.ServerCredentials:
    """Return credentials of a gRPC server to which only clients with a certificate of our CA connect.

    Raises:
        TlsRefused: TLS_NOT_A_SERVER: the certificate is a user's or an SAE's, which no client can check.
    """
    _require_daemon(tls)
    return grpc.ssl_server_credentials([(tls.key_pem, tls.certificate_pem)], tls.ca_pem, require_client_auth=True)


def grpc_channel_credentials(tls: Tls) -> grpc.ChannelCredentials:
    """Return credentials of a gRPC client; go with `channel_options`, which name the server to expect."""
    return grpc.ssl_channel_credentials(tls.ca_pem, tls.key_pem, tls.certificate_pem)


def channel_options(peer: Identity, more: ChannelOptions = ()) -> list[tuple[str, str | int]]:
    """Return channel options under which only that peer's certificate is accepted, whatever address is dialled.

    Raises:
        InvalidValue: The peer is a user or an SAE: they serve nothing.
    """
    if peer.dns_name is None:
        raise InvalidValue("", ("peer", f"{peer} is no daemon: only nodes and controllers are dialled"))
    return [("grpc.ssl_target_name_override", peer.dns_name), *more]


def open_aio_channel(tls: Tls, address: str, peer: Identity, options: ChannelOptions = ()) -> grpc.aio.Channel:
    """Open a channel of grpc.aio to the named peer; call it in the event loop that will use it.

    Args:
        tls: Who we are.
        address: `host:port` or `[ipv6]:port`.
        peer: Who must answer there, a node or controller.
        options: More channel options, as message sizes and keepalive.

    A server that is somebody else, or has no certificate of our CA, makes calls fail with UNAVAILABLE.
    """
    return grpc.aio.secure_channel(address, grpc_channel_credentials(tls), channel_options(peer, options))


def open_channel(tls: Tls, address: str, peer: Identity, options: ChannelOptions = ()) -> grpc.Channel:
    """Open a blocking channel to the named peer; arguments as for `open_aio_channel`."""
    return grpc.secure_channel(address, grpc_channel_credentials(tls), channel_options(peer, options))


def https_server_context(tls: Tls, *, allow_tls_1_2: bool = False) -> ssl.SSLContext:
    """Return the context of an HTTPS server (GS QKD 014, metrics) that only clients with a certificate of our CA enter.

    Args:
        tls: Who we are.
        allow_tls_1_2: Accept TLS 1.2 beside 1.3; nothing older ever.

    Raises:
        TlsRefused: TLS_NOT_A_SERVER: the certificate is a user's or an SAE's.
    """
    _require_daemon(tls)
    context = _context(ssl.PROTOCOL_TLS_SERVER, tls, allow_tls_1_2=allow_tls_1_2)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def https_client_context(tls: Tls, *, allow_tls_1_2: bool = False) -> ssl.SSLContext:
    """Return the context of an HTTPS client. It checks the server's host name or IP address.

    Args:
        tls: Who we are.
        allow_tls_1_2: Accept TLS 1.2 beside 1.3; nothing older ever.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, tls, allow_tls_1_2=allow_tls_1_2)


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
