"""Entanglement paths in the core, among virtual agents: they live as key relays do, and end as they do."""

from collections.abc import Iterator

import pytest

from apps.restoration import Restoration
from apps.retry_blocked import RetryBlocked
from controller.domain.commands import Command
from controller.domain.entanglement_path import EntanglementPath
from controller.domain.events import AppEvent, ServiceWaits
from controller.domain.refusals import Precondition
from controller.domain.service import Phase, ServiceState
from controller.domain.snapshot import Snapshot
from controller.service.requests import Drain, RedeployPath, SetFreeze, UpdatePath
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork


def parallel(routes: int, memory_pairs: int = 8, *, key: bool = False) -> Snapshot:
    """Two nodes, a and z, joined over one node in between for each route: m0, m1, ...; by QKD links beside if asked."""
    rows = [(f"{end}{i}", end, f"m{i}", memory_pairs) for end in "az" for i in range(routes)]
    return network([("qa", "a", "m0", 10_000), ("qz", "m0", "z", 10_000)] if key else [], pairs=rows)


def running(routes: int, memory_pairs: int = 8, **demand: object) -> tuple[VirtualNetwork, EntanglementPath]:
    """Return a network of so many routes, and the path p that runs in it."""
    world = VirtualNetwork(parallel(routes, memory_pairs))
    world.connect_all()
    world.create_path("p", "a", "z", **demand)  # type: ignore[arg-type]
    world.quiet()
    return world, path_of(world)


def path_of(world: VirtualNetwork, name: str = "p") -> EntanglementPath:
    return world.snapshot.paths[name]


def agents_work(world: VirtualNetwork, *nodes: str) -> None:
    for node in nodes or sorted(world.agents):
        while world.step(node):
            pass


def test_a_path_is_installed_at_every_node_and_active_when_both_ends_have_had_a_pair() -> None:
    world = VirtualNetwork(parallel(1))
    world.connect_all()
    assert world.create_path("p", "a", "z").state is ServiceState.PENDING
    agents_work(world, "m0", "z")
    assert not world.instructions("a", "p")  # the head end is told last
    world.quiet()
    path = path_of(world)
    assert (path.state, path.phase, path.confirmed_by) == (ServiceState.ACTIVE, Phase.SETTLED, frozenset({"a", "z"}))
    assert {entry.passive for node in ("a", "m0", "z") for entry in world.instructions(node, "p").values()} == {False}
    assert path.plan is not None
    assert world.core.reserved() == path.plan.charges
    world.check_promises()


def test_the_old_route_is_in_use_until_one_update_of_the_head_end_switches_and_held_until_it_is_drained() -> None:
    world, old = running(2)
    world.ask(UpdatePath(path="p", demand={"avoid_links": frozenset({old.routes[0].links[0]})}))
    other = "m1" if "m0" in old.nodes() else "m0"
    agents_work(world, other, "z")
    new = path_of(world)
    assert world.versions_in_use(new) == {old.route_version}
    agents_work(world, "a")
    assert world.versions_in_use(path_of(world)) == {new.route_version}
    assert world.instructions("a", "p")[old.route_version].passive
    world.confirm_keys(drain=False)
    agents_work(world)
    assert set(old.links()) <= world.core.reserved().keys()
    world.quiet()
    assert (path_of(world).phase, path_of(world).retiring, path_of(world).releasing) == (Phase.SETTLED, (), ())
    assert not set(old.links()) & world.core.reserved().keys()
    world.check_quiet()


def test_a_cut_moves_it_and_with_no_detour_left_it_is_blocked_and_comes_back() -> None:
    world, old = running(2)
    world.cut(old.routes[0].links[0])
    assert path_of(world).state is ServiceState.RESTORING
    world.quiet()
    moved = path_of(world)
    assert moved.state is ServiceState.ACTIVE
    assert moved.links().isdisjoint(old.links())
    world.cut(moved.routes[0].links[1])
    world.quiet()
    blocked = path_of(world)
    assert (blocked.state, blocked.routes, blocked.plan, blocked.riding) == (ServiceState.BLOCKED, (), None, False)
    assert ("", "entanglementPaths/p", "PATH_BLOCKED") in world.snapshot.alarms
    assert not world.core.reserved()
    world.repair(moved.routes[0].links[1])
    world.quiet()
    assert path_of(world).state is ServiceState.ACTIVE
    assert not world.snapshot.alarms.keys() & {("", "entanglementPaths/p", "PATH_BLOCKED")}


def test_what_it_holds_is_released_resource_by_resource_as_nodes_confirm() -> None:
    world, path = running(1)
    world.delete_path("p")
    assert path_of(world).state is ServiceState.REMOVING
    assert path.plan is not None
    assert world.core.reserved() == path.plan.charges
    agents_work(world, "m0")
    left = world.core.reserved()
    assert not {"a0", "z0", "nodes/m0/memories", "nodes/m0/swap-time"} & left.keys()
    assert "nodes/a/memories" in left
    world.quiet()
    assert "p" not in world.snapshot.paths
    assert world.core.reserved() == {}
    assert world.snapshot.histories["entanglementPaths/p"].gone_ms is not None


def test_more_than_is_free_is_refused_and_kept_waiting_where_that_is_accepted() -> None:
    world, _ = running(1, 2, hertz=50.0)
    with pytest.raises(Precondition) as refused:
        world.create_path("q", "a", "z", 50.0)
    assert refused.value.reason == "NO_CAPACITY"
    assert world.create_path("q", "a", "z", 50.0, accept_blocked=True).state is ServiceState.BLOCKED
    world.delete_path("p")
    world.quiet()
    assert path_of(world, "q").state is ServiceState.ACTIVE


def test_while_frozen_it_stays_where_it_is_and_moves_afterwards() -> None:
    world, old = running(2)
    world.ask(SetFreeze(frozen=True, reason="a test"))
    world.cut(old.routes[0].links[0])
    world.quiet()
    stays = path_of(world)
    assert (stays.routes, stays.state, stays.riding) == (old.routes, ServiceState.RESTORING, False)
    assert "frozen" in stays.state_reason
    world.ask(SetFreeze(frozen=False))
    world.quiet()
    assert path_of(world).state is ServiceState.ACTIVE
    assert path_of(world).routes != old.routes


def test_a_manual_path_is_moved_by_an_operator_alone() -> None:
    world, old = running(2, manual=True)
    world.cut(old.routes[0].links[0])
    world.quiet()
    assert (path_of(world).routes, path_of(world).state) == (old.routes, ServiceState.RESTORING)
    world.ask(RedeployPath(path="p"))
    world.quiet()
    assert path_of(world).state is ServiceState.ACTIVE


def test_it_holds_off_before_it_moves() -> None:
    world, old = running(2, hold_off_ms=1000)
    world.cut(old.routes[0].links[0])
    world.quiet()
    assert (path_of(world).routes, path_of(world).state) == (old.routes, ServiceState.RESTORING)
    world.repair(old.routes[0].links[0])
    world.quiet()
    assert path_of(world).state is ServiceState.ACTIVE
    world.pass_time(1000)
    world.cut(old.routes[0].links[0])
    world.pass_time(1000)
    world.quiet()
    assert path_of(world).links().isdisjoint(old.links())


def test_a_shorter_hold_off_counts_at_once() -> None:
    world, old = running(2, hold_off_ms=60_000)
    world.cut(old.routes[0].links[0])
    world.quiet()
    world.ask(UpdatePath(path="p", demand={"hold_off_ms": 1000}))
    world.pass_time(1000)
    world.quiet()
    assert path_of(world).state is ServiceState.ACTIVE


def test_a_drain_moves_paths_off_as_it_does_relays() -> None:
    world, old = running(2)
    world.ask(Drain(collection="nodes", key=old.routes[0].transit[0], caller="qinet://user/test"))
    world.quiet()
    assert path_of(world).links().isdisjoint(old.links())
    assert path_of(world).state_reason == ""


class Waits:
    """Notes which services are tried again."""

    listens_to = (ServiceWaits,)

    def __init__(self) -> None:
        self.seen: list[str] = []

    def handle(self, event: AppEvent, snapshot: Snapshot) -> Iterator[Command]:
        assert isinstance(event, ServiceWaits)
        self.seen.append(event.service)
        yield from ()


def test_what_key_relays_release_does_not_have_blocked_paths_searched_for_again() -> None:
    waits = Waits()
    world = VirtualNetwork(parallel(1, key=True), apps=[Restoration(), RetryBlocked(), waits])
    world.connect_all()
    world.create_path("p", "a", "z", 1e5, accept_blocked=True)
    for number in range(4):
        world.create(f"r{number}", "a", "z", 10)
    world.quiet()
    world.delete("r0")
    world.quiet()
    waits.seen.clear()
    for number in range(1, 4):
        world.delete(f"r{number}")
        world.quiet()
    assert waits.seen == []
    world.cut("a0")
    world.repair("a0")
    world.quiet()
    assert set(waits.seen) == {"entanglementPaths/p"}
