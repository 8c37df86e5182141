"""One version of a path as one node sees it: its place, the swap tree, and how long news takes."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from controller.domain.entries import PathEntry
from controller.physics.link_generation import FIBRE_LIGHT_KM_PER_S

FIBRE_LIGHT_M_PER_S: Final = 1000 * FIBRE_LIGHT_KM_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of the route whose pair one swap makes.

    Attributes:
        place, left, right: Where the swap is made, and between which nodes the pair is; places on the route.
        depth: Swaps above it; 0 for the whole route.
        cutoff_s: How long the first of its two pairs may wait; None: for ever.
        parent_place: Where its pair is swapped; None for the whole route.
        left_hop, right_hop: Number of the hop where that child is one, else None.
    """

    place: int
    left: int
    right: int
    depth: int
    cutoff_s: float | None
    parent_place: int | None
    left_hop: int | None
    right_hop: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HopPart:
    """One hop of the route that this node is an end of.

    Attributes:
        hop: Its number; it leads from the node at this place to the next.
        link, option, rounds: What the plan says of it.
        neighbour: The other end.
        draws: Whether this node, the one with the smaller name, draws its heralds.
        swap_place: Where its pairs are swapped; None on a path of one hop.
        depth: Swaps above it.
        news_s: How long a message takes to the other end.
        rate_hz: BUFFERED, AT_ONCE: elementary pairs to make.
        at_left: Whether this node is its left end.
    """

    hop: int
    link: str
    option: int
    rounds: int
    neighbour: str
    draws: bool
    swap_place: int | None
    depth: int
    news_s: float
    rate_hz: float
    at_left: bool


class Route:
    """What a node takes out of a path entry. Raises ValueError where the entry contradicts itself."""

    def __init__(self, entry: PathEntry, node: str) -> None:
        nodes = entry.nodes
        if len(nodes) < 2 or len(set(nodes)) != len(nodes) or node not in nodes:
            raise ValueError(f"nodes: {nodes} is no route over {node}")
        if len(entry.hops) != len(nodes) - 1 or len(entry.swaps) != len(nodes) - 2:
            raise ValueError(f"hops, swaps: {len(entry.hops)} and {len(entry.swaps)} for {len(nodes)} nodes")
        self.nodes = nodes
        self.last = len(nodes) - 1
        self.place = nodes.index(node)
        lengths_m = entry.hop_lengths_m or (0,) * self.last
        if len(lengths_m) != self.last:
            raise ValueError(f"hop_lengths_m: {len(lengths_m)} for {self.last} hops")
        self._at_s = [0.0, *accumulate(length / FIBRE_LIGHT_M_PER_S for length in lengths_m)]
        self.latency_s = self._at_s[-1]
        self.segments = _segments(entry)
        self.own = next((one for one in self.segments if one.place == self.place), None)
        self.left = nodes[self.place - 1] if self.place else None
        self.right = nodes[self.place + 1] if self.place < self.last else None
        self.hops = tuple(
            self._hop(entry, number, node) for number in (self.place - 1, self.place) if 0 <= number < self.last
        )

    def news_s(self, one: int, other: int) -> float:
        """Return how long news takes between two places."""
        return abs(self._at_s[one] - self._at_s[other])

    def segment_of(self, left: int, right: int) -> Segment | None:
        """Return the segment between two places."""
        return next((one for one in self.segments if (one.left, one.right) == (left, right)), None)

    def _hop(self, entry: PathEntry, number: int, node: str) -> HopPart:
        plan = entry.hops[number]
        above = [one for one in self.segments if one.left <= number < one.right]
        other = self.nodes[number + 1 if number == self.place else number]
        return HopPart(
            hop=number,
            link=plan.link,
            option=plan.option,
            rounds=plan.purification_rounds,
            neighbour=other,
            draws=node < other,
            swap_place=max(above, key=lambda one: one.depth).place if above else None,
            depth=len(above),
            news_s=self.news_s(number, number + 1),
            rate_hz=plan.rate_millihertz / 1000.0,
            at_left=number == self.place,
        )


def _segments(entry: PathEntry) -> tuple[Segment, ...]:
    places = {name: place for place, name in enumerate(entry.nodes)}
    spans: dict[tuple[int, int], int] = {}
    cutoffs_s: dict[int, float | None] = {}
    for step in entry.swaps:
        if not {step.left, step.node, step.right} <= places.keys():
            raise ValueError(f"swaps: {step.left}, {step.node}, {step.right} are not all on the route")
        left, place, right = places[step.left], places[step.node], places[step.right]
        for one, other in ((left, place), (place, right)):
            if other - one != 1 and (one, other) not in spans:
                raise ValueError(f"swaps: {step.node} joins what is not there yet")
        spans[left, right] = place
        cutoffs_s[place] = None if step.cutoff_ns is None else step.cutoff_ns / 1e9
    if len(entry.nodes) > 2 and ((0, len(entry.nodes) - 1) not in spans or len(spans) != len(entry.nodes) - 2):
        raise ValueError("swaps: they do not join the ends")
    found = []
    for (left, right), place in spans.items():
        above = [one for one in spans if one[0] <= left and right <= one[1] and one != (left, right)]
        found.append(
            Segment(
                place=place,
                left=left,
                right=right,
                depth=len(above),
                cutoff_s=cutoffs_s[place],
                parent_place=spans[min(above, key=lambda one: one[1] - one[0])] if above else None,
                left_hop=left if place - left == 1 else None,
                right_hop=place if right - place == 1 else None,
            )
        )
    return tuple(found)
