"""What a daemon tells the service manager that started it, as sd_notify(3) has it; nothing where there is none."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

_US_PER_S: Final = 1_000_000


class ServiceManager:
    """Sends datagrams to the socket that the environment names. Never fails and never blocks: nobody has to listen.

    The watchdog is fed by `alive`, which the caller calls only while its work goes on; it is told in time, not each
    time.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        *,
        now_s: Callable[[], float] = time.monotonic,
        pid: int | None = None,
    ) -> None:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; anything that cannot be understood counts as absent.

        Args:
            environment: Of the process.
            now_s: CLOCK_MONOTONIC.
            pid: Ours; only the process that is meant feeds the watchdog.
        """
        self._now_s = now_s
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        meant = environment.get("WATCHDOG_PID", "") or str(pid or os.getpid())
        limit = environment.get("WATCHDOG_USEC", "")
        watched = self._address is not None and limit.isascii() and limit.isdigit() and meant == str(pid or os.getpid())
        # A third: one datagram may be late, and the next one still is in time.
        self._feed_every_s = int(limit) / _US_PER_S / 3 if watched else None
        self._fed_s = -float("inf")

    def ready(self, status: str = "") -> None:
        """Say that the start, or a reload, is over and the service serves."""
        self._tell("READY=1", status)

    def reloading(self) -> None:
        """Say that a reload began; `ready` ends it."""
        self._tell("RELOADING=1", "", f"MONOTONIC_USEC={int(self._now_s() * _US_PER_S)}")

    def stopping(self) -> None:
        """Say that the service is ending as it was asked to."""
        self._tell("STOPPING=1", "stopping")

    def alive(self) -> None:
        """Say that the work goes on: call it as often as it does."""
        if self._feed_every_s is not None and self._now_s() - self._fed_s >= self._feed_every_s:
            self._fed_s = self._now_s()
            self._tell("WATCHDOG=1", "")

    def _tell(self, what: str, status: str, *more: str) -> None:
        if self._address is None:
            return
        lines = [what, *([f"STATUS={status}"] if status else []), *more]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as out:
                out.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return  # the manager is gone or its queue is full: the service goes on all the same


def _address(told: str) -> str | None:
    if told.startswith("@"):
        return "\0" + told[1:]  # an abstract socket: no file, its name begins with a zero byte
    return told if told.startswith("/") else None
