"""What agents last reported, as the API tells it."""

from google.protobuf.timestamp_pb2 import Timestamp

from controller.domain.capacity import promised_skr_millibit_per_s
from controller.domain.entanglement_path import EntanglementPath
from controller.domain.key_relay import KeyRelay
from controller.domain.link import Link, LinkCondition, LinkKind
from controller.ports.clock import Clock
from controller.ports.observations import (
    FidelityObservation,
    LinkObservation,
    Observations,
    PathObservation,
    RelayObservation,
)
from controller.wire.northbound_entanglement_path import hertz
from controller.wire.northbound_link import STATUS
from controller.wire.northbound_values import bit_per_s, duration_ms, timestamp_ms
from qinet.northbound.v1 import entanglement_path_pb2, key_relay_pb2, link_pb2
from qinet.types.v1 import pairs_pb2, types_pb2

_LONGEST_MS = 10 * 365 * 24 * 3600 * 1000
_KINDS = {
    "QBER": types_pb2.PERFORMANCE_KIND_QBER,
    "EXCESS_NOISE": types_pb2.PERFORMANCE_KIND_EXCESS_NOISE,
    "VISIBILITY": types_pb2.PERFORMANCE_KIND_VISIBILITY,
}


class Measurements:
    """Reads the observations; none of it waits for anybody."""

    def __init__(self, observations: Observations, clock: Clock) -> None:
        self._observations = observations
        self._clock = clock

    def moment(self, monotonic_ms: int) -> Timestamp:
        """Return a moment of our monotonic clock on the wall's."""
        return timestamp_ms(self._clock.wall_ms() - self._clock.monotonic_ms() + monotonic_ms)

    def link(
        self, link: Link, condition: LinkCondition, reserved_millibit_per_s: int
    ) -> link_pb2.LinkMeasurement | None:
        """Return what its ends measured last; None before the first report."""
        heard = [seen for node in link.nodes if (seen := self._observations.link(link.name, node)) is not None]
        if not heard:
            return None
        skr = min(seen.skr_millibit_per_s for seen in heard)
        stored = min(seen.stored_bit for seen in heard)
        told = link_pb2.LinkMeasurement(
            link=f"links/{link.name}",
            skr_bit_per_s=bit_per_s(skr),
            stored_key_bit=stored,
            generated_bit_total=min(seen.generated_bit_total for seen in heard),
            consumed_bit_total=max(seen.consumed_bit_total for seen in heard),
            report_time=self.moment(max(seen.heard_ms for seen in heard)),
            ends=[_link_end(seen) for seen in heard],
        )
        newest = max(
            (block for seen in heard for block in seen.blocks if block.measure in _KINDS),
            key=lambda block: block.end_time_ms,
            default=None,
        )
        if newest is not None:
            told.performance_kind = _KINDS[newest.measure]
            told.performance = newest.performance
        if link.kind is LinkKind.ENTANGLEMENT:
            self._tell_pairs(heard, told)
            return told
        drain = reserved_millibit_per_s + link.authentication_rate_millibit_per_s
        drain -= min(skr, promised_skr_millibit_per_s(link, condition)) if condition.generating else 0
        if drain > 0:
            left = max(0, stored - link.authentication_floor_bit)
            told.time_to_empty.CopyFrom(duration_ms(min(left * 1_000_000 // drain, _LONGEST_MS)))
        return told

    def _tell_pairs(self, heard: list[LinkObservation], told: link_pb2.LinkMeasurement) -> None:
        """Tell what the ends of an entanglement link measure; only one of them draws heralds, and counts them."""
        ends = [(seen.pairs, seen.heard_ms) for seen in heard if seen.pairs is not None]
        if not ends:
            return
        # The end that draws the heralds may be the only one that counts them.
        told.pair_rate_hz = hertz(max((pairs.rate_millihertz for pairs, _ in ends if pairs.pair_total), default=0))
        told.memory_pairs_in_use = max(pairs.memory_pairs_in_use for pairs, _ in ends)
        told.pair_total = max(pairs.pair_total for pairs, _ in ends)
        estimates = [(pairs.fidelity, heard_ms) for pairs, heard_ms in ends if pairs.fidelity is not None]
        if estimates:
            told.fidelity.CopyFrom(self._estimate(*max(estimates, key=lambda known: known[0].samples)))

    def _estimate(self, seen: FidelityObservation, heard_ms: int) -> pairs_pb2.FidelityEstimate:
        return pairs_pb2.FidelityEstimate(
            fidelity=seen.fidelity,
            low=seen.low,
            high=seen.high,
            samples=seen.samples,
            age_ms=seen.age_ms + max(0, self._clock.monotonic_ms() - heard_ms),
        )

    def path(self, path: EntanglementPath) -> list[entanglement_path_pb2.PathEndMeasurement]:
        """Return what the ends of a path report, source first."""
        ends = (path.demand.source, path.demand.target)
        heard = (self._observations.path(path.name, node) for node in ends)
        return [self._path_end(seen) for seen in heard if seen is not None]

    def _path_end(self, seen: PathObservation) -> entanglement_path_pb2.PathEndMeasurement:
        return entanglement_path_pb2.PathEndMeasurement(
            node=f"nodes/{seen.node}",
            rate_hz=hertz(seen.rate_millihertz),
            delivered_total=seen.delivered_total,
            fidelity=None if seen.fidelity is None else self._estimate(seen.fidelity, seen.heard_ms),
            tracked_fidelity=seen.tracked_fidelity,
            starved=seen.starved,
            dropped_total=seen.dropped_total,
            packet_total=seen.packet_total,
            report_time=self.moment(seen.heard_ms),
        )

    def relay(self, relay: KeyRelay) -> list[key_relay_pb2.RelayEndMeasurement]:
        """Return what its ends report, source first."""
        return [self._relay_end(seen) for seen in self._relay_ends(relay)]

    def relay_has_stock(self, relay: KeyRelay) -> bool:
        """Tell whether an end has keys left."""
        return any(seen.stock_bit > 0 for seen in self._relay_ends(relay))

    def _relay_ends(self, relay: KeyRelay) -> list[RelayObservation]:
        ends = (relay.demand.source, relay.demand.target)
        return [seen for node in ends if (seen := self._observations.relay(relay.name, node)) is not None]

    def _relay_end(self, seen: RelayObservation) -> key_relay_pb2.RelayEndMeasurement:
        return key_relay_pb2.RelayEndMeasurement(
            node=f"nodes/{seen.node}",
            route_version=seen.route_version,
            confirmed=seen.confirmed,
            stock_bit=seen.stock_bit,
            confirmed_bit_total=seen.confirmed_bit_total,
            delivered_bit_total=seen.delivered_bit_total,
            starved=seen.starved,
            voided_chunk_total=seen.voided_chunk_total,
            report_time=self.moment(seen.heard_ms),
        )


def _link_end(seen: LinkObservation) -> link_pb2.LinkEndMeasurement:
    return link_pb2.LinkEndMeasurement(
        node=f"nodes/{seen.node}",
        status=types_pb2.LINK_STATUS_UNSPECIFIED if seen.status is None else STATUS.number(seen.status),
        skr_bit_per_s=bit_per_s(seen.skr_millibit_per_s),
        stored_outbound_bit=seen.stored_outbound_bit,
        stored_inbound_bit=seen.stored_inbound_bit,
        burnt_bit_total=seen.burnt_bit_total,
        neighbour_unreachable=seen.neighbour_unreachable,
    )
