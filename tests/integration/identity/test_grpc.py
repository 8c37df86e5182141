"""gRPC over loopback: who gets in, who is refused, and how they are told."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from controller.identity.credentials import grpc_server_credentials, open_aio_channel, open_channel
from controller.identity.interceptor import IdentityInterceptor, peer_identity
from controller.identity.peers import Kind, parse_identity
from controller.identity.tls_files import Tls
from tests.integration.identity.conftest import Party

SERVER = parse_identity("controller/c1")
TIMEOUT_S = 10


def caller(context: Any) -> bytes:
    return str(peer_identity(context)).encode()


class Calls:
    """Every kind of method in every way that grpc.aio can run it; each answers who called, then what was sent."""

    def __init__(self) -> None:
        self.seen = 0

    async def unary_unary(self, request: bytes, context: Any) -> bytes:
        self.seen += 1
        return caller(context) + request

    async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.seen += 1
        yield caller(context)
        yield request

    async def unary_stream_by_writing(self, request: bytes, context: Any) -> None:
        self.seen += 1
        await context.write(caller(context))
        await context.write(request)

    async def stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        self.seen += 1
        return caller(context) + b"".join([request async for request in requests])

    async def stream_stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        self.seen += 1
        yield caller(context)
        async for request in requests:
            yield request

    async def greeting_stream_stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        self.seen += 1
        await context.send_initial_metadata(())
        yield caller(context)
        async for request in requests:
            yield request

    async def stream_stream_by_writing(self, requests: Any, context: Any) -> None:
        self.seen += 1
        await context.write(caller(context))
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(request)

    def plain_unary_unary(self, request: bytes, context: Any) -> bytes:
        self.seen += 1
        return caller(context) + request

    def plain_unary_stream(self, request: bytes, context: Any) -> Iterator[bytes]:
        self.seen += 1
        yield caller(context)
        yield request

    def handlers(self) -> grpc.GenericRpcHandler:
        kinds = {
            "unary_unary": grpc.unary_unary_rpc_method_handler,
            "unary_stream": grpc.unary_stream_rpc_method_handler,
            "stream_unary": grpc.stream_unary_rpc_method_handler,
            "stream_stream": grpc.stream_stream_rpc_method_handler,
        }
        methods = [name for name in dir(self) if "unary" in name or "stream" in name]
        return grpc.method_handlers_generic_handler(
            "test.Calls",
            {
                name: kinds[name.removeprefix("plain_").removeprefix("greeting_").removesuffix("_by_writing")](
                    getattr(self, name)
                )
                for name in methods
            },
        )


METHODS = sorted(name for name in vars(Calls) if "unary" in name or "stream" in name)


@asynccontextmanager
async def serving(tls: Tls, *kinds: Kind) -> AsyncIterator[tuple[str, Calls]]:
    calls = Calls()
    server = grpc.aio.server(interceptors=[IdentityInterceptor(kinds)])
    server.add_generic_rpc_handlers((calls.handlers(),))
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    reflection.enable_server_reflection(["test.Calls"], server)
    port = server.add_secure_port("127.0.0.1:0", grpc_server_credentials(tls))
    await server.start()
    try:
        yield f"127.0.0.1:{port}", calls
    finally:
        await server.stop(0)


async def ask(channel: Any, method: str) -> bytes:
    """Send two parts (one where only one can be sent), and return all that comes back."""
    path = f"/test.Calls/{method}"
    if "stream_stream" in method:
        return b"".join([part async for part in channel.stream_stream(path)(iter([b"-", b"hello"]), timeout=TIMEOUT_S)])
    if "stream_unary" in method:
        return bytes(await channel.stream_unary(path)(iter([b"-", b"hello"]), timeout=TIMEOUT_S))
    if "unary_stream" in method:
        return b"".join([part async for part in channel.unary_stream(path)(b"-hello", timeout=TIMEOUT_S)])
    return bytes(await channel.unary_unary(path)(b"-hello", timeout=TIMEOUT_S))


async def refused(channel: grpc.aio.Channel, method: str) -> grpc.aio.AioRpcError:
    """Return how a call ended that must not succeed; a streaming caller listens only, see IdentityInterceptor."""

    async def wait() -> object:
        path = f"/test.Calls/{method}"
        streaming: Any = channel
        if "stream_stream" in method:
            return await streaming.stream_stream(path)(timeout=TIMEOUT_S).read()
        if "stream_unary" in method:
            return await streaming.stream_unary(path)(timeout=TIMEOUT_S)
        return await ask(channel, method)

    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await wait()
    return refusal.value


def error_info(refusal: grpc.aio.AioRpcError) -> ErrorInfo:
    call: Any = type(
        "Call", (), {name: staticmethod(getattr(refusal, name)) for name in ("code", "details", "trailing_metadata")}
    )
    info = ErrorInfo()
    status = rpc_status.from_call(call)
    assert status is not None
    assert status.details[0].Unpack(info)
    return info


@pytest.mark.parametrize("method", METHODS)
async def test_a_handler_of_any_kind_knows_who_calls(party: Party, method: str) -> None:
    async with (
        serving(party("controller/c1"), Kind.NODE) as (address, calls),
        open_aio_channel(party("node/a"), address, SERVER) as channel,
    ):
        assert await ask(channel, method) == b"node/a-hello"
        assert calls.seen == 1


@pytest.mark.parametrize("method", METHODS)
async def test_a_peer_of_another_kind_reaches_no_handler_of_any_kind(party: Party, method: str) -> None:
    async with (
        serving(party("controller/c1"), Kind.NODE) as (address, calls),
        open_aio_channel(party("sae/alice"), address, SERVER) as channel,
    ):
        refusal = await refused(channel, method)
        assert refusal.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "sae/alice may not call here" in (refusal.details() or "")
        info = error_info(refusal)
        assert (info.reason, info.domain) == ("KIND_NOT_ALLOWED", "qinet.identity")
        assert dict(info.metadata) == {"peer": "sae/alice", "allowed": "node"}
        assert calls.seen == 0


async def test_a_streaming_client_that_waits_to_be_greeted_always_learns_why_it_was_refused(party: Party) -> None:
    async with serving(party("controller/c1"), Kind.NODE) as (address, _):
        path = "/test.Calls/greeting_stream_stream"
        async with open_aio_channel(party("node/a"), address, SERVER) as channel:
            call: Any = channel.stream_stream(path)(timeout=TIMEOUT_S)
            await call.initial_metadata()
            assert not call.done()
            await call.write(b"hello")
            assert [await call.read(), await call.read()] == [b"node/a", b"hello"]
        async with open_aio_channel(party("user/operator"), address, SERVER) as channel:
            for _ in range(20):
                call = channel.stream_stream(path)(timeout=TIMEOUT_S)
                await call.initial_metadata()
                assert call.done()
                assert await call.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_client_whose_certificate_has_expired_gets_no_connection(party: Party, expired: Party) -> None:
    async with (
        serving(party("controller/c1"), Kind.NODE) as (address, calls),
        open_aio_channel(expired("node/a"), address, SERVER) as channel,
    ):
        assert (await refused(channel, "unary_unary")).code() is grpc.StatusCode.UNAVAILABLE
        assert calls.seen == 0


async def test_the_blocking_client_gets_in_too(party: Party) -> None:
    async with serving(party("controller/c1"), Kind.USER) as (address, _):
        user = party("user/operator")

        def call() -> bytes:
            with open_channel(user, address, SERVER) as channel:
                unary_unary: Any = channel.unary_unary
                answer: bytes = unary_unary("/test.Calls/unary_unary")(b"-hello", timeout=TIMEOUT_S)
                return answer

        assert await asyncio.to_thread(call) == b"user/operator-hello"


async def test_health_and_reflection_answer_those_who_may_call_and_nobody_else(party: Party) -> None:
    async def both(tls: Tls, address: str) -> list[str]:
        async with open_aio_channel(tls, address, SERVER) as channel:
            untyped: Any = channel
            health_stub: Any = health_pb2_grpc.HealthStub(untyped)
            check = health_stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
            request = reflection_pb2.ServerReflectionRequest(list_services="")
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(untyped)
            stream = stub.ServerReflectionInfo(iter([request]), timeout=TIMEOUT_S)
            found = []
            try:
                found.append(health_pb2.HealthCheckResponse.ServingStatus.Name((await check).status))
            except grpc.aio.AioRpcError as refusal:
                found.append(refusal.code().name)
            try:
                found += [one.name async for answer in stream for one in answer.list_services_response.service]
            except grpc.aio.AioRpcError as refusal:
                found.append(refusal.code().name)
            return found

    async with serving(party("controller/c1"), Kind.USER) as (address, _):
        assert await both(party("user/operator"), address) == ["SERVING", "test.Calls"]
        assert await both(party("node/a"), address) == ["PERMISSION_DENIED", "PERMISSION_DENIED"]


async def test_a_method_that_does_not_exist_is_told_only_to_those_who_may_call(party: Party) -> None:
    async with serving(party("controller/c1"), Kind.USER) as (address, _):
        async with open_aio_channel(party("user/operator"), address, SERVER) as channel:
            assert (await refused(channel, "no_such_method")).code() is grpc.StatusCode.UNIMPLEMENTED
            assert (await refused(channel, "no_such_stream_stream")).code() is grpc.StatusCode.UNIMPLEMENTED
        async with open_aio_channel(party("node/a"), address, SERVER) as channel:
            assert (await refused(channel, "no_such_method")).code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_client_without_a_certificate_or_with_one_of_another_ca_gets_no_connection(
    party: Party, stranger: Party
) -> None:
    async with serving(party("controller/c1"), *Kind) as (address, calls):
        ours = party("node/a")
        bare = grpc.ssl_channel_credentials(ours.ca_pem)
        foreign = stranger("node/a")
        forged = grpc.ssl_channel_credentials(ours.ca_pem, foreign.key_pem, foreign.certificate_pem)
        for credentials in (bare, forged):
            options = [("grpc.ssl_target_name_override", "c1.controller.qinet")]
            async with grpc.aio.secure_channel(address, credentials, options) as channel:
                assert (await refused(channel, "unary_unary")).code() is grpc.StatusCode.UNAVAILABLE
        async with grpc.aio.insecure_channel(address) as plain:
            assert (await refused(plain, "unary_unary")).code() is grpc.StatusCode.UNAVAILABLE
        assert calls.seen == 0


@pytest.mark.parametrize("expected", ["controller/c2", "node/c1", "node/localhost"])
async def test_a_client_refuses_a_server_that_is_somebody_else(party: Party, expected: str) -> None:
    async with (
        serving(party("controller/c1"), Kind.NODE) as (address, calls),
        open_aio_channel(party("node/a"), address, parse_identity(expected)) as channel,
    ):
        assert (await refused(channel, "unary_unary")).code() is grpc.StatusCode.UNAVAILABLE
        assert calls.seen == 0


async def test_a_client_refuses_a_server_of_another_ca(party: Party, stranger: Party) -> None:
    async with (
        serving(stranger("controller/c1"), Kind.NODE) as (address, calls),
        open_aio_channel(party("node/a"), address, SERVER) as channel,
    ):
        assert (await refused(channel, "unary_unary")).code() is grpc.StatusCode.UNAVAILABLE
        assert calls.seen == 0


async def test_two_nodes_serve_and_call_each_other(party: Party) -> None:
    a, b = party("node/a"), party("node/b")
    async with serving(a, Kind.NODE) as (at_a, _), serving(b, Kind.NODE) as (at_b, _):
        async with open_aio_channel(b, at_a, a.identity) as channel:
            assert await ask(channel, "unary_unary") == b"node/b-hello"
        async with open_aio_channel(a, at_b, b.identity) as channel:
            assert await ask(channel, "unary_unary") == b"node/a-hello"


def raw_call(address: str, tls: Tls, version: ssl.TLSVersion) -> tuple[str | None, bytes]:
    """Call unary_unary over TLS of just that version with hand-made HTTP/2, as grpcio cannot be held to one.

    Returns the version agreed on and what came back until the server ended the call.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(cadata=tls.ca_pem.decode())
    context.load_cert_chain(tls.files.certificate, tls.files.key)

    def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    def text(value: bytes) -> bytes:
        return bytes([len(value)]) + value

    headers = (
        b"\x83\x87"  # :method POST, :scheme https, both from HPACK's static table
        + b"\x04" + text(b"/test.Calls/unary_unary")
        + b"\x01" + text(b"c1.controller.qinet")
        + b"\x00" + text(b"te") + text(b"trailers")
        + b"\x00" + text(b"content-type") + text(b"application/grpc")
    )  # fmt: skip
    message = b"\x00" + (6).to_bytes(4, "big") + b"-hello"
    host, port = address.rsplit(":", 1)
    with (
        socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname="c1.controller.qinet") as connection,
    ):
        connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 4, 1, headers) + frame(0, 1, 1, message)
        )
        received, rest = b"", b""
        while True:
            rest += connection.recv(65536)
            while len(rest) >= 9 and len(rest) >= 9 + int.from_bytes(rest[:3], "big"):
                size, kind, flags = int.from_bytes(rest[:3], "big"), rest[3], rest[4]
                received, rest = received + rest[9 : 9 + size], rest[9 + size :]
                if kind in (0, 1) and flags & 1:  # the last frame of our one stream
                    return connection.version(), received


async def test_a_tls_1_2_client_is_refused_where_the_same_call_over_tls_1_3_is_answered(party: Party) -> None:
    async with serving(party("controller/c1"), Kind.NODE) as (address, calls):
        node = party("node/a")
        version, answer = await asyncio.to_thread(raw_call, address, node, ssl.TLSVersion.TLSv1_3)
        assert version == "TLSv1.3"
        assert b"node/a-hello" in answer
        assert calls.seen == 1

        version, answer = await asyncio.to_thread(raw_call, address, node, ssl.TLSVersion.TLSv1_2)
        assert version == "TLSv1.2"
        assert b"\x0bgrpc-status\x0216" in answer  # UNAUTHENTICATED
        assert b"speaks TLSv1.2" in answer
        assert b"node/a-hello" not in answer
        assert calls.seen == 1


async def test_a_peer_whose_certificate_names_nobody_is_refused(
    party: Party, nameless: grpc.ChannelCredentials
) -> None:
    async with serving(party("controller/c1"), *Kind) as (address, calls):
        options = [("grpc.ssl_target_name_override", "c1.controller.qinet")]
        async with grpc.aio.secure_channel(address, nameless, options) as channel:
            refusal = await refused(channel, "unary_unary")
        assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED
        assert error_info(refusal).reason == "NO_IDENTITY"
        assert calls.seen == 0
