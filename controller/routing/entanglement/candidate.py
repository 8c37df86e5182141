"""What a search hands on: a route with all that was decided on it, and how far it is from the best at most."""

from dataclasses import dataclass

from controller.physics.swap_tree import SwapTree
from controller.routing.entanglement.choices import Choice
from controller.routing.entanglement.ground import SAME

Links = tuple[int, ...]
"""Links by number, from the start of a ground on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A route with the best plan for it, with all that is free.

    Attributes:
        links: From the start to the goal.
        choices: One per hop.
        tree: Order of the swaps.
        lanes: SLOT: width; MEMORY: lanes that fit; else 1.
        cutoff_s: MEMORY; None waits for ever.
        rate_hz: Pairs per second, test pairs included; what is maximised. BUFFERED: with buffers without end.
        werner: Of delivered pairs; BUFFERED and AT_ONCE: without what storage costs.
        bound_hz: No plan of the ground that keeps the fidelity has a higher rate.
    """

    links: Links
    choices: tuple[Choice, ...]
    tree: SwapTree
    lanes: int = 1
    cutoff_s: float | None = None
    rate_hz: float
    werner: float
    bound_hz: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Valued:
    """A candidate with what it is worth in the figure that is maximised.

    Attributes:
        value: Of the candidate.
        bound: No plan of the ground that keeps the fidelity is worth more.
    """

    candidate: Candidate
    value: float
    bound: float


def better(one: tuple[float, Links], other: tuple[float, Links]) -> bool:
    """Tell whether one of two (value, links) is to be preferred: more, then fewer hops, then first link names."""
    (value, links), (other_value, other_links) = one, other
    if abs(value - other_value) > SAME * max(value, other_value):
        return value > other_value
    return (len(links), links) < (len(other_links), other_links)


def may_win(bound_hz: float, links: Links, fewest: float, best: tuple[float, Links] | None) -> bool:
    """Tell whether a route that begins with these links can be preferred to the best (value, links) found, if any.

    Args:
        bound_hz: No such route has more.
        links: Its beginning, or all of it.
        fewest: Links that it has at least.
        best: None before anything is found.
    """
    if bound_hz <= 0.0:
        return False
    if best is None:
        return True
    value, best_links = best
    if abs(bound_hz - value) > SAME * value:
        return bound_hz > value
    return fewest < len(best_links) or (fewest == len(best_links) and links <= best_links[: len(links)])
