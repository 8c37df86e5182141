"""Entanglement paths created all at once over real gRPC: searched beside the writer, and never promised twice."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from controller.domain.capacity import reserved_by
from controller.domain.snapshot import Snapshot
from controller.northbound import proposing, route_search
from controller.northbound.pair_search import proposal_for
from controller.service.published import Published
from controller.service.requests import Request
from qinet.northbound.v1 import entanglement_path_pb2
from qinet.northbound.v1 import entanglement_service_pb2 as pb
from tests.integration.northbound.world import Client, Controller, Party, client, controller, reason_of, topology
from tests.support.networks import network

MEMORY_PAIRS = 4


def two_ways() -> Snapshot:
    """a and z joined over m0 and over m1, by links of few memory pairs."""
    return network([], pairs=[(f"{end}{i}", end, f"m{i}", MEMORY_PAIRS) for end in "az" for i in range(2)])


@pytest_asyncio.fixture
async def world(party: Party) -> AsyncIterator[Controller]:
    """The controller that `operator` asks."""
    snapshot = two_ways()
    async with controller(party) as running, client(party, running.port) as operator:
        await operator.topology.ApplyTopology(topology(snapshot))
        await running.connect(*snapshot.nodes)
        yield running


def asked(name: str, rate_hz: float = 5.0, request_id: str = "", **more: bool) -> pb.CreateEntanglementPathRequest:
    return pb.CreateEntanglementPathRequest(
        entanglement_path_id=name,
        entanglement_path=entanglement_path_pb2.EntanglementPath(
            source="nodes/a", target="nodes/z", minimum_fidelity=0.8, rate_hz=rate_hz
        ),
        request_id=request_id,
        **more,
    )


async def outcomes(operator: Client, requests: list[pb.CreateEntanglementPathRequest]) -> list[str]:
    """Return what becomes of each: "" or the reason of its refusal."""

    async def one(request: pb.CreateEntanglementPathRequest) -> str:
        try:
            await operator.entanglement.CreateEntanglementPath(request, timeout=30)
        except grpc.aio.AioRpcError as error:
            return str(reason_of(error).reason)
        return ""

    return await asyncio.gather(*map(one, requests))


def check_promises(snapshot: Snapshot) -> None:
    held = reserved_by(snapshot.paths.values())
    for link in snapshot.links:
        assert held.get(link, 0) <= MEMORY_PAIRS, link


async def test_of_twenty_asked_at_once_those_are_carried_that_fit(world: Controller, operator: Client) -> None:
    answers = await outcomes(operator, [asked(f"p{number}") for number in range(20)])
    assert set(answers) == {"", "NO_CAPACITY"}
    snapshot = world.desk.published.snapshot
    assert answers.count("") == len(snapshot.paths) == 2 * MEMORY_PAIRS
    check_promises(snapshot)


async def test_a_creation_that_comes_too_late_for_its_route_is_searched_anew(
    world: Controller, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[int] = []

    def stale_at_first(published: Published, request: Request) -> object:
        # As if all searches had begun on the same network, before any of what is created.
        searched.append(published.snapshot.revision)
        return proposal_for(first if len(searched) <= 2 * MEMORY_PAIRS + 1 else published, request)

    first = world.desk.published
    monkeypatch.setattr(route_search, "proposal_for", stale_at_first)
    for number in range(2 * MEMORY_PAIRS):
        await operator.entanglement.CreateEntanglementPath(asked(f"p{number}"))
    assert len(searched) > 2 * MEMORY_PAIRS
    check_promises(world.desk.published.snapshot)


async def test_where_every_search_comes_too_late_the_writer_searches(
    world: Controller, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.desk.published
    monkeypatch.setattr(route_search, "proposal_for", lambda _, request: proposal_for(first, request))
    monkeypatch.setattr(proposing, "_SEARCHES", 2)
    answers = await outcomes(operator, [asked(f"p{number}") for number in range(2 * MEMORY_PAIRS + 1)])
    assert sorted(answers) == [""] * (2 * MEMORY_PAIRS) + ["NO_CAPACITY"]
    check_promises(world.desk.published.snapshot)


async def test_a_repeat_does_not_wait_for_a_search(
    world: Controller, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await operator.entanglement.CreateEntanglementPath(asked("p", request_id="once"))

    def never(_: Published, request: Request) -> object:
        raise AssertionError(f"searched for {request}")

    monkeypatch.setattr(route_search, "proposal_for", never)
    again = await operator.entanglement.CreateEntanglementPath(asked("p", request_id="once"))
    assert again.entanglement_path.name == first.entanglement_path.name
    assert await outcomes(operator, [asked("p", rate_hz=6.0, request_id="once")]) == ["REQUEST_ID_REUSED"]


async def test_one_request_sent_several_times_at_once_makes_one_path(world: Controller, operator: Client) -> None:
    assert await outcomes(operator, [asked("p", request_id="once")] * 4) == [""] * 4
    assert list(world.desk.published.snapshot.paths) == ["p"]


async def test_a_refusal_says_of_which_revision_it_is(world: Controller, operator: Client) -> None:
    revision = world.desk.published.snapshot.revision
    for validate_only in (False, True):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await operator.entanglement.CreateEntanglementPath(asked("p", 100_000.0, validate_only=validate_only))
        told = reason_of(error.value)
        assert (told.reason, told.metadata["revision"]) == ("NO_CAPACITY", str(revision))
