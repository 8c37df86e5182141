"""What was searched beside the writer is taken only while it holds: nothing is promised twice, and nothing is stale."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.refusals import Precondition, Refusal
from controller.domain.service import ServiceState
from controller.domain.snapshot import ElectionId, Snapshot
from controller.northbound.pair_search import proposal_for
from controller.routing.entanglement.find import find_path
from controller.routing.entanglement.network import pair_network_of
from controller.service.proposals import Outdated, Proposal, Searching
from controller.service.published import Published
from controller.service.requests import Create, RedeployPath, Request, UpdatePath
from tests.support.virtual_agents import VirtualNetwork
from tests.unit.service.test_core_paths import parallel


def creation(name: str = "p", hertz: float = 5.0, fidelity: float = 0.8, **more: object) -> Create:
    demand = PairDemand(source="a", target="z", minimum_fidelity=fidelity, rate_millihertz=int(1000 * hertz))
    return Create(caller="qinet://user/test", document=EntanglementPath(name=name, demand=demand, **more))  # type: ignore[arg-type]


def proposed(world: VirtualNetwork, request: Request) -> Request:
    """Return the request with what a search on the present finds."""
    published = Published(snapshot=world.snapshot, election=ElectionId(epoch=1, term=1))
    return replace(request, proposal=proposal_for(published, request))


def connected(snapshot: Snapshot) -> VirtualNetwork:
    world = VirtualNetwork(snapshot)
    world.connect_all()
    return world


def never(snapshot: Snapshot, path: EntanglementPath, demand: PairDemand) -> None:
    raise AssertionError("the writer searched")


@pytest.fixture
def writer_must_not_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.service.request_desk.sought_soon", never)


@pytest.mark.usefixtures("writer_must_not_search")
def test_what_was_found_is_taken_without_another_search() -> None:
    world = connected(parallel(2))
    request = proposed(world, creation())
    path = world.ask(request).document
    assert isinstance(path, EntanglementPath)
    assert isinstance(request.proposal, Proposal)
    assert (path.routes, path.plan) == (request.proposal.found.routes, request.proposal.found.plan)  # type: ignore[union-attr]
    world.quiet()
    world.check_promises()


@pytest.mark.usefixtures("writer_must_not_search")
@pytest.mark.parametrize("change", ["cut", "taken", "node lost", "asked otherwise"])
def test_what_does_not_hold_any_more_is_refused_as_outdated_and_changes_nothing(change: str) -> None:
    world = connected(parallel(1))
    request = proposed(world, creation())
    found = request.proposal
    assert found is not None
    if change == "cut":
        world.cut("a0")
    elif change == "taken":
        free = find_path_rate(world.snapshot)
        world.ask(proposed(world, creation("other", hertz=free)))
    elif change == "node lost":
        world.lose("m0")
    else:
        assert isinstance(request, Create)
        assert isinstance(request.document, EntanglementPath)
        dearer = replace(request.document.demand, rate_millihertz=6000)
        request = replace(request, document=replace(request.document, demand=dearer))
    with pytest.raises(Outdated):
        world.ask(request)
    assert "p" not in world.snapshot.paths


def find_path_rate(snapshot: Snapshot) -> float:
    """Return the most pairs a second that fit from a to z now."""
    with pytest.raises(Precondition) as refusal:
        find_path(
            pair_network_of(snapshot),
            PairDemand(source="a", target="z", minimum_fidelity=0.8, rate_millihertz=10_000_000),
        )
    return int(refusal.value.facts()["possible_rate_millihertz"]) / 1000


@pytest.mark.usefixtures("writer_must_not_search")
def test_a_change_elsewhere_leaves_it_in_force() -> None:
    world = connected(parallel(2))
    request = proposed(world, creation())
    assert request.proposal is not None
    used = request.proposal.found.routes[0].links  # type: ignore[union-attr]
    world.cut("a1" if "a0" in used else "a0")
    assert world.ask(request).document is not None


@pytest.mark.usefixtures("writer_must_not_search")
def test_a_refusal_is_answered_as_it_was_found_and_says_of_which_revision() -> None:
    world = connected(parallel(1))
    request = proposed(world, creation(hertz=100_000.0))
    with pytest.raises(Precondition) as refusal:
        world.ask(request)
    assert refusal.value.reason == "NO_CAPACITY"
    assert refusal.value.facts()["revision"] == str(world.snapshot.revision)


def test_one_that_waits_for_what_came_meanwhile_gets_it() -> None:
    world = connected(parallel(1))
    world.cut("a0")
    request = proposed(world, creation(accept_blocked=True))
    world.repair("a0")
    world.ask(request)
    world.quiet()
    assert world.snapshot.paths["p"].state is ServiceState.ACTIVE


@pytest.mark.usefixtures("writer_must_not_search")
def test_updates_and_redeployments_are_searched_beside_too() -> None:
    world = connected(parallel(2))
    world.ask(proposed(world, creation()))
    world.quiet()
    old = world.snapshot.paths["p"]
    for request in (
        UpdatePath(path="p", demand={"rate_millihertz": 6000}),
        RedeployPath(path="p"),
        UpdatePath(path="p", demand={"avoid_links": frozenset({old.routes[0].links[0]})}),
    ):
        world.ask(proposed(world, request))
        world.quiet()
        world.check_promises()
    new = world.snapshot.paths["p"]
    assert (new.demand.rate_millihertz, set(new.links()) & set(old.links())) == (6000, set())


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: UpdatePath(path="p", demand={"lifetime_s": 3600}),
        lambda: UpdatePath(path="p", admin_enabled=False),
        lambda: UpdatePath(path="none"),
        lambda: RedeployPath(path="p", etag="stale"),
        lambda: creation("p"),
        lambda: creation("q", admin_enabled=False),
    ],
)
def test_nothing_is_searched_where_the_answer_needs_no_route(request_of: object) -> None:
    world = connected(parallel(1))
    world.ask(creation())
    assert callable(request_of)
    assert proposed(world, request_of()).proposal is None


def test_a_repeat_of_a_creation_is_answered_without_a_search() -> None:
    world = connected(parallel(1))
    request = replace(creation(), request_id="once", body_sha256="b")
    first = world.ask(proposed(world, request))
    again = proposed(world, request)
    assert again.proposal is None
    assert world.ask(again).document == first.document


def test_validating_only_says_the_same_and_changes_nothing() -> None:
    world = connected(parallel(1))
    request = replace(proposed(world, creation()), validate_only=True)
    told = world.ask(request).document
    assert isinstance(told, EntanglementPath)
    assert told.routes
    assert not world.snapshot.paths


@settings(max_examples=12, deadline=None)
@given(
    memory_pairs=st.integers(1, 4),
    rates=st.lists(st.sampled_from([1.0, 5.0, 20.0, 60.0]), min_size=2, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_of_many_found_on_the_same_network_only_those_are_taken_that_fit_beside_each_other(
    memory_pairs: int, rates: list[float], order: object
) -> None:
    world = connected(parallel(2, memory_pairs))
    requests = [proposed(world, creation(f"p{number}", hertz=hertz)) for number, hertz in enumerate(rates)]
    order.shuffle(requests)  # type: ignore[attr-defined]
    for request in requests:
        if answered(world, request) is Outdated:
            # Found anew on the very network that it is asked of: that can't be outdated.
            assert answered(world, proposed(world, replace(request, proposal=None))) is not Outdated
        world.check_promises()
    world.quiet()
    world.check_promises()


def answered(world: VirtualNetwork, request: Request) -> type[Refusal] | None:
    """Return what refuses the request, if something does."""
    try:
        world.ask(request)
    except (Precondition, Outdated) as refusal:
        return type(refusal)
    return None


def test_a_search_keeps_why_there_is_no_route() -> None:
    searching = Searching()
    snapshot = parallel(1)
    path = creation(fidelity=0.9999).document
    assert isinstance(path, EntanglementPath)
    with pytest.raises(Precondition) as refusal:
        searching(replace(snapshot, revision=7), path, path.demand)
    assert searching.proposal is not None
    assert searching.proposal.found is refusal.value
    assert refusal.value.facts()["revision"] == "7"
