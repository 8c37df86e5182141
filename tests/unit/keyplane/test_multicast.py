"""One key for slaves at several nodes: the same at all of them, or void at all of them; and nothing is used twice."""

from copy import deepcopy
from dataclasses import replace

import pytest

from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.events import AlarmKind, Answer
from southbound.agent.keyplane.ledger import LedgerKind
from southbound.agent.keyplane.messages import Assign, Assigned, KeyCut, KeyVoid, KeyVoided, Message
from tests.support.keyplane_world import Relay, World
from tests.support.multicast_world import App, asked, fill, multicast_world, relays_between, star, told

WIRES = star(("b", "c", "d"), hub="a")
NODES = ("a", "b", "c", "d")
APP = App("app", {"a": ("alice", "anna"), "b": ("bob", "bert"), "c": ("carol",), "d": ("dave",)})
RELAYS = relays_between(NODES, WIRES)
NOT_FOUND = "one or more keys specified are not found on KME"


@pytest.fixture(scope="module")
def filled() -> World:
    world = multicast_world(WIRES, RELAYS, [APP])
    fill(world, WIRES)
    return world


@pytest.fixture
def world(filled: World) -> World:
    return deepcopy(filled)


def fetch(world: World, node: str, slave: str, *key_ids: str, master: str = "alice") -> Answer:
    answer = world.answers[world.fetch(node, slave, master, key_ids)]
    world.settle()
    return answer


def available(world: World, node: str) -> dict[str, int]:
    return {one.relay: one.available_bit for one in world.sites[node].running.figures().relays}


def bound(world: World) -> list[str]:
    return [
        f"{name}:{key}"
        for name, site in world.sites.items()
        for (table, key), record in site.disk.items()
        if table == "key" and '"BOUND"' in record.meta
    ]


def assert_accounts_hold(world: World) -> None:
    assert audit({name: site.ledger for name, site in world.sites.items()}) == []


def freeze_stocks(world: World) -> None:
    """Let nothing refill the stocks any more."""
    world.tamper = lambda _from, _to, message: (
        message if isinstance(message, Assign | Assigned | KeyVoid | KeyVoided) else None
    )


def test_every_slave_gets_the_same_key_once_wherever_it_is(world: World) -> None:
    one, two = asked(world, "a", "alice", "bob", "carol", "bert", number=2, size_bit=512).keys
    assert len(one.key) == 64
    assert one.key != two.key
    for node, slave in (("b", "bob"), ("b", "bert"), ("c", "carol")):
        assert fetch(world, node, slave, one.key_id, two.key_id).keys == (one, two)
        again = fetch(world, node, slave, one.key_id)
        assert again.status == 400
    assert bound(world) == []
    assert_accounts_hold(world)


def test_slaves_at_one_far_node_cost_what_one_slave_costs(world: World) -> None:
    freeze_stocks(world)
    before = available(world, "a")
    (key,) = asked(world, "a", "alice", "bob", "bert").keys
    assert available(world, "a") == before | {"a-b": before["a-b"] - 256}
    assert fetch(world, "b", "bert", key.key_id).keys == (key,)
    assert fetch(world, "b", "bob", key.key_id).keys == (key,)
    assert_accounts_hold(world)


def test_slaves_at_several_nodes_cost_the_key_and_a_tag_with_each_of_them(world: World) -> None:
    freeze_stocks(world)
    before = available(world, "a")
    assert asked(world, "a", "alice", "bob", "carol", number=3, size_bit=128).status == 200
    cost = 3 * (128 + 256)
    assert available(world, "a") == before | {relay: before[relay] - cost for relay in ("a-b", "a-c")}


def test_the_key_is_no_part_of_what_was_relayed(world: World) -> None:
    sent: list[KeyCut] = []

    def hear(_from: str, _to: str, message: Message) -> Message:
        if isinstance(message, Assign):
            sent.extend(message.keys)
        return message

    world.tamper = hear
    (key,) = asked(world, "a", "alice", "bob", "carol").keys
    assert len(sent) == 2
    assert key.key not in {each.wrapped for each in sent}
    assert sent[0].wrapped != sent[1].wrapped
    assert key.key.hex() not in repr(sent)
    stocked = [record.secret for site in world.sites.values() for record in site.disk.values() if record.secret]
    assert [key.key in secret for secret in stocked].count(True) == 2  # bound at b and at c, and nowhere else


def test_status_says_how_many_further_slaves_there_may_be(world: World) -> None:
    for node, master, slave, count in (("a", "alice", "bob", 3), ("b", "bob", "carol", 3), ("c", "carol", "dave", 4)):
        status = world.sites[node].running.status(master, slave)
        assert status is not None
        assert status.max_sae_id_count == count


@pytest.mark.parametrize(
    ("slaves", "words"),
    [
        (("bob", "nobody"), "with all of bob and nobody"),
        (("bob", "carol", "nobody"), "with all of bob and nobody"),
        (("bob", "anna"), "slave anna is served by a, as its master is"),
    ],
)
def test_a_slave_that_the_application_does_not_have_elsewhere_is_400_and_nothing_is_consumed(
    world: World, slaves: tuple[str, ...], words: str
) -> None:
    freeze_stocks(world)
    before = available(world, "a")
    answer = asked(world, "a", "alice", *slaves)
    assert answer.status == 400
    assert words in answer.message
    assert available(world, "a") == before
    assert bound(world) == []


def test_slaves_of_two_applications_do_not_get_one_key(world: World) -> None:
    apps = [App("one", {"a": ("alice",), "b": ("bob",)}), App("two", {"a": ("alice",), "c": ("carol",)})]
    for name in NODES:
        world.configure(name, told(name, WIRES, RELAYS, apps))
    world.settle()
    answer = asked(world, "a", "alice", "bob", "carol")
    assert answer.status == 400
    assert "with all of bob and carol" in answer.message
    assert asked(world, "a", "alice", "carol").status == 200


def test_too_little_with_one_far_node_refuses_all_and_consumes_nothing(world: World) -> None:
    freeze_stocks(world)
    while available(world, "a")["a-c"] >= 4096:
        assert asked(world, "a", "alice", "carol", size_bit=4096).status == 200
    before = available(world, "a")
    answer = asked(world, "a", "alice", "bob", "carol", size_bit=4096)
    assert answer.status == 503
    assert answer.message == "not enough key: 1 asked for, 0 of that size in stock with c"
    assert available(world, "a") == before


@pytest.mark.parametrize("away", ["b", "c"])
def test_with_one_far_node_away_all_is_refused(world: World, away: str) -> None:
    world.drop_stream("a", away)
    before = available(world, "a")
    answer = world.answers[world.ask("a", "alice", "bob", more_slaves=("carol",))]
    assert (answer.status, answer.message) == (503, f"the key management entity {away} is not connected")
    assert available(world, "a") == before


@pytest.mark.parametrize("lost", [Assign, Assigned])
@pytest.mark.parametrize("at", ["b", "c"])
def test_what_one_far_node_did_not_bind_in_time_is_void_at_all_of_them(
    world: World, lost: type[Message], at: str
) -> None:
    world.tamper = lambda sender, receiver, message: (
        None if isinstance(message, lost) and at in {sender, receiver} else message
    )
    request = world.ask("a", "alice", "bob", 2, None, ("carol", "dave"))
    world.run(6)
    assert world.answers[request].status == 503
    assert bound(world) == []
    assert not [record for record in world.sites["a"].disk.values() if '"VOID"' in record.meta]
    world.tamper = lambda _from, _to, message: message
    assert asked(world, "a", "alice", "bob", "carol", "dave").status == 200
    assert_accounts_hold(world)


def test_the_void_is_told_to_each_far_node_until_all_have_answered(world: World) -> None:
    """The word to one of them is lost: it hears it again on its next stream, the other's answer does not end it."""
    world.tamper = lambda sender, receiver, message: (
        None
        if (isinstance(message, Assigned) and sender == "c") or (isinstance(message, KeyVoid) and receiver == "b")
        else message
    )
    world.ask("a", "alice", "bob", more_slaves=("carol",))
    world.run(6)
    assert [name[0] for name in bound(world)] == ["b"]
    world.tamper = lambda _from, _to, message: message
    # also where the origin starts anew meanwhile
    world.crash("a")
    world.start("a")
    world.settle()
    assert bound(world) == []
    assert not [record for record in world.sites["a"].disk.values() if '"VOID"' in record.meta]


class Tamper:
    """Changes one bit of the first key that is assigned to c."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __call__(self, _from: str, to: str, message: Message) -> Message:
        if not isinstance(message, Assign) or to != "c":
            return message
        first, *rest = message.keys
        wrapped, tag = bytearray(first.wrapped), bytearray(first.tag)
        (wrapped if self.what == "wrapped" else tag)[-1] ^= 1
        return replace(message, keys=(replace(first, wrapped=bytes(wrapped), tag=bytes(tag)), *rest))


@pytest.mark.parametrize("what", ["wrapped", "tag"])
def test_a_wrapped_key_that_was_tampered_with_is_refused_by_its_node_and_void_at_all(world: World, what: str) -> None:
    world.tamper = Tamper(what)
    answer = asked(world, "a", "alice", "bob", "carol", number=2)
    assert answer.status == 503
    assert "c did not accept the keys" in answer.message
    assert (AlarmKind.TAG_INVALID, "keyRelays/a-c") in world.sites["c"].alarms
    assert bound(world) == []
    world.tamper = lambda _from, _to, message: message
    (key,) = asked(world, "a", "alice", "bob", "carol").keys
    assert fetch(world, "c", "carol", key.key_id).keys == (key,)
    assert_accounts_hold(world)


@pytest.mark.parametrize(
    "swap",
    [
        lambda keys: (replace(keys[0], key_id=keys[1].key_id), replace(keys[1], key_id=keys[0].key_id)),
        lambda keys: (replace(keys[0], wrapped=keys[1].wrapped), replace(keys[1], wrapped=keys[0].wrapped)),
        lambda keys: (replace(keys[0], wrapped=keys[0].wrapped[:-1]), keys[1]),
        lambda keys: (replace(keys[0], wrapped=b""), keys[1]),
        lambda keys: (replace(keys[0], cuts=keys[0].cuts[:-1]), keys[1]),
    ],
)
def test_wrapped_keys_cannot_be_exchanged_cut_short_or_passed_off_as_plain(world: World, swap: object) -> None:
    assert callable(swap)

    def change(_from: str, to: str, message: Message) -> Message:
        return replace(message, keys=swap(message.keys)) if isinstance(message, Assign) and to == "c" else message

    world.tamper = change
    assert asked(world, "a", "alice", "bob", "carol", number=2).status == 503
    assert bound(world) == []


@pytest.mark.parametrize("victim", ["a", "b", "c"])
@pytest.mark.parametrize("crash", ["before", "after"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_crash_at_any_point_leaves_all_or_nothing(world: World, victim: str, crash: str, step: int) -> None:
    """Whoever dies with the nth message: the master has no key that a slave misses, no slave one that is in vain."""
    request = world.ask("a", "alice", "bob", more_slaves=("carol",))
    heard = 0
    while world.sites[victim].plane is not None and (moves := world.moves()):
        sender, receiver = moves[heard % len(moves)]
        heard += receiver == victim
        world.move(sender, receiver, crash=crash if heard == step else "")
    world.now_s += 1
    if world.sites[victim].plane is None:
        world.start(victim)
    world.run(10)
    answer = world.answers.get(request)
    if answer is not None and answer.status == 200:
        (key,) = answer.keys
        for node, slave in (("b", "bob"), ("c", "carol")):
            assert fetch(world, node, slave, key.key_id).keys == (key,)
    elif answer is not None:
        assert bound(world) == []
    else:
        # The answer died with the origin: both hold the key until its time ends, or neither does.
        assert len(bound(world)) in {0, 2}
    assert_accounts_hold(world)


def test_a_key_ends_at_all_nodes_when_its_time_does_whoever_has_fetched_it(world: World) -> None:
    (key,) = asked(world, "a", "alice", "bob", "carol").keys
    assert fetch(world, "b", "bob", key.key_id).status == 200
    world.run(APP.ttl_s + 1)
    refused = fetch(world, "c", "carol", key.key_id)
    assert (refused.status, refused.message) == (400, NOT_FOUND)
    for node in ("a", "c"):
        wiped = [one for one in world.sites[node].ledger if one.kind is LedgerKind.WIPE and one.key_id == key.key_id]
        assert len(wiped) == 1
        assert not [name for name in world.sites[node].disk if name == ("key", key.key_id)]


def test_relays_of_an_application_may_share_links(world: World) -> None:
    """b to c and d lie over the same link to a: keys for both still differ from each other and agree at their ends."""
    (key,) = asked(world, "b", "bert", "dave", "carol").keys
    for node, slave in (("c", "carol"), ("d", "dave")):
        assert fetch(world, node, slave, key.key_id, master="bert").keys == (key,)
    assert_accounts_hold(world)


def test_a_relay_of_its_own_is_needed_to_each_node(world: World) -> None:
    relays: list[Relay] = [relay for relay in RELAYS if relay.name != "a-c"]
    for name in NODES:
        world.configure(name, told(name, WIRES, relays, [APP]))
    world.settle()
    answer = asked(world, "a", "alice", "bob", "carol")
    assert answer.status == 400
    assert asked(world, "a", "alice", "bob", "dave").status == 200
