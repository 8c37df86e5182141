"""Versions of a relay's routes side by side: moves that lose nothing, and chunks sent on two of them at once (1+1)."""

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.events import RelayFigures
from southbound.agent.keyplane.ledger import LedgerKind
from southbound.agent.keyplane.messages import Chunk, ChunkConfirm, HeadReady, Message
from tests.support.keyplane_world import Relay, Wire, World, settings_of, world_of

SQUARE = (
    Wire("ab", ("a", "b")),
    Wire("bd", ("b", "d")),
    Wire("ac", ("a", "c")),
    Wire("cd", ("c", "d")),
)
NORTH = Relay("r", "a", SQUARE[:2], low_bit=1 << 20, high_bit=1 << 20)
SOUTH = replace(NORTH, wires=SQUARE[2:], version=2)


def square(*relays: Relay, seed: int = 0, blocks: int = 6) -> World:
    world = world_of(SQUARE, relays, seed=seed)
    for wire in SQUARE:
        for _ in range(blocks):
            world.distil(wire.link, wire.ends)
    return world


def tell(world: World, nodes: str, *relays: Relay) -> None:
    for node in nodes:
        world.configure(node, settings_of(node, SQUARE, relays))


def at(world: World, node: str) -> RelayFigures:
    return world.sites[node].running.figures().relays[0]


def ledgers_hold(world: World) -> None:
    assert audit({name: site.ledger for name, site in world.sites.items()}) == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_move_with_drain_loses_no_chunk_and_drained_is_true(seed: int) -> None:
    chance = random.Random(seed)
    world = square(NORTH, seed=seed, blocks=3)

    def go_on() -> None:
        for _ in range(chance.randint(0, 40)):
            if moves := world.moves():
                world.move(*chance.choice(moves))

    go_on()
    for node in chance.sample("bcd", 3):
        tell(world, node, NORTH, SOUTH)
        go_on()
    assert {at(world, node).route_version for node in "ad"} <= {0, 1}
    tell(world, "a", replace(NORTH, passive=True), SOUTH)
    drained: dict[str, int] = {}
    while len(drained) < 2:
        if not world.moves():
            world.run(0.5)
        for node in "ad":
            figures = at(world, node)
            if node not in drained and figures.route_version == 2 and 1 not in figures.undrained_versions:
                drained[node] = sum(entry.kind is LedgerKind.CHUNK for entry in world.sites[node].ledger)
        go_on()
    world.run(3)
    for node, count in drained.items():
        stocked = [entry for entry in world.sites[node].ledger if entry.kind is LedgerKind.CHUNK]
        assert 1 not in {entry.route_version for entry in stocked[count:] if entry.origin == node}
    tell(world, "abcd", SOUTH)
    world.run(3)
    for node in "ad":
        assert at(world, node).voided_bit == 0
        assert at(world, node).confirmed_versions == (2,)
        assert "r" in world.sites[node].changed
    ledgers_hold(world)


def test_taking_a_version_away_voids_what_is_under_way_on_it_alone() -> None:
    world = square(NORTH, SOUTH)
    for _ in range(60):
        world.move(*world.moves()[0])
    before = at(world, "a")
    tell(world, "dcba", SOUTH)
    world.run(5)
    assert at(world, "a").confirmed_bit > before.confirmed_bit
    assert at(world, "a").versions == (2,)
    ledgers_hold(world)


def test_a_passive_version_takes_and_passes_what_comes_but_originates_nothing() -> None:
    backup = replace(SOUTH, passive=True)
    world = square(NORTH, backup)
    sent: list[int] = []

    def hear(_sender: str, _receiver: str, message: Message) -> Message:
        if isinstance(message, Chunk):
            sent.append(message.route_version)
        return message

    world.tamper = hear
    world.run(5)
    assert set(sent) == {1}
    assert at(world, "a").versions == at(world, "d").versions == (1, 2)
    assert at(world, "d").undrained_versions == ()


def test_with_two_versions_in_use_chunks_go_by_both_and_count_once() -> None:
    world = square(NORTH, SOUTH)
    sent: dict[int, set[int]] = {1: set(), 2: set()}

    def hear(sender: str, _receiver: str, message: Message) -> Message:
        if isinstance(message, Chunk) and sender == "a":
            sent[message.route_version].add(message.chunk_id)
        return message

    world.tamper = hear
    world.run(3)  # the link's key is used up by then, and nothing is given up yet
    for node in "ad":
        figures = at(world, node)
        assert figures.voided_bit == 0
        assert figures.confirmed_versions == (1, 2)
    assert 0 < at(world, "a").available_bit <= at(world, "d").held_bit
    assert len(sent[1] & sent[2]) >= 0.8 * len(sent[1] | sent[2]) > 80
    ledgers_hold(world)


@pytest.mark.parametrize("cut", ["bd", "cd"])
def test_with_two_versions_in_use_key_goes_on_while_either_route_is_dead(cut: str) -> None:
    world = square(NORTH, SOUTH, blocks=8)
    world.run(2)
    world.cut_off.add(frozenset(cut))
    world.drop_stream(*cut)
    before_bit = at(world, "a").confirmed_bit
    for wire in SQUARE:
        for _ in range(6):
            world.distil(wire.link, wire.ends)
    world.run(60)
    assert at(world, "a").confirmed_bit > before_bit + 80_000
    ledgers_hold(world)


def test_a_copy_that_differs_names_its_route_and_takes_nothing_from_the_first() -> None:
    world = square(NORTH, SOUTH)

    def lie(_sender: str, _receiver: str, message: Message) -> Message:
        if isinstance(message, ChunkConfirm) and message.route_version == 2:
            return replace(message, tag=bytes(16))
        return message

    world.tamper = lie
    world.run(20)
    text = next(text for (kind, _), text in world.sites["a"].alarms.items() if kind == "CHECK_FAILED")
    assert "route version 2" in text
    assert "links/ac" in text
    assert at(world, "a").confirmed_versions == (1,)
    assert at(world, "a").available_bit > 0
    ledgers_hold(world)


def test_the_tail_hears_of_all_versions_in_use_in_one_message() -> None:
    heard: list[HeadReady] = []

    def hear(_sender: str, receiver: str, message: Message) -> Message:
        if isinstance(message, HeadReady) and receiver == "d":
            heard.append(message)
        return message

    world = square(NORTH)
    world.tamper = hear
    tell(world, "dcba", NORTH, SOUTH)
    tell(world, "a", replace(NORTH, passive=True), SOUTH)
    assert heard == [HeadReady("r", 2, (1,)), HeadReady("r", 2)]


@pytest.mark.parametrize("node", "ad")
def test_what_was_under_way_before_a_restart_is_told_until_it_is_resolved(node: str) -> None:
    world = square(NORTH)
    while not at(world, node).unconfirmed_bit:
        world.move(*world.moves()[0])
    world.crash(node)
    other = "d" if node == "a" else "a"
    world.cut_off.add(frozenset("ad"))
    both = (replace(NORTH, passive=True), SOUTH)
    world.sites[node].settings = settings_of(node, SQUARE, both)
    world.start(node)
    assert at(world, node).undrained_versions == (1,)
    world.cut_off.clear()
    world.connect()
    tell(world, other + "bc", *both)
    world.run(20)
    assert at(world, node).undrained_versions == ()
    assert 2 in at(world, node).confirmed_versions
    ledgers_hold(world)
