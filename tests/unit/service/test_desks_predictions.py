"""Drains, freezes and what-ifs: what is predicted, and that it is what is then done."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.alarm import CONTROLLER, Alarm
from controller.domain.capacity import over_reserved, reserved_by
from controller.domain.key_relay import Demand, KeyRelay, Phase, Protection, RelayState
from controller.domain.link import LinkCondition
from controller.domain.prediction import Outcome, PredictedMove
from controller.domain.refusals import InvalidValue, NotFound, Refusal, TooHard
from controller.domain.service import Service
from controller.domain.snapshot import NO_CHANGES, Freeze, Snapshot, put, put_condition
from controller.service.drains import Drains
from controller.service.maintenance_desk import (
    DRAINING,
    FROZEN,
    Leaving,
    drain,
    frozen,
    in_maintenance,
    moved_off,
    plan_drain,
    set_freeze,
    to_drain,
)
from controller.service.relay_desk import create_relay
from controller.service.requests import Drain, SetFreeze
from controller.service.what_if import Failure, what_if
from tests.support.networks import network, ring

ALICE = "qinet://user/alice"


def with_relay(
    snapshot: Snapshot, name: str, source: str, target: str, rate_bit_per_s: int = 100, **more: Any
) -> Snapshot:
    """Return the snapshot with a relay that carries keys."""
    demand = Demand(source=source, target=target, rate_millibit_per_s=rate_bit_per_s * 1000, **more)
    relay = KeyRelay(name=name, demand=demand)
    made = create_relay(snapshot, relay, version=7, caller=ALICE, now_ms=0, wall_ms=0).relay
    settled = replace(
        made, state=RelayState.ACTIVE, phase=Phase.SETTLED, ever_active=True, backup_installed=made.backup is not None
    )
    return snapshot.applying(put(settled))


def square(bit_per_s: int = 10_000) -> Snapshot:
    """Return a and z joined by way of b, c and d."""
    rows = [(f"{end}{middle}", end, middle, bit_per_s) for middle in "bcd" for end in "az"]
    return network(rows)


def drained(snapshot: Snapshot, name: str) -> list[PredictedMove]:
    what = Leaving.of(*name.split("/"))
    after = in_maintenance(snapshot, what)
    return list(plan_drain(after, what, to_drain(after, what)))


def failing(snapshot: Snapshot, *names: str) -> dict[str, PredictedMove]:
    failure = Failure(
        nodes=frozenset(name[6:] for name in names if name.startswith("nodes/")),
        links=frozenset(name[6:] for name in names if name.startswith("links/")),
    )
    return {move.service: move for move in what_if(snapshot, failure, lambda: None)}


# Drains


def test_the_most_important_goes_first_and_nobody_counts_on_room_that_it_took() -> None:
    snapshot = with_relay(square(150), "low", "a", "z", priority=1)
    snapshot = with_relay(snapshot, "high", "a", "z", priority=2)
    assert {relay.routes[0].transit for relay in snapshot.relays.values()} == {("b",), ("c",)}
    low_at = snapshot.relays["low"].routes[0].transit[0]
    high_at = snapshot.relays["high"].routes[0].transit[0]
    both = in_maintenance(snapshot, Leaving(nodes=frozenset({low_at, high_at})))
    what = Leaving(nodes=frozenset({low_at, high_at}), why="works")
    moves = list(plan_drain(both, what, to_drain(both, what)))
    assert [(move.service, move.outcome) for move in moves] == [("high", Outcome.MOVES), ("low", Outcome.STAYS)]
    assert moves[0].routes[0].transit == ("d",)
    assert "fits nowhere else" in moves[1].reason


def test_what_ends_at_a_node_stays_and_says_so() -> None:
    (move,) = drained(with_relay(ring(4), "r", "n00", "n02"), "nodes/n02")
    assert (move.outcome, move.reason) == (Outcome.STAYS, "ends at nodes/n02")


def test_a_drained_relay_switches_to_its_backup_where_no_other_pair_of_routes_is_left() -> None:
    snapshot = with_relay(ring(4, 150), "r", "n00", "n02", protection=Protection.ONE_FOR_ONE, revertive=True)
    relay = snapshot.relays["r"]
    assert relay.backup is not None
    used, spare = relay.routes[0].transit[0], relay.backup.routes[0].transit[0]
    (move,) = drained(snapshot, f"nodes/{used}")
    assert (move.outcome, move.routes) == (Outcome.SWITCHES, relay.backup.routes)
    begun = snapshot.applying(drain(snapshot, Drain(collection="nodes", key=used), wall_ms=0))
    what = Leaving.of("nodes", used)
    after = moved_off(begun, begun.relays["r"], what, version=9, now_ms=0)
    assert (after.routes, after.phase, after.backup) == (relay.backup.routes, Phase.SWITCHING, None)
    (move,) = drained(snapshot, f"nodes/{spare}")
    assert (move.outcome, move.routes) == (Outcome.STAYS, relay.routes)
    assert "only its backup is there" in move.reason


def test_a_backup_alone_moves_without_touching_what_carries_keys() -> None:
    snapshot = with_relay(square(), "r", "a", "z", protection=Protection.ONE_FOR_ONE)
    relay = snapshot.relays["r"]
    assert relay.backup is not None
    (move,) = drained(snapshot, f"nodes/{relay.backup.routes[0].transit[0]}")
    assert (move.outcome, move.routes) == (Outcome.MOVES, relay.routes)
    assert move.reason.endswith("its backup moves")


def test_a_drain_moves_manual_relays_and_takes_backups_along() -> None:
    snapshot = with_relay(square(), "m", "a", "z", manual=True)
    snapshot = with_relay(snapshot, "p", "a", "z", protection=Protection.ONE_FOR_ONE)
    protected = snapshot.relays["p"]
    assert protected.backup is not None
    moves = {move.service: move for move in drained(snapshot, f"nodes/{protected.backup.routes[0].transit[0]}")}
    assert moves["p"].outcome is Outcome.MOVES
    moves = {move.service: move for move in drained(snapshot, "nodes/b")}
    assert moves["m"].outcome is Outcome.MOVES


def test_a_drain_is_maintenance_and_an_alarm_while_it_lasts() -> None:
    snapshot = with_relay(ring(4), "r", "n00", "n02")
    asked = Drain(collection="links", key="l00", caller=ALICE)
    after = snapshot.applying(drain(snapshot, asked, wall_ms=5))
    assert after.links["l00"].maintenance
    (alarm,) = after.alarms.values()
    assert (alarm.object, alarm.kind, alarm.raised_ms) == ("links/l00", DRAINING, 5)
    assert "user/alice" in alarm.message
    empty = Drain(collection="links", key="l02")
    assert not snapshot.applying(drain(snapshot, empty, wall_ms=5)).alarms
    with pytest.raises(NotFound):
        drain(snapshot, Drain(collection="nodes", key="x"), wall_ms=0)


def carried_through(snapshot: Snapshot) -> tuple[Snapshot, list[int]]:
    """Return the snapshot once all drains are over, and how many relays each step tried."""
    drains = Drains(snapshot)
    steps: list[int] = []
    while drains.under_way:
        steps.append(0)

        def move(relay: Service, what: Leaving) -> None:
            nonlocal snapshot
            steps[-1] += 1
            snapshot = snapshot.applying(put(moved_off(snapshot, relay, what, version=9, now_ms=0)))
            assert not over_reserved(snapshot.links, snapshot.conditions, reserved_by(snapshot.relays.values()))

        over = drains.step(snapshot, move)
        snapshot = snapshot.applying(over)
        for collection, key, document in over.writes:
            assert collection == "alarms"
            drains.written(key, document)
    return snapshot, steps


def test_a_drain_goes_on_after_a_crash_with_what_is_still_there() -> None:
    snapshot = square(100_000)
    for number in range(9):
        snapshot = with_relay(snapshot, f"r{number}", "a", "z")
    names = {relay.routes[0].transit[0] for relay in snapshot.relays.values()}
    busy = max(names, key=lambda node: sum(node in relay.nodes() for relay in snapshot.relays.values()))
    asked = Drain(collection="nodes", key=busy)
    begun = snapshot.applying(drain(snapshot, asked, wall_ms=0))
    after, steps = carried_through(begun)
    assert max(steps) == 1
    assert not after.alarms
    assert not [relay for relay in after.relays.values() if busy in relay.nodes()]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdz"), st.sampled_from("abcdz"), st.integers(1, 400), st.integers(0, 3), st.booleans()
        ),
        max_size=8,
    ),
    st.sampled_from(["nodes/b", "nodes/c", "nodes/z", "links/ab", "links/zd"]),
)
def test_what_a_drain_predicts_is_what_it_does(relays: list[tuple[str, str, int, int, bool]], emptied: str) -> None:
    snapshot = square(1000)
    for number, (source, target, rate, priority, protected) in enumerate(relays):
        protection = Protection.ONE_FOR_ONE if protected else Protection.RESTORE
        if source != target:
            try:
                snapshot = with_relay(
                    snapshot, f"r{number}", source, target, rate, priority=priority, protection=protection
                )
            except Refusal:
                continue
    predicted = {move.service: move for move in drained(snapshot, emptied)}
    collection, _, key = emptied.partition("/")
    begun = snapshot.applying(drain(snapshot, Drain(collection=collection, key=key), wall_ms=0))
    after, _ = carried_through(begun)
    for name, relay in after.relays.items():
        move = predicted.get(name)
        if move is None or move.outcome is Outcome.STAYS:
            assert relay == snapshot.relays[name]
            continue
        assert relay.routes == move.routes
        assert relay.route_version == snapshot.relays[name].route_version or relay.retiring


# Freezes


def test_a_freeze_says_why_and_by_whom_and_is_an_alarm() -> None:
    asked = SetFreeze(frozen=True, reason=" storm over the ridge ", caller=ALICE)
    after = Snapshot().applying(set_freeze(Snapshot(), asked, wall_ms=7))
    assert after.frozen == Freeze(reason="storm over the ridge", by="user/alice", since_ms=7)
    assert set(after.alarms) == {(CONTROLLER, "", FROZEN)}
    assert set_freeze(after, asked, wall_ms=9) == NO_CHANGES
    again = after.applying(frozen(after, "more than 20 % of links vanished", by="controller", wall_ms=9))
    assert again.frozen is not None
    assert (again.frozen.by, again.frozen.since_ms) == ("controller", 7)
    over = again.applying(set_freeze(again, SetFreeze(frozen=False), wall_ms=10))
    assert (over.frozen, dict(over.alarms)) == (None, {})
    assert set_freeze(over, SetFreeze(frozen=False), wall_ms=11) == NO_CHANGES


@pytest.mark.parametrize("reason", ["", "  ", "x" * 257, "a\nb"])
def test_a_freeze_without_a_reason_is_refused(reason: str) -> None:
    with pytest.raises(InvalidValue, match="reason"):
        set_freeze(Snapshot(), SetFreeze(frozen=True, reason=reason), wall_ms=0)


# What if


def test_a_failed_link_moves_what_is_on_it_and_touches_nothing_else() -> None:
    snapshot = with_relay(with_relay(ring(4), "on", "n00", "n01"), "off", "n02", "n03")
    moves = failing(snapshot, "links/l00")
    assert set(moves) == {"on"}
    assert (moves["on"].outcome, moves["on"].routes[0].links) == (Outcome.MOVES, ("l03", "l02", "l01"))


def test_what_ends_at_a_failed_node_is_blocked_and_what_passes_it_moves() -> None:
    snapshot = with_relay(
        with_relay(ring(4), "ends", "n00", "n01"), "passes", "n00", "n02", avoid_nodes=frozenset({"n03"})
    )
    snapshot = snapshot.applying(
        put(
            replace(
                snapshot.relays["passes"], demand=replace(snapshot.relays["passes"].demand, avoid_nodes=frozenset())
            )
        )
    )
    moves = failing(snapshot, "nodes/n01")
    assert (moves["ends"].outcome, moves["ends"].reason) == (Outcome.BLOCKED, "ends at nodes/n01")
    assert moves["passes"].routes[0].nodes == ("n00", "n03", "n02")


@pytest.mark.parametrize(
    ("more", "outcome", "reason"),
    [
        ({"manual": True}, Outcome.STAYS, "MANUAL"),
        ({"protection": Protection.UNPROTECTED}, Outcome.BLOCKED, "unprotected"),
        (
            {"hold_off_ms": 5000},
            Outcome.STAYS,
            "rides on stored key for about 5 s, its hold-off; then moves to links/l03",
        ),
        ({"max_hops": 2, "hold_off_ms": 1500}, Outcome.STAYS, "about 1.5 s, its hold-off; then fits nowhere"),
        ({"max_hops": 2}, Outcome.BLOCKED, "fits nowhere"),
        ({"protection": Protection.ONE_FOR_ONE}, Outcome.SWITCHES, "backup"),
        ({"protection": Protection.ONE_PLUS_ONE}, Outcome.SWITCHES, "backup"),
        ({"protection": Protection.ONE_FOR_ONE, "hold_off_ms": 2000}, Outcome.STAYS, "then switches to links/l03"),
    ],
)
def test_what_becomes_of_a_relay_is_as_it_asked_for(more: dict[str, Any], outcome: Outcome, reason: str) -> None:
    (move,) = failing(with_relay(ring(4), "r", "n00", "n01", **more), "links/l00").values()
    assert move.outcome is outcome
    assert reason in move.reason
    if outcome is Outcome.SWITCHES:
        assert move.routes[0].links == ("l03", "l02", "l01")
    if outcome is Outcome.BLOCKED:
        assert not move.routes


def test_nothing_moves_by_itself_while_frozen() -> None:
    snapshot = with_relay(ring(4), "r", "n00", "n01", protection=Protection.ONE_FOR_ONE)
    still = snapshot.applying(frozen(snapshot, "storm", by="user/alice", wall_ms=0))
    (move,) = failing(still, "links/l00").values()
    assert (move.outcome, move.reason) == (Outcome.STAYS, "automatic moves are stopped by user/alice: storm")


def test_a_lost_backup_is_told_and_several_failures_count_together() -> None:
    snapshot = with_relay(ring(4), "r", "n00", "n01", protection=Protection.ONE_FOR_ONE)
    (move,) = failing(snapshot, "links/l02").values()
    assert (move.outcome, "backup fails" in move.reason) == (Outcome.STAYS, True)
    (move,) = failing(snapshot, "links/l02", "links/l00").values()
    assert move.outcome is Outcome.BLOCKED


def test_failures_are_planned_one_after_the_other_on_what_is_left() -> None:
    snapshot = with_relay(square(150), "low", "a", "z", priority=1)
    snapshot = with_relay(snapshot, "high", "a", "z", priority=2)
    at = {relay.routes[0].transit[0] for relay in snapshot.relays.values()}
    moves = list(what_if(snapshot, Failure(nodes=frozenset(at)), lambda: None))
    assert [(move.service, move.outcome) for move in moves] == [("high", Outcome.MOVES), ("low", Outcome.BLOCKED)]


def test_a_prediction_changes_nothing_names_what_is_unknown_and_can_be_stopped() -> None:
    snapshot = with_relay(ring(4), "r", "n00", "n01")
    with pytest.raises(NotFound, match="nodes/x, links/y"):
        failing(snapshot, "links/y", "nodes/x")
    for number in range(4):
        snapshot = with_relay(snapshot, f"s{number}", "n00", "n01")
    spent = []

    def spend() -> None:
        spent.append(1)
        if len(spent) == 3:
            raise TooHard("TOO_HARD", "enough")

    with pytest.raises(TooHard):
        list(what_if(snapshot, Failure(links=frozenset({"l00"})), spend))
    assert len(spent) == 3


def test_a_link_that_is_down_already_is_not_taken_as_a_way_out() -> None:
    snapshot = with_relay(ring(4), "r", "n00", "n01")
    snapshot = snapshot.applying(put_condition("l02", LinkCondition(down_at=frozenset({"n02"}))))
    (move,) = failing(snapshot, "links/l00").values()
    assert move.outcome is Outcome.BLOCKED


def test_alarms_of_others_begin_no_drain() -> None:
    drains = Drains(Snapshot().applying(put(Alarm(node="a", object="nodes/a", kind=DRAINING))))
    assert not drains.under_way
