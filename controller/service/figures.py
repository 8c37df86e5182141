"""What the metrics page shows, gathered from the published state and the agents' observations."""

from controller.observability.network_metrics import LinkFigures, NetworkView, RelayFigures
from controller.ports.observations import Observations
from controller.service.inbox import SIZES
from controller.service.writer import Writer


def network_view(writer: Writer, observations: Observations, listed_relays: frozenset[str]) -> NetworkView:
    """Return one look at the network; any thread, never waits."""
    published = writer.desk.published
    depths = writer.inbox.depths()
    return NetworkView(
        snapshot=published.snapshot,
        reserved_millibit_per_s=published.reserved_millibit_per_s,
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
        queues={f"inbox_{urgency.name.lower()}": (depth, SIZES[urgency]) for urgency, depth in depths.items()},
        listed_relays=listed_relays,
    )
