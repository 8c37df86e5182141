"""What an attack or an unlucky order of events must not get out of the key plane."""

import random
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.events import AlarmKind, Received
from southbound.agent.keyplane.ledger import LedgerKind
from southbound.agent.keyplane.messages import (
    Assign,
    BlockCompare,
    Chunk,
    KeyCut,
    Message,
    StockMark,
    StockState,
)
from southbound.agent.keyplane.settings import Settings
from tests.support.keyplane_world import Relay, Wire, World, line, settings_of, world_of

WIRES = line(1)
LINK, ENDS = WIRES[0].link, WIRES[0].ends
RELAY = Relay("r", "n00", WIRES)


def listen(world: World) -> list[tuple[str, Message]]:
    """Return a list that fills with every message that is sent, by sender."""
    heard: list[tuple[str, Message]] = []

    def hear(sender: str, _receiver: str, message: Message) -> Message:
        heard.append((sender, message))
        return message

    world.tamper = hear
    return heard


def count_again(world: World, node: str) -> dict[str, int]:
    """Return what is stored for each direction of a node's links, counted block by block."""
    found: dict[str, int] = {}
    for pools in world.sites[node].running._pools.values():
        for sender in (pools.node, pools.neighbour):
            found[f"{pools.link}/{sender}"] = sum(
                block.left_bit for block in pools.blocks.values() if block.compared and pools.sender(block) == sender
            )
    return found


def link_stored_bit(world: World, node: str) -> int:
    return world.sites[node].running.figures().links[0].stored_bit


def counted(world: World, node: str) -> dict[str, int]:
    return {
        f"{pools.link}/{sender}": pools.left_bit(sender)
        for pools in world.sites[node].running._pools.values()
        for sender in (pools.node, pools.neighbour)
    }


def lose_the_comparison(world: World) -> None:
    """Let n00 compare a block and send with it, and n01 die before it is durable that it compared it, too."""
    world.distil(LINK, ENDS)
    while world.moves():
        sender, receiver = world.moves()[0]
        queue = world.streams[frozenset(ENDS)][receiver]
        crash = "before" if receiver == "n01" and isinstance(queue[0], BlockCompare) else ""
        world.move(sender, receiver, crash=crash)
        if crash:
            break
    world.run(5)


def test_a_link_that_is_taken_away_and_set_again_masks_no_second_hash_with_the_same_bits() -> None:
    world = world_of(WIRES, [RELAY])
    heard = listen(world)
    lose_the_comparison(world)
    world.configure("n00", Settings())
    world.configure("n00", settings_of("n00", WIRES, [RELAY]))
    world.start("n01")
    world.run(30)

    tags: dict[tuple[str, int], set[bytes]] = {}
    for sender, message in heard:
        if isinstance(message, BlockCompare):
            tags.setdefault((sender, message.block), set()).add(message.tag)
    assert {key: len(each) for key, each in tags.items()} == {("n00", 0): 1, ("n01", 0): 1}
    assert link_stored_bit(world, "n01") > 0


def test_key_of_a_link_that_is_not_set_any_more_is_erased_when_its_time_ends() -> None:
    world = world_of(WIRES, [], key_ttl_s=100.0)
    world.distil(LINK, ENDS)
    world.run(10)
    world.configure("n00", Settings())
    world.run(80)
    assert ("block", f"{LINK}/0") in world.sites["n00"].disk

    world.run(20)
    assert not [table for table, _ in world.sites["n00"].disk if table in {"block", "bits", "mark"}]
    assert world.sites["n00"].ledger[-1].kind is LedgerKind.WIPE


def test_key_of_a_link_that_is_not_set_any_more_is_erased_also_after_a_restart() -> None:
    world = world_of(WIRES, [], key_ttl_s=100.0)
    world.distil(LINK, ENDS)
    world.run(10)
    world.crash("n00")
    world.sites["n00"].settings = Settings()
    world.start("n00")
    world.run(100)
    assert not [table for table, _ in world.sites["n00"].disk if table in {"block", "bits", "mark"}]


def test_a_mark_that_comes_before_a_block_was_compared_leaves_the_accounts_right() -> None:
    world = world_of(WIRES, [replace(RELAY, forward_share=1.0)])
    lose_the_comparison(world)
    world.start("n01")
    world.run(30)

    for node in ENDS:
        assert counted(world, node) == count_again(world, node)


def test_a_backup_from_before_a_block_was_ceded_to_us_burns_what_it_could_send_with() -> None:
    # given that n01 takes over a block of n00's and sends with it, and was copied before that
    back = Relay("r", "n01", WIRES, forward_share=1.0, high_bit=1 << 17, low_bit=1 << 17)
    world = world_of(WIRES, [], stride_bit=1 << 20)
    for _ in range(8):
        world.distil(LINK, ENDS, 16384)
    world.settle()
    backup = dict(world.sites["n01"].disk)
    ceded: list[int] = []
    lost: list[Chunk] = []
    losing = False

    def tamper(sender: str, _receiver: str, message: Message) -> Message | None:
        nonlocal losing
        if isinstance(message, Chunk) and sender == "n01":
            blocks = {each.block for each in message.ranges}
            if any(block % 2 == 0 for block in blocks):
                if losing:
                    lost.append(message)
                    return None
                ceded.extend(blocks)
                losing = True
        return message

    world.tamper = tamper
    for node in ENDS:
        world.configure(node, settings_of(node, WIRES, [back]))
    world.run(5)
    assert ceded
    assert lost

    # when that copy comes back
    world.crash("n01")
    world.sites["n01"].disk = backup
    world.tamper = lambda _sender, _receiver, message: message
    heard = listen(world)
    world.start("n01")
    world.run(60)

    # then nothing is sent with what was sent and lost
    gone = [(each.block, each.offset_bit, each.length_bit) for message in lost for each in message.ranges]
    for sender, message in heard:
        if sender == "n01" and isinstance(message, Chunk):
            for used in message.ranges:
                assert not any(
                    used.block == block and used.offset_bit < at + length and at < used.offset_bit + used.length_bit
                    for block, at, length in gone
                )
    assert (AlarmKind.STORE_OLDER_THAN_PEER, f"links/{LINK}") in world.sites["n01"].alarms


def test_used_key_leaves_the_disk_before_its_block_is_used_up() -> None:
    relay = replace(RELAY, high_bit=1 << 15, low_bit=1 << 15, forward_share=1.0)
    world = world_of(WIRES, [], stride_bit=8192)
    for _ in range(2):
        world.distil(LINK, ENDS)
    world.settle()
    for node in ENDS:
        world.configure(node, settings_of(node, WIRES, [relay]))
    world.run(60)

    for node in ENDS:
        site = world.sites[node]
        assert ("block", f"{LINK}/0") in site.disk
        left = [name for table, name in site.disk if table == "bits" and name.startswith(f"{LINK}/0/")]
        assert 0 < len(left) <= 4
        assert f"{LINK}/0/{384 + 7 * 8192}" in left
        # and what is left still serves after a restart
        world.crash(node)
        world.start(node)
    world.distil(LINK, ENDS)
    world.run(60)
    assert audit({name: site.ledger for name, site in world.sites.items()}) == []
    assert not any(site.alarms for site in world.sites.values())


def test_keys_without_bits_are_not_bound() -> None:
    world = world_of(WIRES, [RELAY])
    world.distil(LINK, ENDS)
    world.run(5)
    heard = listen(world)
    empty = Assign("r", "r", 99, RELAY.sae("n00"), (RELAY.sae("n01"),), (KeyCut("x", ()),))
    world.handle("n01", Received(now_s=world.now_s, node="n00", message=empty))
    (answer,) = [message for sender, message in heard if sender == "n01"]
    assert getattr(answer, "accepted", None) is False


def test_a_far_end_that_claims_more_than_a_chunk_holds_leaves_the_accounts_right() -> None:
    world = world_of(WIRES, [RELAY])
    world.distil(LINK, ENDS)
    world.distil(LINK, ENDS)
    world.run(30)
    plane = world.sites["n00"].running
    stock = plane._stocks["r"]
    marks = tuple(StockMark(chunk.chunk_id, 1 << 40, chunk.tag) for chunk in stock.own.values())
    assert marks
    world.handle("n00", Received(now_s=world.now_s, node="n01", message=StockState("r", True, marks)))
    assert stock.available_bit == sum(chunk.left_bit for chunk in stock.own.values() if chunk.confirmed)


def test_a_link_of_the_same_name_to_another_node_begins_a_session_of_its_own() -> None:
    wires = [Wire("l", ("a", "b"))]
    world = world_of(wires, [])
    world.add("c")
    plane = world.sites["a"].running
    before = plane._links["l"].session
    moved = [Wire("l", ("a", "c"))]
    for node in ("a", "b", "c"):
        world.configure(node, settings_of(node, moved, []))
    world.settle()
    assert plane._links["l"].session > before


# ------------------------------------------------------------------ whatever a peer says

_NAMES = ("", "r", LINK, "n00", "n01", RELAY.sae("n00"), RELAY.sae("n01"))
_NUMBERS = (0, 1, 2, 8, 128, 384, 512, 1024, (1 << 32) - 1, (1 << 63) - 1, (1 << 64) - 1)


def odd(cls: Any, chance: random.Random, seen: list[Message]) -> Any:
    """Return a message of a class with fields by chance, some of them from messages that were really sent."""
    hints = get_type_hints(cls)
    like = [message for message in seen if type(message) is cls]
    if like and chance.random() < 0.7:
        message = chance.choice(like)
        name = chance.choice([each.name for each in fields(cls)])
        return replace(message, **{name: _value(hints[name], chance, seen)})
    return cls(**{each.name: _value(hints[each.name], chance, seen) for each in fields(cls)})


def _value(kind: Any, chance: random.Random, seen: list[Message]) -> Any:
    if kind is bool:
        return chance.random() < 0.5
    if kind is int:
        return chance.choice(_NUMBERS)
    if kind is str:
        return chance.choice(_NAMES)
    if kind is bytes:
        return chance.randbytes(chance.choice((0, 1, 16, 17, 160)))
    if is_dataclass(kind):
        return odd(kind, chance, seen)
    (item, _) = get_args(kind)
    return tuple(_value(item, chance, seen) for _ in range(chance.randint(0, 3)))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_message_of_a_peer_however_odd_stops_an_agent_or_spoils_its_accounts(seed: int) -> None:
    chance = random.Random(seed)
    world = world_of(WIRES, [RELAY], seed=seed)
    heard = listen(world)
    for _ in range(3):
        world.distil(LINK, ENDS)
        world.run(3)
    for _ in range(60):
        message = odd(chance.choice(get_args(Message)), chance, [message for _, message in heard[-200:]])
        world.handle("n01", Received(now_s=world.now_s, node="n00", message=message))
        if chance.random() < 0.3:
            world.run(1)
    world.run(40)
    assert counted(world, "n01") == count_again(world, "n01")
    assert min(counted(world, "n01").values()) >= 0
    own = {"n01": world.sites["n01"].ledger}
    assert [fault for fault in audit(own) if "twice" in fault] == []
