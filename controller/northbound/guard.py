"""Stands before every method: bounds calls in number and time, and turns refusals into statuses."""

import asyncio
import inspect
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc
import grpc.aio

from controller.domain.refusals import Refusal
from controller.northbound.status import Broken, NoAnswerInTime, TooManyCalls, code_of, to_status
from controller.service.desk import Stopping, TooSlow

log = logging.getLogger(__name__)

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # not subscriptable at run time
_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a server takes.

    Attributes:
        unary_s: A call is answered within this time, also when the client sets no deadline; > 0.
        unary_calls: Calls at once.
        streams: Watches and other streams at once.
        write_s: A client that does not take a message of a stream for this long is cut off.
    """

    unary_s: float = 30.0
    unary_calls: int = 256
    streams: int = 256
    write_s: float = 30.0


class _Gate:
    """Counts what is inside, and lets nothing more in when it is full."""

    def __init__(self, size: int, what: str) -> None:
        self._size = size
        self._what = what
        self.inside = 0

    @contextmanager
    def passed(self) -> Iterator[None]:
        if self.inside >= self._size:
            raise TooManyCalls(
                "TOO_MANY_CALLS",
                f"{self._size} {self._what} are being served, and no more at once: try again shortly",
                {"limit": self._size},
            )
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


class GuardInterceptor(grpc.aio.ServerInterceptor):
    """Comes after the identity interceptor, so that strangers take no place."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._calls: Final = _Gate(limits.unary_calls, "calls")
        self._streams: Final = _Gate(limits.streams, "streams")
        self._streaming: set[_Streaming] = set()
        self._stopping = asyncio.Event()

    @property
    def calls(self) -> int:
        """Return how many unary calls are being served."""
        return self._calls.inside

    @property
    def streams(self) -> int:
        """Return how many streams are being served."""
        return self._streams.inside

    def end_streams(self) -> None:
        """Tell every stream, and each that begins later, that the server is stopping: UNAVAILABLE, reason STOPPING."""
        self._stopping.set()
        for stream in self._streaming:
            stream.interrupt()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], "Awaitable[Handler | None]"],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the method's handler behind the guard."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler  # type: ignore[return-value]  # grpc answers UNIMPLEMENTED
        method = handler_call_details.method
        for behaviour, guard, rebuilt in (
            (handler.unary_unary, self._unary, grpc.unary_unary_rpc_method_handler),
            (handler.unary_stream, self._stream, grpc.unary_stream_rpc_method_handler),
            (handler.stream_stream, self._stream, grpc.stream_stream_rpc_method_handler),
        ):
            if behaviour is not None:
                return rebuilt(guard(behaviour, method), handler.request_deserializer, handler.response_serializer)
        return handler

    def _unary(self, behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def answering(request: Any, context: _Context) -> Any:
            try:
                with self._calls.passed():
                    return await self._in_time(behaviour(request, context))
            except Exception as problem:
                await _abort(context, method, problem)

        return answering

    async def _in_time(self, answer: Awaitable[Any]) -> Any:
        # A client's own deadline, where it is shorter, cancels the handler without our help.
        try:
            async with asyncio.timeout(self._limits.unary_s) as timer:
                return await answer
        except TimeoutError:
            if not timer.expired():
                raise
            raise NoAnswerInTime(
                "NO_ANSWER_IN_TIME",
                f"no answer within {self._limits.unary_s:g} s; what was asked for may still be done:"
                " look, or repeat it with the same request_id",
                {"seconds": self._limits.unary_s},
            ) from None

    def _stream(self, behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def streaming(request: Any, context: _Context) -> None:
            try:
                with self._streams.passed(), self._until_stopped(context) as stream:
                    if inspect.isasyncgenfunction(behaviour):
                        async with aclosing(behaviour(request, context)) as answers:
                            await self._written(answers, stream)
                    else:
                        await behaviour(request, stream)
            except Exception as problem:
                await _abort(context, method, problem)

        return streaming

    @contextmanager
    def _until_stopped(self, context: _Context) -> Iterator["_Streaming"]:
        if self._stopping.is_set():
            raise Stopping
        stream = _Streaming(context, self._stopping)
        self._streaming.add(stream)
        try:
            yield stream
        except asyncio.CancelledError:
            # A client that goes away cancels the task too; then telling it fails, and nobody minds.
            if not self._stopping.is_set():
                raise
            stream.task.uncancel()
            raise Stopping from None
        finally:
            self._streaming.discard(stream)

    async def _written(self, answers: AsyncIterator[Any], stream: "_Streaming") -> None:
        async for answer in answers:
            try:
                async with asyncio.timeout(self._limits.write_s) as timer:
                    await stream.write(answer)
            except TimeoutError:
                if not timer.expired():
                    raise
                raise TooSlow from None


class _Streaming:
    """The context of a stream, which the end of the server never interrupts in a write.

    gRPC notes that the headers went out when the first write returns. After one that was cancelled it sends them again
    with the status, which the core refuses: the client would hear nothing until it is cut off.
    """

    def __init__(self, context: _Context, stopping: asyncio.Event) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self._context = context
        self._stopping = stopping
        self._writing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def interrupt(self) -> None:
        """End what the stream waits for; a write goes on, and the stream ends after it."""
        if not self._writing:
            self.task.cancel()

    async def write(self, message: Any) -> None:
        """Send a message.

        Raises:
            Stopping: The server is, and the stream ends here.
        """
        self._writing = True
        try:
            await self._context.write(message)
        finally:
            self._writing = False
        if self._stopping.is_set():
            raise Stopping


async def _abort(context: _Context, method: str, problem: Exception) -> None:
    if isinstance(problem, grpc.aio.AbortError):
        raise problem
    if not isinstance(problem, Refusal) or code_of(problem) is grpc.StatusCode.INTERNAL:
        # The call ends, the server goes on: the person who asked gets an id to tell, and the log the fault.
        broken = Broken(uuid.uuid4().hex[:12])
        log.error("call failed method=%s error_id=%s", method, broken.facts()["error_id"], exc_info=problem)
        problem = broken
    try:
        await context.abort_with_status(to_status(problem))
    except grpc.aio.InternalError as gone:
        # The client left before it could be told, which is how a client that does not read is got rid of.
        raise asyncio.CancelledError from gone
