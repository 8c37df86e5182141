"""The core of the writer: one event or request at a time, from working snapshot to changes. No I/O, no clock.

What it decides becomes real only when the writer commits it. It also keeps what is derived and not stored:
who is connected, what every node is told, what each has confirmed, and which relays concern what.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from controller.domain.capacity import over_reserved
from controller.domain.damping import freed, may_be_freed
from controller.domain.events import (
    DRAINING,
    AgentConnected,
    AgentEvent,
    AgentLost,
    AlarmCleared,
    AlarmRaised,
    AppEvent,
    ApplicationAsked,
    ConfigConfirmed,
    ConfigRefused,
    ElectionAhead,
    HoldOffEnded,
    LinkExhausted,
    LinkReport,
    LinkWeakened,
    LinkWentDown,
    NetworkImproved,
    NodeUnreachable,
    RelayImpaired,
    RelayReport,
    RelayWaits,
    ReturnDue,
    TimePassed,
)
from controller.domain.history import with_change
from controller.domain.key_relay import KeyRelay, Phase, RelayState
from controller.domain.reachability import unreachable
from controller.domain.refusals import Refusal
from controller.domain.snapshot import (
    NO_CHANGES,
    Changes,
    Document,
    Snapshot,
    delete,
    joined,
    put,
    put_condition,
)
from controller.planning.compile import owners_touched
from controller.service.agent_desk import (
    ELECTION_REMEDY,
    GONE_KINDS,
    RefusedRelay,
    agent_connected,
    agent_lost,
    alarm_changed,
    election_ahead,
    link_said,
    refused_services,
)
from controller.service.alarm_desk import (
    NODE_UNREACHABLE,
    blocked_alarm,
    overpromise_alarm,
    protection_alarm,
    refusals_over,
    refused_alarms,
    unreachable_alarm,
)
from controller.service.app_desk import App, carried_out, led_around, well_formed
from controller.service.auto_relay import AutoRelay, learned, served
from controller.service.backoff import retry_after_ms
from controller.service.configuration import Configuration, Encode
from controller.service.drains import Drains
from controller.service.holdings import Holdings, waits_for_better
from controller.service.lifecycle import (
    advanced,
    backed_up,
    blocked,
    drained,
    fallen_back,
    heard,
    next_version,
    removed,
    with_return,
    with_state,
)
from controller.service.losses import Losses
from controller.service.maintenance_desk import Leaving, frozen, moved_off
from controller.service.relay_desk import deadline_passed
from controller.service.request_desk import decide
from controller.service.requests import CHANGES_IN_PLACE, Create, Request, Result
from controller.service.worklist import Worklist

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


Enough = Callable[[], bool]
"""Tells that a turn has taken long enough; what is left then is done in later ones."""
CONTROLLER: Final = "controller"
"""Who caused what nobody asked for."""
_SAID_BY_NODES: Final = (AgentLost, ConfigConfirmed, ConfigRefused, LinkReport, RelayReport, ApplicationAsked)


def never() -> bool:
    """Tell that it is never enough."""
    return False


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
        auto_relay: AutoRelay | None = None,
    ) -> None:
        """Begin with what was committed.

        Args:
            snapshot: The newest; who was connected in it is not any more.
            apps: In the order in which they see events.
            encode: An entry's bytes.
            check_storable: Raises InvalidValue when the store could not keep the changes.
            auto_relay: What an SAE gets that asks for keys without an association; None for nothing.
        """
        self._snapshot = replace(snapshot, connected=frozenset(), reserved=None)
        self._apps = tuple(apps)
        self._check_storable = check_storable
        self._auto_relay = auto_relay
        self._by = CONTROLLER
        self._wall_ms = 0
        self._pending: list[Changes] = []
        self._events: deque[AppEvent] = deque()
        self._app_failures: list[str] = []
        self._unconfirmed: dict[str, frozenset[str]] = {}
        self._words: dict[str, dict[str, RelayReport]] = {}
        self._refusals: dict[str, int] = {}
        self._losses = Losses()
        self._unreachable = {
            key[1].removeprefix("nodes/") for key in self._snapshot.alarms if key[2] == NODE_UNREACHABLE
        }
        self._ahead: set[str] = set()
        self._holdings = Holdings(self._snapshot.relays.values())
        self._restless: dict[str, None] = dict.fromkeys(self._snapshot.relays)  # an ordered set
        self._strained: dict[str, None] = {}
        self._missing: dict[str, int] = {}
        self._damped = {link for link, condition in self._snapshot.conditions.items() if condition.damped}
        self._impaired = Worklist()
        self._waiting = Worklist()
        self._improved_again = False
        self._left_attended = False
        self._drains = Drains(self._snapshot)
        known_lost = {key[1].removeprefix("nodes/") for key in self._snapshot.alarms if key[2] in GONE_KINDS}
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

    @property
    def busy(self) -> bool:
        """Tell whether consequences of what was decided are still to be drawn."""
        return bool(
            self._restless
            or self._strained
            or self._events
            or self._impaired
            or self._waiting
            or self._improved_again
            or self._drains.under_way
        )

    @property
    def deposed(self) -> str:
        """Return why this controller has to stop deciding; "" while it need not.

        One confused agent must not stop a network: more than half of them, and at least two, have to say so.
        """
        if len(self._ahead) < 2 or 2 * len(self._ahead) <= len(self._snapshot.nodes):
            return ""
        return (
            f"{len(self._ahead)} of {len(self._snapshot.nodes)} agents have seen a higher election id than this"
            f" controller's and refuse it; {ELECTION_REMEDY}"
        )

    def decide(self, request: Request, now: Now, enough: Enough = never) -> Result:
        """Decide an operator's request; consequences are drawn until it is `enough`.

        Raises:
            Refusal: The answer is no, and nothing changed.
        """
        self._wall_ms, self._by = now.wall_ms, request.caller.removeprefix("qinet://") or CONTROLLER
        decision = decide(
            self._at(now),
            request,
            now_ms=now.service_ms,
            wall_ms=now.wall_ms,
            version=self._version_for(request),
        )
        self._check_storable(decision.changes)
        if request.validate_only:
            return replace(decision.result, revision=self._snapshot.revision)
        if not decision.changes and isinstance(request, CHANGES_IN_PLACE):
            return decision.result
        self._write(decision.changes)
        self._settle(now, enough)
        revision = self._revision if self._pending else self._snapshot.revision
        return replace(decision.result, revision=revision, document=self._fresh(decision.result))

    def _version_for(self, request: Request) -> int:
        """Return the revision, or more where a relay of that name, gone since, may have given higher versions."""
        name = request.document.name if isinstance(request, Create) and isinstance(request.document, KeyRelay) else ""
        return max(self._revision, self._given_before(name) + 2)  # one more for its backup

    def _given_before(self, name: str) -> int:
        history = self._snapshot.histories.get(name)
        return max((change.route_version for change in history.changes), default=0) if history else 0

    def _fresh(self, result: Result) -> Document | None:
        document = result.document
        if isinstance(document, KeyRelay):
            return self._snapshot.relays.get(document.name, document)
        return document

    def take(self, event: AgentEvent | TimePassed, now: Now, enough: Enough = never) -> None:
        """Take in what an agent said, or that time passed; consequences are drawn until it is `enough`."""
        self._wall_ms = now.wall_ms
        self._by = f"nodes/{event.node}" if isinstance(event, _SAID_BY_NODES) else CONTROLLER
        try:
            self._take(event, now)
        except Refusal:
            # An agent may say what cannot be kept: that is no reason to leave all others without a controller.
            log.exception("event left out event=%r", event)
        self._settle(now, enough)

    def work(self, now: Now, enough: Enough = never) -> None:
        """Go on with what is still to be done, until it is `enough`."""
        self._wall_ms = now.wall_ms
        self._settle(now, enough)

    def _take(self, event: AgentEvent | TimePassed, now: Now) -> None:
        match event:
            case AgentConnected():
                self._by = f"nodes/{event.record.node}"
                self._connected(event, now)
            case AgentLost(node=node, reason=reason):
                self._lost(node, reason, now)
            case ConfigConfirmed(node=node):
                self._heard(node, event.in_force, event.version)
            case ConfigRefused():
                self._refused(event, now)
            case LinkReport():
                self._link_said(event, now)
            case RelayReport(relay=relay, node=node):
                words = self._words.setdefault(relay, {})
                if relay in self._snapshot.relays and words.get(node) != event:
                    words[node] = event
                    self._restless[relay] = None
            case AlarmRaised() | AlarmCleared():
                self._write(self._storable(alarm_changed(self._snapshot, event, wall_ms=now.wall_ms)))
            case ElectionAhead(node=node):
                if node in self._snapshot.nodes:
                    self._ahead.add(node)
                self._write(self._storable(election_ahead(self._snapshot, event, wall_ms=now.wall_ms)))
            case ApplicationAsked():
                self._application_asked(event, now)
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
        changes += self._histories(before, changes)
        self._snapshot = before.applying(changes)
        self._pending.append(changes)
        for collection, key in changes.folded:
            if collection == "relays":
                self._relay_written(key, before.relays.get(key), self._snapshot.relays.get(key))
            elif collection == "conditions":
                self._strained[key] = None
                condition = self._snapshot.conditions.get(key)
                (self._damped.add if condition and condition.damped else self._damped.discard)(key)
                if condition is None or condition.generating:
                    self._losses.link_up(key)
            elif collection == "links":
                self._strained[key] = None
                if key not in self._snapshot.links:
                    self._losses.link_up(key)
                    leaving = (name for name, relay in self._snapshot.relays.items() if relay.releasing)
                    self._restless |= dict.fromkeys(leaving)
            elif collection == "nodes":
                self._node_written(key, known=key in before.nodes)
            elif collection == "alarms":
                self._drains.written(key, self._snapshot.alarms.get(key))
            elif collection == "freezes" and self._snapshot.frozen is None:
                # What was held back is looked at again.
                self._losses.forget()
                self._impaired.add(self._snapshot.relays, self._snapshot.relays)
                self._improved()
            if collection in ("links", "nodes") and key in getattr(self._snapshot, collection):
                self._improved()
        for owner in sorted(owners_touched(before, self._snapshot, changes)):
            self.configuration.recompile(self._snapshot, owner, revision=self._revision)
            if owner[0] == "relays":
                self._restless[owner[1]] = None

    def _relay_written(self, name: str, before: KeyRelay | None, after: KeyRelay | None) -> None:
        self._restless[name] = None
        held = self._holdings.replaced(before, after)
        self._strained |= dict.fromkeys(sorted(held))
        if after is None:
            self._words.pop(name, None)
            self._refusals.pop(name, None)
        elif (
            after.routes and waits_for_better(after) and not (before and waits_for_better(before)) and not after.riding
        ):
            self._waiting.add([name], self._snapshot.relays)  # it has lost its backup

    def _histories(self, before: Snapshot, changes: Changes) -> Changes:
        """Return what the changes add to the histories of key relays: in the same commit, so that none is missing."""
        told = NO_CHANGES
        for (collection, name), after in changes.folded.items():
            if collection != "relays":
                continue
            history = before.histories.get(name)
            if after is None:
                if history is not None:
                    told += put(replace(history, gone_ms=before.service_time_ms))
                continue
            known = before.relays.get(name)
            longer = with_change(history, known, after, revision=self._revision, at_ms=self._wall_ms, by=self._by)
            if longer is not None:
                told += put(longer)
        return told

    def _node_written(self, node: str, *, known: bool) -> None:
        if node not in self._snapshot.nodes:
            self.configuration.node_deleted(node)
            self._snapshot = replace(self._snapshot, connected=self._snapshot.connected - {node})
            self._awaited -= {node}
            self._losses.agent_back(node)
            self._ahead.discard(node)
            self._unreachable.discard(node)
            self._restless |= dict.fromkeys(self._holdings.at_node(node))  # what it held nobody can use any more
        elif not known:
            self.configuration.node_created(node)

    def _connected(self, event: AgentConnected, now: Now) -> None:
        node = event.record.node
        if node not in self._snapshot.nodes:
            return
        self._snapshot = replace(self._snapshot, connected=self._snapshot.connected | {node})
        self._awaited -= {node}
        self._losses.agent_back(node)
        self._ahead.discard(node)
        for words in self._words.values():
            words.pop(node, None)
        changes, events = agent_connected(self._snapshot, event, now_ms=now.service_ms, wall_ms=now.wall_ms)
        self._write(self._storable(changes))
        self._happened(events, now)
        self._look_for_unreachable([node, *self._neighbours(node)], now)
        self._restless |= dict.fromkeys(self._holdings.at_node(node))
        self._heard(node, event.in_force, event.version)
        if not self._awaited:
            self._attend_what_was_left()

    def _lost(self, node: str, reason: str, now: Now) -> None:
        if node not in self._snapshot.nodes:
            return
        if node in self._snapshot.connected and reason != DRAINING:
            self._losses.agent_lost(node, now.service_ms)
        self._snapshot = replace(self._snapshot, connected=self._snapshot.connected - {node})
        self._awaited -= {node}
        self._write(agent_lost(node, reason, wall_ms=now.wall_ms))
        self._freeze_if_too_much_is_lost(now)
        self._look_for_unreachable([node, *self._neighbours(node)], now)
        self._restless |= dict.fromkeys(self._holdings.at_node(node))

    def _neighbours(self, node: str) -> list[str]:
        return [link.far(node) for link in self._snapshot.links.values() if node in link.nodes]

    def _link_said(self, event: LinkReport, now: Now) -> None:
        changes, events = link_said(self._snapshot, event, now_ms=now.service_ms, wall_ms=now.wall_ms)
        if not changes:
            return
        self._write(self._storable(changes))
        self._happened(events, now)
        self._restless |= dict.fromkeys(self._holdings.on_link(event.link))
        self._look_for_unreachable(self._snapshot.links[event.link].nodes, now)

    def _happened(self, events: Iterable[AppEvent], now: Now) -> None:
        for event in events:
            self._events.append(event)
            if isinstance(event, LinkWentDown):
                self._losses.link_down(event.link, now.service_ms)
                self._freeze_if_too_much_is_lost(now)

    def _freeze_if_too_much_is_lost(self, now: Now) -> None:
        if self._snapshot.frozen is not None:
            return
        what = self._losses.too_many(self._snapshot, now.service_ms)
        if what:
            log.error("automatic moves stopped, an operator has to let them go on: %s", what)
            self._write(frozen(self._snapshot, what, by=CONTROLLER, wall_ms=now.wall_ms))

    def _look_for_unreachable(self, nodes: Iterable[str], now: Now) -> None:
        """Tell of each node whether it is down for relaying; one that may still come back after our start is not."""
        for node in dict.fromkeys(nodes):
            gone = node not in self._awaited and unreachable(self._snapshot, node)
            if gone == (node in self._unreachable):
                continue
            self._write(unreachable_alarm(self._snapshot, node, lasts=gone, wall_ms=now.wall_ms))
            if gone:
                self._unreachable.add(node)
                self._events.append(NodeUnreachable(node=node))
            else:
                self._unreachable.discard(node)
                self._improved()

    def _attend_what_was_left(self) -> None:
        """Once, when all agents are back after our start: what was committed may have had consequences that were not.

        A link that is down or lacks capacity may have relays on it whose move was still to be decided on.
        """
        if self._left_attended:
            return
        self._left_attended = True
        for link, condition in self._snapshot.conditions.items():
            if not condition.generating:
                self._impaired.add(self._holdings.on_link(link), self._snapshot.relays)
        self._strained |= dict.fromkeys(sorted(self._holdings.reserved))

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
        for name, what in refused_services(node, still).items():
            relay = self._snapshot.relays.get(name)
            if relay is not None and not relay.removed:
                self._write(self._storable(put(self._refused_relay(relay, node, what, now))))

    def _refused_relay(self, relay: KeyRelay, node: str, what: RefusedRelay, now: Now) -> KeyRelay:
        """Return the relay without what a node refused: on other routes, on those still in use, or on none."""
        count = self._refusals[relay.name] = self._refusals.get(relay.name, 0) + 1
        retry_at_ms = now.service_ms + retry_after_ms(what.entry_id, count)
        backup = relay.backup.version if relay.backup else None
        wanted = relay.route_version in what.versions
        if not wanted and what.versions <= {backup}:
            return replace(backed_up(relay, (), version=0), move_at_ms=retry_at_ms)
        if wanted and backup not in what.versions:
            version = next_version(relay, self._revision)
            around = led_around(
                self._at(now),
                relay,
                frozenset({node}),
                version=version,
                now_ms=now.service_ms,
                because=what.reason,
            )
            if around.route_version == version:
                return around
        back = fallen_back(relay, because=what.reason) if wanted else None
        if back is not None:
            return replace(back, move_at_ms=retry_at_ms)
        return blocked(relay, what.reason, retry_at_ms=retry_at_ms)

    def _settle(self, now: Now, enough: Enough) -> None:
        """Follow consequences: confirmations, states, and what apps make of it. What is left is done in later turns.

        Relays that something happened to come one by one, the most important first, and what waits for a better
        network after them.
        """
        for _ in range(_CASCADE_LIMIT):
            self._by = CONTROLLER
            if self._restless:
                self._advance(self._restless.popitem()[0], now)
            elif self._strained:
                self._weigh(self._strained.popitem()[0], now)
            elif self._events:
                self._offer(self._events.popleft(), now)
            elif self._impaired:
                self._offer(RelayImpaired(relay=self._impaired.pop()), now)
            elif self._waiting:
                self._try_again(self._waiting.pop(), now)
            elif self._improved_again:
                self._improved_again = False
                self._waiting.add(self._holdings.waiting(), self._snapshot.relays)
            elif self._drains.under_way:
                self._write(self._drains.step(self._at(now), lambda relay, what: self._move_off(relay, what, now)))
            else:
                return
            if enough():
                return
        log.error("cascade cut off relays=%d events=%d", len(self._restless), len(self._events))

    def _advance(self, name: str, now: Now) -> None:
        relay = self._snapshot.relays.get(name)
        if relay is None:
            self._unconfirmed.pop(name, None)
            self._words.pop(name, None)
            return
        owner = ("relays", name)
        # What was held of a link that is no more is held of nothing.
        kept = tuple(held for held in relay.releasing if held.link in self._snapshot.links)
        after = relay if kept == relay.releasing else replace(relay, releasing=kept)
        for word in self._words.get(name, {}).values():
            after = heard(after, word)
        after = advanced(after, lambda node: self.configuration.confirmed(owner, node), now_ms=now.service_ms)
        after = with_return(after, self._snapshot, now_ms=now.service_ms)
        present = self._snapshot.connected | self._awaited
        after = with_state(after, self._snapshot, present=present, told=self.configuration.told(owner))
        if after.removed and not after.releasing:
            self._write(delete("relays", name))
        elif after != relay:
            self._write(put(after))
        if after.phase is Phase.SETTLED and after.state is RelayState.ACTIVE and after.move_at_ms is None:
            self._refusals.pop(name, None)
        self._write(blocked_alarm(self._snapshot, name, wall_ms=now.wall_ms))
        self._write(protection_alarm(self._snapshot, name, wall_ms=now.wall_ms))
        self._note_unconfirmed(name)
        if len(after.releasing) < len(relay.releasing):
            self._improved()

    def _weigh(self, link: str, now: Now) -> None:
        """See whether a link carries what is promised on it; where it lacks more than before, apps are told."""
        reserved = self._holdings.reserved.get(link, 0)
        self._write(overpromise_alarm(self._snapshot, link, reserved, wall_ms=now.wall_ms))
        missing = over_reserved(self._snapshot.links, self._snapshot.conditions, {link: reserved}).get(link, 0)
        if missing > self._missing.get(link, 0):
            self._events.append(LinkWeakened(link=link))
        if missing:
            self._missing[link] = missing
        else:
            self._missing.pop(link, None)

    def _try_again(self, name: str, now: Now) -> None:
        relay = self._snapshot.relays.get(name)
        if relay is None or self._holdings.room_is_kept_from(relay.demand.priority):
            return
        self._offer(RelayWaits(relay=name), now)

    def _move_off(self, relay: KeyRelay, what: Leaving, now: Now) -> None:
        after = moved_off(self._at(now), relay, what, version=self._revision, now_ms=now.service_ms)
        if after != relay:
            self._by = what.by
            self._write(self._storable(put(after)))

    def _improved(self) -> None:
        if not any(isinstance(event, NetworkImproved) for event in self._events):
            self._events.append(NetworkImproved())

    def _offer(self, event: AppEvent, now: Now) -> None:
        obeyed = False
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
            self._by = f"apps/{type(app).__name__}"
            for command in commands:
                obeyed |= self._obey(type(app).__name__, command, now)
        match event:
            case LinkWentDown(link=link) | LinkExhausted(link=link):
                self._impaired.add(self._holdings.on_link(link), self._snapshot.relays)
            case NodeUnreachable(node=node):
                self._impaired.add(self._holdings.at_node(node), self._snapshot.relays)
            case NetworkImproved() if self._waiting:
                self._improved_again = True  # after this round: else the most important would be tried all the time
            case NetworkImproved():
                self._waiting.add(self._holdings.waiting(), self._snapshot.relays)
            case LinkWeakened() if obeyed:
                self._events.append(event)  # some have left, the rest comes in a later turn

    def _obey(self, app: str, command: Any, now: Now) -> bool:
        """Carry out what an app asks; tell whether that changed something."""
        if not well_formed(command):
            log.error("app asks what is no command app=%s command=%r", app, command)
            self._app_failures.append(app)
            return False
        relay = self._snapshot.relays.get(command.relay)
        if relay is None or relay.removed:
            return False
        version = next_version(relay, self._revision)
        try:
            after = carried_out(self._at(now), relay, command, version=version, now_ms=now.service_ms)
            if after == relay:
                return False
            self._write(self._storable(put(after)))
        except Refusal as refusal:
            log.warning("command refused app=%s relay=%s reason=%s: %s", app, relay.name, refusal.reason, refusal)
            return False
        return (after.routes, after.backup) != (relay.routes, relay.backup)

    def _application_asked(self, event: ApplicationAsked, now: Now) -> None:
        self._write(self._storable(learned(self._snapshot, event)))
        if self._auto_relay is None:
            return
        changes = served(
            self._at(now),
            event,
            self._auto_relay,
            version=lambda name: max(self._revision, self._given_before(name) + 2),
            now_ms=now.service_ms,
            wall_ms=now.wall_ms,
        )
        self._write(self._storable(changes))

    def _time_passed(self, now: Now) -> None:
        self._await_no_longer(now)
        for name in self._holdings.timed():
            self._relay_time_passed(self._snapshot.relays[name], now)
        for link in sorted(self._damped):
            condition = self._snapshot.condition(link)
            if may_be_freed(condition, now.service_ms):
                self._write(put_condition(link, freed(condition)))
                self._restless |= dict.fromkeys(self._holdings.on_link(link))
                self._improved()
        if now.service_ms - self._snapshot.service_time_ms >= SERVICE_TIME_EVERY_MS:
            old = now.service_ms - REQUESTS_KEPT_MS
            stale = (key for key, record in self._snapshot.requests.items() if record.used_ms < old)
            bygone = (
                name
                for name, history in self._snapshot.histories.items()
                if history.gone_ms is not None and history.gone_ms < old
            )
            self._write(
                Changes(service_time_ms=now.service_ms) + delete("requests", *stale) + delete("histories", *bygone)
            )

    def _relay_time_passed(self, relay: KeyRelay, now: Now) -> None:
        name = relay.name
        if deadline_passed(relay.expires_at_ms, now.service_ms):
            self._write(put(removed(relay, "its lifetime ended")))
        elif deadline_passed(relay.move_at_ms, now.service_ms):
            self._write(put(replace(relay, move_at_ms=None)))
            if relay.routes:
                self._events.append(HoldOffEnded(relay=name))
            self._waiting.add([name], self._snapshot.relays)
        elif deadline_passed(relay.revert_at_ms, now.service_ms):
            self._write(put(replace(relay, revert_at_ms=None)))
            self._events.append(ReturnDue(relay=name))
        elif deadline_passed(relay.install_by_ms, now.service_ms):
            if relay.phase is Phase.INSTALLING:
                self._reroute_slow(relay, now)
            elif relay.phase is Phase.DRAINING:
                self._write(put(drained(relay)))
            else:
                self._write(put(replace(relay, install_by_ms=None)))
                self._improved()

    def _await_no_longer(self, now: Now) -> None:
        """Call lost whoever was there before the start and has not come back."""
        if self._await_until_ms is None:
            self._await_until_ms = now.service_ms + AWAIT_AGENTS_MS
        if self._awaited and now.service_ms >= self._await_until_ms:
            for node in sorted(self._awaited):
                self._lost(node, "it has not come back since the controller started", now)
            self._attend_what_was_left()

    def _reroute_slow(self, relay: KeyRelay, now: Now) -> None:
        owner = ("relays", relay.name)
        slow = frozenset(node for node in relay.nodes() if not self.configuration.confirmed(owner, node))
        version = next_version(relay, self._revision)
        self._write(put(led_around(self._at(now), relay, slow, version=version, now_ms=now.service_ms)))

    def remaining_s(self, now: Now) -> dict[str, int]:
        """Return the seconds of life left, by entry id, of what belongs to key relays with a lifetime."""
        left: dict[str, int] = {}
        for name in self._holdings.mortal():
            expires_at_ms = self._snapshot.relays[name].expires_at_ms
            assert expires_at_ms is not None
            seconds = max(0, -(-(expires_at_ms - now.service_ms) // 1000))
            left |= dict.fromkeys(self.configuration.entry_ids(("relays", name)), seconds)
        return left

    def _note_unconfirmed(self, name: str) -> None:
        relay = self._snapshot.relays.get(name)
        concerned: set[str] = set()
        if relay is not None:
            concerned.update(relay.told_nodes(), (node for held in relay.releasing for node in held.nodes))
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
