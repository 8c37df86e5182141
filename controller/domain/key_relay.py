"""A key relay: what is wanted of it, how it is, and what of it still holds capacity."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

from controller.domain.link import MAX_RATE_MILLIBIT_PER_S
from controller.domain.names import label
from controller.domain.node import UINT32_MAX
from controller.domain.refusals import InvalidValue
from controller.domain.route import Route


class Protection(Enum):
    """What happens to a service when its route fails."""

    UNPROTECTED = "unprotected"
    RESTORE = "restore"
    ONE_FOR_ONE = "1:1"
    ONE_PLUS_ONE = "1+1"


class RelayState(Enum):
    """Where a key relay is in its life; what moves it stands in architecture section 4."""

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


MAX_SHARES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What an operator asks of a key relay.

    Attributes:
        source, target: Nodes; different.
        rate_millibit_per_s: Key delivered, both directions together; > 0.
        priority: uint32; larger is more important.
        max_hops: Most links on a route; None means no limit; else > 0.
        avoid_nodes, avoid_links: Not on the route.
        pass_nodes, pass_links: On the route, in any order.
        trust_domains: Transit nodes belong to these; empty allows all.
        shares: Number k of XOR shares on disjoint routes; >= 1; a floor.
        hold_off_ms: How long a cut is ridden out before the relay moves.
        lifetime_s: Ended by the controller after that; None means never.
        forward_share: Part of the rate that originates at the source; in [0, 1].
        manual: When its route fails, an operator moves it and not the controller (018).
        revertive: 1:1 and 1+1: whether it returns to routes that work again.
        wait_to_restore_ms: How long those must have worked before.
        may_preempt: It may displace relays of lower priority where there is no room.
    """

    source: str
    target: str
    rate_millibit_per_s: int
    priority: int = 0
    max_hops: int | None = None
    avoid_nodes: frozenset[str] = frozenset()
    avoid_links: frozenset[str] = frozenset()
    pass_nodes: frozenset[str] = frozenset()
    pass_links: frozenset[str] = frozenset()
    trust_domains: frozenset[str] = frozenset()
    shares: int = 1
    protection: Protection = Protection.RESTORE
    hold_off_ms: int = 0
    lifetime_s: int | None = None
    forward_share: float = 0.5
    manual: bool = False
    revertive: bool = False
    wait_to_restore_ms: int = 300_000
    may_preempt: bool = False

    def __post_init__(self) -> None:
        problems: list[tuple[str, str]] = []
        if self.source == self.target:
            problems.append(("target", f"a relay from nodes/{self.source} to itself carries no key"))
        if not 0 < self.rate_millibit_per_s <= MAX_RATE_MILLIBIT_PER_S:
            problems.append(
                ("rate", f"{self.rate_millibit_per_s} millibit/s is not above 0 and up to {MAX_RATE_MILLIBIT_PER_S}")
            )
        if not 0 <= self.priority <= UINT32_MAX:
            problems.append(("priority", f"{self.priority} is not in 0..{UINT32_MAX}"))
        if self.max_hops is not None and self.max_hops < 1:
            problems.append(("max_hops", f"{self.max_hops} is not positive"))
        if not 1 <= self.shares <= MAX_SHARES:
            problems.append(("shares", f"{self.shares} is not in 1..{MAX_SHARES}"))
        if not 0 <= self.hold_off_ms <= UINT32_MAX:
            problems.append(("hold_off", f"{self.hold_off_ms} ms is not in 0..{UINT32_MAX}"))
        if not 0 <= self.wait_to_restore_ms <= UINT32_MAX:
            problems.append(("wait_to_restore", f"{self.wait_to_restore_ms} ms is not in 0..{UINT32_MAX}"))
        if self.lifetime_s is not None and self.lifetime_s <= 0:
            problems.append(("lifetime", "is not positive"))
        if not (math.isfinite(self.forward_share) and 0 <= self.forward_share <= 1):
            problems.append(("forward_share", f"{self.forward_share} is not in [0, 1]"))
        for end in sorted({self.source, self.target} & self.avoid_nodes):
            problems.append(("avoid_nodes", f"nodes/{end} is an end of the relay"))
        for node in sorted(self.pass_nodes & self.avoid_nodes):
            problems.append(("pass_nodes", f"nodes/{node} is also to be avoided"))
        for link in sorted(self.pass_links & self.avoid_links):
            problems.append(("pass_links", f"links/{link} is also to be avoided"))
        if problems:
            raise InvalidValue("", *problems)

    @property
    def protected(self) -> bool:
        """Tell whether backup routes are reserved and installed beforehand."""
        return self.protection in (Protection.ONE_FOR_ONE, Protection.ONE_PLUS_ONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSet:
    """Routes of one version, beside those that are wanted.

    Attributes:
        version: Of the routes.
        routes: One per share, source to target.
        in_use: Whether the head end is told to use them; else they only take what still comes.
        charge_millibit_per_s: What each link of them is charged for each share; the rate may have been another.
        forward_share: Part of the rate that originates at the source on them.
    """

    version: int
    routes: tuple[Route, ...]
    in_use: bool = False
    charge_millibit_per_s: int
    forward_share: float = 0.5

    def nodes(self) -> frozenset[str]:
        """Return every node of them."""
        return frozenset(node for route in self.routes for node in route.nodes)

    def links(self) -> frozenset[str]:
        """Return every link of them."""
        return frozenset(link for route in self.routes for link in route.links)


@dataclass(frozen=True, slots=True, kw_only=True)
class Releasing:
    """A reservation of a route that was given up, until one end of its link has confirmed the removal.

    Attributes:
        share: Which share it belonged to; those of a backup count on from MAX_SHARES.
        nodes: The two ends of the link; one confirmation of either releases it.
    """

    link: str
    share: int
    charge_millibit_per_s: int
    nodes: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRelay:
    """An end-to-end key association over several QKD links (GS QKD 015 VIRT link).

    Attributes:
        applications: Those that it serves, ascending; none keeps keys for nobody yet.
        admin_enabled, accept_blocked: What the operator set.
        routes: The wanted ones, one per share, source to target; empty when not routed.
        route_version: Of `routes`; rises with every new set of routes; 0 before the first.
        retiring: Routes that it is leaving, oldest first; nodes still have them, and they hold capacity. At most one is
            in use: while `routes` are INSTALLING.
        backup: Backup routes, disjoint from `routes`; 1:1 and 1+1 only. In use with 1+1 once installed.
        backup_installed: Whether every node has confirmed the backup.
        drained_at: Ends on whose word nothing that originates there is under way on routes that are not in use.
        releasing: What earlier routes still hold.
        confirmed_by: Ends that confirmed a first key on this route version.
        starved_at: Ends whose stock is below its low watermark while less is delivered than was promised.
        riding: True while stored key carries it over a link that is down.
        ever_active: Whether keys ever flowed.
        created_ms: Wall clock, displayed only, milliseconds since 1970.
        expires_at_ms: Service time at which the controller ends it, milliseconds; None means never.
        move_at_ms: Service time before which it is neither moved (hold-off) nor, when BLOCKED, tried again.
        install_by_ms: Service time by which the step that its phase names is to be done: then an unfinished
            installation looks for another route, a drain ends, and room that was made for it is kept no more.
        revert_at_ms: Service time at which it returns to its former routes, which stand as its backup.
    """

    name: str
    demand: Demand
    applications: tuple[str, ...] = ()
    admin_enabled: bool = True
    accept_blocked: bool = False
    state: RelayState = RelayState.PENDING
    state_reason: str = ""
    phase: Phase = Phase.NONE
    routes: tuple[Route, ...] = ()
    route_version: int = 0
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
        label(f"keyRelays/{self.name}", "name", self.name)

    @property
    def removed(self) -> bool:
        """Tell whether its removal was committed; it stays until every reservation is released."""
        return self.state is RelayState.REMOVING

    @property
    def origins(self) -> frozenset[str]:
        """Return the ends that keys originate at: both, unless `forward_share` gives all to one."""
        demand = self.demand
        return frozenset(
            ({demand.source} if demand.forward_share > 0 else set())
            | ({demand.target} if demand.forward_share < 1 else set())
        )

    def nodes(self) -> frozenset[str]:
        """Return every node of the routes that are wanted."""
        return frozenset(node for route in self.routes for node in route.nodes)

    def told_nodes(self) -> frozenset[str]:
        """Return every node that is told of it: of its routes, of those that it is leaving, and of its backup."""
        beside = (*self.retiring, *((self.backup,) if self.backup else ()))
        return self.nodes().union(*(routes.nodes() for routes in beside))

    def told_links(self) -> frozenset[str]:
        """Return every link of its routes, of those that it is leaving, and of its backup."""
        beside = (*self.retiring, *((self.backup,) if self.backup else ()))
        return self.links().union(*(routes.links() for routes in beside))

    def links(self) -> frozenset[str]:
        """Return every link of the routes that are wanted."""
        return frozenset(link for route in self.routes for link in route.links)
