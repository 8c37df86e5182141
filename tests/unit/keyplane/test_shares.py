"""Several shares: no node but the ends knows a key, and none can change one unseen."""

import random
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.chunks import end_to_end_tag
from southbound.agent.keyplane.events import AlarmKind, RelayFigures
from southbound.agent.keyplane.gf128 import bind, detecting, multiply
from southbound.agent.keyplane.ledger import LedgerKind
from southbound.agent.keyplane.messages import Chunk, Message
from southbound.agent.keyplane.shares import PARTIALS_KEPT, SeenIds, split, together
from tests.support.keyplane_world import Relay, Wire, World, settings_of

TRIPLE = tuple(Wire(f"{end}{way}", tuple(sorted((end, way)))) for way in "bcd" for end in "az")  # type: ignore[arg-type]
WAYS = (TRIPLE[0:2], TRIPLE[2:4], TRIPLE[4:6])
TWO = Relay("r", "a", WAYS[0], (WAYS[1],), low_bit=1 << 20, high_bit=1 << 20)
ONE = replace(TWO, more=(), low_bit=8192, high_bit=8192)
ENDS = "az"


def triple(*relays: Relay, seed: int = 0, blocks: int = 4, liar: str = "", lie: bytes = b"") -> World:
    world = World(seed)
    if liar:
        world.liars[liar] = lambda payload: bytes(a ^ b for a, b in zip(payload, lie.ljust(len(payload), b"\0")))  # noqa: B905
    world.add(*"abcdz")
    tell(world, "abcdz", *relays)
    world.settle()
    for wire in TRIPLE:
        for _ in range(blocks):
            world.distil(wire.link, wire.ends)
    return world


def tell(world: World, nodes: str, *relays: Relay) -> None:
    for node in nodes:
        world.configure(node, settings_of(node, TRIPLE, relays))


def at(world: World, node: str) -> RelayFigures:
    return world.sites[node].running.figures().relays[0]


def stocks(world: World, node: str, which: str) -> dict[int, bytes]:
    stock = world.sites[node].running._stocks["r"]
    return {chunk.chunk_id: chunk.key for chunk in getattr(stock, which).values() if chunk.confirmed}


def ledgers_hold(world: World) -> None:
    assert audit({name: site.ledger for name, site in world.sites.items()}) == []


@given(st.binary(min_size=1, max_size=40), st.integers(1, 5), st.randoms())
def test_shares_make_the_payload_and_all_but_one_are_chance_alone(
    payload: bytes, count: int, chance: random.Random
) -> None:
    bits = chance.randbytes(len(payload) * (count - 1))
    shares = split(payload, bits)
    assert len(shares) == count
    assert b"".join(shares[:-1]) == bits
    assert together(shares) == payload


@pytest.mark.parametrize("more", [(WAYS[1],), (WAYS[1], WAYS[2])])
def test_both_ends_hold_the_same_key_and_no_node_between_had_it(more: tuple[tuple[Wire, ...], ...]) -> None:
    relay = replace(TWO, more=more, low_bit=8192, high_bit=8192)
    world = triple(relay)
    world.run(30)
    for origin, far in (("a", "z"), ("z", "a")):
        assert stocks(world, origin, "own") == stocks(world, far, "held") != {}
    chunks = [entry for entry in world.sites["a"].ledger if entry.kind is LedgerKind.CHUNK]
    assert {entry.count for entry in chunks} == {1 + len(more)}
    assert at(world, "a").voided_bit == 0
    ledgers_hold(world)


def test_nothing_is_sent_while_a_share_is_missing() -> None:
    world = triple()
    for node in "abcdz":
        whole = settings_of(node, TRIPLE, [TWO])
        world.configure(node, replace(whole, relays=tuple(hop for hop in whole.relays if hop.share == 0)))
    world.run(5)
    assert at(world, "a").versions == ()
    assert not [entry for entry in world.sites["a"].ledger if entry.relay]


@given(seed=st.integers(0, 2**32), liar=st.sampled_from("bc"), lie=st.binary(min_size=1, max_size=160).filter(any))
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_lying_relay_never_gets_a_changed_key_accepted(seed: int, liar: str, lie: bytes) -> None:
    relay = replace(TWO, low_bit=8192, high_bit=8192)
    world = triple(relay, seed=seed, blocks=2, liar=liar, lie=lie)
    world.run(20)
    # A change of the check alone, by what leaves its tag as it was, cannot be had but by chance.
    for origin, far in (("a", "z"), ("z", "a")):
        assert stocks(world, origin, "own") == {}
        assert stocks(world, far, "held") == {}
        text = world.sites[origin].alarms[AlarmKind.CHECK_FAILED, "keyRelays/r"]
        assert "route version 1" in text
        for way in "bc":
            assert f"links/{origin}{way} to {way}" in text
    ledgers_hold(world)


def test_one_share_that_stands_still_fills_nobodys_memory() -> None:
    world = triple(TWO, blocks=12)
    world.run(1)
    held_up: list[Message] = []

    def hold_up(sender: str, _receiver: str, message: Message) -> Message | None:
        if sender == "c" and isinstance(message, Chunk):
            held_up.append(message)
            return None
        return message

    world.tamper = hold_up
    most = 0
    for _ in range(30):
        for wire in TRIPLE[:4]:
            world.distil(wire.link, wire.ends)
        world.run(2)
        for node in ENDS:
            stock = world.sites[node].running._stocks["r"]
            most = max(most, len(stock._partials), len(stock._in_flight))
            for traffic in world.sites[node].running._forwarder._traffic.values():
                assert all(len(queue) <= PARTIALS_KEPT for queue in traffic.transit.values())
    assert held_up
    assert 0 < most <= PARTIALS_KEPT
    world.tamper = lambda _sender, _receiver, message: message
    tell(world, "abcdz")
    world.run(60)
    wiped = {entry.chunk_id for entry in world.sites["z"].ledger if entry.kind is LedgerKind.WIPE and entry.relay}
    assert wiped
    ledgers_hold(world)


def test_shares_of_two_versions_never_meet() -> None:
    # The same two nodes carry the shares of both versions, the other way round.
    world = triple(TWO, replace(TWO, wires=WAYS[1], more=(WAYS[0],), version=2))
    dropped = {1: 0, 2: 1}

    def lose(_sender: str, receiver: str, message: Message) -> Message | None:
        if isinstance(message, Chunk) and receiver in ENDS and message.share == dropped[message.route_version]:
            return None
        return message

    world.tamper = lose
    world.run(40)
    for node in ENDS:
        assert at(world, node).held_bit == at(world, node).available_bit == 0


def test_when_more_shares_are_asked_for_what_was_made_of_fewer_is_void() -> None:
    world = triple(ONE)
    world.run(20)
    assert at(world, "a").available_bit
    assert at(world, "z").held_bit
    two = replace(TWO, version=2, low_bit=8192, high_bit=8192)
    tell(world, "zcb", ONE, two)
    world.settle()
    assert at(world, "a").available_bit
    tell(world, "a", replace(ONE, passive=True), two)
    assert at(world, "a").available_bit == at(world, "a").held_bit == 0
    world.settle()
    for node in ENDS:
        assert stocks(world, node, "own")
        kept = world.sites[node].running._stocks["r"]
        assert {chunk.shares for chunk in (*kept.own.values(), *kept.held.values())} == {2}
    world.run(5)
    ledgers_hold(world)


def test_ids_come_once_by_each_version_and_never_once_they_are_void() -> None:
    seen = SeenIds()
    seen.add(10, 1)
    assert not seen.stands(10)
    assert seen.twin(10, 2)
    assert not seen.twin(10, 1)
    assert seen.stands(9)
    seen.void(11)
    assert not seen.stands(11)
    assert not seen.twin(11, 2)
    for number in range(100, 1000):
        seen.add(number, 1)
    assert not seen.stands(9)
    assert not seen.twin(10, 2)


# ------------------------------------------------------------------ the check against chosen differences


@given(key=st.binary(max_size=70), check=st.binary(min_size=32, max_size=32), chunk_id=st.integers(0, 2**63))
def test_the_check_is_a_polynomial_of_odd_degree_two_above_the_key(key: bytes, check: bytes, chunk_id: int) -> None:
    content = bind("r", chunk_id) + key
    blocks = [content[at : at + 16].ljust(16, b"\0") for at in range(0, len(content), 16)]
    message = detecting(content)
    lead = len(message) // 16 - len(content) // 16
    coefficients = [1] + [0] * (lead - 1) + [int.from_bytes(block, "big") for block in blocks] + [len(message)]
    degree = len(coefficients)
    assert degree % 2 == 1
    assert degree >= len(blocks) + 1 + 2  # the key's, that of the length, and a gap
    point, value = int.from_bytes(check[:16], "big"), 0
    for coefficient in coefficients:
        value = multiply(value ^ coefficient, point)
    tag = value ^ int.from_bytes(check[16:], "big")
    assert end_to_end_tag(relay="r", chunk_id=chunk_id, key=key, check=check) == tag.to_bytes(16, "big")


def small_product(left: int, right: int) -> int:
    """Multiply in GF(2^4), x^4 = x + 1."""
    product_ = 0
    for bit in range(4):
        if right >> bit & 1:
            product_ ^= left << bit
    for bit in (6, 5, 4):
        if product_ >> bit & 1:
            product_ ^= 0b10011 << (bit - 4)
    return product_


def small_power(point: int, exponent: int) -> int:
    """Raise to a power in GF(2^4)."""
    power = 1
    for _ in range(exponent):
        power = small_product(power, point)
    return power


def test_in_a_small_field_no_choice_of_differences_passes_more_often_than_the_bound() -> None:
    # x^5 + s x^2 + 3 x: one block of key and that of the length, as `detecting` would lead them
    table = [
        [
            small_power(point, 5) ^ small_product(key, small_power(point, 2)) ^ small_product(3, point)
            for key in range(16)
        ]
        for point in range(16)
    ]
    for key, change, shift in product(range(16), range(1, 16), range(16)):
        points = [0] * 16
        for point in range(16):
            points[table[point ^ shift][key ^ change] ^ table[point][key]] += 1
        assert max(points) <= 4  # whatever is done to the mask


def test_in_a_small_field_an_even_leading_exponent_would_let_a_change_pass_whatever_the_hash_key() -> None:
    # x^6 + t x^4 + s x^2: who shifts the hash key by e changes t by e^2, s by e^4 and the mask by e^6
    for shift, point in product(range(1, 16), range(16)):
        power = {exponent: small_power(point ^ shift, exponent) for exponent in (2, 4, 6)}
        forged = power[6]
        for changed, exponent in ((2, 4), (4, 2)):
            forged ^= small_product(small_power(shift, changed), power[exponent])
        mask = forged ^ small_power(point, 6)
        at_zero = small_power(shift, 6)
        for changed, exponent in ((2, 4), (4, 2)):
            at_zero ^= small_product(small_power(shift, changed), small_power(shift, exponent))
        assert mask == at_zero


def test_ids_that_a_relay_made_up_stop_nothing_that_comes_without_it() -> None:
    seen = SeenIds()
    for number in range(300):
        seen.add(2**63 + number, 1)
        seen.void(2**63 + number)
    seen.add(2**63 + 300, 2)
    assert not seen.stands(5_000_000)
    seen.forget_versions_but([2], [])
    assert seen.stands(5_000_000)
    assert not seen.stands(2**63 + 300)
    for number in range(20):
        seen.add(5_000_000 + number, 2)
        assert not seen.stands(5_000_000 + number)
        assert seen.twin(5_000_000 + number, 3)
