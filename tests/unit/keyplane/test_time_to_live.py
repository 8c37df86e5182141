"""Key ends with its time, at both ends and over restarts; no restored store gives a slave a key that it has."""

from copy import deepcopy

import pytest

from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.ledger import LedgerKind
from southbound.agent.keyplane.messages import KeyFetched
from tests.support.keyplane_world import World
from tests.support.multicast_world import App, asked, fill, multicast_world, relays_between, star, told

WIRES = star(("b", "c"), hub="a")
NODES = ("a", "b", "c")
LONG_S, SHORT_S = 1000.0, 100.0
SHORT = App("short", {"a": ("alice",), "b": ("bob", "bert"), "c": ("carol",)}, ttl_s=SHORT_S)
LONG = App("long", {"a": ("anna",), "b": ("ben",)}, ttl_s=LONG_S)
RELAYS = relays_between(NODES, WIRES)


@pytest.fixture(scope="module")
def filled() -> World:
    world = multicast_world(WIRES, RELAYS, [SHORT, LONG])
    fill(world, WIRES, seconds=10)
    return world


@pytest.fixture
def world(filled: World) -> World:
    return deepcopy(filled)


def chunks(world: World, node: str, relay: str, table: str) -> set[str]:
    return {name for kind, name in world.sites[node].disk if kind == table and name.startswith(f"{relay}/")}


def wiped(world: World, node: str, relay: str) -> set[str]:
    return {
        f"{relay}/{one.chunk_id}"
        for one in world.sites[node].ledger
        if one.kind is LedgerKind.WIPE and one.relay == relay and one.chunk_id >= 0
    }


def assert_accounts_hold(world: World) -> None:
    assert audit({name: site.ledger for name, site in world.sites.items()}) == []


def test_stock_that_nobody_takes_is_erased_at_both_ends_in_its_time_and_made_anew(world: World) -> None:
    old = chunks(world, "a", "a-c", "own")
    assert old
    assert old == chunks(world, "c", "a-c", "held")
    for wire in WIRES:
        world.distil(wire.link, wire.ends)
    world.run(SHORT_S)
    for node, table in (("a", "own"), ("c", "held")):
        assert not old & chunks(world, node, "a-c", table)
        assert old <= wiped(world, node, "a-c")
        assert chunks(world, node, "a-c", table)
    assert asked(world, "a", "alice", "carol").status == 200
    assert_accounts_hold(world)


def test_of_several_applications_the_longest_time_counts_for_the_stock(world: World) -> None:
    old = chunks(world, "a", "a-b", "own")
    world.run(LONG_S / 2)
    assert chunks(world, "a", "a-b", "own") >= old
    world.run(LONG_S / 2)
    assert not chunks(world, "a", "a-b", "own") & old


def test_the_time_counts_on_while_a_node_is_down_and_whoever_is_alone_erases_too(world: World) -> None:
    old = chunks(world, "a", "a-c", "own")
    world.crash("a")
    world.now_s += SHORT_S
    # the far end has nobody to tell it: it waits a little longer than the origin would
    world.tick("c")
    world.run(31)
    assert not chunks(world, "c", "a-c", "held") & old
    world.start("a")
    assert not chunks(world, "a", "a-c", "own") & old
    assert old <= wiped(world, "a", "a-c")
    world.settle()
    assert_accounts_hold(world)


def test_when_the_application_with_the_longer_time_goes_its_stock_ends_with_the_others(world: World) -> None:
    old = chunks(world, "a", "a-b", "own")
    world.run(SHORT_S)
    assert chunks(world, "a", "a-b", "own") >= old
    for name in NODES:
        world.configure(name, told(name, WIRES, RELAYS, [SHORT]))
    world.settle()
    assert not chunks(world, "a", "a-b", "own") & old
    assert not chunks(world, "b", "a-b", "held") & old


def test_the_origin_hears_which_slave_has_fetched_a_key_and_keeps_it_until_the_keys_time_ends(world: World) -> None:
    (key,) = asked(world, "a", "alice", "bob", "carol").keys
    world.fetch("b", "bob", "alice", [key.key_id])
    world.settle()
    meta = world.sites["a"].disk["key", key.key_id].meta
    assert '"fetched":["bob"]' in meta
    world.run(SHORT_S + 1)
    assert ("key", key.key_id) not in world.sites["a"].disk


@pytest.mark.parametrize("slaves", [("bob",), ("bob", "bert"), ("bob", "carol")])
def test_a_far_end_restored_from_a_backup_gives_no_slave_a_key_that_it_has(
    world: World, slaves: tuple[str, ...]
) -> None:
    (key,) = asked(world, "a", "alice", *slaves).keys
    backup = dict(world.sites["b"].disk)
    assert world.answers[world.fetch("b", "bob", "alice", [key.key_id])].keys == (key,)
    world.settle()
    world.crash("b")
    world.sites["b"].disk = backup
    world.start("b")
    world.settle()
    assert world.answers[world.fetch("b", "bob", "alice", [key.key_id])].status == 400
    for slave, node in (("bert", "b"), ("carol", "c")):
        if slave in slaves:
            assert world.answers[world.fetch(node, slave, "alice", [key.key_id])].keys == (key,)


def test_the_word_of_a_node_that_is_not_the_relays_other_end_ends_no_key(world: World) -> None:
    (key,) = asked(world, "a", "alice", "bob").keys
    world.streams[frozenset("ac")]["a"].append(KeyFetched("a-b", "bob", (key.key_id,)))
    world.settle()
    assert '"fetched"' not in world.sites["a"].disk["key", key.key_id].meta
    world.streams[frozenset("ab")]["b"].append(KeyFetched("a-b", "nobody", (key.key_id,)))
    world.settle()
    assert world.answers[world.fetch("b", "bob", "alice", [key.key_id])].keys == (key,)
