"""A registry in which every metric has a value."""

from dataclasses import replace

from prometheus_client import CollectorRegistry

from controller.domain.alarm import Alarm
from controller.domain.application import Application, Sae
from controller.domain.key_relay import Demand, KeyRelay, RelayState
from controller.domain.route import Route
from controller.domain.snapshot import joined, put
from controller.observability.metrics import Metrics
from controller.observability.network_metrics import LinkFigures, NetworkCollector, NetworkView, RelayFigures
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
    view = _view()
    NetworkCollector(lambda: view, registry)
    return registry


def _view() -> NetworkView:
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
        joined([put(*saes), put(application), put(relay), put(Alarm(node="", object="links/l00", kind="LINK_DOWN"))])
    )
    ends = ("n00", "n01")
    return NetworkView(
        snapshot=replace(snapshot, revision=7),
        reserved_millibit_per_s={"l00": 1_062_500},
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
    )
