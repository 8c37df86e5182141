"""Which story the demonstration tells of a network, and between which nodes."""

from pathlib import Path

import pytest

from controller.cli.demo import story_of
from controller.cli.demo_pairs import PairStory
from controller.cli.demo_relay import RelayStory
from controller.config.topology_file import load_topology

TOPOLOGIES = Path(__file__).parents[3] / "topologies"
NAMES = sorted(file.stem for file in TOPOLOGIES.glob("*.yaml") if file.stem != "profiles")


@pytest.mark.parametrize("name", NAMES)
def test_a_network_with_links_of_pairs_is_shown_with_pairs_and_any_other_with_keys(name: str) -> None:
    topology = load_topology(TOPOLOGIES / f"{name}.yaml")
    story = story_of(topology)
    pairs = any(link.pairs is not None for link in topology.links)
    assert isinstance(story, PairStory if pairs else RelayStory)
    nodes = {node.name: node for node in topology.nodes}
    assert story.source != story.target
    if pairs:
        assert all(nodes[end].pairs is not None for end in (story.source, story.target))


def test_pairs_end_at_the_cities_of_the_mixed_network_which_key_links_join_too() -> None:
    story = story_of(load_topology(TOPOLOGIES / "mixed.yaml"))
    assert isinstance(story, PairStory)
    assert (story.source, story.target) == ("city-east", "city-west")
    assert story.makes_key
    chain = story_of(load_topology(TOPOLOGIES / "delft-eindhoven.yaml"))
    assert isinstance(chain, PairStory)
    assert (chain.source, chain.target) == ("delft", "eindhoven")
    assert not chain.makes_key


def test_an_outcome_holds_if_pairs_came_and_keys_are_equal() -> None:
    outcome = {"paths_active": 1, "delivered_rate_hz": 12.0}
    assert PairStory.held(outcome)
    assert PairStory.held({**outcome, "keys_equal": True})
    assert not PairStory.held({**outcome, "keys_equal": False})
    assert not PairStory.held({**outcome, "delivered_rate_hz": 0.0})
