"""Keeping a watch alive: reconnect, resume, and notice a controller that went silent."""

import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

import grpc

from controller.cli.output import tell

if TYPE_CHECKING:
    from controller.cli.following import Change, Follower

# Watches carry heartbeats; one that is silent for so long is taken for dead.
SILENCE_LIMIT_S: Final = 45.0
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 3.0
_LOST: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL})

OpenWatch = Callable[[int, float | None], Any]
"""Opens a watch from (revision to resume after, deadline in s or None), and returns its call."""


class _Watchdog:
    """Cancels a call when nobody has fed it for too long."""

    def __init__(self, call: Any, limit_s: float) -> None:
        self._call = call
        self._limit_s = limit_s
        self._fed = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def feed(self) -> None:
        self._fed.set()

    def stop(self) -> None:
        self._over = True
        self._fed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over:
            if not self._fed.wait(self._limit_s):
                self._call.cancel()
                return
            self._fed.clear()


def changes(
    open_watch: OpenWatch,
    follower: "Follower",
    *,
    until: float | None = None,
    silence_limit_s: float = SILENCE_LIMIT_S,
    heard: bool = False,
    over: threading.Event | None = None,
    say: Callable[[str], None] = tell,
) -> "Generator[Change]":
    """Yield changes for as long as the caller listens, over connections that come and go.

    Args:
        open_watch: See there.
        follower: What was seen so far; goes on from there.
        until: Moment of `time.monotonic` at which to end; None: never.
        silence_limit_s: A connection without any message for so long is given up; > 0.
        heard: The controller has answered already, so that a first attempt that fails is made again.
        over: Set when nobody listens any more: the connection is then not made again.
        say: Tells the person at the terminal of connections that come and go.

    Raises:
        grpc.RpcError: The controller refused, or was unreachable on the first attempt.
    """
    ever_heard, lost = heard, False
    pause_s = _FIRST_PAUSE_S
    over = over or threading.Event()
    while until is None or time.monotonic() < until:
        call = open_watch(follower.resume_revision, None if until is None else max(0.001, until - time.monotonic()))
        watchdog = _Watchdog(call, silence_limit_s)
        try:
            for message in call:
                watchdog.feed()
                if lost:
                    say("connected again")
                ever_heard, lost, pause_s = True, False, _FIRST_PAUSE_S
                yield from follower.take(message)
        except grpc.RpcError as error:
            if over.is_set():
                return
            if until is not None and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return
            if not ever_heard or not _may_come_back(error):
                raise
        finally:
            watchdog.stop()
            call.cancel()
        follower.connection_lost()
        if not lost:
            say(f"the connection is lost: resuming after revision {follower.resume_revision} when it is back")
        lost = True
        if over.wait(pause_s):  # back-off: a controller that starts should not be met by everybody at once
            return
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _may_come_back(error: grpc.RpcError) -> bool:
    # RESOURCE_EXHAUSTED: we were too slow; the API says to resume.
    return error.code() in _LOST | {grpc.StatusCode.RESOURCE_EXHAUSTED}
