"""The shipped networks that make pairs: what is published of them, and that they deliver what the page says."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from controller.config.profiles import profiles_file
from controller.config.section import load
from controller.config.topology_file import TopologyFile, load_topology
from controller.domain.link import Basis, LinkKind
from controller.domain.node import Capability
from controller.domain.pair_link import EndNodeKind, Regime
from controller.physics.lane import Lane, LaneHop, LaneNode
from controller.physics.memory_regime import LanePrediction, predict_lane
from controller.physics.pair_keys import PairKeying, expected_pair_block
from controller.physics.slot_regime import expected_lanes, lane_distribution
from controller.physics.swapping import swap_quality

TOPOLOGIES = Path(__file__).parents[3] / "topologies"
CHAIN = ["delft", "repeater-1", "repeater-2", "repeater-3", "repeater-4", "eindhoven"]
CITIES = ["city-west", "repeater-1", "repeater-2", "city-east"]


def shipped(name: str) -> TopologyFile:
    return load_topology(TOPOLOGIES / f"{name}.yaml")


def lane(topology: TopologyFile, stops: Sequence[str], option: int = 0) -> LanePrediction:
    nodes = {node.name: node.pairs for node in topology.nodes}
    links = {link.nodes: link for link in topology.links}
    hops, ends = [], []
    for a, b in pairwise(stops):
        link = links[min(a, b), max(a, b)]
        assert link.pairs is not None
        chosen = link.pairs.options[option]
        hops.append(
            LaneHop(
                success_probability=chosen.success_probability,
                attempt_period_s=link.pairs.attempt_period_s,
                werner=(4 * chosen.fidelity - 1) / 3,
                length_km=link.length_km or 0.0,
            )
        )
    for stop in stops:
        has = nodes[stop]
        assert has is not None
        assert has.coherence_s is not None
        quality = swap_quality(has.gate_quality, has.readout_quality, has.one_qubit_gate_quality)
        ends.append(LaneNode(decay_per_s=1 / has.coherence_s, swap_success=has.swap_success, swap_quality=quality))
    return predict_lane(Lane(hops=tuple(hops), nodes=tuple(ends)))


def slotted(topology: TopologyFile, stops: Sequence[str]) -> tuple[float, float]:
    """Return the rate in Hz and the fidelity of pairs over nodes whose links are of the slot regime, at full width."""
    nodes = {node.name: node.pairs for node in topology.nodes}
    links = {link.nodes: link.pairs for link in topology.links}
    models = [links[min(hop), max(hop)] for hop in pairwise(stops)]
    assert all(model is not None and model.regime is Regime.SLOT for model in models)
    successes = [model.options[0].success_probability for model in models if model is not None]
    werner = math.prod((4 * model.options[0].fidelity - 1) / 3 for model in models if model is not None)
    stations = [nodes[stop] for stop in stops[1:-1]]
    swaps = [has.swap_success for has in stations if has is not None]
    for has in stations:
        assert has is not None
        werner *= swap_quality(has.gate_quality, has.readout_quality, has.one_qubit_gate_quality)
    slot_s = max(model.attempt_period_s for model in models if model is not None)
    width = min(model.memory_pairs for model in models if model is not None)
    return expected_lanes(lane_distribution(successes, width), swaps) / slot_s, (1 + 3 * werner) / 4


def test_delft_eindhoven_has_the_measured_segments_and_assumed_hardware() -> None:
    found = shipped("delft-eindhoven")
    assert [link.length_km for link in found.links] == [14.6, 68.2, 19.1, 75.1, 49.5]
    assert [link.loss_db for link in found.links] == [5.1, 16.7, 6.2, 16.6, 12.6]
    for link in found.links:
        bases = {name: origin.basis for name, origin in link.provenance.items()}
        assert bases.pop("length_km") is bases.pop("loss_db") is Basis.MEASURED
        assert set(bases.values()) == {Basis.DERIVED}
    assert {node.name for node in found.nodes if node.pairs and node.pairs.end_node} == {"delft", "eindhoven"}


def test_a_path_over_delft_eindhoven_shows_pairs_within_seconds() -> None:
    one = lane(shipped("delft-eindhoven"), CHAIN)
    assert 3.2 < one.rate_hz < 4
    assert 0.91 < one.fidelity < 0.93


def test_the_cities_of_mixed_are_joined_by_repeaters_whose_pairs_make_key_and_by_a_trusted_exchange() -> None:
    found = shipped("mixed")
    nodes = {node.name: node for node in found.nodes}
    kinds = {link.name: link.kind for link in found.links}
    assert list(kinds.values()).count(LinkKind.ENTANGLEMENT) == 6
    for repeater in CITIES[1:-1]:
        assert nodes[repeater].capabilities == {Capability.ENTANGLEMENT}
    for city in (CITIES[0], CITIES[-1]):
        assert {Capability.KEY_RELAY, Capability.ENTANGLEMENT} <= nodes[city].capabilities
        pairs = nodes[city].pairs
        assert pairs is not None
        assert pairs.end_node is EndNodeKind.MEASURING
    qkd = {link.nodes for link in found.links if link.kind is LinkKind.QKD}
    assert {("city-west", "exchange"), ("city-east", "exchange")} <= qkd
    for way in (CITIES, ["city-west", "repeater-3", "repeater-4", "city-east"]):
        rate_hz, fidelity = slotted(found, way)
        assert rate_hz > 3000
        assert fidelity > 0.975
        keying = PairKeying(block_sifted_bit=10_240)
        block = expected_pair_block(keying, pair_rate_hz=2000, fidelity=fidelity, test_share=0.05)
        assert block.secret_bit > 1500  # what comparing it, and the tags of a first chunk, take off leaves a key
        assert block.seconds < 12


def test_the_suggested_towns_of_surfnet_get_useful_pairs() -> None:
    found = shipped("surfnet")
    assert (len(found.nodes), len(found.links)) == (53, 71)
    assert max(link.length_km or 0.0 for link in found.links) <= 80
    assert found.suggested_ends == ("delft", "groningen")
    assert sum(node.name.endswith("-relay-1") for node in found.nodes) == 3
    routes = _routes("delft", "groningen", {link.nodes for link in found.links}, most=6)
    best = max((lane(found, route) for route in routes), key=lambda one: one.rate_hz)
    assert len(routes) > 1
    assert best.rate_hz > 5
    assert best.fidelity > 0.9


def test_users_of_both_hubs_of_the_metro_star_get_pairs_in_slots() -> None:
    found = shipped("metro-star")
    links = {link.name: link.pairs for link in found.links}
    assert {model.regime for model in links.values() if model} == {Regime.SLOT}
    ways = [links[name] for name in ("hub-a-user-a-1", "hub-a-hub-b", "hub-b-user-b-1")]
    successes = [model.options[0].success_probability for model in ways if model is not None]
    assert expected_lanes(lane_distribution(successes, 4), (0.5, 0.5)) / 0.001 > 50


def test_every_figure_of_repeater_hardware_says_what_it_rests_on() -> None:
    hardware = load(TOPOLOGIES / "profiles.yaml", profiles_file).hardware
    assert set(hardware) >= {"nv-centre", "trapped-ion", "atomic-ensemble"}
    for kind in hardware.values():
        for figure in kind.figures.values():
            published = any(mark in figure.provenance.source for mark in ("(20", "PRL", "counted in"))
            assert published is (figure.provenance.basis is not Basis.ASSUMED), (kind.name, figure)


def _routes(source: str, target: str, joined: set[tuple[str, str]], *, most: int) -> list[list[str]]:
    """Return every way of at most so many nodes."""
    ways, found = [[source]], []
    while ways:
        way = ways.pop()
        if way[-1] == target:
            found.append(way)
        elif len(way) < most:
            beyond = {b if a == way[-1] else a for a, b in joined if way[-1] in (a, b)} - set(way)
            ways += [[*way, stop] for stop in beyond]
    return found
