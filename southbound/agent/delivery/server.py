"""The HTTPS server of GS QKD 014: takes bytes and identities in, and decides nothing about keys."""

import asyncio
import logging
import ssl
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from controller.identity.peers import Kind, PeerRefused, transport_identity
from southbound.agent.delivery.desk import RETRY_AFTER_S, KeyDesk, answer_request
from southbound.agent.delivery.refused import RequestRefused
from southbound.agent.delivery.requests import read_request
from southbound.agent.delivery.responses import Reply, error_reply, refusal_reply, unauthorised
from southbound.agent.delivery.target import read_target

log = logging.getLogger(__name__)

_HANDSHAKE_S: Final = 5.0
_GOODBYE_S: Final = 0.5
_LINGER_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLimits:
    """How much a server takes on.

    Attributes:
        deadline_s: From the head of a request to its answer, then 408 or 503; > 0.
        body_byte: Largest body, then 413; > 0.
        in_flight: Requests at once, then 503; > 0.
        idle_s: How long a connection without a request stays open; > 0.
        grace_s: How long `stop` waits for requests in flight; >= 0.
    """

    deadline_s: float = 10.0
    body_byte: int = 1 << 18
    in_flight: int = 256
    idle_s: float = 60.0
    grace_s: float = 2.0


class DeliveryServer:
    """One node's GS QKD 014 port. Start it once, stop it once."""

    def __init__(self, desk: KeyDesk, tls: ssl.SSLContext, limits: DeliveryLimits | None = None) -> None:
        """Serve the desk; `tls` is `https_server_context(...)`, which lets in only clients of our CA."""
        self._desk = desk
        self._tls = tls
        self._limits = limits or DeliveryLimits()
        self._in_flight = 0
        self._runner: web.ServerRunner | None = None
        self._closed: asyncio.Task[None] | None = None
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; return the bound address (port 0: any free one).

        Raises:
            OSError: The address can't be bound.
        """
        loop = asyncio.get_running_loop()
        # No routing of aiohttp's: it would answer HEAD like GET, and some mistakes without an Error.
        manager = web.Server(
            self._handle,
            request_factory=lambda message, payload, protocol, writer, task: web.BaseRequest(
                message, payload, protocol, writer, task, loop, client_max_size=self._limits.body_byte
            ),
        )
        runner = web.ServerRunner(manager, shutdown_timeout=self._limits.grace_s)
        await runner.setup()

        def connection() -> web.RequestHandler:
            # No access log: a request line holds key ids.
            return _Connection(
                manager,
                loop=loop,
                access_log=None,  # type: ignore[arg-type]  # as aiohttp's documentation has it
                keepalive_timeout=self._limits.idle_s,
                lingering_time=_LINGER_S,
            )

        try:
            self._listener = await loop.create_server(
                connection,
                host,
                port,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_S,
                ssl_shutdown_timeout=_GOODBYE_S,
            )
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        bound = self._listener.sockets[0].getsockname()
        log.info("key delivery listens host=%s port=%d", bound[0], bound[1])
        return str(bound[0]), int(bound[1])

    async def stop(self) -> None:
        """Take no more requests, let those in flight end within the grace, and return when every socket is closed."""
        if self._listener is None or self._runner is None:
            return
        # Under Python 3.11 a wait that begins after close() returns at once, with connections still open.
        closed = asyncio.create_task(self._listener.wait_closed())
        await asyncio.sleep(0)
        self._listener.close()
        await self._runner.cleanup()
        await closed
        self._listener = self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if self._in_flight >= self._limits.in_flight:
            busy = error_reply(503, "too many requests at once: try again", (), {"Retry-After": str(RETRY_AFTER_S)})
            return _response(busy, close=True)
        self._in_flight += 1
        try:
            reply = await self._reply(request)
        finally:
            self._in_flight -= 1
        # What is left of a body that we refused to read would be taken for the next request.
        return _response(reply, close=not request.content.at_eof())

    async def _reply(self, request: web.BaseRequest) -> Reply:
        caller = _caller(request)
        if caller is None:
            return unauthorised()
        reading = True
        try:
            async with asyncio.timeout(self._limits.deadline_s):
                self._desk.sae_called(caller)
                target = read_target(request.method, request.raw_path)
                body = await self._body(request)
                asked = read_request(target, caller, request.headers.get("Content-Type"), body)
                reading = False
                return await answer_request(asked, caller, self._desk)
        except RequestRefused as refusal:
            return refusal_reply(refusal)
        except TimeoutError:
            if reading:
                return error_reply(408, "the request did not arrive in time")
            log.warning("key delivery took too long sae=%s deadline_s=%.1f", caller, self._limits.deadline_s)
            return error_reply(503, "the keys did not come in time: try again", (), {"Retry-After": str(RETRY_AFTER_S)})
        except (ConnectionError, web.RequestPayloadError):
            return error_reply(400, "the body is malformed or incomplete")
        except Exception:
            # The caller still gets an Error body, and the other connections go on.
            log.exception("key delivery failed sae=%s", caller)
            return error_reply(500, "internal error: the node's log has more")

    async def _body(self, request: web.BaseRequest) -> bytes:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # it counts what belongs to the answer
        try:
            return await request.read()
        except web.HTTPRequestEntityTooLarge:
            limit = self._limits.body_byte
            raise RequestRefused(
                413, f"the body is longer than {limit} bytes", [{"max_body_bytes": limit}], reason="TOO_LARGE"
            ) from None


def _caller(request: web.BaseRequest) -> str | None:
    """Return the SAE id in the client's certificate, or None if it is not an SAE's."""
    try:
        identity = transport_identity(request.transport)
    except PeerRefused as refusal:
        log.info("key delivery refused a peer reason=%s", refusal.reason)
        return None
    if identity.kind is not Kind.SAE:
        log.info("key delivery refused a peer that is no SAE peer=%s", identity)
        return None
    return identity.name


def _response(reply: Reply, *, close: bool = False) -> web.Response:
    response = web.Response(status=reply.status, headers=reply.headers, body=reply.body or None)
    if close:
        response.force_close()
    return response


class _Connection(web.RequestHandler):
    """A connection on which what is no HTTP at all is answered with an Error too, and not quoted in the log."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        text = "the request is not HTTP/1.1 as we read it" if status < 500 else "internal error"
        log.info("key delivery got a malformed request status=%d kind=%s", status, type(exc).__name__)
        return _response(error_reply(status, text), close=True)
