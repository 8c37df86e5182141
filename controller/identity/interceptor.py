"""Lets only peers that say who they are, over TLS 1.3, call a gRPC server."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import grpc
import grpc.aio
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from controller.identity.peers import AuthContext, Identity, Kind, PeerRefused, auth_context_identity, peer_identity

__all__ = ["IdentityInterceptor", "admit", "peer_identity"]

_TLS_1_3: Final = b"TLSv1.3"
_DOMAIN: Final = "qinet.identity"


def admit(auth_context: AuthContext, allowed: Collection[Kind]) -> Identity:
    """Return who calls, if they may.

    Args:
        auth_context: As `context.auth_context()` gives it.
        allowed: The kinds that may call.

    Raises:
        PeerRefused: TLS_TOO_OLD, KIND_NOT_ALLOWED, or as `auth_context_identity`.
    """
    versions = tuple(auth_context.get("ssl_tls_version", ()))
    if versions != (_TLS_1_3,):
        spoken = b" ".join(versions).decode("ascii", "replace") or "no TLS"
        raise PeerRefused(
            "TLS_TOO_OLD", f"the connection speaks {spoken}: this server takes TLS 1.3 only", {"found": spoken}
        )
    identity = auth_context_identity(auth_context)
    if identity.kind not in allowed:
        raise PeerRefused(
            "KIND_NOT_ALLOWED",
            f"{identity} may not call here: this server is for {', '.join(sorted(allowed))}",
            {"peer": identity, "allowed": " ".join(sorted(allowed))},
        )
    return identity


class _Answer(NamedTuple):
    code: grpc.StatusCode
    details: str
    trailing_metadata: Any


def _answer(refusal: PeerRefused) -> _Answer:
    code = (
        grpc.StatusCode.PERMISSION_DENIED if refusal.reason == "KIND_NOT_ALLOWED" else grpc.StatusCode.UNAUTHENTICATED
    )
    status = status_pb2.Status(code=code.value[0], message=str(refusal))
    status.details.add().Pack(ErrorInfo(reason=refusal.reason, domain=_DOMAIN, metadata=refusal.facts()))
    converted = rpc_status.to_status(status)
    return _Answer(code, str(refusal), converted.trailing_metadata)


class IdentityInterceptor(grpc.aio.ServerInterceptor):
    """Refuses, before a handler sees a request, callers that `admit` does not admit.

    UNAUTHENTICATED: the connection is not TLS 1.3, or the certificate does not say who it is.
    PERMISSION_DENIED: somebody whose kind does not call here. Both carry `ErrorInfo`, domain `qinet.identity`.

    It covers every method of the server: health, reflection and those that do not exist. It must be the first
    interceptor. Handlers get the caller with `peer_identity(context)`.

    A grpc.aio client that is still writing to a stream when it is refused may see INTERNAL in place of our status
    (grpcio 1.85). So handlers of long streams send their initial metadata at once, and clients await
    `call.initial_metadata()` before they write: then `call.done()` tells that they were refused, `call.code()` why.
    """

    def __init__(self, allowed: Collection[Kind]) -> None:
        self._allowed = frozenset(allowed)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], "Awaitable[grpc.RpcMethodHandler[Any, Any] | None]"],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """Return the method's handler behind the check."""
        handler = await continuation(handler_call_details)
        if handler is None:
            # Without a handler grpc answers UNIMPLEMENTED by itself, and would tell strangers what exists here.
            return grpc.stream_stream_rpc_method_handler(self._guarded(_unknown_method, streams=True))
        for behaviour, streams, rebuilt in (
            (handler.unary_unary, False, grpc.unary_unary_rpc_method_handler),
            (handler.unary_stream, True, grpc.unary_stream_rpc_method_handler),
            (handler.stream_unary, False, grpc.stream_unary_rpc_method_handler),
            (handler.stream_stream, True, grpc.stream_stream_rpc_method_handler),
        ):
            if behaviour is not None:
                return rebuilt(
                    self._guarded(behaviour, streams=streams), handler.request_deserializer, handler.response_serializer
                )
        return handler

    def _guarded(self, behaviour: Callable[..., Any], *, streams: bool) -> Callable[..., Any]:
        # grpc.aio looks at the kind of function to decide how to run it, so each is wrapped in its own kind.
        if inspect.isasyncgenfunction(behaviour):

            async def generating(request: Any, context: Any) -> AsyncIterator[Any]:
                await self._check(context)
                async with aclosing(behaviour(request, context)) as answers:
                    async for answer in answers:
                        yield answer

            return generating
        if inspect.iscoroutinefunction(behaviour):

            async def awaiting(request: Any, context: Any) -> Any:
                await self._check(context)
                return await behaviour(request, context)

            return awaiting
        if streams:

            def iterating(request: Any, context: Any) -> Iterator[Any]:
                self._check_in_thread(context)
                yield from behaviour(request, context)

            return iterating

        def calling(request: Any, context: Any) -> Any:
            self._check_in_thread(context)
            return behaviour(request, context)

        return calling

    async def _check(self, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        try:
            admit(context.auth_context(), self._allowed)
        except PeerRefused as refusal:
            await context.abort(*_answer(refusal))

    def _check_in_thread(self, context: Any) -> None:  # what grpc.aio hands to plain functions has no public type
        try:
            admit(context.auth_context(), self._allowed)
        except PeerRefused as refusal:
            context.abort(*_answer(refusal))


async def _unknown_method(_requests: Any, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
