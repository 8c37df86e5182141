"""The core of the writer: one event or request at a time, from working snapshot to changes. No I/O, no clock.

What it decides becomes real only when the writer commits it. It also keeps what is derived and not stored:
who is connected, what every node is told, and what each has confirmed.
"""

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from controller.domain.capacity import relay_charges, reserved_millibit_per_s
from controller.domain.commands import BlockRelay, Command, HoldOff, MoveRelay, RideOnStore
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
from controller.domain.key_relay import KeyRelay, Phase
from controller.domain.refusals import Refusal
from controller.domain.route import Route
from controller.domain.snapshot import NO_CHANGES, Changes, Document, Snapshot, delete, put
from controller.planning.compile import owners_touched
from controller.routing.feasible import check_move, find_move
from controller.routing.graph import graph_of
from controller.service.agent_desk import (
    agent_connected,
    agent_lost,
    alarm_changed,
    blocked_alarm,
    link_said,
    overpromise_alarm,
    refusal_alarms,
    refusals_over,
    refused_services,
    relay_said,
)
from controller.service.configuration import Configuration, Encode
from controller.service.lifecycle import (
    INSTALL_WITHIN_MS,
    REFUSED_RETRY_MS,
    advanced,
    blocked,
    removed,
    routed,
    with_state,
)
from controller.service.relay_desk import deadline_passed
from controller.service.request_desk import decide
from controller.service.requests import Request, Result

log = logging.getLogger(__name__)

SERVICE_TIME_EVERY_MS: Final = 30_000
"""How often elapsed service time is committed."""
REQUESTS_KEPT_MS: Final = 24 * 3600 * 1000
"""How long after its last use a request id is remembered."""
_CASCADE_LIMIT: Final = 10_000


class App(Protocol):
    """An event and a snapshot in, commands out. Pure. Decides on nothing but its arguments."""

    listens_to: tuple[type, ...]

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        """Yield what is to be done about an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What time it is.

    Attributes:
        service_ms: Service time: elapsed leader time, never backwards, milliseconds.
        wall_ms: Wall clock, for display, milliseconds since 1970.
    """

    service_ms: int
    wall_ms: int


class Core:
    """Decides. One thread; everything it returns is immutable."""

    def __init__(self, snapshot: Snapshot, apps: Sequence[App], encode: Encode) -> None:
        self._snapshot = replace(snapshot, connected=frozenset())
        self._apps = tuple(apps)
        self._pending = NO_CHANGES
        self._events: deque[AppEvent] = deque()
        self._unconfirmed: dict[str, frozenset[str]] = {}
        self._reserved: dict[str, int] = dict(reserved_millibit_per_s(self._snapshot.relays.values()))
        self._restless: dict[str, None] = dict.fromkeys(self._snapshot.relays)  # an ordered set
        self.configuration = Configuration(self._snapshot, encode)

    @property
    def snapshot(self) -> Snapshot:
        """Return the working snapshot: what is committed, and what the current batch decided."""
        return self._snapshot

    def take_changes(self) -> Changes:
        """Return what was decided since the last call, to be committed as one record."""
        changes, self._pending = self._pending, NO_CHANGES
        return changes

    def committed(self, revision: int) -> None:
        """Note that everything decided so far stands in the log up to this revision."""
        self._snapshot = replace(self._snapshot, revision=revision)

    def decide(self, request: Request, now: Now) -> Result:
        """Decide an operator's request.

        Raises:
            Refusal: The answer is no, and nothing changed.
        """
        decision = decide(self._at(now), request, now_ms=now.service_ms, wall_ms=now.wall_ms, version=self._revision)
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
        before = self._snapshot
        match event:
            case AgentConnected():
                self._connected(event, now)
            case AgentLost(node=node, reason=reason):
                self._snapshot = replace(before, connected=before.connected - {node})
                if node in before.nodes:
                    self._write(agent_lost(node, reason, wall_ms=now.wall_ms))
                    self._stir(node)
            case ConfigConfirmed(node=node):
                if node in before.nodes:
                    self.configuration.heard(node, event.in_force, event.version)
                    self._write(refusals_over(before, node))
                    self._stir(node)
            case ConfigRefused(node=node, refused=refused):
                self._write(refusal_alarms(node, refused, wall_ms=now.wall_ms))
                for name, why in refused_services(before, node, refused).items():
                    relay = self._snapshot.relays[name]
                    if not relay.removed:
                        self._write(put(blocked(relay, why, retry_at_ms=now.service_ms + REFUSED_RETRY_MS)))
            case LinkReport():
                changes, events = link_said(before, event, wall_ms=now.wall_ms)
                self._write(changes)
                self._events.extend(events)
                if changes:
                    self._stir_link(event.link)
            case RelayReport():
                self._write(relay_said(before, event))
            case AlarmRaised() | AlarmCleared():
                self._write(alarm_changed(before, event))
            case TimePassed():
                self._time_passed(now)
        self._settle(now)

    @property
    def _revision(self) -> int:
        return self._snapshot.revision + 1

    def _at(self, now: Now) -> Snapshot:
        return replace(self._snapshot, service_time_ms=max(now.service_ms, self._snapshot.service_time_ms))

    def _write(self, changes: Changes) -> None:
        if not changes:
            return
        before = self._snapshot
        self._snapshot = before.applying(changes)
        self._pending += changes
        for collection, key in changes.folded:
            if collection == "relays":
                self._restless[key] = None
                self._account(before.relays.get(key), -1)
                self._account(self._snapshot.relays.get(key), +1)
            if collection == "nodes":
                if key not in self._snapshot.nodes:
                    self.configuration.node_deleted(key)
                elif key not in before.nodes:
                    self.configuration.node_created(key)
        for owner in sorted(owners_touched(before, self._snapshot, changes)):
            self.configuration.recompile(self._snapshot, owner, revision=self._revision)
            if owner[0] == "relays":
                self._restless[owner[1]] = None

    def _account(self, relay: KeyRelay | None, sign: int) -> None:
        for link, charge in relay_charges(relay).items() if relay else ():
            self._reserved[link] = self._reserved.get(link, 0) + sign * charge

    def _connected(self, event: AgentConnected, now: Now) -> None:
        node = event.record.node
        if node not in self._snapshot.nodes:
            return
        self._snapshot = replace(self._snapshot, connected=self._snapshot.connected | {node})
        self.configuration.heard(node, event.in_force, event.version)
        changes, events = agent_connected(self._snapshot, event, wall_ms=now.wall_ms)
        self._write(changes)
        self._events.extend(events)
        self._stir(node)

    def _stir(self, node: str) -> None:
        """Look again at every relay that something at a node may concern."""
        for name, relay in self._snapshot.relays.items():
            concerned = {relay.demand.source, relay.demand.target} | relay.nodes()
            if node in concerned or any(node in held.nodes for held in relay.releasing):
                self._restless[name] = None

    def _stir_link(self, link: str) -> None:
        self._restless |= {name: None for name, relay in self._snapshot.relays.items() if link in relay.links()}
        self._write(overpromise_alarm(self._snapshot, link))

    def _settle(self, now: Now) -> None:
        """Follow every consequence until nothing moves: confirmations, states, and what apps make of it."""
        for _ in range(_CASCADE_LIMIT):
            if self._restless:
                self._advance(self._restless.popitem()[0])
            elif self._events:
                self._offer(self._events.popleft(), now)
            else:
                return
        log.error("cascade cut off relays=%d events=%d", len(self._restless), len(self._events))

    def _advance(self, name: str) -> None:
        relay = self._snapshot.relays.get(name)
        if relay is None:
            self._unconfirmed.pop(name, None)
            return
        owner = ("relays", name)
        after = advanced(relay, lambda node: self.configuration.confirmed(owner, node))
        if after.riding and all(self._snapshot.condition(link).generating for link in after.links()):
            after = replace(after, riding=False)
        after = with_state(after, self._snapshot, told=self.configuration.told(owner))
        if after.removed and not after.releasing:
            self._write(delete("relays", name))
            self.configuration.forget(owner)
        elif after != relay:
            self._write(put(after))
        self._write(blocked_alarm(self._snapshot, name))
        self._note_unconfirmed(name)
        if len(after.releasing) < len(relay.releasing):
            self._improved()

    def _improved(self) -> None:
        if not any(isinstance(event, NetworkImproved) for event in self._events):
            self._events.append(NetworkImproved())

    def _offer(self, event: AppEvent, now: Now) -> None:
        for app in self._apps:
            if not isinstance(event, app.listens_to):
                continue
            try:
                commands = list(app.handle(event, self._at(now)))
            except Exception:
                # This is the only thread that decides: one faulty app must not stop it, and the other apps
                # still see the event. None of its half-made commands is carried out.
                log.exception("app failed app=%s event=%r", type(app).__name__, event)
                continue
            for command in commands:
                self._obey(command, now)

    def _obey(self, command: Command, now: Now) -> None:
        """Carry out an app's command if it still holds; apps propose, the desk disposes."""
        relay = self._snapshot.relays.get(command.relay)
        if relay is None or relay.removed:
            return
        match command:
            case MoveRelay(routes=routes, because=because):
                try:
                    check_move(graph_of(self._snapshot, ignoring=[relay.name]), relay, routes)
                except Refusal as refusal:
                    log.warning("move refused relay=%s reason=%s", relay.name, refusal.reason)
                    return
                self._write(put(self._moved(relay, tuple(routes), because, now)))
            case BlockRelay(because=because):
                self._write(put(blocked(relay, because)))
            case RideOnStore(because=because):
                self._write(put(replace(relay, riding=True, move_at_ms=None, state_reason=because)))
            case HoldOff(until_ms=until_ms, because=because):
                self._write(put(replace(relay, riding=True, move_at_ms=until_ms, state_reason=because)))

    def _moved(self, relay: KeyRelay, routes: tuple[Route, ...], because: str, now: Now) -> KeyRelay:
        # The revision serves as route version: it rises, and no relay that comes later under the same name repeats it.
        version = max(self._revision, relay.route_version + 1)
        return routed(relay, routes, version=version, now_ms=now.service_ms, because=because)

    def _time_passed(self, now: Now) -> None:
        for relay in list(self._snapshot.relays.values()):
            if relay.removed:
                continue
            if deadline_passed(relay.expires_at_ms, now.service_ms):
                self._write(put(removed(relay, "its lifetime ended")))
            elif deadline_passed(relay.move_at_ms, now.service_ms):
                self._write(put(replace(relay, move_at_ms=None)))
                self._events.append(HoldOffEnded(relay=relay.name) if relay.routes else NetworkImproved())
            elif deadline_passed(relay.install_by_ms, now.service_ms):
                self._reroute_slow(relay, now)
        if now.service_ms - self._snapshot.service_time_ms >= SERVICE_TIME_EVERY_MS:
            old = now.service_ms - REQUESTS_KEPT_MS
            stale = (key for key, record in self._snapshot.requests.items() if record.used_ms < old)
            self._write(Changes(service_time_ms=now.service_ms) + delete("requests", *stale))

    def _reroute_slow(self, relay: KeyRelay, now: Now) -> None:
        """Look for a route around transit nodes that have not confirmed in time; else go on waiting."""
        owner = ("relays", relay.name)
        ends = {relay.demand.source, relay.demand.target}
        slow = frozenset(node for node in relay.nodes() - ends if not self.configuration.confirmed(owner, node))
        after = replace(relay, install_by_ms=now.service_ms + INSTALL_WITHIN_MS)
        if slow and relay.phase is Phase.INSTALLING:
            free = graph_of(self._snapshot).freed(relay_charges(relay))
            around = replace(relay, demand=replace(relay.demand, avoid_nodes=relay.demand.avoid_nodes | slow))
            try:
                routes = find_move(free, around)
            except Refusal:
                pass  # nothing better: it goes on waiting, and says for whom
            else:
                after = self._moved(relay, routes, f"no confirmation from {', '.join(sorted(slow))}", now)
        self._write(put(after))

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
        return {link: amount for link, amount in self._reserved.items() if amount}
