"""The writer: the only thread that decides. Batch in, core, one commit, publish, answer."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from controller.domain.admission import DEFAULT_ADMISSION, Admission
from controller.domain.auto_relay import AutoRelay
from controller.domain.events import AgentEvent, ElectionAhead, TimePassed
from controller.domain.log import LogRecord
from controller.domain.refusals import Refusal
from controller.domain.service import Service, ServiceState, service_key
from controller.domain.snapshot import Changes, ElectionId, Snapshot
from controller.observability.metrics import Metrics
from controller.ports.agents import AgentPort
from controller.ports.clock import Clock
from controller.ports.store import OutcomeUnknown, Store, Unusable
from controller.service.app_desk import App
from controller.service.configuration import Encode
from controller.service.core import Core, Enough, Now
from controller.service.desk import Desk
from controller.service.inbox import Inbox, Urgency
from controller.service.published import Committed, Published
from controller.service.requests import Create, RedeployPath, RedeployRelay, Request, Result
from controller.wire.documents import document_to_pb, key_to_pb

log = logging.getLogger(__name__)

TURN_DECISIONS: Final = 64
"""Most decisions in one turn: beyond it, a turn would hold the interpreter from the I/O thread too long."""
TURN_SECONDS: Final = 0.007
"""A turn begins no further decision after this time: the rest of its 10 ms goes to what all of them come to."""
_HEAD_RETRY_S: Final = 0.2


def check_storable(changes: Changes) -> None:
    """Check that any store could keep the changes, before they count as decided.

    Raises:
        InvalidValue: It could not; says which document, and why.
    """
    for collection, key, document in changes.writes:
        if document is None:
            key_to_pb(collection, key)
        else:
            document_to_pb(collection, key, document)


@dataclass(slots=True)
class _Turn:
    """What one turn will do on the asyncio thread once its commit stands."""

    step: Committed | None = None
    pushes: list[Mapping[str, Mapping[str, bytes] | None]] = field(default_factory=list)
    answers: list[tuple[asyncio.Future[Result], Result | BaseException]] = field(default_factory=list)
    done: list[Callable[[], None]] = field(default_factory=list)
    remaining_s: Mapping[str, int] = field(default_factory=dict)


class Deposed(Exception):  # noqa: N818 (named by what happened)
    """Others lead this network, by the word of its agents or of the store: this controller must not write any more."""


class WriterDied(Exception):  # noqa: N818 (named by what happened)
    """The writer ended before it answered: what was asked for may have been done, or not."""


class Writer:
    """Runs the core on its own thread, on the store's state.

    When it cannot go on (the store refuses, or a fault of ours), `on_death` is called once, from its thread; the
    process has to end then, since nobody else may decide.
    """

    def __init__(
        self,
        *,
        store: Store,
        apps: Sequence[App],
        encode: Encode,
        agents: AgentPort,
        clock: Clock,
        metrics: Metrics,
        loop: asyncio.AbstractEventLoop,
        on_death: Callable[[BaseException], None],
        auto_relay: AutoRelay | None = None,
        admission: Admission = DEFAULT_ADMISSION,
    ) -> None:
        self._store = store
        self._agents = agents
        self._clock = clock
        self._metrics = metrics
        self._loop = loop
        self._on_death = on_death
        loaded = store.load()
        self._election: ElectionId = _opened_term(store)
        snapshot = replace(loaded.snapshot, admission=admission)
        self._core = Core(snapshot, apps, encode, check_storable, auto_relay)
        self._service_base_ms = loaded.snapshot.service_time_ms - clock.monotonic_ms()
        self._lost_at: dict[str, float] = {}
        self.inbox = Inbox()
        self.desk = Desk(self.inbox, self._publication())
        self._beats = 0
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    @property
    def election(self) -> ElectionId:
        """Return the election id that this writer decides under."""
        return self._election

    @property
    def beats(self) -> int:
        """Return a number that rises with every turn, and with every try of a store that cannot be written.

        A writer that waits for its disk decides nothing, and will again by itself; one that stands still is stuck.
        """
        return self._beats

    @property
    def alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to decide. Call on the asyncio thread: it also gives every node its configuration."""
        pushes, revision = self._core.configuration.take_pushes(), self._core.snapshot.revision
        self._agents.push(pushes, revision, self._election, remaining_s=self._core.remaining_s(self._now()))
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more in, decide what is in, and end. Blocks until the thread has ended."""
        self.inbox.close()
        if self._thread.ident is not None:
            self._thread.join()

    def deliver(self, event: AgentEvent, done: Callable[[], None] | None) -> bool:
        """Take an agent's event in; False when there is no room (ports.agents.Deliver)."""
        taken = self.inbox.offer((event, done), Urgency.NETWORK)
        if not taken:
            self._metrics.inbox_full_total.labels(Urgency.NETWORK.name.lower()).inc()
        return taken

    def tick(self) -> None:
        """Let the core see that time passed; skipped when the last tick still waits."""
        if not self.inbox.depths()[Urgency.BACKGROUND]:
            self.inbox.offer((TimePassed(service_time_ms=self._now().service_ms), None), Urgency.BACKGROUND)

    def _now(self) -> Now:
        return Now(
            service_ms=self._service_base_ms + self._clock.monotonic_ms(),
            wall_ms=self._clock.wall_ms(),
        )

    def _run(self) -> None:
        turn = _Turn()
        try:
            while True:
                # Consequences that the last turn had no time for do not wait for the next event.
                entry = self.inbox.take_now() if self._core.busy else self.inbox.take()
                if entry is None and not self._core.busy:
                    return
                turn = _Turn()
                self._turn(entry, turn)
        except Deposed as death:
            log.critical("this controller stops deciding: %s", death)
            self._die(death, turn)
        except BaseException as death:
            log.exception("writer died")
            self._die(death, turn)

    def _die(self, death: BaseException, turn: _Turn) -> None:
        """Say that nothing is decided any more; if anybody goes on all the same, nobody waits for an answer in vain."""
        self.inbox.close()
        self._on_death(death)
        while (entry := self.inbox.take()) is not None:
            if isinstance(entry[0], Request):
                turn.answers.append((entry[1], death))
        failed = [(answer, WriterDied()) for answer, _ in turn.answers]
        with contextlib.suppress(RuntimeError):  # the loop is closed: then nobody waits
            self._loop.call_soon_threadsafe(_answer, failed)

    def _turn(self, first: Any, turn: _Turn) -> None:
        before = self._core.snapshot
        end = time.monotonic() + TURN_SECONDS

        def enough() -> bool:
            return time.monotonic() >= end

        entry, taken = first, 0
        while entry is not None:
            self._take(entry[0], entry[1], turn, enough)
            taken += 1
            # One by one: what is urgent and comes meanwhile goes before what already waits.
            entry = self.inbox.take_now() if taken < TURN_DECISIONS and not enough() else None
        if self._core.busy and (not taken or not enough()):
            self._core.work(self._now(), enough)
        if self._core.deposed:
            raise Deposed(self._core.deposed)
        self._metrics.batch_decisions.observe(taken)
        changes = self._core.take_changes()
        self._metrics.turn_seconds.observe(time.monotonic() - end + TURN_SECONDS)
        if changes:
            self._commit(changes)
        self._time_restorations(before, self._core.snapshot, changes)
        for app in self._core.take_app_failures():
            self._metrics.app_failures_total.labels(app).inc()
        turn.step = Committed(changes=changes, published=self._publication())
        while pushed := self._core.configuration.take_pushes():
            turn.pushes.append(pushed)
        if turn.pushes:
            turn.remaining_s = self._core.remaining_s(self._now())
        self._beats += 1
        self._loop.call_soon_threadsafe(self._finish, turn)

    def _take(self, item: Any, answer: Any, turn: _Turn, enough: Enough) -> None:
        if not isinstance(item, Request):
            self._core.take(item, self._now(), enough)
            if isinstance(item, ElectionAhead) and self._head() != self._core.snapshot.revision:
                raise Deposed("its store holds what it did not write: another controller does")
            if answer is not None:
                turn.done.append(answer)
            return
        began = time.perf_counter()
        try:
            result: Result | BaseException = self._core.decide(item, self._now(), enough)
        except Refusal as refusal:
            result = refusal
        except BaseException as fault:
            turn.answers.append((answer, fault))
            raise
        took_s = time.perf_counter() - began
        refused = isinstance(result, Refusal)
        self._metrics.decision_seconds.labels(type(item).__name__, "refused" if refused else "decided").observe(took_s)
        routed = isinstance(item, RedeployRelay | RedeployPath) or (
            isinstance(item, Create) and isinstance(item.document, Service)
        )
        if routed and item.proposal is None:  # else it was searched beside, and that was counted
            self._metrics.route_seconds.labels("refused" if refused else "found").observe(took_s)
        turn.answers.append((answer, result))

    def _commit(self, changes: Changes) -> None:
        """Make the batch durable. After an unknown outcome nothing is decided until the store has said where it is."""
        expected = self._core.snapshot.revision
        record = LogRecord(revision=expected + 1, election=self._election, changes=changes)
        began = time.perf_counter()
        failed = False
        while True:
            try:
                self._store.commit(record, expected)
                break
            except OutcomeUnknown as problem:
                if not failed:
                    log.error(
                        "the store cannot be written: free space on its disk, or check the disk; nothing is decided "
                        "until then, and no restart is needed revision=%d problem=%s",
                        record.revision,
                        problem,
                    )
                failed = True
                self._beats += 1
                if self._head() == record.revision:
                    break
                time.sleep(_HEAD_RETRY_S)  # it was not kept: a full disk is not asked again and again
        took_s = time.perf_counter() - began
        if failed:
            log.warning("the store is written again revision=%d after_s=%.1f", record.revision, took_s)
        self._metrics.commit_seconds.observe(took_s)
        self._core.committed(record.revision)

    def _head(self) -> int:
        while True:
            try:
                return self._store.head()
            except OutcomeUnknown:
                self._beats += 1
                time.sleep(_HEAD_RETRY_S)  # the disk does not answer; there is nothing else that may be done

    def _time_restorations(self, before: Snapshot, after: Snapshot, changes: Changes) -> None:
        for collection, key in changes.folded:
            if collection not in ("relays", "paths"):
                continue
            service = service_key(collection, key)
            old, new = before.service(service), after.service(service)
            if new is None or new.removed:
                self._lost_at.pop(service, None)
            elif new.state in (ServiceState.RESTORING, ServiceState.BLOCKED) and old and old.ever_active:
                self._lost_at.setdefault(service, time.monotonic())
            elif new.state is ServiceState.ACTIVE and service in self._lost_at:
                self._metrics.restoration_seconds.observe(time.monotonic() - self._lost_at.pop(service))

    def _publication(self) -> Published:
        configuration = self._core.configuration
        return Published(
            snapshot=self._core.snapshot,
            election=self._election,
            unconfirmed=self._core.unconfirmed(),
            reserved=self._core.reserved(),
            confirmed_version=configuration.confirmed_versions(),
            digests=configuration.digests(),
        )

    def _finish(self, turn: _Turn) -> None:
        """On the asyncio thread, once per turn: show, push, answer."""
        try:
            assert turn.step is not None
            self.desk.publish(turn.step)
            for pushes in turn.pushes:
                revision = turn.step.published.snapshot.revision
                self._agents.push(pushes, revision, self._election, remaining_s=turn.remaining_s)
            for done in turn.done:
                done()
        except BaseException as death:
            # What was decided would not come to the agents: as bad as a writer that is dead.
            log.exception("cannot publish")
            self._on_death(death)
        finally:
            _answer(turn.answers)


def _opened_term(store: Store) -> ElectionId:
    try:
        return store.open_term()
    except OutcomeUnknown as problem:
        # Nobody waits for an answer yet, so there is nothing to settle: the start fails, and says why.
        why = f"this start cannot be counted: {problem}. See that the disk has room and works, then start again"
        raise Unusable("STORE_UNAVAILABLE", "the store", why) from None


def _answer(answers: Sequence[tuple[asyncio.Future[Result], Result | BaseException]]) -> None:
    for answer, result in answers:
        if answer.done():
            continue  # the caller went away; what was decided stands
        if isinstance(result, BaseException):
            answer.set_exception(result)
        else:
            answer.set_result(result)
