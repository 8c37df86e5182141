"""A registry in which every metric has a value."""

from dataclasses import replace

from prometheus_client import CollectorRegistry

from controller.domain.alarm import Alarm
from controller.domain.application import Application, Sae
from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.key_relay import Demand, KeyRelay, RelayState
from controller.domain.link import Link, LinkKind
from controller.domain.node import Node
from controller.domain.pair_link import PairHardware, PairModel, PairOption, Regime
from controller.domain.path_plan import Certificate, HopPlan, PathPlan
from controller.domain.route import Route
from controller.domain.service import ServiceState
from controller.domain.snapshot import Snapshot, joined, put
from controller.observability.metrics import Metrics
from controller.observability.network_metrics import LinkFigures, NetworkCollector, NetworkView, RelayFigures
from controller.observability.pair_metrics import Estimate, PairLinkFigures, PathFigures
from controller.service.inbox import SIZES
from tests.support.networks import line


def populated_registry() -> CollectorRegistry:
    """Return the registry of a controller that has seen everything once."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.decision_seconds.labels("Create", "decided").observe(0.0004)
    metrics.route_seconds.labels("found").observe(0.0003)
    metrics.commit_seconds.observe(0.002)
    metrics.batch_decisions.observe(3)
    metrics.turn_seconds.observe(0.001)
    metrics.push_to_ack_seconds.observe(0.04)
    metrics.restoration_seconds.observe(0.3)
    metrics.inbox_full_total.labels("operator").inc()
    metrics.app_failures_total.labels("Restoration").inc()
    metrics.os_ken_queue_events.labels("mine").set(0)
    metrics.os_ken_events_dropped_total.labels("mine").inc()
    metrics.os_ken_handler_errors_total.labels("mine").inc()
    metrics.os_ken_app_up.labels("mine").set(1)
    metrics.info.labels("0.1.0").set(1)
    metrics.configured("ab" * 32)
    metrics.configuration_reloads_total.labels("applied").inc()
    metrics.certificate_expiry_seconds.labels("controller").set(1.9e9)
    view = populated_view()
    NetworkCollector(lambda: view, registry)
    return registry


def _entangled(snapshot: Snapshot) -> tuple[Node | Link | EntanglementPath, ...]:
    """Return two nodes with memories, a link between them that makes pairs, and a path over it."""
    ends = tuple(snapshot.links["l00"].ends)
    model = PairModel(
        regime=Regime.MEMORY,
        attempt_period_s=1e-3,
        memory_pairs=8,
        options=(PairOption(success_probability=0.01, fidelity=0.95),),
    )
    link = Link(
        name="pairs", kind=LinkKind.ENTANGLEMENT, ends=(ends[0], ends[1]), model_skr_millibit_per_s=0, pairs=model
    )
    plan = PathPlan(
        regime=Regime.MEMORY,
        hops=(HopPlan(link="pairs", option=0, memory_pairs=4),),
        swaps=(),
        test_share=0.05,
        rate_millihertz=10_000,
        fidelity=0.95,
        charges={"pairs": 4, "nodes/n00/memories": 4},
        certificate=Certificate(objective="rate_millihertz", value=40_000.0, upper_bound=40_000.0),
    )
    path = EntanglementPath(
        name="lab",
        demand=PairDemand(source="n00", target="n01", minimum_fidelity=0.9, rate_millihertz=10_000),
        state=ServiceState.ACTIVE,
        routes=(Route(nodes=("n00", "n01"), links=("pairs",)),),
        route_version=1,
        plan=plan,
    )
    nodes = (replace(snapshot.nodes[name], pairs=PairHardware(memories=8)) for name in ("n00", "n01"))
    return (*nodes, link, path)


def populated_view() -> NetworkView:
    """Return a look at a network of which everything is known."""
    snapshot = line(1)
    relay = KeyRelay(
        name="demo",
        demand=Demand(source="n00", target="n01", rate_millibit_per_s=1_000_000),
        state=RelayState.ACTIVE,
        routes=(Route(nodes=("n00", "n01"), links=("l00",)),),
        route_version=1,
    )
    saes = (Sae(id="a", node="n00"), Sae(id="b", node="n01"))
    application = Application(name="mail", server_sae="a", client_saes=("b",))
    snapshot = snapshot.applying(
        joined(
            [
                put(*saes),
                put(application),
                put(relay),
                put(*_entangled(snapshot)),
                put(Alarm(node="", object="links/l00", kind="LINK_DOWN")),
            ]
        )
    )
    ends = ("n00", "n01")
    return NetworkView(
        snapshot=replace(snapshot, revision=7),
        reserved={"l00": 1_062_500, "pairs": 4, "nodes/n00/memories": 4, "nodes/n00/swap-time": 200},
        links=tuple(
            LinkFigures(
                link="l00",
                node=node,
                skr_millibit_per_s=9_800_000,
                qber=0.021,
                stored_bit=8_000_000,
                generated_bit_total=9_000_000,
                consumed_bit_total=900_000,
                burnt_bit_total=100_000,
            )
            for node in ends
        ),
        relays=tuple(
            RelayFigures(relay="demo", node=node, stock_bit=131_072, delivered_bit_total=512) for node in ends
        ),
        queues={f"inbox_{urgency.name.lower()}": (0, size) for urgency, size in SIZES.items()},
        listed_relays=frozenset({"demo"}),
        pair_links=tuple(
            PairLinkFigures(
                link="pairs",
                node=node,
                rate_millihertz=12_500,
                pair_total=4000,
                memory_pairs_in_use=3,
                estimate=Estimate(fidelity=0.93, samples=200, age_s=16.0),
            )
            for node in ends
        ),
        paths=tuple(
            PathFigures(
                path="lab",
                node=node,
                rate_millihertz=9_800,
                delivered_total=3000,
                estimate=Estimate(fidelity=0.91, samples=150, age_s=20.0),
                tracked_fidelity=0.915,
            )
            for node in ends
        ),
        memories_in_use=dict.fromkeys(ends, 3),
        listed_paths=frozenset({"lab"}),
    )
