"""The network as Prometheus sees it: read off the published state at every scrape, labels bounded by the topology."""

from collections import Counter as Count
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.domain.alarm import Severity
from controller.domain.capacity import capacity_millibit_per_s, link_charge_millibit_per_s
from controller.domain.key_relay import RelayState
from controller.domain.link import LinkKind, LinkStatus, link_status
from controller.domain.snapshot import Snapshot
from controller.observability.pair_metrics import PairLinkFigures, PathFigures, pair_links, pair_resources, paths

_MILLIBIT_PER_BYTE: Final = 8000
MOST_ALARM_KINDS: Final = 64
"""Agents name the kinds of their alarms: beyond so many, the rest counts as OTHER."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFigures:
    """What one end last reported of a link. Amounts in bit, QBER a ratio, None where nothing was measured."""

    link: str
    node: str
    skr_millibit_per_s: int
    qber: float | None
    stored_bit: int
    generated_bit_total: int
    consumed_bit_total: int
    burnt_bit_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayFigures:
    """What one end last reported of a key relay. Amounts in bit."""

    relay: str
    node: str
    stock_bit: int
    delivered_bit_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """One look at everything that is exposed.

    Attributes:
        reserved: What services hold of each resource: of a QKD link in millibit/s.
        pair_links, paths: What ends last reported of entanglement.
        memories_in_use: Qubits that hold a half of a pair, by node.
        queues: (items waiting, size), by queue name.
        listed_relays, listed_paths: Those that have series of their own; bounded by the configuration.
    """

    snapshot: Snapshot
    reserved: Mapping[str, int]
    links: tuple[LinkFigures, ...] = ()
    relays: tuple[RelayFigures, ...] = ()
    pair_links: tuple[PairLinkFigures, ...] = ()
    paths: tuple[PathFigures, ...] = ()
    memories_in_use: Mapping[str, int] = field(default_factory=dict)
    queues: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    listed_relays: frozenset[str] = frozenset()
    listed_paths: frozenset[str] = frozenset()


class NetworkCollector(Collector):
    """Makes the metrics of a view; the view is taken anew at every scrape."""

    def __init__(self, view: Callable[[], NetworkView], registry: CollectorRegistry) -> None:
        self._view = view
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not look at a view that is not there yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield every family."""
        view = self._view()
        yield from _measured(view)
        yield from _promised(view)
        yield from _services(view)
        yield from pair_links(view.pair_links)
        yield from pair_resources(view.snapshot, view.reserved, view.memories_in_use)
        yield from paths(view.snapshot, view.paths, view.listed_paths)
        yield from _process(view)


def _bytes(bits: float) -> float:
    return bits / 8


def _measured(view: NetworkView) -> Iterable[Metric]:
    per_end = ["link", "node"]
    rate = GaugeMetricFamily(
        "qinet_link_secret_key_rate_bytes_per_second",
        "Secret key rate over the last blocks, as one end measured it.",
        labels=per_end,
    )
    qber = GaugeMetricFamily(
        "qinet_link_qber_ratio", "QBER of the newest block, as one end measured it.", labels=per_end
    )
    stored = GaugeMetricFamily("qinet_link_stored_key_bytes", "Link key stored at one end.", labels=per_end)
    generated = CounterMetricFamily(
        "qinet_link_generated_key_bytes", "Link key ever stored at one end.", labels=per_end
    )
    consumed = CounterMetricFamily(
        "qinet_link_consumed_key_bytes", "Link key ever used at one end, masks of tags included.", labels=per_end
    )
    burnt = CounterMetricFamily(
        "qinet_link_burnt_key_bytes",
        "Link key ever given up unused at one end: gaps, age, refused blocks.",
        labels=per_end,
    )
    for figures in view.links:
        if _makes_pairs(view, figures.link):
            continue
        labels = [figures.link, figures.node]
        rate.add_metric(labels, figures.skr_millibit_per_s / _MILLIBIT_PER_BYTE)
        if figures.qber is not None:
            qber.add_metric(labels, figures.qber)
        stored.add_metric(labels, _bytes(figures.stored_bit))
        generated.add_metric(labels, _bytes(figures.generated_bit_total))
        consumed.add_metric(labels, _bytes(figures.consumed_bit_total))
        burnt.add_metric(labels, _bytes(figures.burnt_bit_total))
    yield from (rate, qber, stored, generated, consumed, burnt)
    stock = GaugeMetricFamily(
        "qinet_relay_stock_bytes", "End-to-end key that can be delivered, of listed relays.", labels=["relay", "node"]
    )
    delivered = CounterMetricFamily(
        "qinet_relay_delivered_key_bytes",
        "Key ever delivered to applications, of listed relays.",
        labels=["relay", "node"],
    )
    for relay in view.relays:
        if relay.relay in view.listed_relays:
            stock.add_metric([relay.relay, relay.node], _bytes(relay.stock_bit))
            delivered.add_metric([relay.relay, relay.node], _bytes(relay.delivered_bit_total))
    yield from (stock, delivered)


def _makes_pairs(view: NetworkView, link: str) -> bool:
    """Tell whether a link makes pairs and no key: then a rate of 0 bytes per second would only mislead."""
    found = view.snapshot.links.get(link)
    return found is not None and found.kind is LinkKind.ENTANGLEMENT


def _promised(view: NetworkView) -> Iterable[Metric]:
    snapshot = view.snapshot
    capacity = GaugeMetricFamily(
        "qinet_link_capacity_bytes_per_second", "What a link can promise to relays.", labels=["link"]
    )
    reserved = GaugeMetricFamily(
        "qinet_link_reserved_key_bytes_per_second",
        "What is promised on a link, releasing reservations included.",
        labels=["link"],
    )
    status = GaugeMetricFamily(
        "qinet_link_status", "1 for the GS QKD 015 status that a link has, 0 for the others.", labels=["link", "status"]
    )
    empty = GaugeMetricFamily(
        "qinet_link_time_to_empty_seconds",
        "How long stored key lasts at the reserved rate while the link does not generate; +Inf while it does.",
        labels=["link"],
    )
    limit = GaugeMetricFamily(
        "qinet_link_qber_limit_ratio", "QBER above which a block of the link yields no key.", labels=["link"]
    )
    stored: dict[str, int] = {}
    for figures in view.links:
        stored[figures.link] = min(stored.get(figures.link, figures.stored_bit), figures.stored_bit)
    for name, link in sorted(snapshot.links.items()):
        condition = snapshot.condition(name)
        current = link_status(link, condition)
        for possible in LinkStatus:
            status.add_metric([name, possible.value], float(possible is current))
        if _makes_pairs(view, name):
            continue
        held = view.reserved.get(name, 0)
        capacity.add_metric([name], capacity_millibit_per_s(link, condition) / _MILLIBIT_PER_BYTE)
        reserved.add_metric([name], held / _MILLIBIT_PER_BYTE)
        limit.add_metric([name], link.qber_limit)
        if name in stored:
            usable_bit = max(0, stored[name] - link.authentication_floor_bit)
            lasts_s = usable_bit * 1000 / held if held and not condition.generating else float("inf")
            empty.add_metric([name], lasts_s)
    yield from (capacity, reserved, status, empty, limit)


def _services(view: NetworkView) -> Iterable[Metric]:
    snapshot = view.snapshot
    relays = GaugeMetricFamily("qinet_key_relays", "Key relays by state.", labels=["state"])
    states = Count(relay.state for relay in snapshot.relays.values())
    for state in RelayState:
        relays.add_metric([state.value], states[state])
    yield relays
    promised = sum(
        link_charge_millibit_per_s(relay.demand.rate_millibit_per_s)
        for relay in snapshot.relays.values()
        if relay.routes
    )
    yield GaugeMetricFamily(
        "qinet_key_relays_promised_bytes_per_second",
        "Sum of the rates promised to key relays that have a route, masks of tags included.",
        value=promised / _MILLIBIT_PER_BYTE,
    )
    yield GaugeMetricFamily("qinet_applications", "Registered applications.", value=len(snapshot.applications))
    alarms = GaugeMetricFamily("qinet_alarms", "Active alarms by severity.", labels=["severity"])
    severities = Count(alarm.severity for alarm in snapshot.alarms.values())
    for severity in Severity:
        alarms.add_metric([severity.value], severities[severity])
    by_kind = GaugeMetricFamily("qinet_alarms_by_kind", "Active alarms by kind.", labels=["kind"])
    kinds = Count(alarm.kind for alarm in snapshot.alarms.values())
    shown = sorted(kinds.items())
    for kind, count in shown[:MOST_ALARM_KINDS]:
        by_kind.add_metric([kind], count)
    if rest := sum(count for _, count in shown[MOST_ALARM_KINDS:]):
        by_kind.add_metric(["OTHER"], rest)
    yield from (alarms, by_kind)


def _process(view: NetworkView) -> Iterable[Metric]:
    snapshot = view.snapshot
    connected = GaugeMetricFamily("qinet_agent_connected", "1 while a node's agent holds a session.", labels=["node"])
    for name in sorted(snapshot.nodes):
        connected.add_metric([name], float(name in snapshot.connected))
    yield connected
    yield GaugeMetricFamily("qinet_sessions", "Agents that hold a session.", value=len(snapshot.connected))
    yield GaugeMetricFamily("qinet_revision", "Log revision of the published state.", value=snapshot.revision)
    depth = GaugeMetricFamily("qinet_queue_items", "Items that wait in a queue.", labels=["queue"])
    size = GaugeMetricFamily("qinet_queue_size_items", "Items that a queue has room for.", labels=["queue"])
    for name, (waiting, room) in sorted(view.queues.items()):
        depth.add_metric([name], waiting)
        size.add_metric([name], room)
    yield from (depth, size)
