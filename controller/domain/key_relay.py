"""A key relay: what is wanted of it, how it is, and what of it still holds capacity."""

import math
from dataclasses import dataclass
from typing import ClassVar

from controller.domain.link import MAX_RATE_MILLIBIT_PER_S
from controller.domain.node import UINT32_MAX
from controller.domain.refusals import InvalidValue
from controller.domain.service import MAX_SHARES, Phase, Protection, Releasing, RouteSet, Service, ServiceState

__all__ = ["MAX_SHARES", "Demand", "KeyRelay", "Phase", "Protection", "RelayState", "Releasing", "RouteSet"]

RelayState = ServiceState


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
        no_trusted_transit: No node but its ends may see the keys: only links directly between them serve it, be they of
            QKD modules or of an entanglement path.
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
    no_trusted_transit: bool = False

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
class KeyRelay(Service):
    """An end-to-end key association over several QKD links (GS QKD 015 VIRT link).

    Attributes:
        applications: Those that it serves, ascending; none keeps keys for nobody yet.
    """

    collection: ClassVar[str] = "relays"
    shown: ClassVar[str] = "keyRelays"

    demand: Demand
    applications: tuple[str, ...] = ()

    @property
    def origins(self) -> frozenset[str]:
        """Return the ends that keys originate at: both, unless `forward_share` gives all to one."""
        demand = self.demand
        return frozenset(
            ({demand.source} if demand.forward_share > 0 else set())
            | ({demand.target} if demand.forward_share < 1 else set())
        )
