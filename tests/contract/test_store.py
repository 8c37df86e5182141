"""What every store keeps to, whatever it keeps things in."""

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.domain.alarm import Alarm
from controller.domain.application import Sae
from controller.domain.link import LinkCondition
from controller.domain.log import LogRecord
from controller.domain.node import Node
from controller.domain.refusals import InvalidValue
from controller.domain.snapshot import (
    NO_CHANGES,
    Changes,
    ElectionId,
    RequestRecord,
    Snapshot,
    delete,
    put,
    put_condition,
)
from controller.ports.store import NOTHING, Conflict, Store, TooOld
from controller.store.memory import Memory, MemoryStore
from controller.store.sqlite import SqliteStore
from tests.unit.wire.document_strategies import deletes, writes

ELECTION = ElectionId(epoch=1, term=1)


class Opener(Protocol):
    """Opens the store that the test is about, again and again."""

    def __call__(self, *, keep_records: int = 10_000) -> Store: ...


def memory(_: Path) -> Opener:
    kept = Memory()
    return lambda *, keep_records=10_000: MemoryStore(kept, keep_records=keep_records)


def sqlite(directory: Path) -> Opener:
    # Snapshots follow each other closely, so that these tests cross many of them.
    return lambda *, keep_records=10_000: SqliteStore(
        directory / "store.db", compact_every_records=3, keep_records=keep_records
    )


KINDS: list[Callable[[Path], Opener]] = [memory, sqlite]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    opened: Opener = request.param(tmp_path)
    return opened


@pytest.fixture
def store(opener: Opener) -> Iterator[Store]:
    opened = opener()
    yield opened
    opened.close()


def append(store: Store, changes: Changes) -> int:
    head = store.head()
    return store.commit(LogRecord(revision=head + 1, election=ELECTION, changes=changes), head)


def sae(number: int) -> Changes:
    return put(Sae(id=f"sae-{number}", node="a"))


def test_a_new_store_holds_nothing(store: Store) -> None:
    loaded = store.load()
    assert loaded.snapshot == Snapshot()
    assert (loaded.revision, store.head(), loaded.epoch) == (NOTHING, NOTHING, 1)
    assert list(store.tail(NOTHING)) == []
    assert uuid.UUID(loaded.store_id).version == 4


def test_what_is_committed_is_loaded(opener: Opener) -> None:
    store = opener()
    network = uuid.uuid4()
    alarm = Alarm(node="a", object="links/a-b", kind="LINK_DOWN")
    request = RequestRecord(caller="u", request_id="q", body_sha256="ab", resource="nodes/a", used_ms=1)
    changes = put(Node(name="a"), Sae(id="alice", node="a"), alarm, request) + put_condition(
        "a-b", LinkCondition(down_at=frozenset({"a"}))
    )
    append(store, replace(changes, service_time_ms=30_000, network=network))
    append(store, delete("saes", "alice"))
    store.close()

    store = opener()
    snapshot = store.load().snapshot
    store.close()

    assert snapshot == replace(
        Snapshot().applying(changes).applying(delete("saes", "alice")),
        revision=2,
        service_time_ms=30_000,
        network=network,
    )
    assert snapshot.connected == frozenset()


def test_a_commit_on_an_old_revision_is_told_where_the_log_is(store: Store) -> None:
    # given a store at some revision
    seen = append(store, sae(1))
    latest = append(store, sae(2))

    # when somebody commits what they decided on the older revision
    with pytest.raises(Conflict) as conflict:
        store.commit(LogRecord(revision=seen + 1, election=ELECTION, changes=sae(3)), seen)

    # then the newer record stands, and the refusal says where the log is now
    assert conflict.value.facts() == {"expected": "1", "found": "2"}
    assert store.head() == latest
    assert set(store.load().snapshot.saes) == {"sae-1", "sae-2"}


def test_a_commit_on_a_revision_that_is_not_there_yet_conflicts(store: Store) -> None:
    with pytest.raises(Conflict):
        store.commit(LogRecord(revision=6, election=ELECTION, changes=NO_CHANGES), 5)
    assert store.head() == NOTHING


def test_no_revision_is_left_out(store: Store) -> None:
    with pytest.raises(ValueError, match="revision 2 cannot follow revision 0"):
        store.commit(LogRecord(revision=2, election=ELECTION, changes=NO_CHANGES), NOTHING)
    assert store.head() == NOTHING


def test_what_cannot_be_stored_is_refused_and_nothing_is_written(store: Store) -> None:
    with pytest.raises(InvalidValue, match="nodes/a"):
        append(store, sae(1) + put(Node(name="a", location="\ud800")))
    assert store.load().snapshot == Snapshot()
    assert append(store, sae(2)) == 1


def test_a_commit_larger_than_one_entry_is_kept_whole(opener: Opener) -> None:
    noise = random.Random(3)
    store = opener()
    many = put(*(Sae(id=f"s{number}", node=f"{noise.getrandbits(240):060x}") for number in range(50_000)))
    append(store, sae(1))
    append(store, many)
    append(store, delete("saes", "s0"))
    store.close()

    store = opener()
    assert store.load().snapshot.saes.keys() == {"sae-1", *(f"s{number}" for number in range(1, 50_000))}
    assert next(store.tail(1)).changes == many
    store.close()


def test_the_tail_is_what_was_committed_since(store: Store) -> None:
    for number in range(1, 9):
        append(store, sae(number))
    tail = list(store.tail(5))
    assert tail == [LogRecord(revision=number, election=ELECTION, changes=sae(number)) for number in (6, 7, 8)]
    assert list(store.tail(8)) == []
    assert len(list(store.tail(NOTHING))) == 8


def test_the_tail_is_there_after_a_restart(opener: Opener) -> None:
    store = opener()
    for number in range(1, 9):
        append(store, sae(number))
    store.close()
    store = opener()
    assert [record.revision for record in store.tail(6)] == [7, 8]
    store.close()


def test_a_tail_that_was_cut_off_is_too_old_at_once(opener: Opener) -> None:
    store = opener(keep_records=4)
    for number in range(1, 31):
        append(store, sae(number))
    with pytest.raises(TooOld) as cut:
        store.tail(1)
    assert cut.value.head == 30
    assert 1 < cut.value.oldest <= 27
    assert [record.revision for record in store.tail(26)] == [27, 28, 29, 30]
    assert next(store.tail(cut.value.oldest - 1)).revision == cut.value.oldest
    store.close()


def test_a_tail_from_the_future_is_too_old(store: Store) -> None:
    append(store, sae(1))
    with pytest.raises(TooOld):
        store.tail(2)


def test_every_term_is_higher_than_the_one_before_even_after_a_restart(opener: Opener) -> None:
    terms = []
    for _ in range(3):
        store = opener()
        terms += [store.open_term(), store.open_term()]
        store.close()
    assert terms == sorted(set(terms))
    assert {term.epoch for term in terms} == {1}


def test_a_raised_epoch_beats_all_before_and_keeps_the_state(opener: Opener) -> None:
    store = opener()
    append(store, sae(1))
    before, election = store.load(), store.open_term()

    assert store.raise_epoch() == 2
    store.close()

    store = opener()
    after = store.load()
    assert after.snapshot == before.snapshot
    assert (after.epoch, after.store_id != before.store_id) == (2, True)
    assert store.open_term() > election
    assert store.raise_epoch(above=9) == 10
    assert store.open_term().epoch == 10
    store.close()


def test_closing_twice_is_harmless(opener: Opener) -> None:
    store = opener()
    store.close()
    store.close()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(history=st.lists(st.lists(writes | deletes, max_size=3), max_size=15), reopen_after=st.sets(st.integers(0, 14)))
def test_any_history_loads_as_it_was_applied(
    kind: Callable[[Path], Opener],
    tmp_path_factory: pytest.TempPathFactory,
    history: list[list[Any]],
    reopen_after: set[int],
) -> None:
    opener = kind(tmp_path_factory.mktemp("history"))
    store = opener(keep_records=2)
    expected = Snapshot()
    for place, written in enumerate(history):
        changes = Changes(writes=tuple(written))
        append(store, changes)
        expected = expected.applying(changes)
        if place in reopen_after:
            store.close()
            store = opener(keep_records=2)
        assert store.load().snapshot == replace(expected, revision=place + 1)
    store.close()
