"""What an agent tells of its links and paths of pairs: the engine's figures, and counters that outlive a process."""

import json
from collections.abc import Iterable
from typing import Final

from controller.domain.entries import LinkEntry
from controller.domain.link import LinkStatus
from controller.domain.pair_link import PairHardware
from controller.wire.southbound import link_status_to_pb
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.types.v1 import pairs_pb2
from southbound.agent.pairs.estimate import Estimate
from southbound.agent.pairs.figures import LinkFigures, PathFigures

_PATH_COUNTERS: Final = ("delivered_total", "dropped_total", "packet_total")


class PairTotals:
    """Counters since the store was made: what the engine counted in this process, and what was kept before."""

    def __init__(self, kept: str | None) -> None:
        self._base: dict[str, dict[str, int]] = json.loads(kept) if kept else {}

    def of(self, resource: str, counter: str, counted: int) -> int:
        """Return a counter of a resource, given what this process counted."""
        return self._base.get(resource, {}).get(counter, 0) + counted

    def kept(self, links: Iterable[LinkFigures], paths: Iterable[PathFigures]) -> str:
        """Return what to keep; resources that are gone are dropped."""
        found = {
            f"links/{one.link}": {"pair_total": self.of(f"links/{one.link}", "pair_total", one.pair_total)}
            for one in links
        }
        for path in paths:
            resource = f"entanglementPaths/{path.path}"
            found[resource] = {name: self.of(resource, name, getattr(path, name)) for name in _PATH_COUNTERS}
        return json.dumps(found)


def estimate_to_pb(estimate: Estimate) -> pairs_pb2.FidelityEstimate:
    """Return an estimate as it travels."""
    return pairs_pb2.FidelityEstimate(
        fidelity=estimate.fidelity,
        low=estimate.low,
        high=estimate.high,
        samples=estimate.samples,
        age_ms=max(0, round(estimate.age_s * 1000)),
    )


def pair_link_report(
    link: str,
    *,
    entry: LinkEntry | None,
    figures: LinkFigures | None,
    down_reason: str,
    totals: PairTotals,
    unreachable: bool,
) -> pb.LinkReport:
    """Return one end's view of a link that makes pairs.

    Args:
        link: Its id.
        entry: The setting in force; None before the first.
        figures: The engine's; None while it does not know the link.
        down_reason: Why no pairs are made; "" while they could be.
        totals: What was counted before this process.
        unreachable: Whether the neighbour was unheard for too long.
    """
    status = LinkStatus.PENDING
    if entry is not None:
        status = LinkStatus.ACTIVE if entry.enabled and not down_reason else LinkStatus.OFF
    report = pb.LinkReport(
        link=link,
        status=link_status_to_pb(status),
        down_reason=down_reason,
        neighbour_unreachable=unreachable,
        pairs=pb.PairLinkReport(),
    )
    if figures is None:
        return report
    pairs = report.pairs
    pairs.pair_total = totals.of(f"links/{link}", "pair_total", figures.pair_total)
    pairs.memory_pairs_in_use = figures.memory_pairs_in_use
    pairs.rate_millihertz = max(0, round(1000 * figures.rate_hz))
    if figures.draws and figures.certain_success_factor is not None:
        pairs.success_factor = figures.certain_success_factor
    if figures.estimate is not None:
        pairs.fidelity.CopyFrom(estimate_to_pb(figures.estimate))
    if figures.fidelity_loss is not None:
        pairs.fidelity_loss = max(0.0, figures.fidelity_loss)
    return report


def path_report(figures: PathFigures, *, totals: PairTotals, sifted_bit: int) -> pb.PathReport:
    """Return one end's view of a path.

    Args:
        figures: The engine's. What it tracks and what test pairs tell are different fields.
        totals: What was counted before this process.
        sifted_bit: Of the block that is being filled; 0 for a path that makes no key.
    """
    resource = f"entanglementPaths/{figures.path}"
    report = pb.PathReport(
        path=figures.path,
        route_version=figures.route_version,
        confirmed=figures.confirmed,
        starved=figures.starved,
        confirmed_versions=figures.confirmed_versions,
        undrained_versions=figures.undrained_versions,
        rate_millihertz=max(0, round(1000 * figures.rate_hz)),
        tracked_fidelity=figures.tracked_fidelity,
        sifted_bit=sifted_bit,
    )
    for name in _PATH_COUNTERS:
        setattr(report, name, totals.of(resource, name, getattr(figures, name)))
    if figures.estimate is not None:
        report.fidelity.CopyFrom(estimate_to_pb(figures.estimate))
    return report


def inventory_to_pb(hardware: PairHardware) -> pb.EntanglementInventory:
    """Return what a node has for entanglement, as it is told."""
    return pb.EntanglementInventory(
        memories=hardware.memories,
        can_swap=hardware.swap_success > 0.0 and hardware.memories > 0,
        can_purify=hardware.can_purify,
        coherence_s=hardware.coherence_s,
    )
