"""Several watches as one stream; alarms, which have no watch, are looked at again and again."""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import grpc

from controller.cli.following import Follower
from controller.cli.get import active_alarms
from controller.cli.happenings import Happening, of_alarm, summary
from controller.cli.output import tell
from controller.cli.streaming import changes

if TYPE_CHECKING:
    from controller.cli.connection import Network
    from controller.cli.streaming import OpenWatch

ALARM_INTERVAL_S: Final = 1.0
_TOPOLOGY: Final = frozenset({"nodes", "links"})
_APPLICATIONS: Final = frozenset({"applications", "saes"})
_QUIET: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})


def merged(
    network: "Network",
    kinds: frozenset[str],
    after_revision: int,
    *,
    now: Callable[[], datetime],
    alarm_interval_s: float = ALARM_INTERVAL_S,
) -> Generator[Happening]:
    """Yield what happens, in the order in which it is told, for as long as the caller listens.

    Args:
        network: The controller, which has answered before; every stream outlives a restart of it.
        kinds: Of resources and alarms, as `Happening.kind` names them; streams for others are not opened.
        after_revision: What was seen of resources; an alarm is new if it was not active at the first look that the
            controller answered.
        now: The wall clock, aware; for events whose moment the controller does not tell.
        alarm_interval_s: Between two looks at the alarms; > 0.

    Raises:
        grpc.RpcError: The controller refused one of the streams.
    """
    told: queue.SimpleQueue[Happening | Exception] = queue.SimpleQueue()
    over = threading.Event()
    say = _SaidOnce()
    works = [_changes(each, Follower(after_revision), now, over, say) for each in _watches(network, kinds)]
    if "alarms" in kinds:
        works.append(_alarms(network, over, now, alarm_interval_s))
    for work in works:
        threading.Thread(target=_pass_on, args=(work, told, over), name="events", daemon=True).start()
    try:
        while True:
            one = told.get()
            if isinstance(one, Exception):
                raise one
            yield one
    finally:
        over.set()


class _SaidOnce:
    """Says of several streams together that the connection is lost, and that it is back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = ""

    def __call__(self, line: str) -> None:
        what = line.partition(":")[0]
        with self._lock:
            if what != self._last:
                tell(line)
            self._last = what


def _pass_on(
    work: Iterator[Happening], told: "queue.SimpleQueue[Happening | Exception]", over: threading.Event
) -> None:
    try:
        for one in work:
            if over.is_set():
                return
            told.put(one)
    except Exception as problem:
        # It must not end with this thread: whoever listens is told, and the command ends with its words and its code.
        told.put(problem)


def _watches(network: "Network", kinds: frozenset[str]) -> "Iterator[OpenWatch]":
    from qinet.northbound.v1 import (
        application_service_pb2,
        entanglement_service_pb2,
        key_relay_service_pb2,
        topology_service_pb2,
    )

    if kinds & _TOPOLOGY:
        topology = topology_service_pb2.WatchTopologyRequest
        yield lambda resume, limit: network.topology.WatchTopology(topology(resume_revision=resume), timeout=limit)
    if "relays" in kinds:
        relays = key_relay_service_pb2.WatchKeyRelaysRequest
        yield lambda resume, limit: network.relays.WatchKeyRelays(relays(resume_revision=resume), timeout=limit)
    if "paths" in kinds:
        paths = entanglement_service_pb2.WatchEntanglementPathsRequest
        yield lambda resume, limit: network.entanglement.WatchEntanglementPaths(
            paths(resume_revision=resume), timeout=limit
        )
    if kinds & _APPLICATIONS:
        wanted = application_service_pb2.WatchApplicationsRequest
        yield lambda resume, limit: network.applications.WatchApplications(
            wanted(resume_revision=resume), timeout=limit
        )


def _changes(
    open_watch: "OpenWatch", follower: Follower, now: Callable[[], datetime], over: threading.Event, say: _SaidOnce
) -> Iterator[Happening]:
    with contextlib.closing(changes(open_watch, follower, heard=True, over=over, say=say)) as watched:
        for change in watched:
            text = "gone" if change.resource is None else summary(change.resource)
            yield Happening(at=now(), revision=change.revision, name=change.name, text=text)


def _alarms(
    network: "Network", over: threading.Event, now: Callable[[], datetime], interval_s: float
) -> Iterator[Happening]:
    known: dict[str, Any] | None = None
    while not over.is_set():
        try:
            found = {alarm.name: alarm for alarm in active_alarms(network)}
        except grpc.RpcError as error:
            # The watches tell that the connection is lost. Even the first look may fall into a restart: the controller
            # has answered before, and the watches beside this one outlive it.
            if error.code() not in _QUIET:
                raise
        else:
            if known is not None:
                yield from differences(known, found, now())
            known = found
        over.wait(interval_s)


def differences(before: dict[str, Any], after: dict[str, Any], now: datetime) -> Iterator[Happening]:
    """Yield which alarms were raised and cleared between two looks, by name; one that was raised anew is both."""
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        again = old is not None and new is not None and old.raise_time != new.raise_time
        if old is not None and (new is None or again):
            yield of_alarm(old, cleared_at=now)
        if new is not None and (old is None or again):
            yield of_alarm(new)
