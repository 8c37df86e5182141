"""What operators change of paths and of the hardware below them: nothing is promised by it that cannot be kept."""

from dataclasses import replace

import pytest

from controller.domain.entanglement_path import PRE_SHARED, EntanglementPath, Packets, PairUse
from controller.domain.events import ConfigRefused
from controller.domain.pair_capacity import kept_at_end
from controller.domain.pair_link import PairModel, PairOption, Regime
from controller.domain.refusals import Precondition
from controller.service.requests import ApplyTopology, RedeployPath, UpdatePath
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

QUICK = PairOption(success_probability=0.1, fidelity=0.98)
PURE = PairOption(success_probability=0.01, fidelity=0.995)
STREAM = PairModel(regime=Regime.BUFFERED, attempt_period_s=1e-3, memory_pairs=64, options=(QUICK, PURE))


def path_of(world: VirtualNetwork) -> EntanglementPath:
    return world.snapshot.paths["p"]


def test_what_the_options_of_a_stream_share_is_not_changed_under_paths_that_are_charged_by_it() -> None:
    world = VirtualNetwork(network([], pairs=[("az", "a", "z", 64)], model=STREAM, memories=640))
    world.connect_all()
    world.create_path("p", "a", "z", hertz=5.0, fidelity=0.99, test_share=0.0)
    world.quiet()
    link = world.snapshot.links["az"]
    faster = replace(STREAM, options=(replace(QUICK, success_probability=1.0), PURE))
    with pytest.raises(Precondition, match=r"entanglementPaths/p") as refused:
        world.ask(ApplyTopology(nodes=world.snapshot.nodes, links={"az": replace(link, pairs=faster)}))
    assert refused.value.reason == "IN_USE"
    both = tuple(replace(option, success_probability=option.success_probability * 3) for option in STREAM.options)
    world.ask(
        ApplyTopology(nodes=world.snapshot.nodes, links={"az": replace(link, pairs=replace(STREAM, options=both))})
    )
    world.quiet()
    world.check_promises()


@pytest.mark.parametrize("change", [{"minimum_fidelity": 0.6, "rate_millihertz": 1}, {"rate_millihertz": 1}])
def test_an_update_that_would_leave_a_key_link_without_key_is_refused(change: dict[str, object]) -> None:
    world = VirtualNetwork(network([], pairs=[("a0", "a", "m", 16), ("z0", "m", "z", 16)]))
    world.connect_all()
    world.create_path(
        "p",
        "a",
        "z",
        hertz=60.0,
        fidelity=0.94,
        use=PairUse.MEASURE,
        key_link="k",
        authentication=PRE_SHARED,
        distillation_block_bit=2**20,
    )
    world.quiet()
    before = path_of(world)
    with pytest.raises(Precondition) as refused:
        world.ask(UpdatePath(path="p", demand=change))
    assert refused.value.reason == "NO_SECRET_KEY"
    assert path_of(world) == before
    world.ask(RedeployPath(path="p"))
    world.quiet()
    assert world.snapshot.links["k"].model_skr_millibit_per_s > 0


@pytest.mark.parametrize(("pairs", "back"), [(2, True), (12, False)])
def test_a_path_falls_back_only_on_a_plan_with_memories_for_its_packets(pairs: int, back: bool) -> None:
    world = VirtualNetwork(network([], pairs=[("a0", "a", "m", 16), ("z0", "m", "z", 16)]))
    world.connect_all()
    few = Packets(pairs=2, window_ms=1000, rate_millihertz=10_000)
    world.create_path("p", "a", "z", rate_millihertz=None, packets=few)
    world.quiet()
    old = path_of(world)
    assert old.plan is not None
    assert [kept_at_end(old.routes[0], old.plan, end) for end in "az"] == [2, 2]
    asked = Packets(pairs=pairs, window_ms=1000, rate_millihertz=1000)
    world.ask(UpdatePath(path="p", demand={"packets": asked}))
    refused = f"entanglementPaths/p/routes/{path_of(world).route_version}"
    told = {refused: ("UNAVAILABLE", "no")}
    world.take(ConfigRefused(node="m", version=world.snapshot.revision, refused=told))
    assert path_of(world).demand.packets == asked
    assert (path_of(world).routes == old.routes) == back


def test_no_topology_takes_the_node_away_at_which_a_key_link_ends() -> None:
    world = VirtualNetwork(network([], pairs=[("a0", "a", "m", 16), ("z0", "m", "z", 16)]))
    world.connect_all()
    world.create_path(
        "p",
        "a",
        "z",
        hertz=60.0,
        fidelity=0.94,
        use=PairUse.MEASURE,
        key_link="k",
        authentication=PRE_SHARED,
        distillation_block_bit=2**20,
        lifetime_s=60,
    )
    world.quiet()
    world.create("r", "a", "z", 1)
    world.quiet()
    world.pass_time(60_000)
    world.quiet()
    assert path_of(world).removed
    world.lose("a")
    world.delete("r")
    assert "k" in world.snapshot.links
    nodes = {name: node for name, node in world.snapshot.nodes.items() if name != "a"}
    links = {name: link for name, link in world.snapshot.links.items() if name == "z0"}
    with pytest.raises(Precondition, match=r"nodes/a is used by .*links/k"):
        world.ask(ApplyTopology(nodes=nodes, links=links))
