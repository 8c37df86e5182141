"""Who makes room for whom, where they go, and that nothing is promised twice meanwhile."""

from dataclasses import replace
from typing import Any

import pytest

from controller.domain.capacity import over_reserved, reserved_by
from controller.domain.key_relay import Demand, KeyRelay, Protection, RelayState
from controller.domain.prediction import Outcome, PredictedMove
from controller.domain.refusals import Precondition
from controller.domain.snapshot import Snapshot
from controller.service.requests import Create, Result, UpdateRelay
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

RATE = 4_000  # bit/s: two fit on a link, three do not


def square() -> VirtualNetwork:
    """Return a and z joined by way of b and c, all connected."""
    world = VirtualNetwork(network((f"{end}{middle}", end, middle, 10_000) for middle in "bc" for end in "az"))
    world.connect_all()
    return world


def create(world: VirtualNetwork, name: str, priority: int, *, validate_only: bool = False, **more: Any) -> Result:
    demand = replace(
        Demand(source="a", target="z", rate_millibit_per_s=RATE * 1000, priority=priority, may_preempt=True), **more
    )
    request = Create(
        caller="qinet://user/test", document=KeyRelay(name=name, demand=demand), validate_only=validate_only
    )
    result = world.ask(request)
    check(world.snapshot)
    return result


def settle(world: VirtualNetwork) -> None:
    """Let agents work one after the other; nothing is promised twice at any moment."""
    moved = True
    while moved:
        moved = False
        for node in sorted(world.agents):
            while world.step(node):
                moved = True
                check(world.snapshot)
        moved |= world.confirm_keys() or world.work()
        check(world.snapshot)


def check(snapshot: Snapshot) -> None:
    assert not over_reserved(snapshot.links, snapshot.conditions, reserved_by(snapshot.relays.values()))


def full(**more: Any) -> VirtualNetwork:
    """Return the square with two relays each way, of priorities 1 to 4, and no room for another."""
    world = square()
    for priority in range(1, 5):
        create(world, f"p{priority}", priority, **more)
        settle(world)
    return world


def outcomes(moves: tuple[PredictedMove, ...]) -> dict[str, Outcome]:
    return {move.service: move.outcome for move in moves}


def test_the_least_important_makes_room_and_no_more_than_have_to() -> None:
    world = full()
    result = create(world, "urgent", 9)
    assert outcomes(result.displaced) == {"p1": Outcome.BLOCKED}
    assert "makes room for keyRelays/urgent" in result.displaced[0].reason
    settle(world)
    states = {name: relay.state for name, relay in world.snapshot.relays.items()}
    assert states == {
        "urgent": RelayState.ACTIVE,
        "p1": RelayState.BLOCKED,
        "p2": RelayState.ACTIVE,
        "p3": RelayState.ACTIVE,
        "p4": RelayState.ACTIVE,
    }


def test_the_one_that_room_is_made_for_waits_until_it_is_released() -> None:
    world = full()
    waiting = create(world, "urgent", 9).document
    assert isinstance(waiting, KeyRelay)
    assert (waiting.state, waiting.routes) == (RelayState.BLOCKED, ())
    assert waiting.state_reason == "waits for the room of keyRelays/p1"


def test_validate_only_tells_who_would_have_to_leave_and_moves_nobody() -> None:
    world = full()
    before = world.snapshot
    result = create(world, "urgent", 9, validate_only=True)
    assert outcomes(result.displaced) == {"p1": Outcome.BLOCKED}
    assert world.snapshot == before


def test_one_that_fits_elsewhere_moves_there_first_and_keeps_its_keys_flowing() -> None:
    world = square()
    for name, way in (("p1", "b"), ("p2", "b"), ("p3", "c")):
        create(world, name, int(name[1]), pass_nodes=frozenset({way}))
        settle(world)
    world.ask(UpdateRelay(relay="p1", demand={"pass_nodes": frozenset[str]()}))
    result = create(world, "urgent", 9, pass_nodes=frozenset({"b"}))
    assert outcomes(result.displaced) == {"p1": Outcome.MOVES}
    assert result.displaced[0].routes[0].transit == ("c",)
    assert world.snapshot.relays["p1"].retiring[0].in_use
    assert world.snapshot.relays["p1"].state is RelayState.ACTIVE
    settle(world)
    assert all(relay.state is RelayState.ACTIVE for relay in world.snapshot.relays.values())
    assert world.snapshot.relays["urgent"].routes[0].transit == ("b",)


def test_equals_and_betters_are_left_alone_and_whoever_may_not_preempt_is_refused() -> None:
    world = full()
    for priority, more in ((1, {}), (9, {"may_preempt": False}), (2, {"rate_millibit_per_s": 9_000_000})):
        with pytest.raises(Precondition) as refusal:
            create(world, "late", priority, **more)
        assert refusal.value.reason == "NO_CAPACITY"
    assert "late" not in world.snapshot.relays


def test_a_backup_in_the_way_is_given_up_before_anything_that_carries_keys() -> None:
    world = square()
    for number in (1, 2):
        create(world, f"p{number}", number, protection=Protection.ONE_FOR_ONE)
        settle(world)
    result = create(world, "urgent", 9)
    (move,) = result.displaced
    assert move.service == "p1"
    settle(world)
    assert world.snapshot.relays["urgent"].state is RelayState.ACTIVE
    assert world.snapshot.relays["p1"].state is RelayState.ACTIVE
    assert world.snapshot.relays["p1"].backup is None
    assert world.snapshot.relays["p2"].backup is not None


def test_who_was_displaced_comes_back_when_there_is_room() -> None:
    world = full()
    create(world, "urgent", 9)
    settle(world)
    world.delete("urgent")
    settle(world)
    assert world.snapshot.relays["p1"].state is RelayState.ACTIVE
    assert set(world.snapshot.relays) == {"p1", "p2", "p3", "p4"}
