"""The joined ledgers show every breach; nothing that is printed shows a key."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from southbound.agent.keyplane.audit import Spans, audit
from southbound.agent.keyplane.events import BlockFinished, DeliveredKey, Entropy, Record
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind, Purpose
from southbound.agent.keyplane.messages import Chunk, PoolRange
from tests.support.keyplane_world import Relay, World, line, world_of

Ledgers = dict[str, list[LedgerEntry]]
WIRES = line(2)
RELAY = Relay("r", "n00", WIRES)


@pytest.fixture(scope="module")
def world() -> World:
    world = world_of(WIRES, [RELAY])
    for wire in WIRES:
        for _ in range(4):
            world.distil(wire.link, wire.ends)
    world.run(30)
    asked = world.ask("n00", RELAY.sae("n00"), RELAY.sae("n02"), 2)
    world.settle()
    ids = [each.key_id for each in world.answers[asked].keys]
    world.fetch("n02", RELAY.sae("n02"), RELAY.sae("n00"), ids)
    return world


def first(ledger: list[LedgerEntry], fits: Callable[[LedgerEntry], bool]) -> int:
    return next(at for at, entry in enumerate(ledger) if fits(entry))


def sent_chunk(entry: LedgerEntry) -> bool:
    return entry.purpose is Purpose.CHUNK and entry.sent and entry.origin == "n00"


def used_twice(ledgers: Ledgers) -> None:
    ledgers["n00"].append(ledgers["n00"][first(ledgers["n00"], sent_chunk)])


def used_by_the_receiver_alone(ledgers: Ledgers) -> None:
    del ledgers["n00"][first(ledgers["n00"], sent_chunk)]


def sent_with_by_both(ledgers: Ledgers) -> None:
    at = first(ledgers["n01"], lambda entry: entry.purpose is Purpose.CHUNK and not entry.sent)
    ledgers["n01"][at] = replace(ledgers["n01"][at], sent=True)


def passed_over_without_burning(ledgers: Ledgers) -> None:
    del ledgers["n01"][first(ledgers["n01"], lambda entry: entry.purpose is Purpose.CHUNK and not entry.sent)]


def handed_out_twice(ledgers: Ledgers) -> None:
    ledgers["n02"].append(ledgers["n02"][first(ledgers["n02"], lambda entry: entry.kind is LedgerKind.KEY)])


def cut_otherwise(ledgers: Ledgers) -> None:
    at = first(ledgers["n02"], lambda entry: entry.kind is LedgerKind.CUT)
    ledgers["n02"][at] = replace(ledgers["n02"][at], offset_bit=ledgers["n02"][at].offset_bit + 8)


def never_paid(ledgers: Ledgers) -> None:
    ledgers["n01"] = [entry for entry in ledgers["n01"] if not sent_chunk(entry)]
    ledgers["n02"] = [entry for entry in ledgers["n02"] if entry.purpose is not Purpose.CHUNK]


@pytest.mark.parametrize(
    ("breach", "words"),
    [
        (used_twice, "was used or burnt before"),
        (used_by_the_receiver_alone, "never sent"),
        (sent_with_by_both, "which the other end sent with, too"),
        (passed_over_without_burning, "without burning"),
        (handed_out_twice, "was handed out before"),
        (cut_otherwise, "not cut alike"),
        (never_paid, "no paid way"),
    ],
)
def test_the_audit_finds_every_breach(world: World, breach: Callable[[Ledgers], None], words: str) -> None:
    ledgers = {name: list(site.ledger) for name, site in world.sites.items()}
    assert audit(ledgers) == []
    breach(ledgers)
    assert words in "\n".join(audit(ledgers))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=12), st.integers(0, 60), st.integers(0, 20))
def test_spans_are_sets_of_bits(ranges: list[tuple[int, int]], start: int, length: int) -> None:
    spans, bits = Spans(), set[int]()
    for at, size in ranges:
        spans.add(at, at + size)
        bits |= set(range(at, at + size))
    asked = set(range(start, start + length))
    assert spans.overlap(start, start + length) == len(asked & bits)
    assert spans.covers(start, start + length) == (asked <= bits)
    assert spans.top == max(bits, default=-1) + 1


def test_nothing_that_is_printed_shows_a_key() -> None:
    secret = b"QKEYQKEYQKEYQKEY"
    values = [
        BlockFinished(now_s=0, link="l", block=1, key=secret, measured=0.0),
        Entropy(now_s=0, data=secret),
        Record("block", "l/1", "{}", secret),
        DeliveredKey("id", secret),
        Chunk("l", 1, "r", 1, 0, 1, True, 1, (PoolRange(1, 0, 8),), secret, secret),
    ]
    assert not [value for value in values if "QKEY" in repr(value)]


def test_neither_ledger_nor_record_names_hold_key_material(world: World) -> None:
    for site in world.sites.values():
        secrets = {record.secret for record in site.disk.values() if record.secret}
        text = repr(site.ledger) + "".join(record.meta for record in site.disk.values())
        assert not [secret for secret in secrets if secret.hex() in text or repr(secret) in text]


@given(st.lists(st.integers(0, 400), min_size=3, max_size=3))
def test_ledgers_of_which_old_lines_were_left_out_can_still_be_joined(world: World, cuts: list[int]) -> None:
    ledgers: Ledgers = {}
    for (name, site), count in zip(world.sites.items(), cuts, strict=True):
        old, ledgers[name] = site.ledger[:count], list(site.ledger[count:])
        blocks = {entry.link: entry for entry in sorted(old, key=lambda entry: entry.block) if entry.link}
        chunks = {entry.relay: entry for entry in sorted(old, key=lambda entry: entry.chunk_id) if not entry.link}
        origins = {(entry.relay, entry.origin): entry for entry in old if not entry.link}
        closed = [replace(entry, kind=LedgerKind.CLOSED) for entry in blocks.values()]
        closed += [
            replace(origins[key], kind=LedgerKind.CLOSED, chunk_id=chunks[key[0]].chunk_id) for key in sorted(origins)
        ]
        ledgers[name][:0] = closed
    assert audit(ledgers) == []
    used_twice(ledgers) if any(map(sent_chunk, ledgers["n00"])) else None
    assert bool(audit(ledgers)) is any(map(sent_chunk, ledgers["n00"]))
