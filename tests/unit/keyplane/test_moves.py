"""Changes of route, wiping on the way, and what a relay may take of a link."""

from dataclasses import replace

from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.events import AlarmKind, RouteConfirmed
from southbound.agent.keyplane.ledger import LedgerKind
from southbound.agent.keyplane.messages import Chunk, ChunkConfirm, Message
from southbound.agent.keyplane.scheduler import LinkScheduler, chunk_cost_bit
from tests.support.keyplane_world import Relay, Wire, World, line, settings_of, world_of

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
    return world


def tell(world: World, relay: Relay, nodes: str) -> None:
    for node in nodes:
        world.configure(node, settings_of(node, SQUARE, [relay]))


def test_a_move_keeps_the_stock_voids_what_is_in_flight_and_confirms_the_new_route_at_once() -> None:
    world = square(NORTH)
    world.run(30)
    stock_bit = world.sites["a"].running.figures().relays[0].available_bit
    assert stock_bit >= NORTH.low_bit

    tell(world, SOUTH, "dcba")
    world.settle()
    figures = world.sites["a"].running.figures().relays[0]
    assert figures.available_bit == stock_bit + NORTH.chunk_bit
    assert RouteConfirmed("r", 2) in world.sites["a"].confirmed
    assert figures.confirmed_version == 2


def test_chunks_of_the_old_route_are_void_at_every_node() -> None:
    world = square(NORTH)
    world.connect()
    while not any(isinstance(m, Chunk) for q in world.streams[frozenset("bd")].values() for m in q):
        world.move(*world.moves()[0])

    tell(world, SOUTH, "dcba")
    assert world.sites["a"].running.figures().relays[0].voided_bit == NORTH.chunk_bit
    world.run(60)

    stocked = [entry for entry in world.sites["d"].ledger if entry.kind is LedgerKind.CHUNK and entry.origin == "a"]
    assert {entry.route_version for entry in stocked} == {2}
    assert audit({name: site.ledger for name, site in world.sites.items()}) == []


def test_a_node_on_the_way_keeps_no_chunk_and_notes_that_it_wiped_it() -> None:
    world = square(NORTH)
    world.run(30)
    between = world.sites["b"]
    assert {table for table, _ in between.disk} <= {"link", "block", "bits", "mark"}
    passed = {entry.chunk_id for entry in between.ledger if entry.relay and entry.kind is LedgerKind.USE}
    wiped = {entry.chunk_id for entry in between.ledger if entry.relay and entry.kind is LedgerKind.WIPE}
    assert passed == wiped != set()


def test_a_chunk_that_came_out_different_is_void_at_both_ends() -> None:
    def lie(_from: str, _to: str, message: Message) -> Message:
        return replace(message, tag=bytes(16)) if isinstance(message, ChunkConfirm) else message

    world = square(NORTH)
    world.tamper = lie
    world.run(5)
    assert (AlarmKind.CHECK_FAILED, "keyRelays/r") in world.sites["a"].alarms
    assert world.sites["a"].running.figures().relays[0].available_bit == 0
    assert world.sites["d"].running.figures().relays[0].held_bit == 0


def test_a_relay_that_asks_for_everything_leaves_others_what_they_reserved() -> None:
    # given a link that makes 2 kbit/s each way: one relay wants all of it, another has reserved 400 bit/s
    wires = line(1)
    greedy = Relay("greedy", "n00", wires, low_bit=1 << 24, high_bit=1 << 24, rate_millibit_per_s=100_000)
    modest = Relay("modest", "n00", wires, low_bit=1 << 24, high_bit=1 << 24, rate_millibit_per_s=800_000)
    world = world_of(wires, [greedy, modest])
    for _ in range(30):
        world.distil("l00", wires[0].ends, 40_000)
        world.run(10)

    made = {figures.relay: figures.confirmed_bit for figures in world.sites["n00"].running.figures().relays}
    assert made["modest"] >= 0.9 * 400 * 300
    assert made["greedy"] >= 0.9 * 50 * 300


def test_what_nobody_claims_is_lent() -> None:
    wires = line(1)
    idle = Relay("idle", "n00", wires, rate_millibit_per_s=500_000)
    greedy = Relay("greedy", "n00", wires, low_bit=1 << 24, high_bit=1 << 24, rate_millibit_per_s=1000)
    world = world_of(wires, [idle, greedy])
    for _ in range(20):
        world.distil("l00", wires[0].ends, 40_000)
        world.run(10)
    made = {figures.relay: figures.confirmed_bit for figures in world.sites["n00"].running.figures().relays}
    assert made["greedy"] > 100 * 200


def test_a_bucket_is_never_drawn_for_another() -> None:
    scheduler = LinkScheduler()
    hops = [Relay(name, "n00", line(1), rate_millibit_per_s=1_000_000).hop("n00") for name in ("x", "y")]
    scheduler.configure([(hop, True, False) for hop in hops if hop is not None], 0.0)
    cost_bit = chunk_cost_bit(1024)
    claim_bit = scheduler.claims()["x", 0]
    scheduler.drew(("x", 0), int(claim_bit))

    assert not scheduler.may_draw(("x", 0), cost_bit, int(claim_bit) + cost_bit - 2)
    assert scheduler.may_draw(("x", 0), cost_bit, int(claim_bit) + cost_bit + 1)
    assert scheduler.may_draw(("y", 0), cost_bit, cost_bit)
    assert not scheduler.may_draw(("y", 0), cost_bit, cost_bit - 1)
