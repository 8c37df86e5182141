"""Topology files: what is shipped says what it should, and what is wrong is told at once."""

import contextlib
import copy
from pathlib import Path
from typing import Any

import networkx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.config.mistakes import Mistakes
from controller.config.profiles import expected_block, profiles_file
from controller.config.section import load, loads
from controller.config.topology_file import TopologyFile, load_topology, read_topology
from controller.domain.link import Basis, Establishment, LinkEnd
from controller.domain.node import Capability, Role

TOPOLOGIES = Path(__file__).parents[3] / "topologies"
NETWORKS = sorted(path.stem for path in TOPOLOGIES.glob("*.yaml") if path.stem != "profiles")

SMALL = """\
schema: qinet-topology
version: 1
name: small
sources:
  guess: made up
nodes:
  - name: a
    interfaces:
      - {number: 1, technology: DV-QKD}
      - {number: 2, technology: DV-QKD}
  - name: b
    interfaces:
      - {number: 7, technology: DV-QKD}
links:
  - name: a-b
    ends:
      - {node: b, interface: 7}
      - {node: a, interface: 1}
    skr_bit_per_s: {value: 1000, basis: assumed, source: guess}
    qber: {value: 0.02, basis: assumed, source: guess}
"""


def shipped(name: str) -> TopologyFile:
    return load_topology(TOPOLOGIES / f"{name}.yaml")


def graph(topology: TopologyFile) -> Any:
    found: Any = networkx.Graph()
    found.add_edges_from(link.nodes for link in topology.links)
    return found


def told(text: str) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        loads(text, read_topology, name="t.yaml")
    return str(caught.value).split("\n")


def changed(*changes: tuple[str, str]) -> str:
    text = SMALL
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


# -- what is shipped


@pytest.mark.parametrize("name", NETWORKS)
def test_every_figure_of_a_shipped_network_says_what_it_rests_on_and_where_it_comes_from(name: str) -> None:
    topology = shipped(name)
    assert topology.name == name
    for link in topology.links:
        given = {"length_km", "loss_db"}
        if link.pairs is None:
            given |= {"model_skr_millibit_per_s", "expected_qber", "simulation"}
        else:
            given |= {"pairs.attempt_period_s"}
            for index in range(len(link.pairs.options)):
                given |= {f"pairs.options[{index}].success_probability", f"pairs.options[{index}].fidelity"}
        origins = topology.provenance[f"links/{link.name}"]
        assert set(origins) == given
        assert all(8 < len(origin.source) <= 1024 and " " in origin.source for origin in origins.values())
        assert dict(link.provenance) == {field: origins[field] for field in given - {"simulation"}}
        assert (link.name in topology.simulations) is (link.pairs is None)
    for node in topology.nodes:
        of_node = topology.provenance[f"nodes/{node.name}"]
        assert {"longitude_deg", "latitude_deg"} <= set(of_node)
        if node.pairs is not None:
            assert {f"pairs.{name}" for name in ("coherence_s", "swap_success", "readout_quality")} <= set(of_node)
    assert topology.suggested_ends is not None
    source, target = topology.suggested_ends
    assert not graph(topology).has_edge(source, target)
    assert networkx.has_path(graph(topology), source, target)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_modules_of_a_shipped_network_give_a_block_within_half_a_minute_at_the_promised_rate(name: str) -> None:
    topology = shipped(name)
    for link in topology.links:
        if link.pairs is not None:
            continue
        simulation = topology.simulations[link.name]
        assert 1 <= simulation.block_s <= 30
        assert simulation.block_secret_bit / simulation.block_s * 1000 == pytest.approx(
            link.model_skr_millibit_per_s, rel=1e-3
        )
        assert simulation.qber_mean == link.expected_qber
        assert simulation.qber_mean + simulation.qber_drift < link.qber_limit
        assert link.authentication_rate_millibit_per_s * 10 < link.model_skr_millibit_per_s


def test_tokyo_is_a_star_on_otemachi_with_three_parallel_links_to_koganei() -> None:
    tokyo = shipped("tokyo-2010")
    pairs = sorted(link.nodes for link in tokyo.links)
    assert pairs == [
        ("hakusan", "otemachi"),
        ("hongo", "otemachi"),
        ("koganei", "koganei-2"),
        *[("koganei", "otemachi")] * 3,
    ]
    assert [link.name for link in tokyo.links if link.nodes == ("koganei", "otemachi")] == [
        "koganei-otemachi-apd",
        "koganei-otemachi-dps",
        "koganei-otemachi-sspd",
    ]
    place = {node.name: node.place for node in tokyo.nodes}
    assert place["koganei"] == place["koganei-2"]
    assert len(set(place.values())) == 4
    assert {link.name: (link.length_km, link.loss_db) for link in tokyo.links} == {
        "hakusan-otemachi": (24, 12.0),
        "hongo-otemachi": (13, 6.5),
        "koganei-koganei-2": (1, 0.5),
        "koganei-otemachi-apd": (45, 13.5),
        "koganei-otemachi-dps": (90, 30),
        "koganei-otemachi-sspd": (45, 13.5),
    }


def test_in_tokyo_a_rate_counts_as_measured_only_where_one_was_published() -> None:
    basis = {link.name: link.provenance["model_skr_millibit_per_s"].basis for link in shipped("tokyo-2010").links}
    assert basis == {
        "hakusan-otemachi": Basis.DERIVED,
        "hongo-otemachi": Basis.ASSUMED,
        "koganei-koganei-2": Basis.DERIVED,
        "koganei-otemachi-apd": Basis.DERIVED,
        "koganei-otemachi-dps": Basis.MEASURED,
        "koganei-otemachi-sspd": Basis.DERIVED,
    }
    dps = next(link for link in shipped("tokyo-2010").links if link.name == "koganei-otemachi-dps")
    assert (dps.model_skr_millibit_per_s, dps.expected_qber) == (1_100_000, 0.026)


@pytest.mark.parametrize(("name", "routes"), [("line-3", 1), ("tokyo-2010", 1), ("mesh-2-disjoint", 2)])
def test_as_many_node_disjoint_routes_exist_as_the_network_promises(name: str, routes: int) -> None:
    topology = shipped(name)
    assert topology.suggested_ends is not None
    assert len(list(networkx.node_disjoint_paths(graph(topology), *topology.suggested_ends))) == routes


def test_a_derived_rate_is_what_the_profile_gives_over_the_loss_of_the_link() -> None:
    tokyo = shipped("tokyo-2010")
    known = load(TOPOLOGIES / "profiles.yaml", profiles_file).modules
    for link in tokyo.links:
        if link.name == "koganei-otemachi-sspd":
            assert link.loss_db is not None
            block = expected_block(known["decoy-bb84-sspd-1ghz"].module, link.loss_db)
            simulation = tokyo.simulations[link.name]
            assert (simulation.block_s, simulation.block_secret_bit) == (block.seconds, block.secret_bit)
            assert link.model_skr_millibit_per_s == int(block.skr_bit_per_s * 1000)
            assert link.expected_qber == block.qber
            assert "Lim et al." in link.provenance["model_skr_millibit_per_s"].source
            break
    else:
        pytest.fail("the link is gone")


def test_a_45_km_link_is_derived_within_a_factor_of_two_of_what_was_later_measured_in_tokyo() -> None:
    derived = [link.model_skr_millibit_per_s for link in shipped("tokyo-2010").links if link.name.endswith("-apd")]
    assert 150_000_000 < derived[0] < 600_000_000


# -- what is read


def test_defaults_apply_and_the_smaller_node_name_comes_first() -> None:
    topology = loads(SMALL, read_topology)
    (link,) = topology.links
    assert link.ends == (LinkEnd(node="a", interface=1), LinkEnd(node="b", interface=7))
    assert link.establishment is Establishment.ESTABLISHED
    assert link.model_skr_millibit_per_s == 1_000_000
    assert (link.length_km, link.loss_db, link.qber_limit) == (None, None, 0.11)
    assert topology.nodes[0].capabilities == {Capability.KEY_RELAY, Capability.KEY_DELIVERY}
    assert topology.nodes[0].interfaces[0].role is Role.TRANSCEIVER
    assert topology.simulations["a-b"].block_secret_bit == 5000
    assert topology.suggested_ends is None


def test_settings_and_simulation_of_a_link_go_before_those_of_the_file() -> None:
    topology = loads(
        changed(
            ("sources:", "link_settings: {qber_limit: 0.08, key_ttl_s: 60}\nsources:"),
            ("nodes:\n", "simulation: {block_s: 3, qber_drift: 0.01, basis: assumed, source: guess}\nnodes:\n"),
        )
        + "    ducts: [d2, d1]\n"
        + "    settings: {key_ttl_s: 90, authentication_rate_bit_per_s: 0.0001}\n"
        + "    simulation: {block_s: 2, basis: measured, source: a bench}\n",
        read_topology,
    )
    (link,) = topology.links
    assert link.ducts == {"d1", "d2"}
    assert (link.qber_limit, link.key_ttl_s, link.authentication_rate_millibit_per_s) == (0.08, 90, 1)
    simulation = topology.simulations["a-b"]
    assert (simulation.block_s, simulation.qber_drift, simulation.block_secret_bit) == (2, 0.01, 2000)
    assert simulation.provenance.basis is Basis.MEASURED


# -- what is wrong


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    text = """\
schema: qinet-topology
version: 1
name: small
nodes:
  - name: a
    interfaces:
      - {number: 1, technology: DV-QKD, role: TRANSMITTER}
      - {number: 2, technology: CV-QKD, role: RECEIVER}
  - name: b
    interfaces:
      - {number: 1, technology: DV-QKD, role: TRANSMITTER}
      - {number: 2, technology: DV-QKD, role: RECEIVER}
  - name: a
  - name: c
    capabilities: [key_relay, teleport]
links:
  - name: a-b
    ends: [{node: a, interface: 1}, {node: b, interface: 2}]
    skr_bit_per_s: 2000
    qber: {value: .nan, basis: measured, source: a bench}
  - name: again
    ends: [{node: a, interface: 1}, {node: b, interface: 2}]
    skr_bit_per_s: {value: 2000, basis: measured}
    qber: {value: 0.2, basis: guessed, source: bench}
  - name: again
    ends: [{node: a, interface: 9}, {node: nowhere, interface: 1}]
    skr_bit_per_s: {value: 0, basis: measured, source: a bench}
    qber: {value: 0.02, basis: measured, source: a bench}
    colour: red
  - name: self
    ends: [{node: a, interface: 1}, {node: a, interface: 2}]
    skr_bit_per_s: {value: 4294967296, basis: measured, source: a bench}
    qber: {value: 0.02, basis: measured, source: a bench}
  - name: roles
    establishment: possible
    ends: [{node: a, interface: 1}, {node: b, interface: 1}]
    skr_bit_per_s: {derive: decoy-bb84, profile: any}
  - name: kinds
    kind: ENTANGLEMENT
    ends: [{node: a, interface: 2}]
suggested: {source: a, target: z}
"""
    figure = "{value: ..., basis: measured|derived|assumed, source: ...}"
    known = (
        "admin_enabled, ducts, ends, entanglement, establishment, kind, length_km, loss_db, maintenance, name, qber, "
        "settings, simulation, skr_bit_per_s"
    )
    assert told(text) == [
        "t.yaml:13: nodes[2].name: 'a' is given twice, first in line 5",
        "t.yaml:15: nodes[3].capabilities[1]: 'teleport' is not one of key_relay, key_delivery, link_statistics, "
        "application_statistics, entanglement, optical_switch, untrusted_measurement",
        f"t.yaml:19: links[0].skr_bit_per_s: must be {figure} or {{derive: MODEL, profile: NAME}}",
        "t.yaml:20: links[0].qber.value: '.nan' is not a finite number",
        "t.yaml:23: links[1].skr_bit_per_s.source: is missing",
        "t.yaml:24: links[1].qber.basis: 'guessed' is not one of measured, derived, assumed",
        "t.yaml:24: links[1].qber.source: 'bench' is not among the file's sources (none), and one word is no source",
        "t.yaml:24: links[1].qber: 0.2 is above the qber_limit 0.11: no block would yield key",
        "t.yaml:25: links[2].name: 'again' is given twice, first in line 21",
        "t.yaml:26: links[2].ends[0].interface: a has no interface 9; it has 1, 2",
        "t.yaml:26: links[2].ends[1].node: there is no node 'nowhere'",
        "t.yaml:27: links[2].skr_bit_per_s.value: 0 is not in (0, 4294967295]",
        f"t.yaml:29: links[2].colour: unknown; known here: {known}",
        "t.yaml:31: links[3].ends: both ends are at a; a link joins two nodes",
        "t.yaml:31: links[3].ends: DV-QKD does not work with CV-QKD",
        "t.yaml:32: links[3].skr_bit_per_s.value: 4294967296 is not in (0, 4294967295]",
        "t.yaml:36: links[4].ends: both ends are a TRANSMITTER; their roles must be opposite",
        "t.yaml:37: links[4].skr_bit_per_s.profile: there is no profile 'any'; known: none; the file names no profiles",
        "t.yaml:38: links[5].entanglement: is missing",
        "t.yaml:40: links[5].ends: a link has two ends, not 1",
        "t.yaml:41: suggested.target: there is no node 'z'",
    ]


def test_an_interface_serves_one_established_link_and_any_number_of_possible_ones() -> None:
    second = (
        SMALL[SMALL.index("  - name: a-b") :]
        .replace("name: a-b", "name: second")
        .replace("interface: 1", "interface: 2")
    )
    assert told(SMALL + second) == [
        "t.yaml:23: links[1].ends[0].interface: interface 7 of b already serves the established link a-b"
    ]
    possible = second + "    establishment: possible\n"
    assert len(loads(SMALL + possible, read_topology).links) == 2


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ([("version: 1", "version: 2")], "t.yaml:2: version: 2 is of a newer program; this one reads 1 to 1"),
        ([("qinet-topology", "topology")], "t.yaml:1: schema: 'topology' is not one of qinet-topology"),
        ([("number: 2", "number: 1")], "t.yaml:10: nodes[0].interfaces[1].number: 1 is given twice, first in line 9"),
        ([("number: 7", "number: 4294967296")], "t.yaml:13: nodes[1].interfaces[0].number: 4294967296 is not in"),
        (
            [("number: 1, technology: DV-QKD", "number: 1, technology: DV-QKD, max_absorption_db: 20")],
            "t.yaml:9: nodes[0].interfaces[0].max_absorption_db: must be {value: ..., basis: ",
        ),
        ([("name: small\n", "name: small\nprofiles: none.yaml\n")], "t.yaml:4: profiles: none.yaml cannot be read: "),
        ([("name: a\n", "name: Köln\n")], "t.yaml:7: nodes[0].name: 'Köln' is not a DNS label"),
    ],
)
def test_each_mistake_is_told_where_it_is(changes: list[tuple[str, str]], what: str) -> None:
    assert any(line.startswith(what) for line in told(changed(*changes))), told(changed(*changes))


def test_the_name_of_a_file_that_is_no_text_is_told_once() -> None:
    told_of_profiles = [
        line for line in told(changed(("name: small\n", "name: small\nprofiles: {a: 1}\n"))) if "profiles" in line
    ]
    assert told_of_profiles == ["t.yaml:4: profiles: must be text"]


def test_a_link_that_loses_more_than_its_module_tolerates_is_told() -> None:
    text = changed(
        (
            "number: 7, technology: DV-QKD",
            "number: 7, technology: DV-QKD, max_absorption_db: {value: 5, basis: assumed, source: guess}",
        ),
        ("    skr_bit", "    loss_db: {value: 6, basis: measured, source: guess}\n    skr_bit"),
    )
    assert told(text) == ["t.yaml:17: links[0].ends[0].interface: it tolerates 5 dB and the link loses 6 dB"]


def test_mistakes_of_the_profiles_are_told_with_their_own_file_and_do_not_hide_those_of_the_topology(
    tmp_path: Path,
) -> None:
    text = (TOPOLOGIES / "profiles.yaml").read_text()
    text = text.replace("detector_efficiency: {value: 0.2,", "detector_efficiency: {value: 20,")
    text = text.replace("decoy_intensity: {value: 0.23,", "decoy_intensity: {value: 0.6,")
    (tmp_path / "profiles.yaml").write_text(text)
    tokyo = (TOPOLOGIES / "tokyo-2010.yaml").read_text().replace("length_km: {value: 24,", "length_km: {value: -24,")
    (tmp_path / "tokyo.yaml").write_text(tokyo)
    with pytest.raises(Mistakes) as caught:
        load_topology(tmp_path / "tokyo.yaml")
    found = [(Path(mistake.file).name, mistake.field) for mistake in caught.value.mistakes]
    assert found == [
        ("profiles.yaml", "profiles.decoy-bb84-apd-1ghz.detector_efficiency.value"),
        ("profiles.yaml", "profiles.decoy-bb84-sspd-1ghz"),
        ("tokyo.yaml", "links[0].length_km.value"),
    ]
    assert "intensities: (0.5, 0.6, 0.0002) is out of range" in str(caught.value)


def test_a_derived_rate_over_too_much_loss_is_told_and_not_promised(tmp_path: Path) -> None:
    tokyo = (TOPOLOGIES / "tokyo-2010.yaml").read_text()
    tokyo = tokyo.replace("profiles.yaml", str(TOPOLOGIES / "profiles.yaml"), 1).replace(
        "loss_db: {value: 0.5,", "loss_db: {value: 90,"
    )
    tokyo = tokyo.replace(
        "derive: decoy-bb84, profile: decoy-bb84-sspd-1ghz", "derive: bbm92-pdc, profile: decoy-bb84-sspd-1ghz"
    )
    (tmp_path / "t.yaml").write_text(tokyo)
    with pytest.raises(Mistakes) as caught:
        load_topology(tmp_path / "t.yaml")
    assert [mistake.what for mistake in caught.value.mistakes] == [
        "'bbm92-pdc' is not the model of profile decoy-bb84-sspd-1ghz, which is decoy-bb84",
        "over 90 dB the modules of profile bbm92-pdc-100mhz make no key",
    ]


TREE = yaml.safe_load((TOPOLOGIES / "mesh-2-disjoint.yaml").read_text())
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", "x", "No", -1, 0, 1, 2**32, 1e308, float("nan"), True, [], {}, [{}], {"value": 1}, "ü"]
)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_one_value_is_replaced_by_the_file_is_read_or_refused_with_a_line(data: st.DataObject) -> None:
    tree = copy.deepcopy(TREE)
    tree["profiles"] = str(TOPOLOGIES / "profiles.yaml")
    holder: Any = tree
    while True:
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        if not holder[key] or not isinstance(holder[key], dict | list) or data.draw(st.integers(0, 5)) == 0:
            break
        holder = holder[key]
    holder[key] = data.draw(JUNK)
    text = yaml.dump(tree, Dumper=DUMPER, sort_keys=False, allow_unicode=True)
    with contextlib.suppress(Mistakes):
        topology = loads(text, read_topology)
        assert set(topology.simulations) == {link.name for link in topology.links if link.pairs is None}


def test_the_example_of_the_documentation_is_a_file_that_holds() -> None:
    page = (TOPOLOGIES.parent / "docs" / "topologies.md").read_text()
    (example,) = [part.split("```")[0] for part in page.split("```yaml\n")[1:]]
    assert [link.name for link in loads(example, read_topology).links] == ["a-b"]


def test_the_documentation_names_every_field() -> None:
    page = (TOPOLOGIES.parent / "docs" / "topologies.md").read_text()
    empty_node, empty_link = (
        "nodes: [{x: 1, interfaces: [{x: 1}]}]",
        "links: [{x: 1, settings: {x: 1}, simulation: {x: 1}}, "
        "{kind: ENTANGLEMENT, entanglement: {x: 1, options: [{x: 1}]}}, "
        "{kind: ENTANGLEMENT, entanglement: {x: 1, derive: single-click, arm_efficiencies: []}}]",
    )
    empty_node = empty_node.replace("[{x: 1}]}]", "[{x: 1}], entanglement: {x: 1}}]")
    mistakes = told(f"x: 1\n{empty_node}\n{empty_link}\n")
    fields = {
        field for line in mistakes if "known here: " in line for field in line.split("known here: ")[1].split(", ")
    }
    assert len(fields) > 40
    assert {field for field in fields if f"`{field}`" not in page} <= {"node", "interface"}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_simulated_block_is_as_promised_at_the_expected_errors_and_shrinks_with_more(name: str) -> None:
    for simulation in shipped(name).simulations.values():
        assert simulation.secret_bit_at(simulation.qber_mean) == simulation.block_secret_bit
        drifted = [simulation.secret_bit_at(simulation.qber_mean + step * 0.005) for step in range(30)]
        assert drifted == sorted(drifted, reverse=True)
        assert drifted[1] < drifted[0]
        assert drifted[-1] == 0
        assert simulation.secret_bit_at(0.0) > simulation.block_secret_bit


def test_a_given_rate_at_errors_that_leave_no_key_is_all_or_nothing() -> None:
    simulation = loads(changed(("qber: {value: 0.02", "qber: {value: 0.105")), read_topology).simulations["a-b"]
    assert [simulation.secret_bit_at(qber) for qber in (0.02, 0.105, 0.106)] == [5000, 5000, 0]
