"""The entanglement half of the metrics page: what links make, what nodes store, what paths promise and deliver.

Fidelity is F = <Phi+|rho|Phi+>, a ratio; rates of pairs are in hertz. Estimates come with their samples and age.
"""

from collections import Counter as Count
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from controller.domain.pair_capacity import SWAP_TIME_US_PER_S, memories_of, pair_capacity, swap_time_of
from controller.domain.service import ServiceState
from controller.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What test pairs tell of a fidelity: a ratio in [0, 1], their number, and the age of the oldest in s."""

    fidelity: float
    samples: int
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLinkFigures:
    """What one end last reported of the pairs of a link."""

    link: str
    node: str
    rate_millihertz: int
    pair_total: int
    memory_pairs_in_use: int
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFigures:
    """What one end last reported of an entanglement path; `tracked_fidelity` is None of real hardware."""

    path: str
    node: str
    rate_millihertz: int
    delivered_total: int
    estimate: Estimate | None = None
    tracked_fidelity: float | None = None


def pair_links(figures: Iterable[PairLinkFigures]) -> Iterable[Metric]:
    """Yield what is measured of entanglement links."""
    per_end = ["link", "node"]
    rate = GaugeMetricFamily(
        "qinet_link_pair_rate_hertz",
        "Pairs heralded per second over the last reports; counted by the end that draws them, 0 at the other.",
        labels=per_end,
    )
    made = CounterMetricFamily(
        "qinet_link_heralded_pairs",
        "Pairs ever heralded; counted by the end that draws them, 0 at the other.",
        labels=per_end,
    )
    used = GaugeMetricFamily(
        "qinet_link_memory_pairs_in_use", "Memory pairs of a link that hold a pair now, at one end.", labels=per_end
    )
    estimates = _EstimateFamilies("qinet_link", "a link's pairs", per_end)
    for seen in figures:
        labels = [seen.link, seen.node]
        rate.add_metric(labels, seen.rate_millihertz / 1000)
        made.add_metric(labels, seen.pair_total)
        used.add_metric(labels, seen.memory_pairs_in_use)
        estimates.add(labels, seen.estimate)
    yield from (rate, made, used, *estimates.families)


class _EstimateFamilies:
    """An estimate is three series: alone, a figure of two samples and one of a week ago look like any other."""

    def __init__(self, prefix: str, of: str, labels: list[str]) -> None:
        self._ratio = GaugeMetricFamily(
            f"{prefix}_fidelity_estimate_ratio",
            f"Fidelity of {of} as test pairs tell, at one end; absent before the first.",
            labels=labels,
        )
        self._samples = GaugeMetricFamily(
            f"{prefix}_fidelity_estimate_samples", "Test pairs that the fidelity estimate rests on.", labels=labels
        )
        self._age = GaugeMetricFamily(
            f"{prefix}_fidelity_estimate_age_seconds",
            "Age of the oldest test pair that the fidelity estimate rests on.",
            labels=labels,
        )
        self.families = (self._ratio, self._samples, self._age)

    def add(self, labels: list[str], estimate: Estimate | None) -> None:
        """Add the series of one end, if it has an estimate."""
        if estimate is not None:
            self._ratio.add_metric(labels, estimate.fidelity)
            self._samples.add_metric(labels, estimate.samples)
            self._age.add_metric(labels, estimate.age_s)


def pair_resources(
    snapshot: Snapshot, reserved: Mapping[str, int], memories_in_use: Mapping[str, int]
) -> Iterable[Metric]:
    """Yield what paths hold of links and nodes, and what is in use of memories."""
    load = GaugeMetricFamily(
        "qinet_link_pairs_reserved_ratio",
        "What paths hold of an entanglement link, of what it has: channels, memory pairs or rate, by its regime.",
        labels=["link"],
    )
    for name, link in sorted(snapshot.links.items()):
        if link.pairs is not None:
            load.add_metric([name], _ratio(snapshot, reserved, name))
    memories = GaugeMetricFamily("qinet_node_memories", "Qubits that a node can hold.", labels=["node"])
    held = GaugeMetricFamily(
        "qinet_node_memories_reserved_ratio", "Part of a node's memories that paths hold.", labels=["node"]
    )
    used = GaugeMetricFamily(
        "qinet_node_memories_in_use", "Qubits that hold a half of a pair now, as the node reports.", labels=["node"]
    )
    busy = GaugeMetricFamily(
        "qinet_node_swap_time_reserved_ratio", "Part of a node's time for swaps that paths hold.", labels=["node"]
    )
    for name, node in sorted(snapshot.nodes.items()):
        if node.pairs is None:
            continue
        memories.add_metric([name], node.pairs.memories)
        held.add_metric([name], _ratio(snapshot, reserved, memories_of(name)))
        busy.add_metric([name], reserved.get(swap_time_of(name), 0) / SWAP_TIME_US_PER_S)
        if name in memories_in_use:
            used.add_metric([name], memories_in_use[name])
    yield from (load, memories, held, used, busy)


def _ratio(snapshot: Snapshot, reserved: Mapping[str, int], resource: str) -> float:
    capacity = pair_capacity(snapshot.nodes, snapshot.links, snapshot.conditions, resource)
    amount = reserved.get(resource, 0)
    if capacity:
        return amount / capacity
    return float("inf") if amount else 0.0


def paths(snapshot: Snapshot, figures: Iterable[PathFigures], listed: frozenset[str]) -> Iterable[Metric]:
    """Yield paths by state, and what the listed ones promise and deliver."""
    by_state = GaugeMetricFamily("qinet_entanglement_paths", "Entanglement paths by state.", labels=["state"])
    states = Count(path.state for path in snapshot.paths.values())
    for state in ServiceState:
        by_state.add_metric([state.value], states[state])
    yield by_state
    plans = [path.plan for path in snapshot.paths.values() if path.plan is not None and path.routes]
    yield GaugeMetricFamily(
        "qinet_entanglement_paths_promised_hertz",
        "Sum of the rates of pairs promised to entanglement paths that have a route, test pairs not counted.",
        value=sum(plan.rate_millihertz for plan in plans) / 1000,
    )
    yield from _promised(snapshot, listed)
    yield from _delivered(seen for seen in figures if seen.path in listed)


def _promised(snapshot: Snapshot, listed: frozenset[str]) -> Iterable[Metric]:
    rate = GaugeMetricFamily(
        "qinet_path_promised_pair_rate_hertz",
        "Pairs per second that a listed path promises, test pairs not counted; 0 without a route.",
        labels=["path"],
    )
    fidelity = GaugeMetricFamily(
        "qinet_path_promised_fidelity_ratio", "Mean fidelity that a listed path promises.", labels=["path"]
    )
    for name in sorted(listed & snapshot.paths.keys()):
        path = snapshot.paths[name]
        plan = path.plan if path.routes else None
        rate.add_metric([name], plan.rate_millihertz / 1000 if plan else 0.0)
        if plan:
            fidelity.add_metric([name], plan.fidelity)
    yield from (rate, fidelity)


def _delivered(figures: Iterable[PathFigures]) -> Iterable[Metric]:
    per_end = ["path", "node"]
    rate = GaugeMetricFamily(
        "qinet_path_delivered_pair_rate_hertz",
        "Pairs delivered per second over the last window at one end of a listed path, test pairs not counted.",
        labels=per_end,
    )
    delivered = CounterMetricFamily(
        "qinet_path_delivered_pairs",
        "Pairs ever delivered at one end of a listed path, test pairs not counted.",
        labels=per_end,
    )
    tracked = GaugeMetricFamily(
        "qinet_path_tracked_fidelity_ratio",
        "Mean fidelity of delivered pairs of a listed path as an emulation tracks them; absent on real hardware.",
        labels=per_end,
    )
    estimates = _EstimateFamilies("qinet_path", "a listed path's pairs", per_end)
    for seen in figures:
        labels = [seen.path, seen.node]
        rate.add_metric(labels, seen.rate_millihertz / 1000)
        delivered.add_metric(labels, seen.delivered_total)
        if seen.tracked_fidelity is not None:
            tracked.add_metric(labels, seen.tracked_fidelity)
        estimates.add(labels, seen.estimate)
    yield from (rate, delivered, tracked, *estimates.families)
