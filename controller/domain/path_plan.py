"""How pairs are made on a route: what each hop does, which swaps in which order, and what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from controller.domain.pair_link import Regime

MAX_PURIFICATION_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HopPlan:
    """What one hop of the route does for the path.

    Attributes:
        link: Its name.
        option: Index of the link's option in use.
        purification_rounds: Nested rounds of its pairs before they are used; >= 0.
        memory_pairs: SLOT: channels; MEMORY: memory pairs of all lanes, rounds included; BUFFERED, AT_ONCE: depth of
            its buffer.
        rate_millihertz: BUFFERED, AT_ONCE: elementary pairs that are made for the path per 1,000 s; else 0.
    """

    link: str
    option: int
    purification_rounds: int = 0
    memory_pairs: int
    rate_millihertz: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapStep:
    """One swap of the sequence: joins the segments (left, node) and (node, right) to (left, right).

    Attributes:
        node: Where it is made.
        left, right: Ends of the segment that comes of it; nodes of the route before and after `node`.
        cutoff_ns: MEMORY: a segment that waits longer for the other is dropped, nanoseconds; None: waits for ever.
    """

    node: str
    left: str
    right: str
    cutoff_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a route was chosen for, and how far from the best it can be at most.

    Attributes:
        objective: What was maximised, as "rate_millihertz".
        value: Of the route chosen.
        upper_bound: No route, allocation and tree has more; equal to `value` where the search was exact.
    """

    objective: str
    value: float
    upper_bound: float

    @property
    def gap(self) -> float:
        """Return by how much the best can be better, relative to the value chosen; 0 is proven best."""
        return max(0.0, (self.upper_bound - self.value) / self.value) if self.value > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPlan:
    """How the pairs of one route are made, and what that promises.

    Attributes:
        regime: Of all its links.
        hops: In route order.
        swaps: In the order of the sequence: a segment is named before it is joined; one for each transit node.
        lanes: SLOT: width; MEMORY: independent lanes; else 1.
        buffer_pairs: BUFFERED: depth of the buffer of every segment; else 0.
        test_share: Part of the delivered pairs that is measured to estimate their fidelity; in [0, 1).
        rate_millihertz: Pairs delivered per 1,000 s, test pairs taken off; what may be relied on.
        fidelity: Mean of delivered pairs at the time of their last swap; F = <Phi+|rho|Phi+>.
        charges: What it takes of each resource (domain.pair_capacity).
        certificate: Of the search that chose it.
    """

    regime: Regime
    hops: tuple[HopPlan, ...]
    swaps: tuple[SwapStep, ...]
    lanes: int = 1
    buffer_pairs: int = 0
    test_share: float
    rate_millihertz: int
    fidelity: float
    charges: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    certificate: Certificate
