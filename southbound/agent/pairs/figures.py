"""What a node can report of its paths and links, as values; the shell turns them into reports."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from southbound.agent.pairs.activation import Head
from southbound.agent.pairs.estimate import Estimate
from southbound.agent.pairs.link_tests import estimate_of, fidelity_loss
from southbound.agent.pairs.links import Link
from southbound.agent.pairs.part import Part, Phase
from southbound.agent.pairs.path_end import PathEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFigures:
    """One end's view of a path; the fields are those of `southbound.v1.PathReport`.

    Attributes:
        route_version: The highest in use here; where none is, the highest that is set.
        confirmed_versions: Set here, and both ends have had a pair on them.
        undrained_versions: Set here and not in use, but pairs are under way.
        delivered_total: Since this process began, test pairs not counted.
        rate_hz: Over the window, test pairs not counted.
        estimate: By test pairs; None before the first.
        tracked_fidelity: The emulation's truth, mean over the window.
        dropped_total: By cut-offs, failed swaps and full buffers at this node.
        reset_total: Times that the head began a stuck lane anew.
    """

    path: str
    route_version: int
    confirmed_versions: tuple[int, ...]
    undrained_versions: tuple[int, ...]
    delivered_total: int
    rate_hz: float
    starved: bool
    estimate: Estimate | None
    tracked_fidelity: float | None
    dropped_total: int
    packet_total: int
    reset_total: int

    @property
    def confirmed(self) -> bool:
        """Whether the version that the figures are about is confirmed."""
        return self.route_version in self.confirmed_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFigures:
    """One end's view of a link's pairs; the fields are those of `southbound.v1.PairLinkReport`.

    Attributes:
        draws: Whether this end draws the heralds, and so is the one to tell rate, totals and success factor.
        success_factor: None while too few attempts were made to tell.
        certain_success_factor: What chance does not explain of it; None likewise.
        estimate: By test pairs of the link's own (`link_tests.py`), at the end that draws; None without.
        fidelity_loss: Model's fidelity less the estimate where chance does not explain it, else 0; None while too few
            were measured to tell.
    """

    link: str
    draws: bool
    rate_hz: float
    pair_total: int
    memory_pairs_in_use: int
    success_factor: float | None
    certain_success_factor: float | None
    estimate: Estimate | None
    fidelity_loss: float | None


def path_figures(
    end: PathEnd, parts: Iterable[Part], heads: Mapping[tuple[str, int], Head], now_s: float
) -> PathFigures:
    """Return what an end can tell of its path."""
    parts = list(parts)
    active = [part.version for part in parts if part.phase is Phase.ACTIVE]
    resets = (heads[part.path, part.version].reset_total for part in parts if (part.path, part.version) in heads)
    return PathFigures(
        path=end.path,
        route_version=max(active, default=max((part.version for part in parts), default=0)),
        confirmed_versions=tuple(sorted(end.confirmed)),
        undrained_versions=tuple(sorted(part.version for part in parts if part.phase is Phase.DRAINING)),
        delivered_total=end.delivered_total,
        rate_hz=end.meter.rate_hz(now_s),
        starved=bool(active) and end.starved,
        estimate=end.tests.estimate(now_s),
        tracked_fidelity=end.meter.tracked_fidelity(now_s),
        dropped_total=sum(part.dropped_total for part in parts),
        packet_total=end.packet_total,
        reset_total=sum(resets),
    )


def link_figures(link: Link, parts: Iterable[Part], now_s: float, *, draws: bool) -> LinkFigures:
    """Return what an end can tell of its link."""
    parts = list(parts)
    return LinkFigures(
        link=link.name,
        draws=draws,
        rate_hz=link.meter.rate_hz(now_s),
        pair_total=link.meter.pair_total,
        memory_pairs_in_use=sum(part.pairs_on(link.name) for part in parts),
        success_factor=link.meter.success_factor(now_s),
        certain_success_factor=link.meter.certain_success_factor(now_s),
        estimate=estimate_of(link, parts, now_s),
        fidelity_loss=fidelity_loss(link, parts, now_s),
    )
