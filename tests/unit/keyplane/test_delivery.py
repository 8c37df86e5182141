"""What applications are answered: GS QKD 014's enc_keys, dec_keys and status."""

import uuid
from dataclasses import replace

import pytest

from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.events import Answer, KeyStatus
from southbound.agent.keyplane.messages import Assign, Assigned, Message
from tests.support.keyplane_world import Relay, World, line, settings_of, world_of

WIRES = line(2)
RELAY = Relay("r", "n00", WIRES)
MASTER, SLAVE = RELAY.sae("n00"), RELAY.sae("n02")
NOT_FOUND = "one or more keys specified are not found on KME"


@pytest.fixture
def world() -> World:
    world = world_of(WIRES, [RELAY])
    for wire in WIRES:
        for _ in range(4):
            world.distil(wire.link, wire.ends)
    world.run(30)
    return world


def ask(world: World, number: int = 1, size_bit: int | None = None) -> Answer:
    request = world.ask("n00", MASTER, SLAVE, number, size_bit)
    world.settle()
    return world.answers[request]


def fetch(world: World, *key_ids: str, slave: str = SLAVE, master: str = MASTER, node: str = "n02") -> Answer:
    return world.answers[world.fetch(node, slave, master, key_ids)]


def status(world: World) -> KeyStatus:
    plane = world.sites["n00"].plane
    assert plane is not None
    found = plane.status(MASTER, SLAVE)
    assert found is not None
    return found


def test_ids_are_random_uuids_and_sizes_are_as_asked(world: World) -> None:
    answer = ask(world, 3, 512)
    assert [len(each.key) for each in answer.keys] == [64] * 3
    assert {uuid.UUID(each.key_id).version for each in answer.keys} == {4}


def test_status_says_how_many_keys_can_be_had_now(world: World) -> None:
    count = status(world).stored_key_count
    assert count > 16
    # given a stock that no key refills
    world.tamper = lambda _from, _to, message: message if isinstance(message, Assign | Assigned) else None
    while count:
        number = min(count, 16)
        assert ask(world, number).status == 200
        count -= number
        assert status(world).stored_key_count == count
    refused = ask(world)
    assert (refused.status, refused.message[:14]) == (503, "not enough key")


def test_status_is_zero_while_the_other_end_is_away(world: World) -> None:
    world.drop_stream("n00", "n02")
    assert status(world).stored_key_count == 0 < status(world).max_key_count
    assert ask_only(world).status == 503
    world.settle()
    assert status(world).stored_key_count > 0


def ask_only(world: World) -> Answer:
    return world.answers[world.ask("n00", MASTER, SLAVE)]


def test_without_an_association_the_missing_application_is_named(world: World) -> None:
    answer = world.answers[world.ask("n00", MASTER, "nobody")]
    assert answer.status == 503
    assert MASTER in answer.message
    assert "nobody" in answer.message
    assert world.sites["n00"].running.status(MASTER, "nobody") is None


@pytest.mark.parametrize(
    ("number", "size_bit", "message"),
    [
        (1, 100, "size shall be a multiple of 8"),
        (1, 8, "size 8 is not in 64 to 4096 bit"),
        (1, 8192, "size 8192 is not in"),
        (0, None, "number 0 is not in 1 to 16"),
        (17, None, "number 17 is not in"),
    ],
)
def test_a_bad_size_or_number_is_400(world: World, number: int, size_bit: int | None, message: str) -> None:
    before = status(world)
    answer = ask(world, number, size_bit)
    assert answer.status == 400
    assert answer.message.startswith(message)
    assert status(world) == before


def test_each_end_counts_what_it_handed_out(world: World) -> None:
    def delivered_bit() -> list[int]:
        return [
            sum(relay.delivered_bit for relay in world.sites[end].running.figures().relays) for end in ("n00", "n02")
        ]

    (key,) = ask(world, 1, 512).keys
    assert delivered_bit() == [512, 0]
    fetch(world, key.key_id)
    assert delivered_bit() == [512, 512]


def test_a_key_is_fetched_once(world: World) -> None:
    (key,) = ask(world).keys
    assert fetch(world, key.key_id).keys == (key,)
    again = fetch(world, key.key_id)
    assert (again.status, again.message) == (400, NOT_FOUND)


def test_one_unknown_or_taken_id_refuses_the_whole_request_and_consumes_nothing(world: World) -> None:
    one, two = ask(world, 2).keys
    assert fetch(world, one.key_id, str(uuid.UUID(int=1))).status == 400
    assert fetch(world, one.key_id, one.key_id).status == 400
    assert fetch(world, two.key_id).status == 200
    assert fetch(world, one.key_id, two.key_id).status == 400
    assert fetch(world, one.key_id).keys == (one,)


def test_a_caller_that_is_no_slave_is_401_with_nothing_to_read(world: World) -> None:
    (key,) = ask(world).keys
    refused = fetch(world, key.key_id, slave="mallory")
    assert (refused.status, refused.message, refused.keys) == (401, "", ())
    assert fetch(world, str(uuid.UUID(int=1)), slave="mallory").status == 400
    assert fetch(world, key.key_id, master="mallory").status == 400
    assert fetch(world, key.key_id).status == 200


def test_a_master_that_asks_for_its_own_key_by_id_is_401(world: World) -> None:
    (key,) = ask(world).keys
    assert fetch(world, key.key_id, slave=MASTER, master=MASTER, node="n00").status == 401


@pytest.mark.parametrize("lost", [Assign, Assigned])
def test_keys_that_the_other_end_did_not_bind_in_time_are_void_for_good(world: World, lost: type[Message]) -> None:
    ids: list[str] = []

    def lose(_from: str, _to: str, message: Message) -> Message | None:
        if isinstance(message, Assign):
            ids.extend(each.key_id for each in message.keys)
        return None if isinstance(message, lost) else message

    world.tamper = lose
    request = world.ask("n00", MASTER, SLAVE, 2)
    world.run(6)
    assert world.answers[request].status == 503
    assert [fetch(world, key_id).status for key_id in ids] == [400, 400]

    world.tamper = lambda _from, _to, message: message
    assert ask(world, 2).status == 200
    assert not [record for record in world.sites["n00"].disk.values() if '"VOID"' in record.meta]


@pytest.mark.parametrize("crash", ["before", "after"])
@pytest.mark.parametrize("victim", ["n00", "n02"])
def test_a_crash_while_keys_are_bound_gives_none_out_that_only_one_end_has(
    world: World, crash: str, victim: str
) -> None:
    request = world.ask("n00", MASTER, SLAVE, 2)
    if victim == "n00":
        world.move("n00", "n02")
        world.move("n02", "n00", crash=crash)
    else:
        world.move("n00", "n02", crash=crash)
    world.now_s += 1
    world.start(victim)
    world.run(30)

    answer = world.answers.get(request)
    assert answer is None or answer.status == 503
    bound = [record for record in world.sites["n02"].disk.values() if '"BOUND"' in record.meta]
    # An answer that dies with the process is a key lost to its asker; the other end keeps it until its time ends.
    assert len(bound) == (2 if (victim, crash) == ("n00", "after") else 0)
    (key,) = ask(world).keys
    assert fetch(world, key.key_id).keys == (key,)


def test_a_key_waits_for_its_slave_until_its_time_ends_also_over_a_restart(world: World) -> None:
    early, late = ask(world, 2).keys
    world.crash("n02")
    world.now_s += 100
    world.start("n02")
    world.settle()
    assert fetch(world, early.key_id).keys == (early,)
    world.run(600)
    assert fetch(world, late.key_id).status == 400
    assert not [table for table, _ in world.sites["n02"].disk if table == "key"]


def test_no_key_is_on_the_masters_disk_once_it_is_handed_out(world: World) -> None:
    (key,) = ask(world).keys
    assert not [
        name for name, record in world.sites["n00"].disk.items() if key.key in record.secret and name[0] != "block"
    ]


def test_stock_of_an_application_without_a_route_is_still_handed_out(world: World) -> None:
    for node in ("n00", "n01", "n02"):
        told = settings_of(node, WIRES, [RELAY])
        world.configure(node, replace(told, relays=()))
    world.settle()
    (key,) = ask(world).keys
    assert fetch(world, key.key_id).keys == (key,)


def test_a_deleted_relay_leaves_no_stock(world: World) -> None:
    for node in ("n00", "n01", "n02"):
        world.configure(node, settings_of(node, WIRES, []))
    world.settle()
    for node in ("n00", "n02"):
        assert not [table for table, _ in world.sites[node].disk if table in {"own", "held"}]
    assert audit({name: site.ledger for name, site in world.sites.items()}) == []
