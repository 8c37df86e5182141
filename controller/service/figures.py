"""What the metrics page shows, gathered from the published state and the agents' observations."""

from dataclasses import dataclass

from controller.observability.network_metrics import LinkFigures, NetworkView, RelayFigures
from controller.observability.pair_metrics import Estimate, PairLinkFigures, PathFigures
from controller.ports.observations import FidelityObservation, Observations
from controller.service.inbox import SIZES
from controller.service.writer import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Which services have series of their own: names, as the configuration has them."""

    relays: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()


def network_view(writer: Writer, observations: Observations, listed: Listed, now_ms: int) -> NetworkView:
    """Return one look at the network, `now_ms` on our monotonic clock; any thread, never waits."""
    published = writer.desk.published
    depths = writer.inbox.depths()
    return NetworkView(
        snapshot=published.snapshot,
        reserved=published.reserved,
        links=tuple(
            LinkFigures(
                link=seen.link,
                node=seen.node,
                skr_millibit_per_s=seen.skr_millibit_per_s,
                qber=seen.qber,
                stored_bit=seen.stored_bit,
                generated_bit_total=seen.generated_bit_total,
                consumed_bit_total=seen.consumed_bit_total,
                burnt_bit_total=seen.burnt_bit_total,
            )
            for key, seen in sorted(observations.links().items())
            if key[0] in published.snapshot.links
        ),
        relays=tuple(
            RelayFigures(
                relay=seen.relay,
                node=seen.node,
                stock_bit=seen.stock_bit,
                delivered_bit_total=seen.delivered_bit_total,
            )
            for key, seen in sorted(observations.relays().items())
            if key[0] in published.snapshot.relays
        ),
        pair_links=tuple(
            PairLinkFigures(
                link=seen.link,
                node=seen.node,
                rate_millihertz=seen.pairs.rate_millihertz,
                pair_total=seen.pairs.pair_total,
                memory_pairs_in_use=seen.pairs.memory_pairs_in_use,
                estimate=_estimate(seen.pairs.fidelity, seen.heard_ms, now_ms),
            )
            for key, seen in sorted(observations.links().items())
            if key[0] in published.snapshot.links and seen.pairs is not None
        ),
        paths=tuple(
            PathFigures(
                path=seen.path,
                node=seen.node,
                rate_millihertz=seen.rate_millihertz,
                delivered_total=seen.delivered_total,
                estimate=_estimate(seen.fidelity, seen.heard_ms, now_ms),
                tracked_fidelity=seen.tracked_fidelity,
            )
            for key, seen in sorted(observations.paths().items())
            if key[0] in published.snapshot.paths
        ),
        memories_in_use={
            node: seen.memories_in_use
            for node, seen in observations.agents().items()
            if seen.memories_in_use is not None
        },
        queues={f"inbox_{urgency.name.lower()}": (depth, SIZES[urgency]) for urgency, depth in depths.items()},
        listed_relays=listed.relays,
        listed_paths=listed.paths,
    )


def _estimate(seen: FidelityObservation | None, heard_ms: int, now_ms: int) -> Estimate | None:
    if seen is None:
        return None
    age_ms = seen.age_ms + max(0, now_ms - heard_ms)
    return Estimate(fidelity=seen.fidelity, samples=seen.samples, age_s=age_ms / 1000)
