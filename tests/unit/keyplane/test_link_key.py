"""Blocks, marks, cession, floor and time to live of a link's key."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.events import AlarmKind, BlockFinished, LinkFigures
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind
from southbound.agent.keyplane.messages import BlockCession, Chunk, Message
from tests.support.keyplane_world import Relay, Wire, World, line, settings_of, world_of

WIRES = line(1)
LINK, ENDS = WIRES[0].link, WIRES[0].ends
GREEDY = Relay("r", "n00", WIRES, high_bit=1 << 24, low_bit=1 << 24, forward_share=1.0)


def link_of(world: World, node: str) -> LinkFigures:
    plane = world.sites[node].plane
    assert plane is not None
    return plane.figures().links[0]


def ledgers(world: World) -> dict[str, list[LedgerEntry]]:
    return {name: site.ledger for name, site in world.sites.items()}


def kinds(world: World, node: str) -> list[LedgerKind]:
    return [entry.kind for entry in world.sites[node].ledger]


def test_a_block_counts_when_both_ends_hold_it_and_have_compared_it() -> None:
    world = world_of(WIRES, [])
    world.handle("n00", BlockFinished(now_s=0, link=LINK, block=0, key=bytes(range(256)), measured=0.01))
    world.settle()
    assert link_of(world, "n00").stored_bit == 0

    world.handle("n01", BlockFinished(now_s=0, link=LINK, block=0, key=bytes(range(256)), measured=0.01))
    world.settle()
    assert {link_of(world, node).blocks for node in ENDS} == {1}
    assert link_of(world, "n00").stored_bit == link_of(world, "n01").stored_bit > 1000


def test_ends_that_got_different_bits_keep_none_and_say_so() -> None:
    world = world_of(WIRES, [])
    for node, fill in zip(ENDS, (b"a", b"b"), strict=True):
        world.handle(node, BlockFinished(now_s=0, link=LINK, block=0, key=fill * 1000, measured=0.01))
    world.settle()

    assert {link_of(world, node).stored_bit for node in ENDS} == {0}
    assert any((AlarmKind.BLOCK_MISMATCH, f"links/{LINK}") in world.sites[node].alarms for node in ENDS)
    assert all(table == "link" for node in ENDS for table, _ in world.sites[node].disk)


@pytest.mark.parametrize("measured", [0.12, float("nan")])
def test_a_disturbed_block_yields_no_key_but_what_is_stored_stays_usable(measured: float) -> None:
    world = world_of(WIRES, [])
    world.distil(LINK, ENDS)
    world.settle()
    stored_bit = link_of(world, "n00").stored_bit

    world.distil(LINK, ENDS, measured=measured)
    world.settle()
    assert link_of(world, "n00").stored_bit == stored_bit
    assert "undetermined" in world.sites["n00"].alarms[AlarmKind.BLOCK_DISTURBED, f"links/{LINK}"]

    world.distil(LINK, ENDS)
    world.settle()
    assert link_of(world, "n00").stored_bit > stored_bit
    assert not world.sites["n00"].alarms


def test_one_way_traffic_gets_nearly_all_key_by_cession() -> None:
    world = world_of(WIRES, [GREEDY])
    for _ in range(40):
        world.distil(LINK, ENDS, 16384)
        world.run(5)
    world.run(60)

    figures = link_of(world, "n00")
    made_bit = 40 * (16384 - 384)
    assert figures.consumed_bit > 0.9 * made_bit
    assert LedgerKind.CESSION in kinds(world, "n00") + kinds(world, "n01")
    assert audit(ledgers(world)) == []


def test_relays_never_draw_below_the_floor() -> None:
    world = world_of(
        WIRES, [GREEDY, Relay("s", "n01", WIRES, high_bit=1 << 24, low_bit=1 << 24)], authentication_floor_bit=20_000
    )
    for _ in range(8):
        world.distil(LINK, ENDS, 16384)
        world.run(10)
    world.run(100)

    assert 20_000 <= link_of(world, "n00").stored_bit < 60_000
    assert link_of(world, "n00").stored_bit - link_of(world, "n00").usable_bit == 20_000


def test_key_is_erased_when_its_time_ends() -> None:
    world = world_of(WIRES, [], key_ttl_s=100.0)
    world.distil(LINK, ENDS)
    world.run(99)
    assert ("block", f"{LINK}/0") in world.sites["n00"].disk

    world.run(2)
    for node in ENDS:
        assert not [table for table, _ in world.sites[node].disk if table in {"block", "mark"}]
        assert kinds(world, node)[-2:] == [LedgerKind.BURN, LedgerKind.WIPE]
        assert link_of(world, node).stored_bit == 0


def test_the_newest_blocks_can_be_set_aside() -> None:
    world = world_of(WIRES, [], quarantine_last_s=50.0)
    world.distil(LINK, ENDS)
    world.run(10)
    assert link_of(world, "n00").sendable_bit == 0
    world.run(50)
    assert link_of(world, "n00").sendable_bit > 0


def altered(message: Message) -> Message:
    assert isinstance(message, Chunk)
    return replace(message, payload=bytes([message.payload[0] ^ 1]) + message.payload[1:])


@pytest.mark.parametrize(
    "forge",
    [
        altered,
        lambda chunk: replace(chunk, route_version=chunk.route_version + 1),
        lambda chunk: replace(chunk, chunk_id=chunk.chunk_id + 1),
        lambda chunk: replace(chunk, tag=bytes(16)),
        lambda chunk: replace(chunk, relay="other"),
    ],
)
def test_a_forged_chunk_is_dropped_and_burns_nothing(forge: Callable[[Chunk], Chunk]) -> None:
    world = world_of(WIRES, [GREEDY])
    world.tamper = lambda _from, _to, message: forge(message) if isinstance(message, Chunk) else message
    for _ in range(2):
        world.distil(LINK, ENDS)
    world.settle()

    assert (AlarmKind.TAG_INVALID, f"links/{LINK}") in world.sites["n01"].alarms
    assert world.sites["n01"].running.figures().relays[0].held_bit == 0
    assert LedgerKind.BURN not in kinds(world, "n01")


def test_a_repeated_chunk_or_cession_is_refused() -> None:
    heard: list[tuple[str, str, Message]] = []

    def listen(sender: str, receiver: str, message: Message) -> Message:
        if isinstance(message, Chunk | BlockCession):
            heard.append((sender, receiver, message))
        return message

    world = world_of(WIRES, [replace(GREEDY, high_bit=8192, low_bit=4096)])
    world.tamper = listen
    for _ in range(8):
        world.distil(LINK, ENDS, 8192)
        world.settle()
    held = world.sites["n01"].running.figures().relays[0].held_bit
    assert held > 0
    for sender, receiver, message in heard:
        world.streams[frozenset((sender, receiver))][receiver].append(message)
    world.tamper = lambda _from, _to, message: message
    world.settle()

    assert world.sites["n01"].running.figures().relays[0].held_bit == held
    assert audit(ledgers(world)) == []


@pytest.mark.parametrize("victim", ENDS)
def test_a_crash_burns_at_most_a_stride_and_uses_nothing_again(victim: str) -> None:
    world = world_of(WIRES, [GREEDY], stride_bit=4096)
    for _ in range(4):
        world.distil(LINK, ENDS)
    world.connect()
    for _ in range(60):
        world.move(*world.moves()[0])
    left_bit = link_of(world, victim).stored_bit

    world.crash(victim)
    world.now_s += 1
    world.start(victim)
    assert left_bit - 2 * 4096 <= link_of(world, victim).stored_bit <= left_bit
    world.run(30)
    assert audit(ledgers(world)) == []


@pytest.mark.parametrize("all_gone", [True, False])
@pytest.mark.parametrize("victim", ENDS)
def test_a_store_from_a_backup_burns_what_may_have_been_used_since_and_raises_an_alarm(
    victim: str, all_gone: bool
) -> None:
    relays = [GREEDY, replace(GREEDY, name="back", head="n01")]
    world = world_of(WIRES, relays, stride_bit=512)
    for _ in range(4):
        world.distil(LINK, ENDS)
    world.connect()
    for _ in range(60):
        world.move(*world.moves()[0])
    backup = dict(world.sites[victim].disk)
    if all_gone:
        world.run(20)
    else:
        for _ in range(80):
            world.move(*world.moves()[0])
        assert link_of(world, victim).stored_bit > 100_000

    # when the disk is what it was some time ago
    world.crash(victim)
    world.sites[victim].disk = backup
    world.now_s += 1
    world.start(victim)
    world.run(20)

    # then nothing is used twice, somebody is told, and fresh key flows
    assert (AlarmKind.STORE_OLDER_THAN_PEER, f"links/{LINK}") in world.sites[victim].alarms
    before_bit = link_of(world, victim).consumed_bit
    for _ in range(4):
        world.distil(LINK, ENDS)
    world.run(20)
    assert link_of(world, victim).consumed_bit > before_bit + 100_000
    assert audit(ledgers(world)) == []
    # and the alarm ends with the first key that was made since
    assert AlarmKind.STORE_OLDER_THAN_PEER not in {kind for kind, _ in world.sites[victim].alarms}


def test_parallel_links_of_two_nodes_keep_their_key_apart() -> None:
    wires = (Wire("a", ("n00", "n01")), Wire("b", ("n00", "n01")))
    relays = [Relay("ra", "n00", wires[:1]), Relay("rb", "n01", wires[1:])]
    world = world_of(wires, relays)
    for wire in wires:
        for _ in range(3):
            world.distil(wire.link, wire.ends)
    world.run(30)

    assert [figures.confirmed_version for figures in world.sites["n00"].running.figures().relays] == [1, 1]
    assert audit(ledgers(world)) == []


def test_a_link_that_is_taken_away_for_a_while_keeps_its_key() -> None:
    world = world_of(WIRES, [])
    for _ in range(2):
        world.distil(LINK, ENDS)
    world.settle()
    world.configure("n00", settings_of("n00", [], []))
    world.settle()
    world.configure("n00", settings_of("n00", WIRES, []))
    world.settle()

    assert {link_of(world, node).synchronised for node in ENDS} == {True}
    assert link_of(world, "n00").stored_bit == link_of(world, "n01").stored_bit > 100_000


@pytest.mark.parametrize("first", ["n00", "n01"])
def test_a_link_that_one_end_has_before_the_other_begins_at_both(first: str) -> None:
    wires = [*WIRES, Wire("second", ENDS)]
    world = world_of(WIRES, [])
    world.settle()
    second = next(node for node in ENDS if node != first)
    for node in (first, second):  # what the first says of it, the second does not understand yet
        world.configure(node, settings_of(node, wires, []))
        world.settle()
    for node in ENDS:
        plane = world.sites[node].plane
        assert plane is not None
        assert all(figures.synchronised for figures in plane.figures().links), node
    for _ in range(3):
        world.distil("second", ENDS)
    world.settle()
    assert {figures.blocks for node in ENDS for figures in world.sites[node].running.figures().links} == {0, 3}
