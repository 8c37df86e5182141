"""One lane of a route of the memory regime, as the physics takes it."""

from collections.abc import Iterable, Sequence

from controller.physics.lane import Lane, LaneHop, LaneNode
from controller.physics.swap_tree import SwapTree
from controller.routing.entanglement.network import PairEdge, PairStation

RunHop = tuple[PairEdge, float, float, int]
"""(link, success probability of an attempt, w of a raw pair, rounds of purification)."""


def lane_over(
    hops: Iterable[RunHop],
    stations: Sequence[PairStation],
    decays_per_s: Sequence[float],
    cutoff_s: float | None,
    tree: SwapTree | None = None,
) -> Lane:
    """Return the lane of hops between stations; at the ends nothing is swapped.

    Args:
        hops: From one end to the other.
        stations: One more than hops.
        decays_per_s: 1/T of each of them; 0 of an end that stores nothing.
        cutoff_s: None waits for ever.
        tree: None: nested halving.
    """
    last = len(stations) - 1
    return Lane(
        hops=tuple(
            LaneHop(
                success_probability=success,
                attempt_period_s=edge.model.attempt_period_s,
                werner=werner,
                purification_rounds=rounds,
                length_km=edge.length_km,
            )
            for edge, success, werner, rounds in hops
        ),
        nodes=tuple(
            LaneNode(decay_per_s=decay)
            if place in (0, last)
            else LaneNode(decay_per_s=decay, swap_success=station.swap_success, swap_quality=station.swap_quality)
            for place, (station, decay) in enumerate(zip(stations, decays_per_s, strict=True))
        ),
        cutoff_s=cutoff_s,
        tree=tree,
    )
