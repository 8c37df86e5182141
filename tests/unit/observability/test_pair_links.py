"""Links that make pairs have no series of key: a rate of 0 bytes per second would only mislead."""

from dataclasses import replace

from prometheus_client import CollectorRegistry

from controller.domain.link import LinkKind
from controller.domain.pair_link import PairModel, PairOption, Regime
from controller.domain.snapshot import put
from controller.observability.network_metrics import LinkFigures, NetworkCollector, NetworkView
from tests.support.networks import line

MODEL = PairModel(
    regime=Regime.MEMORY,
    attempt_period_s=0.001,
    memory_pairs=4,
    options=(PairOption(success_probability=0.1, fidelity=0.9),),
)


def test_a_link_that_makes_pairs_has_a_status_and_no_series_of_key() -> None:
    network = line(2)
    network = network.applying(put(replace(network.links["l01"], kind=LinkKind.ENTANGLEMENT, pairs=MODEL)))
    figures = [
        LinkFigures(
            link=link,
            node="n01",
            skr_millibit_per_s=0,
            qber=None,
            stored_bit=0,
            generated_bit_total=0,
            consumed_bit_total=0,
            burnt_bit_total=0,
        )
        for link in ("l00", "l01")
    ]
    registry = CollectorRegistry()
    view = NetworkView(snapshot=network, reserved={"l01": 3}, links=tuple(figures))
    NetworkCollector(lambda: view, registry)
    of_link: dict[str, set[str]] = {"l00": set(), "l01": set()}
    for family in registry.collect():
        for sample in family.samples:
            if sample.labels.get("link") in of_link:
                of_link[sample.labels["link"]].add(family.name)
    assert "qinet_link_status" in of_link["l00"] & of_link["l01"]
    of_key = {"qinet_link_capacity_bytes_per_second", "qinet_link_stored_key_bytes", "qinet_link_qber_limit_ratio"}
    assert of_key <= of_link["l00"]
    assert not [name for name in of_link["l01"] if "key" in name or "bytes" in name or "qber" in name]
