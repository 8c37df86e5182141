"""The core of the writer: one event or request at a time, from working snapshot to changes. No I/O, no clock.

What it decides becomes real only when the writer commits it. It also keeps what is derived and not stored:
who is connected, what every node is told, what each has confirmed, and which relays concern what.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from controller.domain.events import (
    AgentConnected,
    AgentEvent,
    AgentLost,
    AlarmCleared,
    AlarmRaised,
    AppEvent,
    ConfigConfirmed,
    ConfigRefused,
    HoldOffEnded,
    LinkReport,
    NetworkImproved,
    RelayReport,
    TimePassed,
)
from controller.domain.key_relay import KeyRelay
from controller.domain.refusals import Refusal
from controller.domain.snapshot import Changes, Document, Snapshot, delete, joined, put
from controller.planning.compile import owners_touched
from controller.service.agent_desk import (
    agent_connected,
    agent_lost,
    alarm_changed,
    link_said,
    refused_services,
    relay_said,
)
from controller.service.alarm_desk import blocked_alarm, overpromise_alarm, refusals_over, refused_alarms
from controller.service.app_desk import App, carried_out, led_around, well_formed
from controller.service.configuration import Configuration, Encode
from controller.service.holdings import Holdings
from controller.service.lifecycle import REFUSED_RETRY_MS, advanced, blocked, removed, with_state
from controller.service.relay_desk import deadline_passed
from controller.service.request_desk import decide
from controller.service.requests import Request, Result

log = logging.getLogger(__name__)

SERVICE_TIME_EVERY_MS: Final = 30_000
"""How often elapsed service time is committed."""
REQUESTS_KEPT_MS: Final = 24 * 3600 * 1000
"""How long after its last use a request id is remembered."""
AWAIT_AGENTS_MS: Final = 30_000
"""How long after its start a controller lets agents come back before it calls them lost."""
_CASCADE_LIMIT: Final = 1_000_000
_COMMANDS_LIMIT: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What time it is.

    Attributes:
        service_ms: Service time: elapsed leader time, never backwards, milliseconds.
        wall_ms: Wall clock, for display, milliseconds since 1970.
    """

    service_ms: int
    wall_ms: int


def storable(changes: Changes) -> None:
    """Take any changes for storable."""


class Core:
    """Decides. One thread; everything it returns is immutable."""

    def __init__(
        self,
        snapshot: Snapshot,
        apps: Sequence[App],
        encode: Encode,
        check_storable: Callable[[Changes], None] = storable,
    ) -> None:
        """Begin with what was committed.

        Args:
            snapshot: The newest; who was connected in it is not any more.
            apps: In the order in which they see events.
            encode: An entry's bytes.
            check_storable: Raises InvalidValue when the store could not keep the changes.
        """
        self._snapshot = replace(snapshot, connected=frozenset(), reserved=None)
        self._apps = tuple(apps)
        self._check_storable = check_storable
        self._pending: list[Changes] = []
        self._events: deque[AppEvent] = deque()
        self._app_failures: list[str] = []
        self._unconfirmed: dict[str, frozenset[str]] = {}
        self._holdings = Holdings(self._snapshot.relays.values())
        self._restless: dict[str, None] = dict.fromkeys(self._snapshot.relays)  # an ordered set
        self._strained: dict[str, None] = {}
        known_lost = {key[1].removeprefix("nodes/") for key in self._snapshot.alarms if key[2] == "AGENT_LOST"}
        self._awaited = frozenset(self._snapshot.agents) - known_lost
        self._await_until_ms: int | None = None
        self.configuration = Configuration(self._snapshot, encode)

    @property
    def snapshot(self) -> Snapshot:
        """Return the working snapshot: what is committed, and what the current batch decided."""
        return self._snapshot

    def take_changes(self) -> Changes:
        """Return what was decided since the last call, to be committed as one record."""
        changes, self._pending = joined(self._pending), []
        return changes

    def take_app_failures(self) -> list[str]:
        """Return the apps that failed since the last call, once for each failure."""
        failures, self._app_failures = self._app_failures, []
        return failures

    def committed(self, revision: int) -> None:
        """Note that everything decided so far stands in the log up to this revision."""
        self._snapshot = replace(self._snapshot, revision=revision)

    def decide(self, request: Request, now: Now) -> Result:
        """Decide an operator's request.

        Raises:
            Refusal: The answer is no, and nothing changed.
        """
        decision = decide(self._at(now), request, now_ms=now.service_ms, wall_ms=now.wall_ms, version=self._revision)
        self._check_storable(decision.changes)
        if request.validate_only:
            return replace(decision.result, revision=self._snapshot.revision)
        self._write(decision.changes)
        self._settle(now)
        revision = self._revision if self._pending else self._snapshot.revision
        return replace(decision.result, revision=revision, document=self._fresh(decision.result))

    def _fresh(self, result: Result) -> Document | None:
        document = result.document
        if isinstance(document, KeyRelay):
            return self._snapshot.relays.get(document.name, document)
        return document

    def take(self, event: AgentEvent | TimePassed, now: Now) -> None:
        """Take in what an agent said, or that time passed."""
        try:
            self._take(event, now)
        except Refusal:
            # An agent may say what cannot be kept: that is no reason to leave all others without a controller.
            log.exception("event left out event=%r", event)
        self._settle(now)

    def _take(self, event: AgentEvent | TimePassed, now: Now) -> None:
        before = self._snapshot
        match event:
            case AgentConnected():
                self._connected(event, now)
            case AgentLost(node=node, reason=reason):
                self._lost(node, reason, now)
            case ConfigConfirmed(node=node):
                self._heard(node, event.in_force, event.version)
            case ConfigRefused():
                self._refused(event, now)
            case LinkReport(link=link):
                changes, events = link_said(before, event, wall_ms=now.wall_ms)
                self._write(self._storable(changes))
                self._events.extend(events)
                if changes:
                    self._restless |= dict.fromkeys(self._holdings.on_link(link))
            case RelayReport():
                self._write(relay_said(before, event))
            case AlarmRaised() | AlarmCleared():
                self._write(self._storable(alarm_changed(before, event, wall_ms=now.wall_ms)))
            case TimePassed():
                self._time_passed(now)

    @property
    def _revision(self) -> int:
        return self._snapshot.revision + 1

    def _at(self, now: Now) -> Snapshot:
        """Return the present as desks and apps see it: the time is right, and what is held need not be counted."""
        return replace(
            self._snapshot,
            service_time_ms=max(now.service_ms, self._snapshot.service_time_ms),
            reserved=dict(self._holdings.reserved),
        )

    def _storable(self, changes: Changes) -> Changes:
        self._check_storable(changes)
        return changes

    def _write(self, changes: Changes) -> None:
        if not changes:
            return
        before = self._snapshot
        self._snapshot = before.applying(changes)
        self._pending.append(changes)
        for collection, key in changes.folded:
            if collection == "relays":
                self._restless[key] = None
                held = self._holdings.replaced(before.relays.get(key), self._snapshot.relays.get(key))
                self._strained |= dict.fromkeys(sorted(held))
            elif collection in ("links", "conditions"):
                self._strained[key] = None
            elif collection == "nodes":
                self._node_written(key, known=key in before.nodes)
            if collection in ("links", "nodes") and key in getattr(self._snapshot, collection):
                self._improved()
        for owner in sorted(owners_touched(before, self._snapshot, changes)):
            self.configuration.recompile(self._snapshot, owner, revision=self._revision)
            if owner[0] == "relays":
                self._restless[owner[1]] = None

    def _node_written(self, node: str, *, known: bool) -> None:
        if node not in self._snapshot.nodes:
            self.configuration.node_deleted(node)
            self._snapshot = replace(self._snapshot, connected=self._snapshot.connected - {node})
            self._awaited -= {node}
        elif not known:
            self.configuration.node_created(node)

    def _connected(self, event: AgentConnected, now: Now) -> None:
        node = event.record.node
        if node not in self._snapshot.nodes:
            return
        self._snapshot = replace(self._snapshot, connected=self._snapshot.connected | {node})
        self._awaited -= {node}
        changes, events = agent_connected(self._snapshot, event, wall_ms=now.wall_ms)
        self._write(self._storable(changes))
        self._events.extend(events)
        self._restless |= dict.fromkeys(self._holdings.at_node(node))
        self._heard(node, event.in_force, event.version)

    def _lost(self, node: str, reason: str, now: Now) -> None:
        if node not in self._snapshot.nodes:
            return
        self._snapshot = replace(self._snapshot, connected=self._snapshot.connected - {node})
        self._awaited -= {node}
        self._write(agent_lost(node, reason, wall_ms=now.wall_ms))
        self._restless |= dict.fromkeys(self._holdings.at_node(node))

    def _heard(self, node: str, in_force: Mapping[str, bytes], version: int) -> None:
        """Take in what is in force at a node, and look again at every relay about which that says something new."""
        for collection, name in self.configuration.heard(node, in_force, version):
            if collection == "relays":
                self._restless[name] = None

        def settled(entry_id: str) -> bool:
            return self.configuration.settled(node, entry_id) if entry_id else self.configuration.in_step(node)

        self._write(refusals_over(self._snapshot, node, settled))

    def _refused(self, event: ConfigRefused, now: Now) -> None:
        """Take out the services that an agent refused; what is no longer asked of it so is not its refusal's matter."""
        node = event.node
        if node not in self._snapshot.nodes:
            return
        still = {
            entry_id: why
            for entry_id, why in event.refused.items()
            if self.configuration.wanted_at(node, entry_id, event.version)
        }
        self._write(self._storable(refused_alarms(self._snapshot, node, still, event.whole, wall_ms=now.wall_ms)))
        for name, why in refused_services(node, still).items():
            relay = self._snapshot.relays[name]
            self._write(self._storable(put(blocked(relay, why, retry_at_ms=now.service_ms + REFUSED_RETRY_MS))))

    def _settle(self, now: Now) -> None:
        """Follow every consequence until nothing moves: confirmations, states, and what apps make of it."""
        for _ in range(_CASCADE_LIMIT):
            if self._restless:
                self._advance(self._restless.popitem()[0], now)
            elif self._strained:
                link = self._strained.popitem()[0]
                reserved = self._holdings.reserved.get(link, 0)
                self._write(overpromise_alarm(self._snapshot, link, reserved, wall_ms=now.wall_ms))
            elif self._events:
                self._offer(self._events.popleft(), now)
            else:
                return
        log.error("cascade cut off relays=%d events=%d", len(self._restless), len(self._events))

    def _advance(self, name: str, now: Now) -> None:
        relay = self._snapshot.relays.get(name)
        if relay is None:
            self._unconfirmed.pop(name, None)
            return
        owner = ("relays", name)
        after = advanced(relay, lambda node: self.configuration.confirmed(owner, node))
        present = self._snapshot.connected | self._awaited
        after = with_state(after, self._snapshot, present=present, told=self.configuration.told(owner))
        if after.removed and not after.releasing:
            self._write(delete("relays", name))
        elif after != relay:
            self._write(put(after))
        self._write(blocked_alarm(self._snapshot, name, wall_ms=now.wall_ms))
        self._note_unconfirmed(name)
        if len(after.releasing) < len(relay.releasing):
            self._improved()

    def _improved(self) -> None:
        if not any(isinstance(event, NetworkImproved) for event in self._events):
            self._events.append(NetworkImproved())

    def _offer(self, event: AppEvent, now: Now) -> None:
        for app in self._apps:
            try:
                if not isinstance(event, app.listens_to):
                    continue
                commands = list(islice(app.handle(event, self._at(now)), _COMMANDS_LIMIT))
            except Exception:
                # This is the only thread that decides: one faulty app must not stop it, and the other apps
                # still see the event. None of its half-made commands is carried out.
                log.exception("app failed app=%s event=%r", type(app).__name__, event)
                self._app_failures.append(type(app).__name__)
                continue
            for command in commands:
                self._obey(type(app).__name__, command, now)

    def _obey(self, app: str, command: Any, now: Now) -> None:
        if not well_formed(command):
            log.error("app asks what is no command app=%s command=%r", app, command)
            self._app_failures.append(app)
            return
        relay = self._snapshot.relays.get(command.relay)
        if relay is None or relay.removed:
            return
        try:
            after = carried_out(
                self._at(now), relay, command, version=self._route_version(relay), now_ms=now.service_ms
            )
            if after != relay:
                self._write(self._storable(put(after)))
        except Refusal as refusal:
            log.warning("command refused app=%s relay=%s reason=%s: %s", app, relay.name, refusal.reason, refusal)

    def _route_version(self, relay: KeyRelay) -> int:
        # The revision serves as route version: it rises, and no relay that comes later under the same name repeats it.
        return max(self._revision, relay.route_version + 1)

    def _time_passed(self, now: Now) -> None:
        self._await_no_longer(now)
        for name in self._holdings.timed():
            relay = self._snapshot.relays[name]
            if deadline_passed(relay.expires_at_ms, now.service_ms):
                self._write(put(removed(relay, "its lifetime ended")))
            elif deadline_passed(relay.move_at_ms, now.service_ms):
                self._write(put(replace(relay, move_at_ms=None)))
                self._events.append(HoldOffEnded(relay=name) if relay.routes else NetworkImproved())
            elif deadline_passed(relay.install_by_ms, now.service_ms):
                self._reroute_slow(relay, now)
        if now.service_ms - self._snapshot.service_time_ms >= SERVICE_TIME_EVERY_MS:
            old = now.service_ms - REQUESTS_KEPT_MS
            stale = (key for key, record in self._snapshot.requests.items() if record.used_ms < old)
            self._write(Changes(service_time_ms=now.service_ms) + delete("requests", *stale))

    def _await_no_longer(self, now: Now) -> None:
        """Call lost whoever was there before the start and has not come back."""
        if self._await_until_ms is None:
            self._await_until_ms = now.service_ms + AWAIT_AGENTS_MS
        if self._awaited and now.service_ms >= self._await_until_ms:
            for node in sorted(self._awaited):
                self._lost(node, "it has not come back since the controller started", now)

    def _reroute_slow(self, relay: KeyRelay, now: Now) -> None:
        owner = ("relays", relay.name)
        slow = frozenset(node for node in relay.nodes() if not self.configuration.confirmed(owner, node))
        version = self._route_version(relay)
        self._write(put(led_around(self._at(now), relay, slow, version=version, now_ms=now.service_ms)))

    def _note_unconfirmed(self, name: str) -> None:
        relay = self._snapshot.relays.get(name)
        concerned: set[str] = set()
        if relay is not None:
            concerned.update(relay.nodes(), (node for held in relay.releasing for node in held.nodes))
        missing = frozenset(node for node in concerned if not self.configuration.confirmed(("relays", name), node))
        if missing:
            self._unconfirmed[name] = missing
        else:
            self._unconfirmed.pop(name, None)

    def unconfirmed(self) -> Mapping[str, frozenset[str]]:
        """Return, by relay, its nodes that have not confirmed what they were last told of it."""
        return dict(self._unconfirmed)

    def reserved(self) -> Mapping[str, int]:
        """Return what is reserved on each link, in millibit/s."""
        return dict(self._holdings.reserved)
