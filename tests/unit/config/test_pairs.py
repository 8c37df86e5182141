"""Topology files: what nodes and links have for entanglement, measured, derived or assumed, and its mistakes."""

import math
from pathlib import Path

import pytest

from controller.config.mistakes import Mistakes
from controller.config.profiles import profiles_file
from controller.config.section import loads
from controller.config.topology_file import TopologyFile, read_topology
from controller.domain.link import Basis, LinkKind
from controller.domain.node import Capability
from controller.domain.pair_link import EndNodeKind, PairHardware, PairModel, PairOption, Regime
from controller.physics.decoherence import equivalent_depolarising_time_s
from controller.physics.link_generation import double_click, single_click

ASSUMED = "basis: assumed, source: made up"


def figure(value: float) -> str:
    return f"{{value: {value:g}, {ASSUMED}}}"


PROFILES = f"""\
schema: qinet-profiles
version: 1
profiles: {{}}
hardware:
  lab:
    title: our laboratory
    t1_s: {figure(100)}
    t2_s: {figure(2)}
    swap_success: {figure(0.9)}
    gate_quality: {figure(0.99)}
    can_purify: true
    emission_efficiency: {figure(0.5)}
    detection_efficiency: {figure(0.8)}
    repetition_hz: {figure(10_000)}
    visibility: {figure(0.9)}
    phase_coherence: {figure(0.98)}
"""
LINK = f"""\
      regime: memory
      memory_pairs: 4
      attempt_period_s: {figure(0.001)}
      options:
        - {{success_probability: {figure(0.1)}, fidelity: {{value: 0.93, basis: measured, source: a bench}}, label: x}}
"""


def network(*, node: str = "memories: 8", link: str = LINK, fibre: str = "", more: str = "", folder: Path) -> str:
    (folder / "profiles.yaml").write_text(PROFILES)
    return f"""\
schema: qinet-topology
version: 1
name: small
profiles: {folder / "profiles.yaml"}
nodes:
  - name: a
    interfaces: [{{number: 1, technology: ENTANGLEMENT}}]
    entanglement: {{{node}}}
  - name: b
    interfaces: [{{number: 1, technology: ENTANGLEMENT}}]
    entanglement: {{memories: 8}}
links:
  - name: a-b
    kind: ENTANGLEMENT
    ends: [{{node: a, interface: 1}}, {{node: b, interface: 1}}]
{fibre}    entanglement:
{link}{more}"""


def read(text: str) -> TopologyFile:
    return loads(text, read_topology, name="t.yaml")


def told(text: str) -> list[str]:
    with pytest.raises(Mistakes) as refused:
        read(text)
    return str(refused.value).split("\n")


FIBRE = f"    length_km: {figure(20)}\n    loss_db: {figure(5)}\n"


def derived(scheme: str, more: str = "") -> str:
    return f"      regime: memory\n      memory_pairs: 4\n      derive: {scheme}\n      profile: lab\n{more}"


def test_measured_figures_of_a_link_are_taken_as_they_are_with_what_each_rests_on(tmp_path: Path) -> None:
    (link,) = read(network(folder=tmp_path)).links
    assert link.kind is LinkKind.ENTANGLEMENT
    assert link.pairs == PairModel(
        regime=Regime.MEMORY,
        attempt_period_s=0.001,
        memory_pairs=4,
        options=(PairOption(success_probability=0.1, fidelity=0.93, label="x"),),
    )
    assert {name: origin.basis for name, origin in link.provenance.items()} == {
        "pairs.attempt_period_s": Basis.ASSUMED,
        "pairs.options[0].success_probability": Basis.ASSUMED,
        "pairs.options[0].fidelity": Basis.MEASURED,
    }


@pytest.mark.parametrize(
    ("regime", "expected"), [("memory", 0.05), ("slot", 0.05), ("buffered", 0.2), ("at_once", 0.2)]
)
def test_a_measured_rate_is_that_of_all_attempts_that_the_link_makes(
    tmp_path: Path, regime: str, expected: float
) -> None:
    text = LINK.replace("regime: memory", f"regime: {regime}").replace(
        f"success_probability: {figure(0.1)}", "rate_hz: {value: 200, basis: measured, source: a bench}"
    )
    (link,) = read(network(link=text, folder=tmp_path)).links
    assert link.pairs is not None
    assert link.pairs.options[0].success_probability == pytest.approx(expected)
    assert link.pairs.rate_millihertz(0) == 200_000
    assert link.provenance["pairs.options[0].success_probability"].basis is Basis.MEASURED


def test_a_double_click_link_follows_from_its_fibre_and_its_hardware(tmp_path: Path) -> None:
    (link,) = read(network(link=derived("double-click"), fibre=FIBRE, folder=tmp_path)).links
    assert link.pairs is not None
    herald = double_click(0.4 * 10**-0.25, visibility=0.9)
    (option,) = link.pairs.options
    assert option.success_probability == pytest.approx(herald.success_probability)
    assert option.fidelity == pytest.approx(0.95)
    assert link.pairs.attempt_period_s == pytest.approx(1e-4)  # 20 km to and fro in fibre, and 10 kHz of hardware
    origins = [origin for name, origin in link.provenance.items() if name.startswith("pairs.")]
    assert {origin.basis for origin in origins} == {Basis.DERIVED}


def test_a_single_click_link_has_an_option_for_each_bright_state(tmp_path: Path) -> None:
    states = f"      bright_states: [{figure(0.05)}, {figure(0.2)}]\n"
    (link,) = read(network(link=derived("single-click", states), fibre=FIBRE, folder=tmp_path)).links
    assert link.pairs is not None
    for option, bright in zip(link.pairs.options, (0.05, 0.2), strict=True):
        herald = single_click(bright, 0.4 * 10**-0.25, phase_coherence=0.98)
        assert option.success_probability == pytest.approx(herald.success_probability)
        assert option.fidelity == pytest.approx(herald.fidelity)
        assert option.label == f"bright state {bright:g}"


def test_a_station_that_is_not_half_way_lengthens_the_wait_and_dims_the_other_end(tmp_path: Path) -> None:
    def link(share: float) -> PairModel:
        more = f"      bright_states: [{figure(0.1)}]\n      station_share: {figure(share)}\n"
        long_fibre = FIBRE.replace("value: 20", "value: 50")
        (found,) = read(network(link=derived("single-click", more), fibre=long_fibre, folder=tmp_path)).links
        assert found.pairs is not None
        return found.pairs

    assert link(0.2) == link(0.8)
    assert link(0.5).attempt_period_s == pytest.approx(0.00025)
    assert link(0.2).attempt_period_s == pytest.approx(0.0004)
    balanced = single_click((0.1 * 10**-0.3, 0.1), (0.4 * 10**-0.1, 0.4 * 10**-0.4), phase_coherence=0.98)
    assert link(0.2).options[0].fidelity == pytest.approx(balanced.fidelity)
    assert link(0.2).options[0].success_probability == pytest.approx(balanced.success_probability)


def test_arms_and_clock_may_be_given_instead_of_a_fibre(tmp_path: Path) -> None:
    more = (
        f"      arm_efficiencies: [{figure(0.1)}, {figure(0.2)}]\n      attempt_period_s: {figure(0.002)}\n"
        f"      visibility: {figure(0.8)}\n"
    )
    (link,) = read(network(link=derived("double-click", more), folder=tmp_path)).links
    assert link.pairs is not None
    assert link.pairs.attempt_period_s == 0.002
    assert link.pairs.options[0].success_probability == pytest.approx(0.01)
    assert link.pairs.options[0].fidelity == pytest.approx(0.9)


def test_a_node_has_its_own_figures_then_its_profile_s_then_what_is_ideal(tmp_path: Path) -> None:
    own = f"profile: lab, memories: 6, gate_quality: {figure(0.97)}, end_node: sensor"
    found = read(network(node=own, folder=tmp_path))
    assert found.nodes[0].pairs == PairHardware(
        memories=6,
        coherence_s=equivalent_depolarising_time_s(100, 2),
        swap_success=0.9,
        gate_quality=0.97,
        can_purify=True,
        end_node=EndNodeKind.SENSOR,
    )
    assert Capability.ENTANGLEMENT in found.nodes[0].capabilities
    origins = found.provenance["nodes/a"]
    assert origins["pairs.coherence_s"].basis is Basis.DERIVED
    assert "ideal" in origins["pairs.readout_quality"].source
    assert found.nodes[1].pairs == PairHardware(memories=8)


def test_a_node_s_own_time_constants_replace_those_of_its_profile(tmp_path: Path) -> None:
    for own, coherence_s in ((f"coherence_s: {figure(7)}", 7.0), (f"t2_s: {figure(1)}", 1.5)):
        (node, _) = read(network(node=f"profile: lab, memories: 1, {own}", folder=tmp_path)).nodes
        assert node.pairs is not None
        assert node.pairs.coherence_s == pytest.approx(coherence_s)


@pytest.mark.parametrize(
    ("node", "what"),
    [
        ("memories: -1", "memories: -1 is not in [0, 1000000]"),
        ("profile: lab", "memories: is missing"),
        ("memories: 1, profile: none", "profile: there is no hardware 'none'; known: lab"),
        ("memories: 1, swap_success: 0.9", "swap_success: must be {value: ..., basis: measured|derived|assumed"),
        (f"memories: 1, swap_success: {figure(1.5)}", "swap_success.value: 1.5 is not in [0, 1]"),
        (f"memories: 1, readout_quality: {figure(0.4)}", "readout_quality.value: 0.4 is not in [0.5, 1]"),
        (f"memories: 1, t1_s: {figure(1)}", "t1_s: needs t2_s beside it"),
        (f"memories: 1, t1_s: {figure(1)}, t2_s: {figure(3)}", "t2_s: 3 s is more than twice t1_s"),
        (f"memories: 1, coherence_s: {figure(1)}, t2_s: {figure(3)}", "coherence_s: give either coherence_s, or t2_s"),
        ("memories: 1, end_node: toaster", "end_node: 'toaster' is not one of computer, sensor, memory, measuring"),
    ],
)
def test_a_mistake_in_what_a_node_has_is_told_where_it_is(tmp_path: Path, node: str, what: str) -> None:
    mistakes = told(network(node=node, folder=tmp_path))
    assert any(line.startswith(f"t.yaml:8: nodes[0].entanglement.{what}") for line in mistakes), mistakes


BARE = "      regime: memory\n      memory_pairs: 4\n      derive: single-click\n"


@pytest.mark.parametrize(
    ("link", "what"),
    [
        (LINK.replace("memory_pairs: 4", "memory_pairs: 0"), "18: {}.memory_pairs: 0 is not in [1, 1000000]"),
        (LINK.replace("regime: memory", "regime: magic"), "17: {}.regime: 'magic' is not one of slot, memory"),
        (LINK.replace("0.93", "0.25"), "21: {}.options[0].fidelity.value: 0.25 is not in (0.25, 1]"),
        (LINK.replace("label: x", "colour: x"), "21: {}.options[0].colour: unknown; known here: fidelity, label"),
        (LINK.partition("      options")[0] + "      options: []\n", "20: {}.options: there are 0, not 1..16"),
        (LINK.partition("      attempt")[0], "16: {}.attempt_period_s: is missing"),
        (
            LINK.replace("success_probability: ", f"rate_hz: {figure(5000)}, success_probability: "),
            "21: {}.options[0].rate_hz: give either rate_hz or success_probability",
        ),
        (
            LINK.replace(f"success_probability: {figure(0.1)}", f"rate_hz: {figure(5000)}"),
            "21: {}.options[0].rate_hz: 5000 is more than the 4000 attempts a second that the link makes",
        ),
        (derived("triple-click"), "19: {}.derive: 'triple-click' is not one of single-click, double-click"),
        (derived("double-click"), "19: {}.derive: needs the link's loss_db, or arm_efficiencies"),
        (derived("double-click"), "19: {}.derive: needs the link's length_km, or attempt_period_s"),
        (derived("single-click"), "16: {}.bright_states: is missing"),
        (
            derived("double-click", f"      bright_states: [{figure(0.1)}]\n"),
            "21: {}.bright_states: are for single-click links",
        ),
        (BARE, "16: {}.phase_coherence: is missing: neither the link nor its profile says"),
        (BARE, "16: {}.emission_efficiency: is missing: neither the link nor its profile says"),
        (derived("single-click").replace("lab", "attic"), "20: {}.profile: there is no hardware 'attic'; known: lab"),
        (
            derived("double-click", f"      arm_efficiencies: [{figure(0.1)}]\n"),
            "21: {}.arm_efficiencies: a link has two arms, not 1",
        ),
    ],
)
def test_a_mistake_in_what_a_link_does_is_told_where_it_is(tmp_path: Path, link: str, what: str) -> None:
    mistakes = told(network(link=link, folder=tmp_path))
    place = "t.yaml:" + what.format("links[0].entanglement")
    assert any(line.startswith(place) for line in mistakes), mistakes


def test_bright_states_that_leave_no_entanglement_are_a_mistake(tmp_path: Path) -> None:
    link = derived("single-click", f"      bright_states: [{figure(0.9)}]\n")
    (mistake,) = told(network(link=link, fibre=FIBRE, folder=tmp_path))
    assert mistake.startswith("t.yaml:21: links[0].entanglement.derive: bright state 0.9: pairs of fidelity 0.1")


def test_a_link_makes_either_key_or_pairs(tmp_path: Path) -> None:
    rate = f"    skr_bit_per_s: {figure(1000)}\n"
    (mistake,) = told(network(fibre=rate, folder=tmp_path))
    assert mistake == "t.yaml:16: links[0].skr_bit_per_s: a link of kind ENTANGLEMENT makes no key: leave it out"
    key = network(fibre=rate + f"    qber: {figure(0.02)}\n", folder=tmp_path).replace("    kind: ENTANGLEMENT\n", "")
    assert "t.yaml:17: links[0].entanglement: is for links of kind ENTANGLEMENT" in told(key)


def test_the_ends_of_a_link_of_pairs_have_ports_and_hardware_for_them(tmp_path: Path) -> None:
    text = network(folder=tmp_path)
    bare = text.replace("    entanglement: {memories: 8}\nlinks", "links")
    assert told(bare) == [
        "t.yaml:14: links[0].ends[1].node: b has no section `entanglement` that says what it has for pairs"
    ]
    wrong = text.replace("technology: ENTANGLEMENT", "technology: DV-QKD")
    assert told(wrong) == [
        "t.yaml:15: links[0].ends[0].interface: is of technology DV-QKD; pairs need one of ENTANGLEMENT",
        "t.yaml:15: links[0].ends[1].interface: is of technology DV-QKD; pairs need one of ENTANGLEMENT",
    ]
    capable = text.replace("  - name: b\n", "  - name: c\n    capabilities: [entanglement]\n  - name: b\n")
    assert told(capable) == [
        "t.yaml:10: nodes[1].capabilities: of entanglement need a section `entanglement` that says what the node has"
    ]


def test_a_mistake_in_a_profile_is_told_once_in_its_file(tmp_path: Path) -> None:
    text = network(node="profile: lab, memories: 1", link=derived("double-click"), fibre=FIBRE, folder=tmp_path)
    (tmp_path / "profiles.yaml").write_text(PROFILES.replace("gate_quality: {value: 0.99", "gate_quality: {value: 2"))
    (mistake,) = told(text)
    assert mistake.endswith("profiles.yaml:10: hardware.lab.gate_quality.value: 2 is not in [0, 1]")


def test_a_profile_prefers_two_clicks_where_it_says_how_well_photons_interfere() -> None:
    lab = loads(PROFILES, profiles_file).hardware["lab"]
    assert lab.scheme == "double-click"
    dim = "\n".join(line for line in PROFILES.split("\n") if "visibility" not in line)
    assert loads(dim, profiles_file).hardware["lab"].scheme == "single-click"
    assert math.isclose(lab.figures["t2_s"].value, 2.0)
