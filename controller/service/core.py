"""The core of the writer: one event or request at a time, from working snapshot to changes. No I/O, no clock.

What it decides becomes real only when the writer commits it. It also keeps what is derived and not stored:
who is connected, what every node is told, what each has confirmed, and which relays concern what.
"""

import logging
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from controller.domain.capacity import resource_exists
from controller.domain.damping import freed, may_be_freed
from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.events import (
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
    PlacementDue,
    ReturnDue,
    ServiceReport,
    ServicesImpaired,
    ServiceWaits,
    TimePassed,
)
from controller.domain.key_links import relays_on
from controller.domain.key_relay import KeyRelay
from controller.domain.lifetimes import deadline_runs
from controller.domain.refusals import Refusal
from controller.domain.service import Phase, Service, ServiceState
from controller.domain.snapshot import (
    Changes,
    Document,
    delete,
    put,
    put_condition,
)
from controller.planning.compile import owner_of_service
from controller.routing.batch import is_plain
from controller.routing.places import Grounds
from controller.service.agent_desk import (
    alarm_changed,
    election_ahead,
)
from controller.service.alarm_desk import (
    blocked_alarm,
    missing_of,
    overpromise_alarm,
    protection_alarm,
)
from controller.service.app_desk import App, carried_out, led_around, well_formed
from controller.service.holdings import waits_for_better
from controller.service.key_link_desk import key_link_follows
from controller.service.lifecycle import (
    advanced,
    apart_from_backup,
    drained,
    heard,
    next_version,
    removed,
    with_return,
)
from controller.service.listening import Listening
from controller.service.maintenance_desk import Leaving, moved_off
from controller.service.placing import after_turn, followed, next_move, under_way
from controller.service.relay_desk import deadline_passed
from controller.service.request_desk import decide
from controller.service.requests import CHANGES_IN_PLACE, Create, Request, Result
from controller.service.standing import with_state
from controller.service.working import CONTROLLER, IMPAIRED_TOGETHER, Enough, Now, never, storable

__all__ = ["Core", "Enough", "Now", "never", "storable"]

log = logging.getLogger(__name__)

SERVICE_TIME_EVERY_MS: Final = 30_000
"""How often elapsed service time is committed."""
REQUESTS_KEPT_MS: Final = 24 * 3600 * 1000
"""How long after its last use a request id is remembered."""
_FEWEST_TOGETHER: Final = 4
_CASCADE_LIMIT: Final = 1_000_000
_COMMANDS_LIMIT: Final = 100_000
_SAID_BY_NODES: Final = (AgentLost, ConfigConfirmed, ConfigRefused, LinkReport, ServiceReport, ApplicationAsked)


class Core(Listening):
    """Decides. One thread; everything it returns is immutable."""

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
        self._doubt_refusal(request, decision.result.document)
        self._settle(now, enough)
        revision = self._revision if self._pending else self._snapshot.revision
        return replace(decision.result, revision=revision, document=self._fresh(decision.result))

    def _doubt_refusal(self, request: Request, document: Document | None) -> None:
        """Have a service that waits because of what was found on an older network tried on that of now."""
        old = request.proposal is not None and request.proposal.revision < self._snapshot.revision
        if old and isinstance(document, Service) and waits_for_better(document):
            self._waiting.add([document.key], self._snapshot)

    def _version_for(self, request: Request) -> int:
        """Return the revision, or more where a service of that name, gone since, may have given higher versions."""
        key = request.document.key if isinstance(request, Create) and isinstance(request.document, Service) else ""
        return max(self._revision, self._given_before(key) + 2)  # one more for its backup

    def _fresh(self, result: Result) -> Document | None:
        document = result.document
        if isinstance(document, KeyRelay):
            return self._snapshot.relays.get(document.name, document)
        if isinstance(document, EntanglementPath):
            return self._snapshot.paths.get(document.name, document)
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
            case ServiceReport(service=key, node=node):
                words = self._words.setdefault(key, {})
                if self._snapshot.service(key) is not None and words.get(node) != event:
                    words[node] = event
                    self._restless[key] = None
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

    def _settle(self, now: Now, enough: Enough) -> None:
        """Follow consequences: confirmations, states, and what apps make of it. What is left is done in later turns.

        Services that something happened to come one by one, the most important first, and what waits for a better
        network after them.
        """
        over = False

        def spent() -> bool:
            nonlocal over
            over = over or enough()
            return over

        for _ in range(_CASCADE_LIMIT):
            self._by = CONTROLLER
            if self._restless:
                self._advance(self._restless.popitem()[0], now)
            elif self._strained:
                self._weigh(self._strained.popitem()[0], now)
            elif self._events:
                self._offer(self._events.popleft(), now)
            elif self._impaired:
                self._attend(now, spent)
            elif self._waiting:
                self._try_again(self._waiting.pop(), now)
            elif self._improved_again:
                self._improved_again = False
                self._try_all_again()
            elif self._drains.under_way:
                self._write(self._drains.step(self._at(now), lambda service, what: self._move_off(service, what, now)))
            elif self._placement_due:
                self._place_on(now)
            else:
                return
            if spent():
                return
        log.error("cascade cut off services=%d events=%d", len(self._restless), len(self._events))

    def _advance(self, name: str, now: Now) -> None:
        service = self._snapshot.service(name)
        if service is None:
            self._unconfirmed.pop(name, None)
            self._words.pop(name, None)
            return
        owner = owner_of_service(service)
        # What was held of a link or node that is no more is held of nothing.
        nodes, links = self._snapshot.nodes.keys(), self._snapshot.links.keys()
        kept = tuple(held for held in service.releasing if resource_exists(nodes, links, held.link))
        after = service if kept == service.releasing else replace(service, releasing=kept)
        words = self._words.get(name, {}).values()
        for word in words:
            after = heard(after, word)
        after = advanced(after, lambda node: self.configuration.confirmed(owner, node), now_ms=now.service_ms)
        after = apart_from_backup(after, self._snapshot)
        after = with_return(after, self._snapshot, now_ms=now.service_ms)
        after = with_state(
            after,
            self._snapshot,
            present=self._snapshot.connected | self._awaited,
            told=self.configuration.told(owner),
            words=tuple(words),
            shortfall=self._shortfall(after),
        )
        if after.removed and not after.releasing and not self._keeps_link(after):
            self._write(delete(after.collection, after.name))
        elif after != service:
            self._write(put(after))
        if after.phase is Phase.SETTLED and after.state is ServiceState.ACTIVE and after.move_at_ms is None:
            self._refusals.pop(name, None)
        self._write(blocked_alarm(self._snapshot, after, wall_ms=now.wall_ms))
        self._write(protection_alarm(self._snapshot, after, wall_ms=now.wall_ms))
        self._lead_key_link(after, now)
        self._note_unconfirmed(name)
        if len(after.releasing) < len(service.releasing):
            self._improved()

    def _keeps_link(self, service: Service) -> bool:
        """Tell whether a path that is being removed still has its key link, because key relays have not left it."""
        link = service.demand.key_link if isinstance(service, EntanglementPath) else ""
        return bool(link) and link in self._snapshot.links and bool(relays_on(self._snapshot, [link]))

    def _lead_key_link(self, service: Service, now: Now) -> None:
        """Have the key link of a path follow it."""
        if isinstance(service, EntanglementPath) and service.demand.key_link:
            changes, events = key_link_follows(self._snapshot, service, wall_ms=now.wall_ms)
            self._write(changes)
            self._happened(events, now)
            if changes:
                self._restless |= dict.fromkeys(self._holdings.on_link(service.demand.key_link))

    def _weigh(self, resource: str, now: Now) -> None:
        """See whether a resource carries what is promised on it; where a link lacks more than before, apps are told."""
        if resource not in self._snapshot.links:
            self._missing.pop(resource, None)
        reserved = self._holdings.reserved.get(resource, 0)
        self._write(overpromise_alarm(self._snapshot, resource, reserved, wall_ms=now.wall_ms))
        missing = missing_of(self._snapshot, resource, reserved)
        if missing > self._missing.get(resource, 0):
            self._events.append(LinkWeakened(link=resource))
        if missing:
            self._missing[resource] = missing
        else:
            self._missing.pop(resource, None)

    def _try_all_again(self) -> None:
        self._waiting.add(self._holdings.waiting(), self._snapshot)
        weak = {event.link for event in self._events if isinstance(event, LinkWeakened)}
        self._events.extend(LinkWeakened(link=link) for link in sorted(self._missing.keys() - weak))

    def _try_again(self, name: str, now: Now) -> None:
        service = self._snapshot.service(name)
        if service is None:
            return
        # Paths and relays share nothing that one could keep from the other.
        if isinstance(service, KeyRelay) and self._holdings.room_is_kept_from(service.demand.priority):
            return
        if isinstance(service, EntanglementPath) and self._tried_before(service):
            return
        self._offer(ServiceWaits(service=name), now)

    def _move_off(self, service: Service, what: Leaving, now: Now) -> None:
        after = moved_off(self._at(now), service, what, version=self._revision, now_ms=now.service_ms)
        if after != service:
            self._by = what.by
            self._write(self._storable(put(after)))

    def _place_on(self, now: Now) -> None:
        """Go on with the placement that is being carried out: one move at most, as each costs what a decision costs."""
        self._placement_due = False
        for placement in under_way(self._snapshot):
            after = followed(placement, self._snapshot)
            # Before its agents are back a network that was just started looks as if nothing fitted on it.
            waits = self._snapshot.frozen is not None or self._awaited
            move = None if waits else next_move(after)
            if after != placement:
                self._write(put(after))
            if move is None:
                continue
            self._last_refusal = ""
            self._offer(PlacementDue(placement=after.name, service=move.service), now)
            begun = after_turn(after, move, self._snapshot.service(move.service), self._last_refusal)
            self._by = CONTROLLER
            if begun != after:
                self._write(put(begun))

    def _attend(self, now: Now, enough: Enough) -> None:
        """Hand over services that do not work: several where that saves work. What there is no time for comes later."""
        taken = self._impaired.pop_several(self._together, self._is_plain)
        self._alone.difference_update(taken)
        decided = taken
        for app in self._apps:
            if decided and issubclass(ServicesImpaired, app.listens_to):
                decided = self._attended(app, decided, now, enough)
        self._impaired.add(taken[len(decided) :], self._snapshot)
        # What is handed over in vain is looked at again: about as many as a turn carries out.
        if len(decided) < len(taken):
            self._together = max(_FEWEST_TOGETHER, len(decided))
        elif len(taken) == self._together:
            self._together = min(2 * self._together, IMPAIRED_TOGETHER)

    def _is_plain(self, key: str) -> bool:
        service = self._snapshot.service(key)
        return key not in self._alone and service is not None and is_plain(self._snapshot, service)

    def _attended(self, app: App, services: tuple[str, ...], now: Now, enough: Enough) -> tuple[str, ...]:
        """Return the services that an app has decided on: all of them, or those up to where the turn has to end."""
        name = type(app).__name__
        present = self._at(now)
        grounds = Grounds(present)  # each command is checked on what those before it leave
        decided = 0
        self._last_refusal = ""
        commands = islice(app.handle(ServicesImpaired(services=services), present), _COMMANDS_LIMIT)
        while True:
            try:
                command = next(commands, None)
            except Exception:
                # As of any event; here what was decided before stands, and the others come again one by one.
                log.exception("app failed app=%s services=%r", name, services[decided:])
                self._app_failures.append(name)
                if len(services) == 1:
                    return services
                self._alone.update(services[decided:])
                return services[:decided]
            if command is None:
                return services
            self._by = f"apps/{name}"
            self._obey(name, command, now, grounds)
            if well_formed(command) and command.service in services:
                decided = services.index(command.service) + 1
                if self._last_refusal or enough():
                    return services[:decided]

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
                self._impaired.add(self._holdings.on_link(link), self._snapshot)
            case NodeUnreachable(node=node):
                self._impaired.add(self._holdings.at_node(node), self._snapshot)
            case NetworkImproved() if self._waiting:
                self._improved_again = True  # after this round: else the most important would be tried all the time
            case NetworkImproved():
                self._try_all_again()
            case LinkWeakened(link=link, tried=tried):
                tried += not obeyed  # one has left, or could not: the next comes in a later turn, if need be
                if tried < len(self._holdings.on_link(link)):
                    self._events.append(LinkWeakened(link=link, tried=tried))

    def _obey(self, app: str, command: Any, now: Now, grounds: Grounds | None = None) -> bool:
        """Carry out what an app asks; tell whether that changed something. `grounds` are of now, and kept so."""
        if not well_formed(command):
            log.error("app asks what is no command app=%s command=%r", app, command)
            self._app_failures.append(app)
            return False
        service = self._snapshot.service(command.service)
        if service is None or service.removed:
            return False
        version = next_version(service, self._revision)
        try:
            present = self._at(now)
            after = carried_out(present, service, command, version=version, now_ms=now.service_ms, grounds=grounds)
            if after == service:
                return False
            self._write(self._storable(put(after)))
            if grounds is not None:
                grounds.replaced(service, after)
        except Refusal as refusal:
            log.warning("command refused app=%s service=%s reason=%s: %s", app, service.key, refusal.reason, refusal)
            self._last_refusal = refusal.message
            return False
        return (after.routes, after.plan, after.backup) != (service.routes, service.plan, service.backup)

    def _time_passed(self, now: Now) -> None:
        self._await_no_longer(now)
        for name in self._holdings.timed():
            service = self._snapshot.service(name)
            if service is not None:
                self._service_time_passed(service, now)
        for link in sorted(self._damped):
            condition = self._snapshot.condition(link)
            if may_be_freed(condition, now.service_ms):
                self._write(put_condition(link, freed(condition)))
                self._restless |= dict.fromkeys(self._holdings.on_link(link))
                self._improved()
        for link in self._doubts.lapsing(self._holdings.on_link, now.service_ms):
            forgotten = replace(
                self._snapshot.condition(link), pair_rate_permille=None, pair_fidelity_loss_permille=None
            )
            self._write(put_condition(link, forgotten))
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

    def _service_time_passed(self, service: Service, now: Now) -> None:
        name = service.key
        if deadline_passed(service.expires_at_ms, now.service_ms):
            why = f"no pair came within {_deadline_s(service)} s" if deadline_runs(service) else "its lifetime ended"
            self._write(put(removed(service, why)))
        elif deadline_passed(service.move_at_ms, now.service_ms):
            self._write(put(replace(service, move_at_ms=None)))
            if service.routes:
                self._events.append(HoldOffEnded(service=name))
            self._waiting.add([name], self._snapshot)
        elif deadline_passed(service.revert_at_ms, now.service_ms):
            self._write(put(replace(service, revert_at_ms=None)))
            self._events.append(ReturnDue(service=name))
        elif deadline_passed(service.install_by_ms, now.service_ms):
            if service.phase is Phase.INSTALLING:
                self._reroute_slow(service, now)
            elif service.phase is Phase.DRAINING:
                self._write(put(drained(service)))
            else:
                self._write(put(replace(service, install_by_ms=None)))
                self._improved()

    def _reroute_slow(self, service: Service, now: Now) -> None:
        owner = owner_of_service(service)
        slow = frozenset(node for node in service.nodes() if not self.configuration.confirmed(owner, node))
        version = next_version(service, self._revision)
        self._write(put(led_around(self._at(now), service, slow, version=version, now_ms=now.service_ms)))


def _deadline_s(service: Service) -> int:
    demand = service.demand
    return demand.deadline_s or 0 if isinstance(demand, PairDemand) else 0
