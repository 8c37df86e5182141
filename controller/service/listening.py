"""What the core makes of what agents say, and of their silence."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from controller.domain.events import (
    DRAINING,
    AgentConnected,
    AppEvent,
    ApplicationAsked,
    ConfigRefused,
    LinkReport,
    LinkWentDown,
    NodeUnreachable,
)
from controller.domain.reachability import generates, unreachable
from controller.domain.service import Service, service_key
from controller.domain.snapshot import (
    put,
)
from controller.service.agent_desk import (
    ELECTION_REMEDY,
    RefusedService,
    agent_connected,
    agent_lost,
    link_said,
    refused_services,
)
from controller.service.alarm_desk import (
    refusals_over,
    refused_alarms,
    unreachable_alarm,
)
from controller.service.app_desk import led_around
from controller.service.auto_relay import learned, served
from controller.service.backoff import retry_after_ms
from controller.service.lifecycle import (
    backed_up,
    blocked,
    fallen_back,
    next_version,
)
from controller.service.maintenance_desk import frozen
from controller.service.working import CONTROLLER, Now, Working

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Service)

AWAIT_AGENTS_MS: Final = 30_000
"""How long after its start a controller lets agents come back before it calls them lost."""


class Listening(Working):
    """Takes in what agents say; what follows for services is the core's."""

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
            # The link of a path goes down with what is counted already.
            if isinstance(event, LinkWentDown) and not self._snapshot.links[event.link].path:
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

        A link that is down or lacks capacity may have services on it whose move was still to be decided on.
        """
        if self._left_attended:
            return
        self._left_attended = True
        for link in self._snapshot.links:
            if not generates(self._snapshot, link):
                self._impaired.add(self._holdings.on_link(link), self._snapshot)
        self._strained |= dict.fromkeys(sorted(self._holdings.reserved))
        self._placement_due |= bool(self._placed)

    def _heard(self, node: str, in_force: Mapping[str, bytes], version: int) -> None:
        """Take in what is in force at a node, and look again at every service about which that says something new."""
        for collection, name in sorted(self.configuration.heard(node, in_force, version)):
            if collection in ("relays", "paths"):
                self._restless[service_key(collection, name)] = None

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
            service = self._snapshot.service(name)
            if service is not None and not service.removed:
                self._write(self._storable(put(self._without_refused(service, node, what, now))))

    def _without_refused(self, service: S, node: str, what: RefusedService, now: Now) -> S:
        """Return the service without what a node refused: on other routes, on those still in use, or on none."""
        count = self._refusals[service.key] = self._refusals.get(service.key, 0) + 1
        retry_at_ms = now.service_ms + retry_after_ms(what.entry_id, count)
        backup = service.backup.version if service.backup else None
        wanted = service.route_version in what.versions
        if not wanted and what.versions <= {backup}:
            return replace(backed_up(service, (), version=0), move_at_ms=retry_at_ms)
        if wanted and backup not in what.versions:
            version = next_version(service, self._revision)
            around = led_around(
                self._at(now),
                service,
                frozenset({node}),
                version=version,
                now_ms=now.service_ms,
                because=what.reason,
            )
            if around.route_version == version:
                return around
        back = fallen_back(service, because=what.reason) if wanted else None
        if back is not None:
            return replace(back, move_at_ms=retry_at_ms)
        return blocked(service, what.reason, retry_at_ms=retry_at_ms)

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

    def _await_no_longer(self, now: Now) -> None:
        """Call lost whoever was there before the start and has not come back."""
        if self._await_until_ms is None:
            self._await_until_ms = now.service_ms + AWAIT_AGENTS_MS
        if self._awaited and now.service_ms >= self._await_until_ms:
            for node in sorted(self._awaited):
                self._lost(node, "it has not come back since the controller started", now)
            self._attend_what_was_left()
