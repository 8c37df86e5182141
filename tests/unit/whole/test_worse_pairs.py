"""Pairs of a link get worse: its own test pairs tell the controller, which moves what needs better ones.

The links have a memory pair to spare, so that they are tested often enough to be known within a minute.
"""

from collections.abc import Callable

from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.pair_link import PairModel, PairOption, Regime
from controller.domain.service import ServiceState
from tests.support.networks import network
from tests.support.whole_world import WholeWorld

_MODEL = PairModel(
    regime=Regime.MEMORY,
    attempt_period_s=2.5e-2,
    memory_pairs=1,
    options=(PairOption(success_probability=0.5, fidelity=0.98),),
)
"""20 pairs a second for each memory pair: as many as are tested at most."""


def world_of(*memory_pairs: int) -> WholeWorld:
    """Return a and z joined over one node in between for each number of memory pairs: m0, m1, ..."""
    rows = [(f"{end}{i}", end, f"m{i}", n) for end in "az" for i, n in enumerate(memory_pairs)]
    world = WholeWorld(network([], pairs=rows, model=_MODEL), seed=7)
    world.run(3)
    return world


def create(world: WholeWorld, name: str, *, fidelity: float = 0.93, priority: int = 0) -> None:
    demand = PairDemand(source="a", target="z", minimum_fidelity=fidelity, rate_millihertz=5_000, priority=priority)
    world.create_path(name, demand)
    world.run(3)


def fault(world: WholeWorld, link: str, werner_factor: float = 1.0) -> None:
    for name in world.pairs.links[link].nodes:
        world.pairs.nodes[name].order(link, world.planes.now_s, werner_factor=werner_factor)


def path_of(world: WholeWorld, name: str) -> EntanglementPath:
    return world.snapshot.paths[name]


def until(world: WholeWorld, condition: Callable[[], bool], seconds: int) -> None:
    for _ in range(seconds):
        if condition():
            return
        world.run(1)
    raise AssertionError(f"not within {seconds} s")


def loss_of(world: WholeWorld, link: str) -> int:
    return world.snapshot.condition(link).pair_fidelity_loss_permille or 0


def test_with_no_detour_what_needs_better_pairs_is_degraded_and_the_rest_goes_on_until_the_repair() -> None:
    world = world_of(4)
    create(world, "fine", fidelity=0.93)
    create(world, "rough", fidelity=0.7)
    assert {path.state for path in world.snapshot.paths.values()} == {ServiceState.ACTIVE}
    fault(world, "a0", 0.9)
    until(world, lambda: path_of(world, "fine").state is ServiceState.DEGRADED, 240)
    assert path_of(world, "rough").state is ServiceState.ACTIVE
    fault(world, "a0")
    until(world, lambda: path_of(world, "fine").state is ServiceState.ACTIVE, 400)


def test_the_most_important_path_gets_the_better_link() -> None:
    world = world_of(3, 1)
    for link in ("a1", "z1"):
        for name in world.pairs.links[link].nodes:
            world.cut(link, (name,))
    world.run(3)
    create(world, "low", priority=0)
    create(world, "high", priority=5)
    for link in ("a1", "z1"):
        world.repair(link)
    world.run(3)
    assert {path_of(world, name).routes[0].transit for name in ("low", "high")} == {("m0",)}
    fault(world, "a0", 0.9)
    until(world, lambda: path_of(world, "high").routes[0].transit == ("m1",), 240)
    until(world, lambda: path_of(world, "high").state is ServiceState.ACTIVE, 30)
    plan = path_of(world, "high").plan
    assert plan is not None
    assert plan.fidelity >= 0.93
    until(world, lambda: path_of(world, "low").state is ServiceState.DEGRADED, 30)
