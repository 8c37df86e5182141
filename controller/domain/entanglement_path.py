"""An entanglement path: what is wanted of it. Its life is that of every service."""

import math
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final

from controller.domain.names import label
from controller.domain.node import UINT32_MAX
from controller.domain.pair_link import MAX_PAIR_RATE_MILLIHERTZ
from controller.domain.refusals import InvalidValue
from controller.domain.service import Protection, Service

MAX_PACKET_PAIRS: Final = 1024
PRE_SHARED: Final = "pre-shared"
"""As `authentication`: the ends hold a key that no path makes."""


class PairUse(Enum):
    """What becomes of pairs at the ends (CREATE's type K and M of the link-layer draft)."""

    KEEP = "keep"
    MEASURE = "measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """Several pairs that have to be alive together.

    Attributes:
        pairs: w, how many; in 1..1024.
        window_ms: t, within which they are made, milliseconds; >= 1. What is left over at its end is dropped.
        rate_millihertz: Packets per 1,000 s; > 0.
    """

    pairs: int
    window_ms: int
    rate_millihertz: int

    def __post_init__(self) -> None:
        problems: list[tuple[str, str]] = []
        if not 1 <= self.pairs <= MAX_PACKET_PAIRS:
            problems.append(("packets.pairs", f"{self.pairs} is not in 1..{MAX_PACKET_PAIRS}"))
        if not 1 <= self.window_ms <= UINT32_MAX:
            problems.append(("packets.window", f"{self.window_ms} ms is not in 1..{UINT32_MAX}"))
        if not 0 < self.rate_millihertz <= MAX_PAIR_RATE_MILLIHERTZ:
            problems.append(("packets.rate", f"{self.rate_millihertz} mHz is not above 0"))
        if problems:
            raise InvalidValue("", *problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDemand:
    """What an operator asks of an entanglement path.

    Attributes:
        source, target: Nodes; different.
        minimum_fidelity: Of delivered pairs, on average, at the time of their last swap; in (0.25, 1].
        rate_millihertz: Pairs per 1,000 s, test pairs not counted; > 0; None with `packets`.
        packets: Pairs that are alive together; None with `rate_millihertz`.
        use: Whether the ends keep pairs or measure them at once.
        purpose: Like a port, for the ends; uint16.
        priority: uint32; larger is more important.
        deadline_s: Ended by the controller where it has not delivered a first pair within that; None means never.
        lifetime_s: Ended by the controller after that; None means never.
        max_hops: Most links on the route; None means no limit; else > 0.
        avoid_nodes, avoid_links: Not on the route.
        test_share: Part of the delivered pairs that is measured to estimate their fidelity; in [0, 0.5].
        protection: UNPROTECTED or RESTORE.
        hold_off_ms: How long a fault is waited out before the path moves.
        manual: When its route fails, an operator moves it and not the controller.
        key_link: Name of the QKD link that its pairs become (BBM92); "" for none. MEASURE only.
        authentication: With `key_link`: the key relay whose keys authenticate it, or PRE_SHARED.
        distillation_block_bit: With `key_link`: sifted bits of one block; in 1,024..2^24.
    """

    source: str
    target: str
    minimum_fidelity: float
    rate_millihertz: int | None = None
    packets: Packets | None = None
    use: PairUse = PairUse.KEEP
    purpose: int = 0
    priority: int = 0
    deadline_s: int | None = None
    lifetime_s: int | None = None
    max_hops: int | None = None
    avoid_nodes: frozenset[str] = frozenset()
    avoid_links: frozenset[str] = frozenset()
    test_share: float = 0.05
    protection: Protection = Protection.RESTORE
    hold_off_ms: int = 0
    manual: bool = False
    key_link: str = ""
    authentication: str = ""
    distillation_block_bit: int = 8192

    def __post_init__(self) -> None:
        problems: list[tuple[str, str]] = []
        if self.source == self.target:
            problems.append(("target", f"a path from nodes/{self.source} to itself delivers no pairs"))
        if not (math.isfinite(self.minimum_fidelity) and 0.25 < self.minimum_fidelity <= 1):
            problems.append(("minimum_fidelity", f"{self.minimum_fidelity} is not in (0.25, 1]"))
        if (self.rate_millihertz is None) == (self.packets is None):
            problems.append(("rate", "give either a rate of pairs, or packets"))
        if self.rate_millihertz is not None and not 0 < self.rate_millihertz <= MAX_PAIR_RATE_MILLIHERTZ:
            problems.append(("rate", f"{self.rate_millihertz} mHz is not above 0 and up to {MAX_PAIR_RATE_MILLIHERTZ}"))
        if not 0 <= self.purpose <= 0xFFFF:
            problems.append(("purpose", f"{self.purpose} is not in 0..65535"))
        if not 0 <= self.priority <= UINT32_MAX:
            problems.append(("priority", f"{self.priority} is not in 0..{UINT32_MAX}"))
        for name, value in (("deadline", self.deadline_s), ("lifetime", self.lifetime_s), ("max_hops", self.max_hops)):
            if value is not None and value <= 0:
                problems.append((name, f"{value} is not positive"))
        if not (math.isfinite(self.test_share) and 0 <= self.test_share <= 0.5):
            problems.append(("test_share", f"{self.test_share} is not in [0, 0.5]"))
        if not 0 <= self.hold_off_ms <= UINT32_MAX:
            problems.append(("hold_off", f"{self.hold_off_ms} ms is not in 0..{UINT32_MAX}"))
        if self.protected:
            problems.append(("protection", f"{self.protection.value} is not for entanglement paths: take restore"))
        for end in sorted({self.source, self.target} & self.avoid_nodes):
            problems.append(("avoid_nodes", f"nodes/{end} is an end of the path"))
        if self.key_link:
            label("", "key_link", self.key_link)
            if self.use is not PairUse.MEASURE or self.packets is not None:
                problems.append(
                    ("key_link", "only pairs that are measured one by one become key: use measure, and a rate")
                )
            if not 1024 <= self.distillation_block_bit <= 2**24:
                problems.append(("distillation_block", f"{self.distillation_block_bit} bit is not in 1024..{2**24}"))
        elif self.authentication:
            problems.append(("authentication", "is needed for a key_link only"))
        if problems:
            raise InvalidValue("", *problems)

    @property
    def protected(self) -> bool:
        """Tell whether backup routes are reserved and installed beforehand: never, of a path."""
        return self.protection in (Protection.ONE_FOR_ONE, Protection.ONE_PLUS_ONE)

    @property
    def shares(self) -> int:
        """Return how many routes it has at a time."""
        return 1

    @property
    def revertive(self) -> bool:
        """Tell whether it returns to a former route by itself: it has no backup to keep it as."""
        return False

    @property
    def wait_to_restore_ms(self) -> int:
        """Return how long a former route must have worked: of no use without a backup."""
        return 0

    @property
    def may_preempt(self) -> bool:
        """Tell whether it may displace others: not served for paths."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class EntanglementPath(Service):
    """An end-to-end pair-delivery circuit over several entanglement links (RFC 9340: a quantum virtual circuit)."""

    collection: ClassVar[str] = "paths"
    shown: ClassVar[str] = "entanglementPaths"

    demand: PairDemand
