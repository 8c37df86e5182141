"""Links that make fewer or worse pairs than their model has, ends that get less, and paths that end in time."""

from dataclasses import replace
from typing import Any

import pytest

from controller.domain.entanglement_path import EntanglementPath
from controller.domain.events import AgentLost, ConfigRefused
from controller.domain.pair_link import PairModel, PairOption, Regime
from controller.domain.prediction import Outcome
from controller.domain.refusals import Precondition
from controller.domain.service import Phase, Protection, ServiceState
from controller.domain.snapshot import Snapshot
from controller.service.requests import ApplyTopology, SetFreeze, UpdatePath
from controller.service.what_if import Failure, what_if
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork


def parallel(*memory_pairs: int) -> Snapshot:
    """Two nodes, a and z, joined over one node in between for each number of memory pairs: m0, m1, ..."""
    return network([], pairs=[(f"{end}{i}", end, f"m{i}", n) for end in "az" for i, n in enumerate(memory_pairs)])


def running(*memory_pairs: int, **demand: Any) -> tuple[VirtualNetwork, EntanglementPath]:
    world = VirtualNetwork(parallel(*memory_pairs))
    world.connect_all()
    world.create_path("p", "a", "z", **demand)
    world.quiet()
    return world, path_of(world)


def path_of(world: VirtualNetwork, name: str = "p") -> EntanglementPath:
    return world.snapshot.paths[name]


def test_a_link_that_makes_too_few_pairs_is_left_for_one_that_makes_enough() -> None:
    world, old = running(8, 8, hertz=40.0)
    link = old.routes[0].links[0]
    world.weaken_pairs(link, rate_permille=950)
    world.quiet()
    assert path_of(world).routes == old.routes  # within the band: nothing is decided
    assert world.snapshot.condition(link).pair_rate_permille is None
    world.weaken_pairs(link, rate_permille=200)
    world.quiet()
    moved = path_of(world)
    assert (moved.state, moved.links().isdisjoint(old.links())) == (ServiceState.ACTIVE, True)
    world.check_promises()


def test_or_it_gets_more_memories_of_the_same_link() -> None:
    world, old = running(8, hertz=20.0)
    assert old.plan is not None
    world.weaken_pairs("a0", rate_permille=500)
    world.quiet()
    again = path_of(world)
    assert again.plan is not None
    assert (again.state, again.routes) == (ServiceState.ACTIVE, old.routes)
    assert again.plan.charges["a0"] > old.plan.charges["a0"]
    world.check_promises()


def test_with_no_detour_it_stays_degraded_and_says_what_it_gets_until_the_link_is_as_before() -> None:
    world, old = running(2, hertz=20.0)
    world.weaken_pairs("a0", rate_permille=100)
    world.quiet()
    weak = path_of(world)
    assert (weak.state, weak.routes) == (ServiceState.DEGRADED, old.routes)
    assert "pairs/s where 20 are asked" in weak.state_reason
    world.weaken_pairs("a0", rate_permille=1000)
    world.quiet()
    assert (path_of(world).state, path_of(world).state_reason) == (ServiceState.ACTIVE, "")
    assert path_of(world).route_version == old.route_version


def test_a_weak_link_that_nobody_uses_is_tried_again_later_each_time_after_twice_as_long() -> None:
    world, old = running(8, 8, hertz=40.0, avoid_nodes=frozenset({"m1"}), protection=Protection.UNPROTECTED)
    link = old.routes[0].links[0]
    for wait_ms in (60_000, 120_000, 240_000):
        world.weaken_pairs(link, rate_permille=10)
        world.quiet()
        assert path_of(world).state is ServiceState.DEGRADED
        world.pass_time(1_000_000)  # as long as it is used it is measured, and what is measured counts
        assert world.snapshot.condition(link).pair_rate_permille == 10
        world.ask(UpdatePath(path="p", admin_enabled=False))
        world.quiet()
        world.pass_time(1)
        world.pass_time(wait_ms - 1)
        assert world.snapshot.condition(link).pair_rate_permille == 10
        world.pass_time(1)
        assert world.snapshot.condition(link).pair_rate_permille is None
        world.ask(UpdatePath(path="p", admin_enabled=True))
        world.quiet()
        assert path_of(world).state is ServiceState.ACTIVE


def test_worse_pairs_move_it_too_most_important_path_first() -> None:
    world = VirtualNetwork(parallel(8, 4))
    world.connect_all()
    for name, priority in (("low", 0), ("high", 5)):
        world.create_path(name, "a", "z", 20.0, 0.93, priority=priority, avoid_nodes=frozenset({"m1"}))
    world.quiet()
    for name in ("low", "high"):
        world.ask(UpdatePath(path=name, demand={"avoid_nodes": frozenset()}))
    world.quiet()
    assert {world.snapshot.paths[name].routes[0].transit for name in ("low", "high")} == {("m0",)}
    world.weaken_pairs("a0", loss_permille=100)
    world.quiet()
    high, low = path_of(world, "high"), path_of(world, "low")
    assert (high.routes[0].transit, high.state) == (("m1",), ServiceState.ACTIVE)
    assert low.state is ServiceState.DEGRADED or low.routes[0].transit == ("m1",)
    world.check_promises()


BUFFERED = PairModel(
    regime=Regime.BUFFERED,
    attempt_period_s=1e-3,
    memory_pairs=32,
    options=(PairOption(success_probability=0.1, fidelity=0.98),),
)


def test_of_a_weak_stream_of_pairs_the_least_important_paths_leave_until_what_is_promised_fits() -> None:
    rows = [(f"{end}{i}", end, f"m{i}", 32) for end in "az" for i in range(2)]
    world = VirtualNetwork(network([], pairs=rows, model=BUFFERED, memories=1000))
    world.connect_all()
    for number in range(3):
        world.create_path(f"p{number}", "a", "z", 20.0, priority=number, avoid_nodes=frozenset({"m1"}))
        world.quiet()
        world.ask(UpdatePath(path=f"p{number}", demand={"avoid_nodes": frozenset()}))
    world.quiet()
    assert {path.routes[0].transit for path in world.snapshot.paths.values()} == {("m0",)}
    reserved = world.core.reserved()["a0"]
    world.weaken_pairs("a0", rate_permille=500)
    world.quiet()
    assert world.core.reserved()["a0"] < reserved
    on_it = {name for name, path in world.snapshot.paths.items() if path.routes[0].transit == ("m0",)}
    assert on_it in ({"p2"}, {"p1", "p2"})
    assert {path.state for path in world.snapshot.paths.values()} == {ServiceState.ACTIVE}
    assert not world.snapshot.alarms
    world.check_promises()


def test_where_they_cannot_leave_an_operator_is_told_how_much_is_promised_beyond() -> None:
    world = VirtualNetwork(network([], pairs=[("e", "a", "z", 32)], model=BUFFERED, memories=1000))
    world.connect_all()
    for number in range(2):
        world.create_path(f"p{number}", "a", "z", 35.0)
    world.quiet()
    world.weaken_pairs("e", rate_permille=500)
    world.quiet()
    alarm = world.snapshot.alarms["", "links/e", "LINK_OVERPROMISED"]
    assert "pairs/s are promised beyond" in alarm.message
    world.check_promises({"e"})
    world.delete_path("p0")
    world.quiet()
    assert not world.snapshot.alarms
    assert path_of(world, "p1").state is ServiceState.ACTIVE


@pytest.mark.parametrize("kept", ["manual", "frozen", "unprotected"])
def test_what_is_not_to_move_stays_degraded(kept: str) -> None:
    demand = {"manual": kept == "manual"}
    if kept == "unprotected":
        demand["protection"] = Protection.UNPROTECTED  # type: ignore[assignment]
    world, old = running(8, 8, hertz=40.0, **demand)
    if kept == "frozen":
        world.ask(SetFreeze(frozen=True, reason="a test"))
    world.weaken_pairs(old.routes[0].links[0], rate_permille=200)
    world.quiet()
    assert (path_of(world).state, path_of(world).routes) == (ServiceState.DEGRADED, old.routes)
    world.ask(SetFreeze(frozen=False))
    world.quiet()
    assert (path_of(world).routes == old.routes) == (kept != "frozen")


def test_what_ends_measure_shows_and_is_told_again_after_a_restart() -> None:
    world, _ = running(8)
    world.fidelity["entanglementPaths/p"] = 0.75
    world.quiet()
    assert (path_of(world).state, path_of(world).starved_at) == (ServiceState.DEGRADED, frozenset({"a", "z"}))
    assert "nodes/a measures a fidelity of at most 0.75, below 0.8" in path_of(world).state_reason
    reason = path_of(world).state_reason
    world.restart()
    world.connect_all()
    assert path_of(world).state_reason == reason
    world.fidelity["entanglementPaths/p"] = 0.81
    world.starved.add(("entanglementPaths/p", "z"))
    world.quiet()
    assert path_of(world).state_reason == "fewer pairs than promised at nodes/z"
    world.starved.clear()
    world.quiet()
    assert (path_of(world).state, path_of(world).state_reason) == (ServiceState.ACTIVE, "")


def test_one_that_has_delivered_nothing_by_its_deadline_is_ended_and_one_that_has_lives_on() -> None:
    world = VirtualNetwork(parallel(8))
    world.connect_all()
    world.create_path("p", "a", "z", deadline_s=30, lifetime_s=100)
    world.create_path("q", "a", "z", 1e6, accept_blocked=True, deadline_s=30)
    assert world.core.remaining_s(world.now) == {
        f"entanglementPaths/p/routes/{path_of(world).route_version}": 100
    }  # a node ends it by itself after its lifetime, never by the deadline
    world.quiet()
    world.pass_time(30_000)
    world.quiet()
    assert path_of(world).state is ServiceState.ACTIVE
    assert "q" not in world.snapshot.paths
    last = world.snapshot.histories["entanglementPaths/q"].changes[-1]
    assert (last.state, last.reason) == (ServiceState.REMOVING, "no pair came within 30 s")
    world.pass_time(70_000)
    world.quiet()
    assert not world.snapshot.paths


def test_what_would_become_of_paths_is_told_with_what_would_of_relays() -> None:
    world, old = running(8, 8)
    moves = list(what_if(world.snapshot, Failure(nodes=frozenset({old.routes[0].transit[0]})), lambda: None))
    assert [(move.service, move.outcome) for move in moves] == [("entanglementPaths/p", Outcome.MOVES)]
    ends = list(what_if(world.snapshot, Failure(nodes=frozenset({"a"})), lambda: None))
    assert [(move.service, move.outcome) for move in ends] == [("entanglementPaths/p", Outcome.BLOCKED)]


def test_an_agent_that_refuses_is_led_around_or_the_path_waits_longer_each_time() -> None:
    world = VirtualNetwork(parallel(8, 8))
    world.connect_all()
    world.agents["m0"].refuses = {"entanglementPaths/p/"}
    world.create_path("p", "a", "z")
    world.quiet()
    assert (path_of(world).state, path_of(world).routes[0].transit) == (ServiceState.ACTIVE, ("m1",))
    refused = f"entanglementPaths/p/routes/{path_of(world).route_version}"
    told = {refused: ("UNAVAILABLE", "no")}
    world.take(ConfigRefused(node="z", version=world.snapshot.revision, refused=told))
    assert path_of(world).state is ServiceState.BLOCKED
    assert (path_of(world).move_at_ms or 0) > world.now_ms


def test_a_node_that_nobody_hears_is_left_and_a_lost_session_alone_moves_nothing() -> None:
    world, old = running(8, 8)
    middle = old.routes[0].transit[0]
    world.take(AgentLost(node=middle))
    world.agents[middle].connected = False
    world.quiet()
    assert (path_of(world).routes, path_of(world).state) == (old.routes, ServiceState.DEGRADED)
    for link in old.routes[0].links:
        node = world.snapshot.links[link].far(middle)
        world.unheard(node, link, silent=True)
    world.quiet()
    assert middle not in path_of(world).nodes()
    assert path_of(world).state is ServiceState.ACTIVE


def test_a_topology_that_takes_memories_away_from_what_is_promised_is_refused() -> None:
    world, _ = running(8)
    nodes = dict(world.snapshot.nodes)
    hardware = nodes["m0"].pairs
    assert hardware is not None
    nodes["m0"] = replace(nodes["m0"], pairs=replace(hardware, memories=1))
    with pytest.raises(Precondition, match=r"nodes/m0/memories would carry less") as refused:
        world.ask(ApplyTopology(nodes=nodes, links=world.snapshot.links))
    assert refused.value.reason == "OVER_RESERVED"


@pytest.mark.parametrize("steps", range(0, 40, 3))
def test_from_the_store_alone_a_move_goes_on_where_it_was(steps: int) -> None:
    world, old = running(8, 8)
    world.cut(old.routes[0].links[0])
    order = [node for node in sorted(world.agents) for _ in range(2)] * 4
    for node in order[:steps]:
        world.step(node)
        world.check_promises()
        world.check_heads()
    world.restart(applied=bool(steps % 2))
    world.connect_all()
    world.pass_time(31_000)
    world.quiet()
    path = path_of(world)
    assert (path.state, path.phase, path.releasing) == (ServiceState.ACTIVE, Phase.SETTLED, ())
    assert path.links().isdisjoint(old.links())
    world.check_promises()
    world.check_quiet()
