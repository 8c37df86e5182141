"""Records of keys end in time, and no more of them are kept than can be of use."""

import pytest

from southbound.agent.keyplane import key_records
from southbound.agent.keyplane.events import Erase, Record
from southbound.agent.keyplane.key_records import KeyRecord, KeyRecords, KeyState
from southbound.agent.keyplane.outbox import NEVER, Outbox
from tests.support.keyplane_world import Relay, line, world_of


def record(number: int, state: KeyState = KeyState.BOUND, expires_s: float = 100.0) -> KeyRecord:
    return KeyRecord(
        key_id=f"key-{number}",
        state=state,
        relays=("r",),
        application="app",
        master="m",
        slaves=("s",),
        expires_s=expires_s,
        size_bit=8,
        key=b"k",
    )


def erased(box: Outbox) -> list[str]:
    return [effect.key for effect in box.effects if isinstance(effect, Erase)]


def test_keys_end_each_in_its_time_and_the_next_end_is_asked_for() -> None:
    records = KeyRecords()
    for number, expires_s in enumerate((30.0, 10.0, 20.0)):
        records.keep(record(number, expires_s=expires_s), Outbox(0.0))

    box = Outbox(20.0)
    records.expire(box)
    assert erased(box) == ["key-1", "key-2"]
    assert box.wake_at_s == 30.0
    assert records.bound_count("app") == 1

    last = Outbox(30.0)
    records.expire(last)
    assert erased(last) == ["key-0"]
    assert last.wake_at_s == NEVER


def test_a_key_that_is_being_assigned_does_not_end_before_its_assignment() -> None:
    records = KeyRecords()
    key = record(0, KeyState.ASSIGNING)
    records.keep(key, Outbox(0.0))
    box = Outbox(200.0)
    records.expire(box)
    assert erased(box) == []

    records.change(key, KeyState.VOID, Outbox(200.0))
    records.expire(box)
    assert erased(box) == ["key-0"]


def test_keys_that_were_fetched_leave_nothing_behind_until_their_time_would_have_ended() -> None:
    records = KeyRecords()
    for number in range(10_000):
        key = record(number, expires_s=1e9)
        records.keep(key, Outbox(0.0))
        records.erase(key, Outbox(0.0))
    assert len(records._ends) < 2048
    assert records.bound_count("app") == 0


def test_of_keys_that_were_delivered_only_the_newest_records_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_records, "DELIVERED_KEPT", 3)
    records = KeyRecords()
    for number in range(5):
        key = record(number, KeyState.ASSIGNING)
        records.keep(key, Outbox(0.0))
        records.change(key, KeyState.DELIVERED, Outbox(0.0))
    assert [number for number in range(5) if records.get(f"key-{number}") is not None] == [2, 3, 4]


def test_no_more_keys_are_bound_than_may_wait_for_their_slaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("southbound.agent.keyplane.far_keys.BOUND_KEPT", 3)
    wires = line(1)
    relay = Relay("r", "n00", wires)
    world = world_of(wires, [relay])
    for _ in range(2):
        world.distil(wires[0].link, wires[0].ends)
    world.run(30)

    def ask(number: int) -> tuple[int, list[str]]:
        request = world.ask("n00", relay.sae("n00"), relay.sae("n01"), number)
        world.settle()
        answer = world.answers[request]
        return answer.status, [each.key_id for each in answer.keys]

    status, key_ids = ask(3)
    assert status == 200
    assert ask(1)[0] == 503
    world.fetch("n01", relay.sae("n01"), relay.sae("n00"), key_ids[:1])
    assert ask(1)[0] == 200


def test_a_record_that_0_1_0_wrote_is_read() -> None:
    meta = (
        '{"key_id":"key-0","state":"VOID","relay":"r","application":"app","master":"m","slaves":["s"],'
        '"expires_s":100.0,"size_bit":8}'
    )
    records = KeyRecords()
    key = records.restore(Record("key", "key-0", meta))
    assert (key.relays, key.fetched) == (("r",), ())
    assert list(records.void("r")) == ["key-0"]


def test_what_far_ends_must_hear_is_found_by_relay_until_it_is_over() -> None:
    records = KeyRecords()
    keys = [record(number, KeyState.ASSIGNING) for number in range(3)]
    for key in keys:
        key.relays, key.slaves = ("r", "q"), ("s", "t")
        records.keep(key, Outbox(0.0))
    void, had, waits = keys
    records.change(void, KeyState.VOID, Outbox(0.0))
    records.change(had, KeyState.DELIVERED, Outbox(0.0))
    records.change(waits, KeyState.DELIVERED, Outbox(0.0))
    records.fetch(had, "t", Outbox(0.0))
    assert list(records.void("r")) == list(records.void("q")) == [void.key_id]
    assert records.fetched("r") == {"t": [had.key_id]}

    records.voided(void, "r", Outbox(0.0))
    records.voided(void, "r", Outbox(0.0))
    assert list(records.void("r")) == []
    assert list(records.void("q")) == [void.key_id]
    records.voided(void, "q", Outbox(0.0))
    records.erase(had, Outbox(0.0))
    assert records.get(void.key_id) is None
    assert not records._told
