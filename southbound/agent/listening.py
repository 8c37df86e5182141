"""Whether an address can be listened on: asked before anything is made, for gRPC does not tell why it cannot."""

import asyncio
import errno
import socket

from controller.domain.refusals import Refusal


class ListenRefused(Refusal):
    """An address cannot be listened on. Reason: ADDRESS_UNAVAILABLE."""

    def __init__(self, address: str, problem: str) -> None:
        super().__init__("ADDRESS_UNAVAILABLE", f"{address}: cannot listen there: {problem}", {"address": address})


async def require_free(host: str, port: int) -> None:
    """Check that one could listen there now; port 0 asks for the host alone.

    Raises:
        ListenRefused: The host is not ours, or the port is not free.
    """
    address = f"{host}:{port}"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as problem:
        raise ListenRefused(address, f"{host} is no address, nor a name that has one ({problem.strerror})") from None
    family, kind, protocol, _, where = found[0]
    try:
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: connections that have ended do not hold the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as problem:
        raise ListenRefused(address, why_not(host, problem)) from None


def why_not(host: str, problem: OSError) -> str:
    """Return what is wrong with an address and what would help."""
    match problem.errno:
        case errno.EADDRINUSE:
            return "the port is taken: is another agent running? choose another port, or 0 for any"
        case errno.EADDRNOTAVAIL:
            return (
                f"{host} is not an address of this host: give one of its own, or 0.0.0.0 for all "
                "(what others reach it by goes in --advertise)"
            )
        case errno.EACCES:
            return "ports below 1024 need rights that this process has not: choose a higher one"
        case _:
            return problem.strerror or str(problem)
