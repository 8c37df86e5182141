"""The working state of the core: the snapshot that is decided on, and what is derived of it and not stored."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controller.domain.auto_relay import AutoRelay
from controller.domain.entanglement_path import EntanglementPath
from controller.domain.events import (
    AppEvent,
    NetworkImproved,
    ServiceReport,
)
from controller.domain.history import with_change
from controller.domain.lifetimes import lifetime_ends_ms
from controller.domain.link import LinkCondition
from controller.domain.service import Service, service_key
from controller.domain.snapshot import (
    NO_CHANGES,
    Changes,
    Snapshot,
    joined,
    put,
)
from controller.planning.compile import owner_of_service, owners_touched
from controller.routing.places import shortfall
from controller.service.agent_desk import (
    GONE_KINDS,
)
from controller.service.alarm_desk import (
    NODE_UNREACHABLE,
)
from controller.service.app_desk import App
from controller.service.configuration import Configuration, Encode
from controller.service.doubts import Doubts
from controller.service.drains import Drains
from controller.service.holdings import Holdings, waits_for_better
from controller.service.losses import Losses
from controller.service.placing import services_placed
from controller.service.worklist import Worklist


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
IMPAIRED_TOGETHER: Final = 64
"""Most services that do not work that are handed over at once."""
IMPAIRED_AT_FIRST: Final = 8
"""How many at first; twice as many each time that a turn had time for all."""


def never() -> bool:
    """Tell that it is never enough."""
    return False


def storable(changes: Changes) -> None:
    """Take any changes for storable."""


class Working:
    """The snapshot with what the current batch decided; every change of it goes through one door."""

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
        self._last_refusal = ""
        self._unconfirmed: dict[str, frozenset[str]] = {}
        self._words: dict[str, dict[str, ServiceReport]] = {}
        self._refusals: dict[str, int] = {}
        self._shortfalls: dict[str, tuple[object, str]] = {}
        self._tries: dict[str, tuple[EntanglementPath, dict[str, int], tuple[object, ...]]] = {}
        self._losses = Losses()
        self._unreachable = {
            key[1].removeprefix("nodes/") for key in self._snapshot.alarms if key[2] == NODE_UNREACHABLE
        }
        self._ahead: set[str] = set()
        self._holdings = Holdings(self._snapshot.services())
        self._restless: dict[str, None] = dict.fromkeys(self._keys())  # an ordered set
        self._strained: dict[str, None] = {}
        self._missing: dict[str, int] = {}
        self._damped = {link for link, condition in self._snapshot.conditions.items() if condition.damped}
        self._doubts = Doubts()
        for link, condition in self._snapshot.conditions.items():
            self._doubts.decided(link, condition)
        self._impaired = Worklist()
        self._alone: set[str] = set()
        self._together = IMPAIRED_AT_FIRST
        self._waiting = Worklist()
        self._improved_again = False
        self._left_attended = False
        self._drains = Drains(self._snapshot)
        self._placed = frozenset(services_placed(self._snapshot))
        self._placement_due = bool(self._placed)
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
            or self._placement_due
        )

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
            if collection in ("relays", "paths"):
                name = service_key(collection, key)
                self._service_written(name, before.service(name), self._snapshot.service(name))
            elif collection == "conditions":
                self._strained[key] = None
                condition = self._snapshot.conditions.get(key)
                (self._damped.add if condition and condition.damped else self._damped.discard)(key)
                self._doubts.decided(key, condition)
                if _makes_worse_pairs(before.condition(key), self._snapshot.condition(key)):
                    self._impaired.add(self._holdings.on_link(key), self._snapshot)
                if condition is None or condition.generating:
                    self._losses.link_up(key)
            elif collection == "links":
                self._strained[key] = None
                self._restless |= dict.fromkeys(self._holdings.on_link(key))
                if key not in self._snapshot.links:
                    self._losses.link_up(key)
                    leaving = (service.key for service in self._snapshot.services() if service.releasing)
                    self._restless |= dict.fromkeys(leaving)
                elif not self._snapshot.links[key].admin_enabled:
                    self._impaired.add(self._holdings.on_link(key), self._snapshot)
            elif collection == "nodes":
                self._node_written(key, known=key in before.nodes)
            elif collection == "alarms":
                self._drains.written(key, self._snapshot.alarms.get(key))
            elif collection == "placements":
                self._placed = frozenset(services_placed(self._snapshot))
                self._placement_due = bool(self._placed)
            elif collection == "freezes" and self._snapshot.frozen is None:
                self._placement_due = bool(self._placed)
                # What was held back is looked at again.
                self._losses.forget()
                self._restless |= dict.fromkeys(self._keys())
                self._impaired.add(self._keys(), self._snapshot)
                self._improved()
            if collection in ("links", "nodes") and key in getattr(self._snapshot, collection):
                self._improved()
        for owner in sorted(owners_touched(before, self._snapshot, changes)):
            self.configuration.recompile(self._snapshot, owner, revision=self._revision)
            if owner[0] in ("relays", "paths"):
                self._restless[service_key(*owner)] = None

    def _keys(self) -> list[str]:
        return [service.key for service in self._snapshot.services()]

    def _service_written(self, name: str, before: Service | None, after: Service | None) -> None:
        self._restless[name] = None
        self._placement_due |= name in self._placed
        held = self._holdings.replaced(before, after)
        self._strained |= dict.fromkeys(sorted(held))
        # A path that is being removed waits until relays have left its key link.
        owners = {link.path for name in held if (link := self._snapshot.links.get(name)) is not None and link.path}
        self._restless |= dict.fromkeys(service_key("paths", owner) for owner in sorted(owners))
        if after is None:
            self._words.pop(name, None)
            self._refusals.pop(name, None)
            self._shortfalls.pop(name, None)
            self._tries.pop(name, None)
            return
        if before is not None and before.demand != after.demand:
            self._impaired.add([name], self._snapshot)  # what kept it where it is may be over
        newly = waits_for_better(after) and not (before and waits_for_better(before))
        if newly and after.routes and not after.riding and after.plan is None:
            self._waiting.add([name], self._snapshot)  # it has lost its backup

    def _histories(self, before: Snapshot, changes: Changes) -> Changes:
        """Return what the changes add to the histories of services: in the same commit, so that none is missing."""
        told = NO_CHANGES
        for (collection, key), after in changes.folded.items():
            if collection not in ("relays", "paths"):
                continue
            name = service_key(collection, key)
            history = before.histories.get(name)
            if after is None:
                if history is not None:
                    told += put(replace(history, gone_ms=before.service_time_ms))
                continue
            known = before.service(name)
            longer = with_change(history, known, after, revision=self._revision, at_ms=self._wall_ms, by=self._by)
            if longer is not None:
                told += put(longer)
        return told

    def _shortfall(self, service: Service) -> str:
        """Return what a path's links give less than is asked of it; predicted anew where what it rests on changed."""
        if not isinstance(service, EntanglementPath) or not service.routes:
            return ""
        snapshot, route = self._snapshot, service.routes[0]
        rests_on = (
            service.route_version,
            service.demand,
            [(snapshot.links.get(link), snapshot.conditions.get(link)) for link in route.links],
            [snapshot.nodes.get(node) for node in route.nodes],
            snapshot.connected.issuperset(route.nodes),
        )
        known = self._shortfalls.get(service.key)
        if known is None or known[0] != rests_on:
            known = self._shortfalls[service.key] = rests_on, shortfall(snapshot, service)
        return known[1]

    def _tried_before(self, path: EntanglementPath) -> bool:
        """Tell whether a path was tried on what is now: a search for pairs costs more than to see that it is the same.

        What key relays release makes a better network, too, but not for paths.
        """
        snapshot = self._snapshot
        held = {
            resource: amount
            for resource, amount in self._holdings.reserved.items()
            if (link := snapshot.links.get(resource)) is None or link.pairs is not None
        }
        same = snapshot.nodes, snapshot.links, snapshot.conditions, snapshot.connected, snapshot.frozen
        known = self._tries.get(path.key)
        self._tries[path.key] = path, held, same
        if known is None or known[:2] != (path, held):
            return False
        return all(one is other for one, other in zip(known[2], same, strict=True))

    def _node_written(self, node: str, *, known: bool) -> None:
        if node not in self._snapshot.nodes:
            self.configuration.node_deleted(node)
            self._snapshot = replace(self._snapshot, connected=self._snapshot.connected - {node})
            self._awaited -= {node}
            self._losses.agent_back(node)
            self._ahead.discard(node)
            self._unreachable.discard(node)
            self._restless |= dict.fromkeys(self._holdings.at_node(node))  # what it held nobody can use any more
            self._placement_due |= bool(self._placed)  # it is not waited for any more
        elif not known:
            self.configuration.node_created(node)
        else:
            self._restless |= dict.fromkeys(self._holdings.at_node(node))  # its pairs may come otherwise

    def _improved(self) -> None:
        if not any(isinstance(event, NetworkImproved) for event in self._events):
            self._events.append(NetworkImproved())

    def _note_unconfirmed(self, name: str) -> None:
        service = self._snapshot.service(name)
        missing: frozenset[str] = frozenset()
        if service is not None:
            concerned = service.told_nodes().union(node for held in service.releasing for node in held.nodes)
            owner = owner_of_service(service)
            missing = frozenset(node for node in concerned if not self.configuration.confirmed(owner, node))
        if missing:
            self._unconfirmed[name] = missing
        else:
            self._unconfirmed.pop(name, None)

    def unconfirmed(self) -> Mapping[str, frozenset[str]]:
        """Return, by key of the service, its nodes that have not confirmed what they were last told of it."""
        return dict(self._unconfirmed)

    def reserved(self) -> Mapping[str, int]:
        """Return what is reserved of each resource; of a QKD link in millibit/s."""
        return dict(self._holdings.reserved)

    def remaining_s(self, now: Now) -> dict[str, int]:
        """Return the seconds of life left, by entry id, of what belongs to services with a lifetime."""
        left: dict[str, int] = {}
        for name in self._holdings.mortal():
            service = self._snapshot.service(name)
            assert service is not None
            ends_at_ms = lifetime_ends_ms(service)
            if ends_at_ms is None:
                continue
            seconds = max(0, -(-(ends_at_ms - now.service_ms) // 1000))
            left |= dict.fromkeys(self.configuration.entry_ids(owner_of_service(service)), seconds)
        return left

    def _given_before(self, name: str) -> int:
        history = self._snapshot.histories.get(name)
        return max((change.route_version for change in history.changes), default=0) if history else 0


def _makes_worse_pairs(before: LinkCondition, after: LinkCondition) -> bool:
    """Tell whether a link is taken to make fewer or worse pairs: what is promised over it may not come any more."""
    return any(new < old for old, new in zip(before.pair_worth, after.pair_worth, strict=True))
