"""The entanglement half of the metrics page: bounded series, estimates never without their samples and age."""

from dataclasses import replace

from controller.domain.entanglement_path import EntanglementPath
from controller.domain.snapshot import put
from controller.observability.pair_metrics import (
    Estimate,
    PairLinkFigures,
    PathFigures,
    pair_links,
    pair_resources,
    paths,
)
from tests.support.metrics_world import populated_view

Samples = dict[tuple[str, tuple[str, ...]], float]


def samples(families: object) -> Samples:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families  # type: ignore[attr-defined]
        for sample in family.samples
    }


def test_only_listed_paths_have_series_of_their_own() -> None:
    view = populated_view()
    demo = view.snapshot.paths["lab"]
    assert isinstance(demo, EntanglementPath)
    snapshot = view.snapshot.applying(put(*(replace(demo, name=f"p{number}") for number in range(50))))
    seen = [replace(view.paths[0], path=name) for name in snapshot.paths]
    found = samples(paths(snapshot, seen, frozenset({"lab", "gone"})))
    assert {labels[0] for name, labels in found if name.startswith("qinet_path_")} == {"lab"}
    assert found["qinet_entanglement_paths", ("ACTIVE",)] == 51


def test_delivered_stands_beside_promised() -> None:
    view = populated_view()
    found = samples(paths(view.snapshot, view.paths, view.listed_paths))
    assert found["qinet_path_promised_pair_rate_hertz", ("lab",)] == 10.0
    assert found["qinet_path_delivered_pair_rate_hertz", ("lab", "n00")] == 9.8
    assert found["qinet_path_promised_fidelity_ratio", ("lab",)] == 0.95
    assert found["qinet_path_fidelity_estimate_ratio", ("lab", "n00")] == 0.91
    assert found["qinet_path_tracked_fidelity_ratio", ("lab", "n00")] == 0.915
    assert found["qinet_entanglement_paths_promised_hertz", ()] == 10.0


def test_a_path_without_a_route_promises_nothing() -> None:
    view = populated_view()
    off = view.snapshot.applying(put(replace(view.snapshot.paths["lab"], routes=())))
    found = samples(paths(off, (), view.listed_paths))
    assert found["qinet_path_promised_pair_rate_hertz", ("lab",)] == 0.0
    assert ("qinet_path_promised_fidelity_ratio", ("lab",)) not in found
    assert found["qinet_entanglement_paths_promised_hertz", ()] == 0.0


def test_an_estimate_is_never_told_without_its_samples_and_age() -> None:
    known = PairLinkFigures(
        link="l", node="a", rate_millihertz=1500, pair_total=7, memory_pairs_in_use=2,
        estimate=Estimate(fidelity=0.9, samples=12, age_s=3.5),
    )  # fmt: skip
    found = samples(pair_links([known, replace(known, node="b", estimate=None)]))
    assert found["qinet_link_fidelity_estimate_ratio", ("l", "a")] == 0.9
    assert found["qinet_link_fidelity_estimate_samples", ("l", "a")] == 12
    assert found["qinet_link_fidelity_estimate_age_seconds", ("l", "a")] == 3.5
    assert not any("estimate" in name and labels == ("l", "b") for name, labels in found)
    assert found["qinet_link_pair_rate_hertz", ("l", "b")] == 1.5


def test_what_is_reserved_is_told_as_part_of_what_there_is() -> None:
    view = populated_view()
    found = samples(pair_resources(view.snapshot, view.reserved, view.memories_in_use))
    assert found["qinet_link_pairs_reserved_ratio", ("pairs",)] == 0.5
    assert found["qinet_node_memories_reserved_ratio", ("n00",)] == 0.5
    assert found["qinet_node_memories_in_use", ("n00",)] == 3
    assert found["qinet_node_swap_time_reserved_ratio", ("n00",)] == 0.0002
    assert ("qinet_link_pairs_reserved_ratio", ("l00",)) not in found


def test_a_node_that_reports_no_memories_has_no_figure_of_their_use() -> None:
    view = populated_view()
    found = samples(pair_resources(view.snapshot, view.reserved, {}))
    assert not any(name == "qinet_node_memories_in_use" for name, _ in found)


def test_a_path_of_real_hardware_has_no_tracked_fidelity() -> None:
    view = populated_view()
    seen = PathFigures(path="lab", node="n00", rate_millihertz=1, delivered_total=1)
    found = samples(paths(view.snapshot, [seen], view.listed_paths))
    assert not any("tracked" in name or "estimate" in name for name, _ in found)
