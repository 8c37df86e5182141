"""QKD links made of the pairs of a path: they come and go with it, and no key rests on itself."""

from typing import Any

import pytest

from controller.domain.entanglement_path import PRE_SHARED, PairUse
from controller.domain.link import Basis, LinkKind
from controller.domain.refusals import AlreadyExists, InvalidValue, Precondition
from controller.domain.service import ServiceState
from controller.domain.snapshot import Snapshot
from controller.service.requests import (
    ApplyTopology,
    Delete,
    RedeployRelay,
    UpdatePath,
    UpdateRelay,
)
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

MEASURED: dict[str, Any] = {
    "use": PairUse.MEASURE,
    "key_link": "k",
    "authentication": "auth",
    "distillation_block_bit": 2**20,
    "hertz": 60.0,
    "fidelity": 0.94,
}


def mixed(routes: int = 1) -> Snapshot:
    """A QKD chain a - q - z, and chains of repeaters beside it."""
    rows = [(f"{end}{i}", end, f"m{i}", 16) for end in "az" for i in range(routes)]
    return network([("qa", "a", "q", 10_000), ("qz", "q", "z", 10_000)], pairs=rows)


def running(routes: int = 1, **more: Any) -> VirtualNetwork:
    """Return a mixed network in which relay auth runs over the trusted node q, and path p feeds the key link k."""
    world = VirtualNetwork(mixed(routes))
    world.connect_all()
    world.create("auth", "a", "z", 1)
    world.quiet()
    world.create_path("p", "a", "z", **{**MEASURED, **more})
    world.quiet()
    return world


def test_the_link_comes_with_the_path_over_interfaces_of_its_own_at_the_rate_that_its_plan_gives() -> None:
    world = running()
    link = world.snapshot.links["k"]
    assert (link.kind, link.nodes, link.path) == (LinkKind.QKD, ("a", "z"), "p")
    assert [end.interface for end in link.ends] == [3, 3]
    assert 0 < link.model_skr_millibit_per_s < 20_000
    assert link.provenance["model_skr_millibit_per_s"].basis is Basis.DERIVED
    assert world.link_entry("a", "k").path == "p"
    assert not world.link_entry("a", "k").entanglement
    assert world.link_entry("a", "a0").entanglement


def test_a_relay_runs_over_it_with_no_trusted_node_between() -> None:
    world = VirtualNetwork(mixed())
    world.connect_all()
    world.create("auth", "a", "z", 5)
    with pytest.raises(Precondition, match=r"entanglement path") as refused:
        world.create("r", "a", "z", 1, no_trusted_transit=True)
    assert refused.value.reason == "NO_ROUTE"
    world.create_path("p", "a", "z", **MEASURED)
    world.quiet()
    assert world.create("r", "a", "z", 1, no_trusted_transit=True).routes[0].links == ("k",)
    world.quiet()
    assert world.snapshot.relays["r"].state is ServiceState.ACTIVE
    world.check_promises()


def test_it_is_down_while_its_path_is_blocked_and_the_path_is_not_deleted_while_a_relay_runs_on_it() -> None:
    world = running()
    world.create("r", "a", "z", 1, no_trusted_transit=True)
    world.quiet()
    with pytest.raises(Precondition, match=r"keyRelays/r run on links/k") as refused:
        world.delete_path("p")
    assert refused.value.reason == "IN_USE"
    world.cut("a0")
    world.quiet()
    assert world.snapshot.paths["p"].state is ServiceState.BLOCKED
    assert world.snapshot.condition("k").down_reason == "entanglementPaths/p is BLOCKED"
    assert world.snapshot.relays["r"].riding
    world.repair("a0")
    world.quiet()
    assert world.snapshot.condition("k").generating
    assert (world.snapshot.relays["r"].state, world.snapshot.relays["r"].riding) == (ServiceState.ACTIVE, False)
    assert not world.snapshot.alarms


def test_what_its_pairs_give_is_followed_and_relays_leave_what_gives_less() -> None:
    world = running()
    before = world.snapshot.links["k"].model_skr_millibit_per_s
    world.ask(UpdatePath(path="p", demand={"rate_millihertz": 120_000}))
    world.quiet()
    assert world.snapshot.links["k"].model_skr_millibit_per_s > 1.9 * before
    world.check_promises()


def test_nothing_but_its_path_deletes_it_and_a_topology_leaves_it() -> None:
    world = running()
    with pytest.raises(Precondition, match=r"goes with it; delete that path"):
        world.ask(Delete(collection="links", key="k"))
    wanted = mixed()
    world.ask(ApplyTopology(nodes=wanted.nodes, links=wanted.links))
    assert "k" in world.snapshot.links
    with pytest.raises(InvalidValue, match=r"key link of entanglementPaths/p"):
        world.ask(ApplyTopology(nodes=wanted.nodes, links={**wanted.links, "k": world.snapshot.links["qa"]}))
    world.delete_path("p")
    assert "k" not in world.snapshot.links
    world.quiet()
    assert "p" not in world.snapshot.paths
    world.check_quiet()


def test_ended_by_time_it_goes_when_the_relays_on_it_have_left() -> None:
    world = running(lifetime_s=60)
    world.create("r", "a", "z", 1, max_hops=1)
    world.quiet()
    assert world.snapshot.relays["r"].links() == {"k"}
    world.pass_time(60_000)
    world.quiet()
    assert world.snapshot.paths["p"].state is ServiceState.REMOVING
    assert world.snapshot.relays["r"].riding
    world.ask(UpdateRelay(relay="r", demand={"max_hops": None}))
    world.quiet()
    assert world.snapshot.relays["r"].links() == {"qa", "qz"}
    assert "k" not in world.snapshot.links
    assert "p" not in world.snapshot.paths
    world.check_promises()
    world.check_quiet()


@pytest.mark.parametrize(
    ("authentication", "why"),
    [
        ("", "name a key relay between nodes/a and nodes/z, or pre-shared"),
        ("none", "keyRelays/none does not exist"),
        ("short", "keyRelays/short does not join nodes/a and nodes/z"),
        ("waiting", "keyRelays/waiting has no route"),
    ],
)
def test_without_a_key_that_it_does_not_make_there_is_no_key_link(authentication: str, why: str) -> None:
    world = VirtualNetwork(mixed())
    world.connect_all()
    world.create("short", "a", "q", 5)
    world.create_blocked("waiting", "a", "z", 50_000)
    with pytest.raises(Precondition, match=why) as refused:
        world.create_path("p", "a", "z", **{**MEASURED, "authentication": authentication})
    assert refused.value.reason == "NO_AUTHENTICATION_KEY"
    assert not world.snapshot.paths
    assert "k" not in world.snapshot.links


def test_ends_that_hold_such_a_key_need_no_relay() -> None:
    world = VirtualNetwork(mixed())
    world.connect_all()
    world.create_path("p", "a", "z", **{**MEASURED, "authentication": PRE_SHARED})
    world.quiet()
    assert world.snapshot.paths["p"].state is ServiceState.ACTIVE


def test_a_relay_that_authenticates_a_path_is_not_deleted_and_never_moves_onto_its_link() -> None:
    world = running()
    with pytest.raises(Precondition, match=r"entanglementPaths/p are authenticated with its keys") as refused:
        world.delete("auth")
    assert refused.value.reason == "IN_USE"
    world.cut("qa")
    world.quiet()
    assert world.snapshot.relays["auth"].links() == {"qa", "qz"}
    with pytest.raises(Precondition) as cycle:
        world.ask(RedeployRelay(relay="auth"))
    assert cycle.value.reason == "DEPENDENCY_CYCLE"
    world.delete_path("p")
    world.quiet()
    world.delete("auth")


def test_no_cycle_over_other_paths_either() -> None:
    world = running(2)
    world.create("over", "a", "z", 1, max_hops=1)
    world.quiet()
    world.create_path("p2", "a", "z", **{**MEASURED, "key_link": "k2", "authentication": "over"})
    world.quiet()
    assert world.snapshot.relays["over"].links() == {"k"}
    with pytest.raises(Precondition) as cycle:
        world.ask(UpdateRelay(relay="auth", demand={"avoid_nodes": frozenset({"q"})}))
    assert cycle.value.reason == "DEPENDENCY_CYCLE"
    with pytest.raises(Precondition) as passed:
        world.ask(UpdateRelay(relay="auth", demand={"pass_links": frozenset({"k2"})}))
    assert passed.value.reason == "DEPENDENCY_CYCLE"


def test_blocks_that_give_no_key_and_names_that_are_taken_are_refused() -> None:
    world = VirtualNetwork(mixed())
    world.connect_all()
    world.create("auth", "a", "z", 5)
    with pytest.raises(Precondition) as refused:
        world.create_path("p", "a", "z", **{**MEASURED, "distillation_block_bit": 1024})
    assert refused.value.reason == "NO_SECRET_KEY"
    with pytest.raises(AlreadyExists):
        world.create_path("p", "a", "z", **{**MEASURED, "key_link": "qa"})


def test_one_that_makes_room_for_others_does_not_go_to_the_link_that_rests_on_it() -> None:
    world = running()
    world.create("r", "a", "z", 9_410, priority=9, may_preempt=True)
    world.quiet()
    assert world.snapshot.relays["r"].links() == {"qa", "qz"}
    assert world.snapshot.relays["auth"].state is ServiceState.BLOCKED
    assert "k" not in world.snapshot.relays["auth"].told_links()
