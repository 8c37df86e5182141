"""What a key relay and an entanglement path have in common: a life, routes of several versions, and what they hold."""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final, Protocol

from controller.domain.names import label
from controller.domain.path_plan import PathPlan
from controller.domain.route import Route

MAX_SHARES: Final = 16


class Protection(Enum):
    """What happens to a service when its route fails."""

    UNPROTECTED = "unprotected"
    RESTORE = "restore"
    ONE_FOR_ONE = "1:1"
    ONE_PLUS_ONE = "1+1"


class ServiceState(Enum):
    """Where a service is in its life; what moves it stands in architecture section 4."""

    PENDING = "PENDING"
    INSTALLING = "INSTALLING"
    ACTIVE = "ACTIVE"
    DEGRADED = "DEGRADED"
    RESTORING = "RESTORING"
    BLOCKED = "BLOCKED"
    REMOVING = "REMOVING"


class Phase(Enum):
    """How far a change of route has come; in the document, so that any controller can go on with it.

    NONE: no route is on any node. INSTALLING: every node but the head end is told of the new route; the old one, if
    any, is in use. SWITCHING: the head end is told to use the new one. DRAINING: it does; what is on its way on the
    old one still arrives. SETTLED: all have confirmed, and the old route is given up. BREAKING: up to 0.1.0, the old
    route was being taken off first; stored documents may say it.
    """

    NONE = "NONE"
    BREAKING = "BREAKING"
    INSTALLING = "INSTALLING"
    SWITCHING = "SWITCHING"
    DRAINING = "DRAINING"
    SETTLED = "SETTLED"


class ServiceDemand(Protocol):
    """What every demand states, whatever it asks for; see the classes that do."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def target(self) -> str: ...  # noqa: D102
    @property
    def priority(self) -> int: ...  # noqa: D102
    @property
    def protection(self) -> Protection: ...  # noqa: D102
    @property
    def shares(self) -> int: ...  # noqa: D102
    @property
    def hold_off_ms(self) -> int: ...  # noqa: D102
    @property
    def lifetime_s(self) -> int | None: ...  # noqa: D102
    @property
    def manual(self) -> bool: ...  # noqa: D102
    @property
    def revertive(self) -> bool: ...  # noqa: D102
    @property
    def wait_to_restore_ms(self) -> int: ...  # noqa: D102
    @property
    def may_preempt(self) -> bool: ...  # noqa: D102
    @property
    def protected(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSet:
    """Routes of one version, beside those that are wanted.

    Attributes:
        version: Of the routes.
        routes: One per share, source to target.
        in_use: Whether the head end is told to use them; else they only take what still comes.
        charge_millibit_per_s: What each link of them is charged for each share; the rate may have been another. A key
            relay's; an entanglement path is charged what its plan says.
        forward_share: Part of the rate that originates at the source on them; a key relay's.
        plan: How pairs are made on them; an entanglement path's.
    """

    version: int
    routes: tuple[Route, ...]
    in_use: bool = False
    charge_millibit_per_s: int = 0
    forward_share: float = 0.5
    plan: PathPlan | None = None

    def nodes(self) -> frozenset[str]:
        """Return every node of them."""
        return frozenset(node for route in self.routes for node in route.nodes)

    def links(self) -> frozenset[str]:
        """Return every link of them."""
        return frozenset(link for route in self.routes for link in route.links)


@dataclass(frozen=True, slots=True, kw_only=True)
class Releasing:
    """A reservation of a route that was given up, until a node without which it cannot be used confirms the removal.

    Attributes:
        link: The resource: name of a link, or what of a node, as `nodes/a/memories` (see domain.pair_capacity).
        share: Which share it belonged to; those of a backup count on from MAX_SHARES.
        charge_millibit_per_s: How much; of what is no QKD link, in the unit of the resource.
        nodes: One confirmation of either releases it: the two ends of a link, or twice the node itself.
    """

    link: str
    share: int
    charge_millibit_per_s: int
    nodes: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """An end-to-end service of the network: a key relay or an entanglement path.

    Attributes:
        demand: What the operator asks.
        admin_enabled, accept_blocked: What the operator set.
        routes: The wanted ones, one per share, source to target; empty when not routed.
        route_version: Of `routes`; rises with every new set of routes; 0 before the first.
        plan: How pairs are made on `routes`; an entanglement path's.
        retiring: Routes that it is leaving, oldest first; nodes still have them, and they hold capacity. At most one is
            in use: while `routes` are INSTALLING.
        backup: Backup routes, disjoint from `routes`; 1:1 and 1+1 only. In use with 1+1 once installed.
        backup_installed: Whether every node has confirmed the backup.
        drained_at: Ends on whose word nothing that originates there is under way on routes that are not in use.
        releasing: What earlier routes still hold.
        confirmed_by: Ends that confirmed a first key or pair on this route version.
        starved_at: Ends that get less than was promised; of a relay, with a stock below its low watermark.
        riding: True while stored key carries it over a link that is down; never of an entanglement path.
        ever_active: Whether keys or pairs ever flowed.
        created_ms: Wall clock, displayed only, milliseconds since 1970.
        expires_at_ms: Service time at which the controller ends it, milliseconds; None means never.
        move_at_ms: Service time before which it is neither moved (hold-off) nor, when BLOCKED, tried again.
        install_by_ms: Service time by which the step that its phase names is to be done: then an unfinished
            installation looks for another route, a drain ends, and room that was made for it is kept no more.
        revert_at_ms: Service time at which it returns to its former routes, which stand as its backup.
    """

    collection: ClassVar[str]
    """Its collection of Snapshot."""
    shown: ClassVar[str]
    """Its collection as the API names it."""

    name: str
    demand: ServiceDemand
    admin_enabled: bool = True
    accept_blocked: bool = False
    state: ServiceState = ServiceState.PENDING
    state_reason: str = ""
    phase: Phase = Phase.NONE
    routes: tuple[Route, ...] = ()
    route_version: int = 0
    plan: PathPlan | None = None
    releasing: tuple[Releasing, ...] = ()
    confirmed_by: frozenset[str] = frozenset()
    starved_at: frozenset[str] = frozenset()
    riding: bool = False
    ever_active: bool = False
    created_by: str = ""
    created_ms: int = 0
    expires_at_ms: int | None = None
    move_at_ms: int | None = None
    install_by_ms: int | None = None
    retiring: tuple[RouteSet, ...] = ()
    backup: RouteSet | None = None
    backup_installed: bool = False
    drained_at: frozenset[str] = frozenset()
    revert_at_ms: int | None = None

    def __post_init__(self) -> None:
        label(self.resource, "name", self.name)

    @property
    def resource(self) -> str:
        """Return its resource name, as `keyRelays/r1`."""
        return f"{self.shown}/{self.name}"

    @property
    def key(self) -> str:
        """Return what it goes by among all services."""
        return service_key(self.collection, self.name)

    @property
    def removed(self) -> bool:
        """Tell whether its removal was committed; it stays until every reservation is released."""
        return self.state is ServiceState.REMOVING

    @property
    def origins(self) -> frozenset[str]:
        """Return the ends that have to confirm that keys or pairs flow."""
        return frozenset({self.demand.source, self.demand.target})

    def nodes(self) -> frozenset[str]:
        """Return every node of the routes that are wanted."""
        return frozenset(node for route in self.routes for node in route.nodes)

    def links(self) -> frozenset[str]:
        """Return every link of the routes that are wanted."""
        return frozenset(link for route in self.routes for link in route.links)

    def told_nodes(self) -> frozenset[str]:
        """Return every node that is told of it: of its routes, of those that it is leaving, and of its backup."""
        beside = (*self.retiring, *((self.backup,) if self.backup else ()))
        return self.nodes().union(*(routes.nodes() for routes in beside))

    def told_links(self) -> frozenset[str]:
        """Return every link of its routes, of those that it is leaving, and of its backup."""
        beside = (*self.retiring, *((self.backup,) if self.backup else ()))
        return self.links().union(*(routes.links() for routes in beside))


def service_key(collection: str, name: str) -> str:
    """Return what a service goes by among all services: a relay its name, a path a name that no label can be.

    >>> service_key("relays", "r1"), service_key("paths", "p1")
    ('r1', 'entanglementPaths/p1')
    """
    return name if collection == "relays" else f"entanglementPaths/{name}"
