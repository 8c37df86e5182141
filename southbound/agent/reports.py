"""What an agent tells of its links and relays: the key plane's figures, and what its modules measured."""

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from controller.domain.entries import LinkEntry, RelayHopEntry
from controller.domain.link import LinkStatus
from controller.wire.southbound import link_status_to_pb
from qinet.southbound.v1 import agent_pb2 as pb
from qinet.types.v1 import types_pb2
from southbound.agent.drivers.module import ModuleBlock
from southbound.agent.keyplane.events import Figures, LinkFigures, RelayFigures
from southbound.agent.keyplane.settings import direction_rate_millibit_per_s
from southbound.agent.link_meter import LinkMeter

_BLOCKS_KEPT: Final = 256
STARVED_WINDOW_S: Final = 30.0
_STARVED_WINDOW_CHUNKS: Final = 4
_STARVED_BELOW: Final = 0.9
_SAMPLES_PER_WINDOW: Final = 100
_COUNTERS: Final = {
    "links": ("consumed_bit", "burnt_bit"),
    "keyRelays": ("confirmed_bit", "delivered_bit", "voided_bit"),
}


@dataclass(slots=True)
class LinkState:
    """What this end's module said of its link.

    Attributes:
        channel_down: Why the channel stopped; "" while it works.
        qber_high: Why the last block yielded nothing; "" where it did, or yielded nothing for another reason.
    """

    meter: LinkMeter = field(default_factory=LinkMeter)
    channel_down: str = ""
    qber_high: str = ""
    blocks: deque[pb.BlockReport] = field(default_factory=lambda: deque(maxlen=_BLOCKS_KEPT))

    @property
    def down_reason(self) -> str:
        """Return why no key is made; "" while it is."""
        return self.channel_down or self.qber_high

    def take(self, block: ModuleBlock, qber_limit: float) -> None:
        """Take a finished block; one that is history was not measured by this agent."""
        if block.history:
            return
        high = block.qber is not None and block.qber > qber_limit
        refused = high or bool(block.refused)
        secret_bit = 0 if refused else 8 * len(block.key)
        self.meter.add(
            end_time_ms=block.end_time_ms, duration_ms=block.duration_ms, secret_bit=secret_bit, refused=refused
        )
        self.qber_high = f"QBER {block.qber:.4f} is above the limit {qber_limit:g}" if high else block.refused
        self.blocks.append(
            pb.BlockReport(
                block=block.block,
                end_time_ms=block.end_time_ms,
                duration_ms=block.duration_ms,
                secret_bit=secret_bit,
                performance_kind=(
                    types_pb2.PERFORMANCE_KIND_UNSPECIFIED if block.qber is None else types_pb2.PERFORMANCE_KIND_QBER
                ),
                performance=block.qber or 0.0,
            )
        )


class Totals:
    """Counters since the store was made: what the key plane counted in this process, and what was kept before."""

    def __init__(self, kept: str | None) -> None:
        self._base: dict[str, dict[str, int]] = json.loads(kept) if kept else {}

    def of(self, name: str, counter: str, counted: int) -> int:
        """Return a counter of a resource, given what this process counted."""
        return self._base.get(name, {}).get(counter, 0) + counted

    def kept(self, figures: Figures) -> str:
        """Return what to keep; resources that are gone are dropped."""
        found = {}
        for collection, named in (
            ("links", {one.link: one for one in figures.links}),
            ("keyRelays", {one.relay: one for one in figures.relays}),
        ):
            for name, one in named.items():
                resource = f"{collection}/{name}"
                found[resource] = {
                    counter: self.of(resource, counter, getattr(one, counter)) for counter in _COUNTERS[collection]
                }
        return json.dumps(found)


class StarvationWatch:
    """Tells which relays get less than they were promised while their stock is low.

    Key comes chunk by chunk, so a relay is watched for as long as some chunks should take, and is granted one that
    was about to come: else a slow relay would starve between any two of its chunks.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], deque[tuple[float, int]]] = {}

    def starved(self, relay: RelayFigures, hop: RelayHopEntry, node: str, now_s: float) -> bool:
        """Take a relay's figures at a time that does not go back, and tell whether it starves here."""
        key = (relay.relay, relay.route_version)
        if key not in self._seen:
            self._seen = {old: seen for old, seen in self._seen.items() if old[0] != relay.relay}
            self._seen[key] = deque()
        promised = _promised_millibit_per_s(hop, node)
        if not promised:
            return False
        window_s = max(STARVED_WINDOW_S, _STARVED_WINDOW_CHUNKS * 1000 * hop.chunk_bit / promised)
        seen = self._seen[key]
        if not seen or now_s - seen[-1][0] >= window_s / _SAMPLES_PER_WINDOW:
            seen.append((now_s, relay.confirmed_bit))
        while len(seen) > 1 and seen[1][0] <= now_s - window_s:
            seen.popleft()
        span_s, confirmed = now_s - seen[0][0], relay.confirmed_bit - seen[0][1]
        if span_s < window_s or relay.available_bit >= hop.stock_low_bit:
            return False
        return (confirmed + hop.chunk_bit) * 1000 < _STARVED_BELOW * promised * span_s

    def forget(self, relays: Iterable[str]) -> None:
        """Keep only these relays."""
        kept = set(relays)
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] in kept}


def link_report(
    link: str,
    *,
    state: LinkState,
    entry: LinkEntry | None,
    figures: LinkFigures | None,
    totals: Totals,
    unreachable: bool,
    now_ms: int,
    blocks: bool,
) -> pb.LinkReport:
    """Return one end's view of a link.

    Args:
        link: Its id.
        state: What the module said.
        entry: The setting in force; None before the first.
        figures: The key plane's; None while it does not know the link.
        totals: What was counted before this process.
        unreachable: Whether the neighbour was unheard for too long.
        now_ms: Wall clock.
        blocks: Whether to hand over the blocks that finished; they are told once.
    """
    report = pb.LinkReport(
        link=link,
        down_reason=state.down_reason,
        skr_millibit_per_s=0 if state.channel_down else state.meter.skr_millibit_per_s(now_ms),
        promised_skr_millibit_per_s=state.meter.promised_skr_millibit_per_s(),
        neighbour_unreachable=unreachable,
    )
    usable_bit = 0
    if figures is not None:
        usable_bit = figures.usable_bit
        report.stored_outbound_bit = figures.sendable_bit
        report.stored_inbound_bit = figures.stored_bit - figures.sendable_bit
        report.consumed_bit_total = totals.of(f"links/{link}", "consumed_bit", figures.consumed_bit)
        report.burnt_bit_total = totals.of(f"links/{link}", "burnt_bit", figures.burnt_bit)
        # What was ever stored is either still there, or used, or given up.
        report.generated_bit_total = figures.stored_bit + report.consumed_bit_total + report.burnt_bit_total
        report.exhausted = figures.exhausted
    report.status = link_status_to_pb(_status(state, entry, usable_bit))
    if blocks:
        report.blocks.extend(state.blocks)
        state.blocks.clear()
    return report


def _status(state: LinkState, entry: LinkEntry | None, usable_bit: int) -> LinkStatus:
    if entry is None:
        return LinkStatus.PENDING
    if not entry.enabled:
        return LinkStatus.OFF
    if not state.down_reason:
        return LinkStatus.ACTIVE
    return LinkStatus.PASSIVE if usable_bit > 0 else LinkStatus.OFF


def relay_reports(
    figures: Figures,
    *,
    hops: Mapping[str, Mapping[int, RelayHopEntry]],
    node: str,
    totals: Totals,
    watch: StarvationWatch,
    now_s: float,
) -> list[pb.RelayReport]:
    """Return this node's view of the relays that end here.

    Args:
        figures: The key plane's.
        hops: The relays that end here, as configured, by relay and version of the routes.
        node: This node.
        totals: What was counted before this process.
        watch: Remembers how each fared.
        now_s: On a clock that does not go back.
    """
    watch.forget(hops)
    return [
        relay_report(relay, versions, node=node, totals=totals, watch=watch, now_s=now_s)
        for relay in figures.relays
        if (versions := hops.get(relay.relay))
    ]


def relay_report(
    relay: RelayFigures,
    versions: Mapping[int, RelayHopEntry],
    *,
    node: str,
    totals: Totals,
    watch: StarvationWatch,
    now_s: float,
) -> pb.RelayReport:
    """Return this node's view of one relay that ends here; see `relay_reports`."""
    hop = versions.get(relay.route_version) or versions[max(versions)]
    # An end that no key originates at has nothing to confirm.
    silent = _promised_millibit_per_s(hop, node) == 0
    name = f"keyRelays/{relay.relay}"
    voided_bit = totals.of(name, "voided_bit", relay.voided_bit)
    return pb.RelayReport(
        relay=relay.relay,
        route_version=relay.route_version,
        confirmed=silent or relay.route_version in relay.confirmed_versions,
        confirmed_versions=relay.versions if silent else relay.confirmed_versions,
        undrained_versions=relay.undrained_versions,
        stock_bit=relay.available_bit,
        confirmed_bit_total=totals.of(name, "confirmed_bit", relay.confirmed_bit),
        delivered_bit_total=totals.of(name, "delivered_bit", relay.delivered_bit),
        starved=watch.starved(relay, hop, node, now_s),
        voided_chunk_total=voided_bit // hop.chunk_bit,
    )


def _promised_millibit_per_s(hop: RelayHopEntry, node: str) -> int:
    """Return what an end is promised of a relay's rate."""
    return direction_rate_millibit_per_s(hop.rate_millibit_per_s, hop.forward_share, forward=hop.head == node)
