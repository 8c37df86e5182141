"""The controller's own metrics: what it counts and times itself. Names are API; the registry is given."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_FAST_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_SLOW_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """One instance per process and registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.decision_seconds = Histogram(
            "qinet_decision_seconds",
            "Time to decide one request, route computation included.",
            ["request", "outcome"],  # request: its type; outcome: decided | refused
            registry=registry,
            buckets=_FAST_S,
        )
        self.route_seconds = Histogram(
            "qinet_route_computation_seconds",
            "Time to compute the routes of one demand.",
            ["outcome"],  # found | refused
            registry=registry,
            buckets=_FAST_S,
        )
        self.commit_seconds = Histogram(
            "qinet_commit_seconds",
            "Time for the store to make one batch durable.",
            registry=registry,
            buckets=_FAST_S,
        )
        self.batch_decisions = Histogram(
            "qinet_batch_decisions",
            "Decisions taken in one turn of the writer.",
            registry=registry,
            buckets=(1, 2, 4, 8, 16, 32, 64),
        )
        self.turn_seconds = Histogram(
            "qinet_turn_seconds",
            "Time that the writer decided in one turn, before it was committed.",
            registry=registry,
            buckets=_FAST_S,
        )
        self.push_to_ack_seconds = Histogram(
            "qinet_push_to_ack_seconds",
            "Time from sending a configuration update to its acknowledgement.",
            registry=registry,
            buckets=_SLOW_S,
        )
        self.restoration_seconds = Histogram(
            "qinet_restoration_seconds",
            "Time from a service's loss of its route to the first key confirmed on a new one.",
            registry=registry,
            buckets=_SLOW_S,
        )
        self.inbox_full_total = Counter(
            "qinet_inbox_full_total",
            "Items that the writer's inbox had no room for.",
            ["urgency"],
            registry=registry,
        )
        self.app_failures_total = Counter(
            "qinet_app_failures_total",
            "Events that an app failed on.",
            ["app"],
            registry=registry,
        )
        self.os_ken_queue_events = Gauge(
            "qinet_os_ken_queue_events",
            "Events that wait for an os-ken app, in the controller's queue and in the app's own.",
            ["app"],  # a module of the configuration, or one that it requires
            registry=registry,
        )
        self.os_ken_events_dropped_total = Counter(
            "qinet_os_ken_events_dropped_total",
            "Events that an os-ken app did not take in time; a resync follows.",
            ["app"],
            registry=registry,
        )
        self.os_ken_handler_errors_total = Counter(
            "qinet_os_ken_handler_errors_total",
            "Events that a handler of an os-ken app failed on.",
            ["app"],
            registry=registry,
        )
        self.os_ken_app_up = Gauge(
            "qinet_os_ken_app_up",
            "1 while an os-ken app takes its events, 0 when it is dead or stuck.",
            ["app"],
            registry=registry,
        )
        self.info = Gauge(
            "qinet_build_info",
            "Always 1; the version is in the label.",
            ["version"],
            registry=registry,
        )
        self.configuration_info = Gauge(
            "qinet_configuration_info",
            "Always 1; the SHA-256 of the configuration file in force is in the label.",
            ["sha256"],
            registry=registry,
        )
        self.configuration_reloads_total = Counter(
            "qinet_configuration_reloads_total",
            "Times that the configuration file was read again.",
            ["outcome"],  # applied | refused
            registry=registry,
        )
        self.certificate_expiry_seconds = Gauge(
            "qinet_certificate_expiry_timestamp_seconds",
            "When a certificate in force ends, in seconds since 1970.",
            ["certificate"],  # controller | ca
            registry=registry,
        )

    def configured(self, sha256: str) -> None:
        """Tell which configuration is in force from now on."""
        self.configuration_info.clear()
        self.configuration_info.labels(sha256).set(1)
