"""What an agent's configuration file says of its pair hardware, and what the topology says where the file is silent."""

from pathlib import Path

import pytest

from controller.config.mistakes import Mistakes
from controller.domain.link import Link, LinkEnd, LinkKind
from controller.domain.pair_link import EndNodeKind, PairHardware, PairModel, PairOption, Regime
from southbound.agent.module_settings import AgentFile, load_agent_file
from southbound.agent.plan import SimulatedNetwork
from tests.support.pages import blocks

MODEL = PairModel(
    regime=Regime.MEMORY,
    attempt_period_s=0.001,
    memory_pairs=8,
    options=(
        PairOption(success_probability=0.1, fidelity=0.9, label="many"),
        PairOption(success_probability=0.05, fidelity=0.95, label="good"),
    ),
)
HARDWARE = PairHardware(memories=8, coherence_s=10.0, swap_success=0.9, can_purify=True)
LINKS = [
    Link(
        name="a-b",
        kind=LinkKind.ENTANGLEMENT,
        ends=(LinkEnd(node="a", interface=1), LinkEnd(node="b", interface=1)),
        model_skr_millibit_per_s=0,
        pairs=MODEL,
    ),
    Link(name="a-c", ends=(LinkEnd(node="a", interface=2), LinkEnd(node="c", interface=1)), model_skr_millibit_per_s=1),
]


def read(directory: Path, text: str, hardware: PairHardware | None = HARDWARE) -> AgentFile:
    path = directory / "agent.yaml"
    path.write_text(text)
    return load_agent_file(path, "a", LINKS, hardware=hardware)


def told(directory: Path, text: str, hardware: PairHardware | None = HARDWARE) -> list[str]:
    with pytest.raises(Mistakes) as refused:
        read(directory, text, hardware)
    return [line.partition("agent.yaml:")[2] for line in str(refused.value).split("\n")]


def test_a_file_that_says_nothing_of_pairs_leaves_what_the_topology_says(tmp_path: Path) -> None:
    pairs = read(tmp_path, "{}").pairs
    assert (pairs.hardware, dict(pairs.models)) == (HARDWARE, {})


def test_what_the_file_says_goes_before_the_topology_and_the_rest_stays(tmp_path: Path) -> None:
    text = """
entanglement:
  node: {coherence_s: 2.5, memories: 4, can_purify: false, end_node: sensor}
  links:
    a-b: {memory_pairs: 2, options: [{success_probability: 0.07}, {fidelity: 0.8}]}
"""
    pairs = read(tmp_path, text).pairs
    assert pairs.hardware == PairHardware(
        memories=4, coherence_s=2.5, swap_success=0.9, can_purify=False, end_node=EndNodeKind.SENSOR
    )
    assert pairs.models["a-b"] == PairModel(
        regime=Regime.MEMORY,
        attempt_period_s=0.001,
        memory_pairs=2,
        options=(
            PairOption(success_probability=0.07, fidelity=0.9, label="many"),
            PairOption(success_probability=0.05, fidelity=0.8, label="good"),
        ),
    )


def test_a_node_may_have_hardware_of_which_the_topology_knows_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "entanglement: {node: {memories: 3}}", None).pairs.hardware == PairHardware(memories=3)
    assert told(tmp_path, "entanglement: {node: {can_purify: true}}", None) == [
        "1: entanglement.node.memories: is missing"
    ]


def test_every_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    text = """
modules:
  a-b: {driver: simulated}
entanglement:
  node: {swap_success: 2, colour: red}
  links:
    a-c: {memory_pairs: 2}
    a-b: {attempt_period_s: 0, options: [{fidelity: 0.25}]}
"""
    assert told(tmp_path, text) == [
        "3: modules.a-b: is neither a link nor an interface with a link of a; its links are a-c",
        "5: entanglement.node.swap_success: 2 is not in [0, 1]",
        "5: entanglement.node.colour: unknown; known here: can_purify, coherence_s, end_node, gate_quality, memories, "
        "one_qubit_gate_quality, readout_quality, swap_duration_s, swap_success",
        "7: entanglement.links.a-c: is no link of a that makes pairs; its links that do are a-b",
        "8: entanglement.links.a-b.attempt_period_s: 0 is not in [1e-09, 1000000]",
        "8: entanglement.links.a-b.options: there are 1, and the topology has 2",
        "8: entanglement.links.a-b.options[0].fidelity: 0.25 is not in (0.25, 1]",
    ]


def test_the_truth_of_a_node_without_a_file_is_the_topology_s() -> None:
    network = SimulatedNetwork(Path(__file__).parents[3] / "topologies" / "mixed.yaml")
    assert network.pair_model("repeater-1-repeater-2") == next(
        link.pairs for link in network.topology.links if link.name == "repeater-1-repeater-2"
    )
    assert network.pair_model("city-west-exchange") is None
    assert {link.name for link in network.links_of("city-west")} == {
        "access-west-city-west",
        "city-west-exchange",
        "city-west-repeater-1",
        "city-west-repeater-3",
    }
    assert set(network.channels) == {
        "access-west-city-west",
        "city-west-exchange",
        "city-east-exchange",
        "access-east-city-east",
    }


def test_the_example_of_the_page_on_operating_holds(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()
    (example,) = (code for _, code in blocks(page, "yaml") if code.startswith("entanglement:"))
    path = tmp_path / "agent.yaml"
    path.write_text(example.replace("alice-bob", "a-b").replace("options: [{", "options: [{}, {"))
    pairs = load_agent_file(path, "a", LINKS, hardware=HARDWARE).pairs
    assert pairs.models["a-b"].memory_pairs == 4
    assert pairs.hardware is not None
    assert pairs.hardware.coherence_s == 2.5
