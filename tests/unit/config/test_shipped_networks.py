"""The shipped networks are as large, as long and as shaped as what is published of them."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx
import pytest

from controller.cli.demo_processes import HISTORY_MAX_BIT, history_s
from controller.config.topology_file import TopologyFile, load_topology
from controller.domain.link import Basis, Establishment, Link
from controller.domain.node import Capability
from southbound.agent.drivers import simulated

TOPOLOGIES = Path(__file__).parents[3] / "topologies"
NEW = ["beijing-shanghai", "cn-qcn", "czqci", "hefei-46", "madqci"]


@pytest.fixture(scope="module")
def networks() -> dict[str, TopologyFile]:
    return {name: load_topology(TOPOLOGIES / f"{name}.yaml") for name in NEW}


def established(topology: TopologyFile) -> list[Link]:
    return [link for link in topology.links if link.establishment is Establishment.ESTABLISHED]


def graph(topology: TopologyFile) -> Any:
    """Return the graph of what carries key: nodes without an interface make none."""
    found: Any = networkx.MultiGraph()
    found.add_nodes_from(node.name for node in topology.nodes if node.interfaces)
    found.add_edges_from((*link.nodes, link.name) for link in established(topology))
    return found


def kilometres(links: list[Link]) -> float:
    return sum(link.length_km or 0.0 for link in links)


def skr_bases(links: list[Link]) -> set[Basis]:
    return {link.provenance["model_skr_millibit_per_s"].basis for link in links}


@pytest.mark.parametrize("name", NEW)
def test_all_that_makes_key_is_joined(networks: dict[str, TopologyFile], name: str) -> None:
    assert networkx.is_connected(graph(networks[name]))


@pytest.mark.parametrize("name", NEW)
def test_no_rate_counts_as_measured_where_none_was_published(networks: dict[str, TopologyFile], name: str) -> None:
    assert Basis.MEASURED not in skr_bases(list(networks[name].links))


def test_hefei_has_3_relays_and_3_switches_with_the_published_users(networks: dict[str, TopologyFile]) -> None:
    hefei = networks["hefei-46"]
    assert len(hefei.nodes) == 46
    kinds = Counter(node.name.partition("-")[0] for node in hefei.nodes)
    assert kinds == {"relay": 3, "switch": 3, "user": 27, "guest": 13}
    at = Counter(node.name[:6] for node in hefei.nodes if node.name[0] in "ug")
    assert [at[f"user-{n}"] for n in (1, 2, 3)] == [12, 5, 10]
    guests = Counter(node.name[:7] for node in hefei.nodes if node.name.startswith("guest"))
    assert [guests[f"guest-{n}"] for n in (1, 2, 3)] == [5, 2, 6]
    assert {node.name for node in hefei.nodes if Capability.KEY_RELAY in node.capabilities} == {
        "relay-1",
        "relay-2",
        "relay-3",
    }
    possible = [link for link in hefei.links if link.establishment is Establishment.POSSIBLE]
    assert len(possible) == 10 + 1 + 15  # every two users of a switch
    assert all(a.startswith("guest") and b.startswith("guest") for a, b in (link.nodes for link in possible))


def test_beijing_shanghai_is_a_chain_of_32_relays_with_135_links_over_2032_km(
    networks: dict[str, TopologyFile],
) -> None:
    found = networks["beijing-shanghai"]
    assert len(found.nodes) == 109
    chain = {node.name for node in found.nodes if node.name.startswith("relay-")}
    chain |= {"beijing", "jinan", "hefei", "shanghai"}
    backbone = [link for link in found.links if set(link.nodes) <= chain]
    assert (len(chain), len(backbone)) == (32, 135)
    spans = {link.nodes: link.length_km for link in backbone}
    assert len(spans) == 31
    assert sum(length or 0.0 for length in spans.values()) == pytest.approx(2032, abs=0.1)
    simple: Any = networkx.Graph(list(spans))
    assert sorted(degree for _, degree in simple.degree()) == [1, 1, *[2] * 30]
    assert sum(node.name.startswith("jinan-") for node in found.nodes) == 50
    assert networkx.is_tree(networkx.Graph(graph(found)))


def test_cn_qcn_has_145_backbone_nodes_on_two_rings_with_144_links_over_10103_km(
    networks: dict[str, TopologyFile],
) -> None:
    found = networks["cn-qcn"]
    outer = {node.name for node in found.nodes if node.name.endswith(("-metro", "-ground"))}
    backbone = [link for link in found.links if "-span-" in link.name]
    assert len(found.nodes) - len(outer) == 145
    assert sum(node.capabilities == {Capability.KEY_RELAY} for node in found.nodes) == 104
    assert (len(backbone), round(kilometres(backbone))) == (144, 10_103)
    assert Counter(name.rpartition("-")[2] for name in outer) == {"metro": 20, "ground": 6}
    assert len(networkx.cycle_basis(networkx.Graph(graph(found)))) == 2
    # The relayed rates that are published.
    assert all(8_000_000 <= link.model_skr_millibit_per_s <= 25_000_000 for link in backbone)


def test_czqci_has_the_published_lengths_and_losses(networks: dict[str, TopologyFile]) -> None:
    found = networks["czqci"]
    lines = {"prague": (304, 70), "ostrava": (257, 62)}
    spans = {end: [link for link in found.links if len(link.nodes) == 2 and _on(link, end)] for end in lines}
    for end, (length, loss) in lines.items():
        assert len(spans[end]) == 3
        assert kilometres(spans[end]) == pytest.approx(length, abs=0.01)
        assert sum(link.loss_db or 0.0 for link in spans[end]) == pytest.approx(loss, abs=0.01)
        assert all(85 <= (link.length_km or 0.0) <= 102 for link in spans[end])
    border = next(link for link in found.links if "cieszyn" in link.nodes)
    assert (border.length_km, border.expected_qber) == (75, 0.0219)
    assert border.provenance["expected_qber"].basis is Basis.MEASURED
    assert (len(found.nodes), len(found.links)) == (8, 7)


def _on(link: Link, end: str) -> bool:
    """Tell whether a link is on the line that ends there, on this side of the border."""
    other = {"prague": "brno", "ostrava": "brno"}[end]
    line = "-".join(sorted((end, other), reverse=end == "prague"))
    return "cieszyn" not in link.nodes and any(line in node for node in link.nodes)


def test_madqci_has_9_nodes_28_modules_two_operators_and_over_130_km(networks: dict[str, TopologyFile]) -> None:
    found = networks["madqci"]
    assert len(found.nodes) == 9
    assert sum(len(node.interfaces) for node in found.nodes) == 28
    assert {node.trust_domain for node in found.nodes} == {"operator-a", "operator-b"}
    assert 130 < kilometres(established(found)) < 140
    assert any(link.establishment is Establishment.POSSIBLE for link in found.links)


@pytest.mark.parametrize(
    ("name", "detour"),
    [("hefei-46", True), ("beijing-shanghai", True), ("cn-qcn", True), ("czqci", False), ("madqci", True)],
)
def test_a_cut_between_the_suggested_ends_has_a_detour_where_the_page_says_so(
    networks: dict[str, TopologyFile], name: str, detour: bool
) -> None:
    found = networks[name]
    assert found.suggested_ends is not None
    whole = graph(found)
    route = networkx.shortest_path(whole, *found.suggested_ends)
    around = []
    for a, b in pairwise(route):
        without = whole.copy()
        without.remove_edge(a, b)
        around.append(networkx.has_path(without, *found.suggested_ends))
    assert any(around) is detour


def test_the_demonstration_gives_large_networks_a_shorter_history_and_small_ones_the_whole(
    networks: dict[str, TopologyFile],
) -> None:
    assert HISTORY_MAX_BIT == simulated.HISTORY_MAX_BIT
    assert history_s(load_topology(TOPOLOGIES / "tokyo-2010.yaml")) == simulated.HISTORY_S
    assert history_s(networks["beijing-shanghai"]) < 120
    assert all(history_s(network) >= 30 for network in networks.values())
