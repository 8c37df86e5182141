"""What ours is measured beside: bare gRPC between two processes of this machine, without TLS and without any work.

`python -m tests.bench.peers` is the server process: it prints its port and answers until its input ends.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc

ECHO: Final = "/qinet.bench.Peer/Echo"
STREAM: Final = "/qinet.bench.Peer/Stream"
_WITHIN_S: Final = 30.0


async def _echo(request: bytes, _context: Any) -> bytes:
    return request


async def _stream(requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def serve() -> None:
    """Serve until the standard input ends."""
    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Echo": grpc.unary_unary_rpc_method_handler(_echo),
        "Stream": grpc.stream_stream_rpc_method_handler(_stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("qinet.bench.Peer", handlers),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


@contextmanager
def peer() -> Iterator[str]:
    """Run the server in a process of its own; yield host:port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.peers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        try:
            process.wait(_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def unary_per_s(address: str, *, in_flight: int, message: bytes, for_s: float) -> float:
    """Return how many unary calls a second one client process gets answered, so many in flight."""

    async def measure() -> float:
        async with grpc.aio.insecure_channel(address) as channel:
            call: Any = channel.unary_unary(ECHO)
            await call(message)
            done, began = 0, time.monotonic()

            async def worker() -> None:
                nonlocal done
                while time.monotonic() - began < for_s:
                    await call(message)
                    done += 1

            await asyncio.gather(*(worker() for _ in range(in_flight)))
            return done / (time.monotonic() - began)

    return asyncio.run(measure())


def stream_per_s(address: str, *, in_flight: int, message: bytes, for_s: float) -> float:
    """Return how many messages a second go through one stream and back, so many under way at a time."""

    async def measure() -> float:
        async with grpc.aio.insecure_channel(address) as channel:
            stream: Any = channel.stream_stream(STREAM)()
            for _ in range(in_flight):
                await stream.write(message)
            done, began = 0, time.monotonic()
            while time.monotonic() - began < for_s:
                await stream.read()
                await stream.write(message)
                done += 1
            took_s = time.monotonic() - began
            await stream.done_writing()
            for _ in range(in_flight):
                await stream.read()
            return done / took_s

    return asyncio.run(measure())


if __name__ == "__main__":
    asyncio.run(serve())
