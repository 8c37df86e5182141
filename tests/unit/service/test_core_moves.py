"""How a relay gets from one set of routes to another, among virtual agents."""

from dataclasses import replace
from typing import Any

import pytest

from controller.domain.entries import HopRole
from controller.domain.events import ConfigRefused
from controller.domain.key_relay import KeyRelay, Phase, Protection, RelayState
from controller.domain.snapshot import Snapshot
from controller.service.requests import RedeployRelay, SetFreeze, UpdateRelay
from tests.support.networks import line, network
from tests.support.virtual_agents import VirtualNetwork

ONE_FOR_ONE: dict[str, Any] = {"protection": Protection.ONE_FOR_ONE}


def up(snapshot: Snapshot) -> VirtualNetwork:
    world = VirtualNetwork(snapshot)
    world.connect_all()
    return world


def relay_of(world: VirtualNetwork, name: str = "r") -> KeyRelay:
    return world.snapshot.relays[name]


def agents_work(world: VirtualNetwork, *nodes: str) -> None:
    for node in nodes or sorted(world.agents):
        while world.step(node):
            pass


def parallel(links: int, bit_per_s: int = 10_000) -> Snapshot:
    """Two nodes, a and z, joined over one node in between for each route: m0, m1, ..."""
    rows = [(f"a{i}", "a", f"m{i}", bit_per_s) for i in range(links)]
    return network([*rows, *((f"z{i}", f"m{i}", "z", bit_per_s) for i in range(links))])


# Make before break


def test_the_old_route_is_in_use_until_one_update_of_the_head_end_switches() -> None:
    world = up(parallel(2))
    world.create("r", "a", "z")
    world.quiet()
    old = relay_of(world)
    world.ask(UpdateRelay(relay="r", demand={"avoid_links": frozenset({"a0"})}))

    # all but the head end confirm the new route: what is in use is still the old one
    agents_work(world, "m1", "z")
    new = relay_of(world)
    assert new.route_version > old.route_version
    assert world.versions_in_use(new) == {old.route_version}
    assert new.state is RelayState.ACTIVE

    # one update of the head end switches
    agents_work(world, "a")
    assert world.versions_in_use(new) == {new.route_version}
    assert world.versions("a", "r")[old.route_version, 0].passive
    assert relay_of(world).phase is Phase.DRAINING


def test_the_old_route_stands_until_it_is_drained_at_both_ends() -> None:
    world = up(parallel(2))
    world.create("r", "a", "z")
    world.quiet()
    old = relay_of(world)
    world.ask(UpdateRelay(relay="r", demand={"avoid_links": frozenset({"a0"})}))
    agents_work(world)
    agents_work(world)
    world.confirm_keys(drain=False)
    agents_work(world)
    assert (old.route_version, 0) in world.versions("m0", "r")
    assert relay_of(world).phase is Phase.DRAINING

    world.quiet()
    assert relay_of(world).phase is Phase.SETTLED
    assert world.versions("m0", "r") == {}
    assert (relay_of(world).retiring, relay_of(world).releasing) == ((), ())


def test_what_cannot_be_drained_is_given_up_after_a_while() -> None:
    world = up(parallel(2))
    world.create("r", "a", "z")
    world.quiet()
    world.ask(UpdateRelay(relay="r", demand={"avoid_links": frozenset({"a0"})}))
    for _ in range(3):
        agents_work(world)
        world.confirm_keys(drain=False)
    world.pass_time(14_999)
    assert relay_of(world).phase is Phase.DRAINING
    world.pass_time(1)
    agents_work(world)
    assert relay_of(world).phase is Phase.SETTLED
    assert world.versions("m0", "r") == {}


def test_a_rate_is_changed_in_place_and_the_larger_one_is_charged_meanwhile() -> None:
    world = up(line(2))
    world.create("r", "n00", "n02", bit_per_s=1000)
    world.quiet()
    before = relay_of(world)
    held = dict(world.core.reserved())
    world.ask(UpdateRelay(relay="r", demand={"rate_millibit_per_s": 3_000_000}))
    larger = dict(world.core.reserved())
    assert relay_of(world).routes == before.routes
    assert all(larger[link] > held[link] for link in held)
    world.quiet()
    assert world.core.reserved() == larger
    world.ask(UpdateRelay(relay="r", demand={"rate_millibit_per_s": 1_000_000}))
    assert world.core.reserved() == larger
    assert relay_of(world).state is RelayState.ACTIVE
    # the entries of the version in use are not rewritten
    agents_work(world, "n01")
    assert {entry.rate_millibit_per_s for entry in world.hops("n01").values()} == {3_000_000, 1_000_000}
    world.quiet()
    assert world.core.reserved() == held
    assert relay_of(world).state is RelayState.ACTIVE


def test_a_new_route_that_fails_while_it_is_installed_was_never_in_use_and_the_old_one_goes_on() -> None:
    world = up(parallel(2))
    world.create("r", "a", "z")
    world.quiet()
    old = relay_of(world)
    world.ask(UpdateRelay(relay="r", demand={"priority": 1}))
    world.ask(RedeployRelay(relay="r"))
    if relay_of(world).routes == old.routes:
        world.ask(UpdateRelay(relay="r", demand={"avoid_links": frozenset({"a0"})}))
    agents_work(world, "z")
    world.cut(relay_of(world).routes[0].links[0])
    world.quiet()
    after = relay_of(world)
    assert after.state is RelayState.ACTIVE
    assert after.routes == old.routes
    world.check_quiet()


def test_a_refused_route_is_led_around_or_given_up_for_the_one_in_use() -> None:
    world = up(parallel(2))
    world.create("r", "a", "z")
    world.quiet()
    old = relay_of(world)
    away = "a0" if "a0" in old.links() else "a1"
    other = "m1" if away == "a0" else "m0"
    world.agents[other].refuses = {"keyRelays/r/"}
    world.ask(UpdateRelay(relay="r", demand={"avoid_links": frozenset({away})}))
    world.quiet()
    after = relay_of(world)
    assert (after.state, after.routes) == (RelayState.ACTIVE, old.routes)
    assert world.versions_in_use(after) == {old.route_version}
    world.check_quiet()


def test_an_agent_that_refuses_is_led_around_at_creation() -> None:
    world = up(parallel(2))
    world.agents["m0"].refuses = {"keyRelays/r/"}
    world.create("r", "a", "z")
    world.quiet()
    assert relay_of(world).state is RelayState.ACTIVE
    assert "m1" in relay_of(world).nodes()


def test_a_refused_service_waits_longer_each_time() -> None:
    world = up(line(1))
    world.create("r", "n00", "n01")
    waits = []
    for _ in range(4):
        refused = f"keyRelays/r/routes/{relay_of(world).route_version}/shares/0"
        told = {refused: ("UNAVAILABLE", "no")}
        world.take(ConfigRefused(node="n01", version=world.snapshot.revision, refused=told))
        assert relay_of(world).state is RelayState.BLOCKED
        waits.append((relay_of(world).move_at_ms or 0) - world.now_ms)
        world.pass_time(waits[-1])
    assert 3_750 <= waits[0] <= 6_250
    assert waits == sorted(waits)
    assert waits[-1] > 3 * waits[0]


# Shares


def test_a_relay_of_two_shares_is_switched_with_both_at_once_and_never_runs_on_one() -> None:
    world = up(parallel(3))
    world.create("r", "a", "z", shares=2)
    world.quiet()
    old = relay_of(world)
    assert old.state is RelayState.ACTIVE
    assert len(old.routes) == 2
    world.cut(old.routes[0].links[0])
    for node in ["z", "m0", "m1", "m2", "a"] * 6:
        world.step(node)
        world.check_heads()
        world.check_promises()
        for version in world.versions_in_use(relay_of(world)):
            assert {(version, 0), (version, 1)} <= world.versions("a", "r").keys()
    world.quiet()
    new = relay_of(world)
    assert (new.state, len(new.routes)) == (RelayState.ACTIVE, 2)
    assert new.route_version > old.route_version


def test_a_blocked_relay_of_several_shares_waits_as_others_do() -> None:
    world = up(parallel(2))
    world.cut("a0")
    world.create_blocked("r", "a", "z", shares=2)
    assert relay_of(world).state is RelayState.BLOCKED
    world.repair("a0")
    world.quiet()
    assert (relay_of(world).state, len(relay_of(world).routes)) == (RelayState.ACTIVE, 2)


# Protection


def test_the_backup_is_reserved_and_installed_and_the_switch_to_it_is_the_head_ends_alone() -> None:
    world = up(parallel(3))
    world.create("r", "a", "z", **ONE_FOR_ONE)
    world.quiet()
    before = relay_of(world)
    assert before.backup is not None
    assert before.backup_installed
    assert {"a0", "a1"} <= world.core.reserved().keys()
    spare = before.backup.version
    assert world.versions_in_use(before) == {before.route_version}
    assert world.versions("a", "r")[spare, 0].role is HopRole.HEAD

    told = {node: dict(agent.in_force) for node, agent in world.agents.items() if node != "a"}
    world.cut(before.routes[0].links[0])
    assert relay_of(world).phase is Phase.SWITCHING
    agents_work(world, "a")
    assert world.versions_in_use(relay_of(world)) == {spare}
    for node, in_force in told.items():
        assert in_force.items() <= world.agents[node].in_force.items()


def test_without_return_what_failed_is_left_and_another_backup_is_found() -> None:
    world = up(parallel(3))
    world.create("r", "a", "z", **ONE_FOR_ONE)
    world.quiet()
    failed = relay_of(world).routes
    world.cut(failed[0].links[0])
    world.quiet()
    after = relay_of(world)
    assert after.state is RelayState.ACTIVE
    assert after.backup is not None
    assert after.backup_installed
    assert after.backup.routes != failed
    assert world.core.unconfirmed() == {}
    assert not world.core.reserved().keys() & set(failed[0].links)


def test_a_revertive_relay_returns_when_its_routes_have_worked_for_long_enough() -> None:
    world = up(parallel(3))
    world.create("r", "a", "z", **ONE_FOR_ONE, revertive=True, wait_to_restore_ms=5000)
    world.quiet()
    first = relay_of(world)
    cut = first.routes[0].links[0]
    world.cut(cut)
    world.quiet()
    switched = relay_of(world)
    assert switched.backup is not None
    assert switched.backup.routes == first.routes
    assert ("", "keyRelays/r", "PROTECTION_LOST") in world.snapshot.alarms
    world.repair(cut)
    world.pass_time(4000)
    world.cut(cut)  # it does not work: the wait begins anew
    world.repair(cut)
    world.pass_time(4000)
    world.quiet()
    assert relay_of(world).routes == switched.routes
    world.pass_time(1000)
    world.quiet()
    back = relay_of(world)
    assert (back.state, back.routes, back.route_version) == (RelayState.ACTIVE, first.routes, first.route_version)
    assert back.backup is not None
    assert back.backup.routes == switched.routes
    assert not world.snapshot.alarms


def test_with_1_plus_1_keys_are_made_on_both_routes_and_a_cut_leaves_it_active() -> None:
    world = up(parallel(3))
    world.create("r", "a", "z", protection=Protection.ONE_PLUS_ONE)
    world.quiet()
    before = relay_of(world)
    assert before.backup is not None
    assert world.versions_in_use(before) == {before.route_version, before.backup.version}
    world.cut(before.routes[0].links[0])
    assert relay_of(world).state is RelayState.ACTIVE
    world.quiet()
    after = relay_of(world)
    assert after.backup is not None
    assert world.versions_in_use(after) == {after.route_version, after.backup.version}
    assert before.route_version not in world.versions_in_use(after)


def test_both_failed_it_is_restored_elsewhere() -> None:
    world = up(parallel(3))
    world.create("r", "a", "z", **ONE_FOR_ONE, revertive=True)
    world.quiet()
    before = relay_of(world)
    assert before.backup is not None
    world.cut(before.backup.routes[0].links[0])
    world.cut(before.routes[0].links[0])
    world.quiet()
    after = relay_of(world)
    assert after.state is RelayState.ACTIVE
    assert "m2" in after.nodes()


def test_a_manual_relay_moves_only_when_an_operator_says_so() -> None:
    world = up(parallel(3))
    world.create("r", "a", "z", **ONE_FOR_ONE, manual=True)
    world.quiet()
    before = relay_of(world)
    world.cut(before.routes[0].links[0])
    world.quiet()
    assert relay_of(world).routes == before.routes
    assert "MANUAL" in relay_of(world).state_reason or "rides" in relay_of(world).state_reason
    world.ask(RedeployRelay(relay="r"))
    world.quiet()
    assert relay_of(world).routes != before.routes
    assert relay_of(world).state is RelayState.ACTIVE


def test_while_frozen_nothing_moves_by_itself_and_all_that_waited_does_afterwards() -> None:
    world = up(parallel(3))
    world.create("r", "a", "z")
    world.create("s", "a", "z", **ONE_FOR_ONE)
    world.quiet()
    before = dict(world.snapshot.relays)
    world.ask(SetFreeze(frozen=True, reason="work on the ducts"))
    for relay in before.values():
        world.cut(relay.routes[0].links[0])
    world.quiet()
    assert {name: relay.routes for name, relay in world.snapshot.relays.items()} == {
        name: relay.routes for name, relay in before.items()
    }
    world.create("t", "a", "z")  # operators' requests go on
    world.ask(SetFreeze(frozen=False))
    world.quiet()
    for name, relay in world.snapshot.relays.items():
        assert relay.state is RelayState.ACTIVE
        assert name == "t" or relay.routes != before[name].routes


# Damping


def test_a_link_that_flaps_is_given_nothing_new_until_it_stayed_up_for_a_while() -> None:
    world = up(parallel(2))
    for _ in range(3):
        world.cut("a0")
        world.repair("a0")
    assert world.snapshot.condition("a0").damped
    world.create("r", "a", "z")
    assert "a1" in relay_of(world).links()
    world.pass_time(95_000)
    assert world.snapshot.condition("a0").damped
    world.pass_time(1_000)  # 3000 halves every minute, and is below 1000 after 95.1 s
    assert not world.snapshot.condition("a0").damped


@pytest.mark.parametrize("steps", range(0, 40, 3))
def test_from_the_store_alone_a_switch_to_the_backup_and_back_goes_on_where_it_was(steps: int) -> None:
    world = up(parallel(3))
    world.create("r", "a", "z", **ONE_FOR_ONE, revertive=True, wait_to_restore_ms=1000, shares=1)
    world.quiet()
    first = relay_of(world).routes
    cut = first[0].links[0]
    world.cut(cut)
    order = [node for node in sorted(world.agents) for _ in range(2)] * 4
    for node in order[: steps // 2]:
        world.step(node)
    world.repair(cut)
    world.pass_time(1000)
    for node in order[: steps - steps // 2]:
        world.step(node)
    world.restart(applied=bool(steps % 2))
    world.connect_all()
    world.pass_time(31_000)
    world.pass_time(1_000)
    world.quiet()
    relay = relay_of(world)
    assert (relay.state, relay.phase, relay.routes) == (RelayState.ACTIVE, Phase.SETTLED, first)
    world.check_promises()
    world.check_quiet()
    assert replace(relay, state_reason="") == relay
