"""Drains in the core: some relays in every turn, on after a crash, over with the maintenance; and who asked is kept."""

import time
from itertools import pairwise

import pytest

from controller.domain.alarm import CONTROLLER
from controller.domain.key_relay import RelayState
from controller.service.maintenance_desk import DRAINING
from controller.service.requests import Drain, SetFreeze, UpdateAdministration
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

ALICE = "qinet://user/alice"
DRAIN_B = Drain(collection="nodes", key="b", caller=ALICE)


def world(relays: int) -> VirtualNetwork:
    """Return a and z joined by way of b and c, with relays by way of b that would fit by way of c."""
    made = VirtualNetwork(network((f"{end}{middle}", end, middle, 1_000_000) for middle in "bc" for end in "az"))
    made.connect_all()
    made.ask(UpdateAdministration(collection="nodes", key="c", maintenance=True))
    for number in range(relays):
        made.create(f"r{number:03}", "a", "z", 1)
    made.quiet()
    made.ask(UpdateAdministration(collection="nodes", key="c", maintenance=False))
    made.quiet()
    assert len(by_way_of_b(made)) == relays
    return made


def by_way_of_b(made: VirtualNetwork) -> list[str]:
    return [name for name, relay in made.snapshot.relays.items() if "b" in relay.nodes()]


def draining(made: VirtualNetwork) -> bool:
    return (CONTROLLER, "nodes/b", DRAINING) in made.snapshot.alarms


def test_a_drain_takes_many_turns_and_says_for_how_long() -> None:
    made = world(30)
    made.enough = lambda: True
    made.ask(DRAIN_B)
    assert draining(made)
    left = [len(by_way_of_b(made))]
    while made.core.busy:
        made.work()
        left.append(len(by_way_of_b(made)))
    assert left[-1] == 0
    assert not draining(made)
    assert max(before - after for before, after in pairwise(left)) == 1


def test_a_turn_of_a_large_drain_is_short() -> None:
    made = world(50)
    made.ask(SetFreeze(frozen=True, reason="only what operators ask"))
    until = 0.0
    made.enough = lambda: time.perf_counter() > until
    turns = []
    until = time.perf_counter() + 0.007
    made.ask(DRAIN_B)
    while made.core.busy:
        began = time.perf_counter()
        until = began + 0.007
        made.work()
        turns.append(time.perf_counter() - began)
    assert not by_way_of_b(made)
    assert sorted(turns)[len(turns) // 2] < 0.05  # 10 ms, and what a busy machine adds; the commit is in it too


def test_a_drain_goes_on_after_a_crash_as_of_whoever_asked() -> None:
    made = world(12)
    made.enough = lambda: True
    made.ask(DRAIN_B)
    while len(by_way_of_b(made)) > 6:
        made.work()
    made.restart()
    assert draining(made)
    made.connect_all()
    made.quiet()
    assert not by_way_of_b(made)
    assert not draining(made)
    for name, relay in made.snapshot.relays.items():
        assert relay.state is RelayState.ACTIVE
        moves = [change for change in made.snapshot.histories[name].changes if change.reason == "drain of nodes/b"]
        assert {change.by for change in moves[:1]} == {"user/alice"}


@pytest.mark.parametrize("deleted", [False, True])
def test_a_drain_ends_with_the_maintenance(*, deleted: bool) -> None:
    made = world(12)
    made.enough = lambda: True
    made.ask(DRAIN_B)
    made.work()
    if deleted:
        made.delete("r011")
    made.ask(UpdateAdministration(collection="nodes", key="b", maintenance=False))
    assert not draining(made)
    stayed = by_way_of_b(made)
    assert stayed
    made.enough = lambda: False
    made.quiet()
    assert by_way_of_b(made) == [name for name in stayed if name in made.snapshot.relays]


def test_operators_drain_while_automatic_moves_are_stopped() -> None:
    made = world(3)
    made.ask(SetFreeze(frozen=True, reason="storm", caller=ALICE))
    made.ask(DRAIN_B)
    made.quiet()
    assert not by_way_of_b(made)
