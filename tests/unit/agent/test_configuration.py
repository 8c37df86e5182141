"""What an update does to the configuration in force, or why it is refused."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.entries import EMPTY_DIGEST, Entry, HopRole, LinkEntry, RelayHopEntry, digest_of, entry_hash
from controller.domain.refusals import InvalidValue
from controller.domain.route import Hop
from controller.wire.entries import entry_to_bytes
from southbound.agent import configuration as rules
from southbound.agent.configuration import (
    Accepted,
    Assembly,
    Code,
    Configuration,
    Refused,
    Update,
    Upsert,
    decide,
    ended,
    restored,
)
from southbound.agent.keyplane.settings import Hop as PlaneHop


def link(name: str, neighbour: str = "b", *, floor_bit: int = 0) -> LinkEntry:
    return LinkEntry(
        link=name,
        local_interface=1,
        remote_interface=1,
        neighbour=neighbour,
        neighbour_address=f"{neighbour}:1",
        enabled=True,
        authentication_floor_bit=floor_bit,
        authentication_rate_millibit_per_s=0,
        qber_limit=0.11,
        key_ttl_s=60,
    )


def head(*, shares: int = 1) -> RelayHopEntry:
    return RelayHopEntry(
        relay="r",
        share=0,
        shares=shares,
        route_version=1,
        role=HopRole.HEAD,
        previous=None,
        next=Hop(link="l0", start="a", end="b"),
        head="a",
        far="z",
        far_address="z:9",
        rate_millibit_per_s=1000,
        forward_share=0.5,
        chunk_bit=256,
        stock_low_bit=256,
        stock_high_bit=512,
    )


def update(
    current: Configuration, *entries: Entry, deletes: tuple[str, ...] = (), remaining_s: int | None = None
) -> Update:
    contents = {entry.id: entry_to_bytes(entry) for entry in entries}
    after = {name: held.hash for name, held in current.entries.items() if name not in deletes}
    after |= {name: entry_hash(name, content) for name, content in contents.items()}
    return Update(
        nonce=1,
        version=current.version + 1,
        base_digest=current.digest,
        target_digest=digest_of(after),
        upserts=tuple(Upsert(entry_id=name, content=one, remaining_s=remaining_s) for name, one in contents.items()),
        deletes=deletes,
    )


def accepted(current: Configuration, *entries: Entry, deletes: tuple[str, ...] = ()) -> Configuration:
    decided = decide(current, update(current, *entries, deletes=deletes), "a", 0.0)
    assert isinstance(decided, Accepted), decided
    return decided.configuration


def refused(current: Configuration, wanted: Update) -> Refused:
    decided = decide(current, wanted, "a", 0.0)
    assert isinstance(decided, Refused)
    return decided


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 4), st.integers(0, 3), max_size=4), st.sets(st.integers(0, 4), max_size=3)
        ),
        max_size=6,
    )
)
def test_the_digest_that_is_kept_is_that_of_what_is_in_force(changes: list[tuple[dict[int, int], set[int]]]) -> None:
    current = Configuration()
    wanted: dict[str, LinkEntry] = {}
    for upserts, deletes in changes:
        entries = [link(f"l{number}", floor_bit=floor) for number, floor in upserts.items()]
        gone = tuple(f"links/l{number}" for number in sorted(deletes - set(upserts)))
        current = accepted(current, *entries, deletes=gone)
        wanted = {name: entry for name, entry in wanted.items() if name not in gone}
        wanted |= {entry.id: entry for entry in entries}
    assert {name: held.entry for name, held in current.entries.items()} == wanted
    assert current.digest == digest_of({name: held.hash for name, held in current.entries.items()})
    kept = [(name, held.content, held.ends_at_s) for name, held in current.entries.items()]
    assert restored(kept, current.version, "a") == current


def test_an_update_is_applied_whole_or_not_at_all() -> None:
    current = accepted(Configuration(), link("l0"))
    bad = replace(
        update(current, link("l1")),
        upserts=(*update(current, link("l1")).upserts, Upsert(entry_id="links/l2", content=b"\xff")),
    )
    assert list(refused(current, bad).entries) == ["links/l2"]


def test_another_base_is_aborted() -> None:
    status = refused(Configuration(), replace(update(Configuration(), link("l0")), base_digest=b"x" * 32)).status
    assert status is not None
    assert status.code is Code.ABORTED


@pytest.mark.parametrize(
    "wanted",
    [
        replace(update(Configuration(), link("l0")), target_digest=EMPTY_DIGEST),
        replace(update(Configuration(), link("l0")), deletes=("links/l0",)),
        replace(update(Configuration(), link("l0")), upserts=2 * update(Configuration(), link("l0")).upserts),
    ],
    ids=["target", "upsert-and-delete", "twice"],
)
def test_an_update_that_contradicts_itself_is_refused(wanted: Update) -> None:
    status = refused(Configuration(), wanted).status
    assert status is not None
    assert status.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("entries", "code", "word"),
    [
        ((link("l0", "a"),), Code.INVALID_ARGUMENT, "itself"),
        ((head(),), Code.INVALID_ARGUMENT, "l0"),
        ((link("l0", "c"), head()), Code.INVALID_ARGUMENT, "l0"),
        ((link("l0"), head(shares=17)), Code.INVALID_ARGUMENT, "shares"),
        ((link("l0"), replace(head(), chunk_bit=1 << 22)), Code.INVALID_ARGUMENT, "chunk_bit"),
        (
            (link("l0"), replace(head(), head="q", next=Hop(link="l0", start="q", end="a"))),
            Code.INVALID_ARGUMENT,
            "node q",
        ),
    ],
    ids=["self", "no-link", "other-neighbour", "shares", "chunk", "other-node"],
)
def test_an_entry_that_cannot_be_served_is_named(entries: tuple[Entry, ...], code: Code, word: str) -> None:
    (status,) = refused(Configuration(), update(Configuration(), *entries)).entries.values()
    assert status.code is code
    assert word in status.message


def test_the_key_plane_is_told_everything_that_can_be_served() -> None:
    current = accepted(Configuration(), link("l0"), head())
    told = rules.settings(current)
    assert [setting.link for setting in told.links] == ["l0"]
    assert [(hop.relay, hop.next, hop.previous) for hop in told.relays] == [("r", PlaneHop(link="l0", node="b"), None)]
    assert rules.peer_addresses(current) == {"b": "b:1", "z": "z:9"}
    assert set(rules.end_hops(current)) == {"r"}

    without = accepted(current, deletes=("links/l0",))
    assert rules.settings(without).relays == ()


def test_entries_with_a_lifetime_end_by_themselves_and_others_stay() -> None:
    decided = decide(Configuration(), update(Configuration(), link("l0"), remaining_s=10), "a", 100.0)
    assert isinstance(decided, Accepted)
    current = accepted(decided.configuration, link("l1"))

    assert ended(current, 109.9) is None
    over = ended(current, 110.0)
    assert over is not None
    assert over.deletes == {"links/l0"}
    assert list(over.configuration.entries) == ["links/l1"]
    assert over.configuration.digest == accepted(Configuration(), link("l1")).digest


def part(number: int, parts: int, *, nonce: int = 1) -> Update:
    upserts = (Upsert(entry_id=f"e{number}", content=b"x"),)
    return Update(
        nonce=nonce, version=1, base_digest=b"b", target_digest=b"t", upserts=upserts, part=number, parts=parts
    )


def test_parts_in_order_make_one_update() -> None:
    assembly = Assembly()
    assert assembly.take(part(0, 3)) is None
    assert assembly.take(part(1, 3)) is None
    whole = assembly.take(part(2, 3))
    assert isinstance(whole, Update)
    assert [one.entry_id for one in whole.upserts] == ["e0", "e1", "e2"]


@pytest.mark.parametrize(
    "parts",
    [
        [part(1, 2)],
        [part(0, 3), part(2, 3)],
        [part(0, 2), part(1, 2, nonce=2)],
        [part(0, 2), part(1, 3)],
        [part(2, 2)],
        [part(0, 0)],
    ],
    ids=["no-first", "gap", "other-nonce", "other-count", "beyond", "none"],
)
def test_parts_that_do_not_fit_are_refused_and_the_next_update_is_not_hurt(parts: list[Update]) -> None:
    assembly = Assembly()
    assert isinstance([assembly.take(one) for one in parts][-1], Refused)
    assert isinstance(assembly.take(part(0, 1)), Update)


def test_an_update_beyond_what_memory_should_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_UPDATE_BYTES", 100)
    assembly = Assembly()
    assembly.take(part(0, 9))
    taken = assembly.take(part(1, 9))
    assert isinstance(taken, Refused)
    assert taken.status is not None
    assert taken.status.code is Code.RESOURCE_EXHAUSTED


def test_a_kept_entry_that_no_longer_holds_is_told() -> None:
    with pytest.raises(InvalidValue):
        restored([("links/l0", b"\xff", None)], 1, "a")
