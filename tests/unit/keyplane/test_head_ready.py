"""The tail of a route originates nothing before the head, told last, has said that it has the route too."""

from dataclasses import replace

import pytest

from southbound.agent.keyplane.events import RouteConfirmed
from southbound.agent.keyplane.messages import Chunk, HeadReady, Message
from tests.support.keyplane_world import Relay, Wire, World, settings_of, world_of

SQUARE = (
    Wire("ab", ("a", "b")),
    Wire("bd", ("b", "d")),
    Wire("ac", ("a", "c")),
    Wire("cd", ("c", "d")),
)
NORTH = Relay("r", "a", SQUARE[:2])
SOUTH = replace(NORTH, wires=SQUARE[2:], version=2)


def square(relay: Relay) -> World:
    world = world_of(SQUARE, [relay])
    for wire in SQUARE:
        for _ in range(4):
            world.distil(wire.link, wire.ends)
    world.run(30)
    return world


def listen(world: World) -> list[tuple[str, Message]]:
    """Return a list that fills with every message that is sent, by sender."""
    heard: list[tuple[str, Message]] = []

    def hear(sender: str, _receiver: str, message: Message) -> Message:
        heard.append((sender, message))
        return message

    world.tamper = hear
    return heard


def tell(world: World, relay: Relay, nodes: str) -> None:
    for node in nodes:
        world.configure(node, settings_of(node, SQUARE, [relay]))


def chunks_of(heard: list[tuple[str, Message]], version: int) -> list[tuple[str, Chunk]]:
    return [(who, each) for who, each in heard if isinstance(each, Chunk) and each.route_version == version]


def confirmed_at(world: World, version: int) -> set[str]:
    return {name for name, site in world.sites.items() if RouteConfirmed("r", version) in site.confirmed}


def test_the_tail_waits_for_the_head_and_both_directions_then_confirm_without_a_pause() -> None:
    world = square(NORTH)
    heard = listen(world)
    tell(world, SOUTH, "dcb")
    world.run(7)
    assert chunks_of(heard, 2) == []

    tell(world, SOUTH, "a")
    world.settle()  # no time passes
    assert confirmed_at(world, 2) == {"a", "d"}
    assert world.sites["a"].running.figures().relays[0].voided_bit == 0
    assert world.sites["d"].running.figures().relays[0].voided_bit == 0


def test_a_route_that_is_taken_down_first_is_waited_for_too() -> None:
    world = square(NORTH)
    heard = listen(world)
    for node in "da":
        world.configure(node, replace(settings_of(node, SQUARE, [NORTH]), relays=()))
    world.run(2)
    tell(world, SOUTH, "dcb")
    world.run(2)
    assert chunks_of(heard, 2) == []
    tell(world, SOUTH, "a")
    world.settle()
    assert confirmed_at(world, 2) == {"a", "d"}


def test_a_head_that_was_told_first_does_not_have_to_say_it_again() -> None:
    world = square(NORTH)
    tell(world, SOUTH, "acb")
    world.run(3)
    tell(world, SOUTH, "d")
    world.settle()
    assert "d" in confirmed_at(world, 2)
    world.run(10)
    assert confirmed_at(world, 2) == {"a", "d"}


@pytest.mark.parametrize(("forward_share", "origins"), [(0.0, {"d"}), (1.0, {"a"})])
def test_a_route_that_carries_key_one_way_only_confirms_at_that_origin(forward_share: float, origins: set[str]) -> None:
    world = square(replace(NORTH, forward_share=forward_share))
    south = replace(SOUTH, forward_share=forward_share)
    tell(world, south, "dcb")
    world.run(5)
    tell(world, south, "a")
    world.settle()
    assert confirmed_at(world, 2) == origins


@pytest.mark.parametrize("node", "ad")
def test_an_end_that_restarts_is_told_again(node: str) -> None:
    world = square(NORTH)
    tell(world, SOUTH, "dcb")
    world.run(1)
    world.crash(node)
    world.run(1)
    world.start(node)
    world.connect()
    world.run(1)
    assert confirmed_at(world, 2) == set()
    tell(world, SOUTH, "a")
    world.settle()
    assert confirmed_at(world, 2) == {"a", "d"}

    heard = listen(world)
    world.crash(node)
    world.start(node)
    world.connect()
    world.settle()
    assert ("a", HeadReady("r", 2)) in heard


def test_what_the_head_told_does_not_outlive_the_stream() -> None:
    world = square(NORTH)
    tell(world, SOUTH, "dcb")
    world.settle()
    world.cut_off.add(frozenset("ad"))
    world.drop_stream("a", "d")
    heard = listen(world)
    tell(world, SOUTH, "a")
    world.run(3)
    assert chunks_of(heard, 2) == []
    world.cut_off.clear()
    world.connect()
    world.settle()
    assert confirmed_at(world, 2) == {"a", "d"}


def test_a_tail_that_begins_to_know_the_relay_late_learns_of_the_head() -> None:
    world = World()
    world.add(*"abcd")
    other = Relay("s", "a", SOUTH.wires)
    for node in "abcd":
        world.configure(node, settings_of(node, SQUARE, [other] if node == "d" else [other, NORTH]))
    for wire in SQUARE:
        for _ in range(4):
            world.distil(wire.link, wire.ends)
    world.run(1)
    world.configure("d", settings_of("d", SQUARE, [other, NORTH]))
    world.settle()
    assert "d" in confirmed_at(world, 1)
