"""A lane of a repeater path in the memory regime: its hops, nodes, cut-off and swap order; and how far news travels.

Werner parameters: w = (4F - 1) / 3, F = <Phi+|rho|Phi+>.
"""

import itertools
import math
from dataclasses import dataclass

from controller.physics.link_generation import FIBRE_LIGHT_KM_PER_S
from controller.physics.ranges import checked, checked_count
from controller.physics.swap_tree import SwapTree, check_tree, first_hop, nested_halving, segment_ends

MAX_PURIFICATION_ROUNDS = 6
WHOLE = 1e-9  # so near a whole number of slots a time is taken for one


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneHop:
    """One hop of a lane.

    Attributes:
        success_probability: Of an attempt; in (0, 1].
        attempt_period_s: > 0.
        werner: w of a pair at its herald; in (0, 1], that is F in (1/4, 1].
        purification_rounds: k, 0 to 6; the lane owns 2^k memory pairs here.
        length_km: >= 0.
    """

    success_probability: float
    attempt_period_s: float
    werner: float
    purification_rounds: int = 0
    length_km: float = 0.0

    def __post_init__(self) -> None:
        checked("success_probability", self.success_probability, 0.0, 1.0, above_low=True)
        checked("attempt_period_s", self.attempt_period_s, 0.0, math.inf, above_low=True)
        checked("werner", self.werner, 0.0, 1.0, above_low=True)
        checked_count("purification_rounds", self.purification_rounds, 0)
        checked("purification_rounds", self.purification_rounds, 0, MAX_PURIFICATION_ROUNDS)
        checked("length_km", self.length_km, 0.0, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneNode:
    """One node of a lane; at the two ends the swap's figures are not used.

    Attributes:
        decay_per_s: 1 / T of a stored qubit, depolarising; >= 0, 0: ideal.
        swap_success: q in (0, 1].
        swap_quality: s, the factor on w by the swap's gates and readout; in (0, 1].
    """

    decay_per_s: float = 0.0
    swap_success: float = 1.0
    swap_quality: float = 1.0

    def __post_init__(self) -> None:
        checked("decay_per_s", self.decay_per_s, 0.0, math.inf)
        checked("swap_success", self.swap_success, 0.0, 1.0, above_low=True)
        checked("swap_quality", self.swap_quality, 0.0, 1.0, above_low=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One lane of a path in the memory regime.

    Attributes:
        hops: From one end to the other, n >= 1.
        nodes: n + 1, ends included.
        cutoff_s: How long the older pair of a swap may wait, > 0; None: for ever.
        tree: Swap order; None: nested halving.
    """

    hops: tuple[LaneHop, ...]
    nodes: tuple[LaneNode, ...]
    cutoff_s: float | None = None
    tree: SwapTree | None = None

    def __post_init__(self) -> None:
        checked_count("hops", len(self.hops), 1)
        if len(self.nodes) != len(self.hops) + 1:
            raise ValueError(f"nodes: {len(self.nodes)} for {len(self.hops)} hops")
        if self.cutoff_s is not None:
            checked("cutoff_s", self.cutoff_s, 0.0, math.inf, above_low=True)
        if self.tree is not None:
            check_tree(self.tree, len(self.hops))

    @property
    def swap_tree(self) -> SwapTree:
        """The order of swaps in force."""
        return nested_halving(len(self.hops)) if self.tree is None else self.tree

    @property
    def positions_km(self) -> tuple[float, ...]:
        """How far along the fibre each node lies, the first at 0."""
        return (0.0, *itertools.accumulate(hop.length_km for hop in self.hops))

    def news_s(self, node: int, other: int) -> float:
        """Return how long a message takes between two nodes along the path."""
        positions_km = self.positions_km
        return abs(positions_km[other] - positions_km[node]) / FIBRE_LIGHT_KM_PER_S

    def news_to_ends_s(self, tree: SwapTree) -> float:
        """Return how long the farther end of a segment waits for the outcome of its last swap; 0 for a hop."""
        if isinstance(tree, int):
            return 0.0
        node = first_hop(tree[1])
        return max(self.news_s(node, end) for end in segment_ends(tree))
