"""EntanglementService over real gRPC, on the real writer."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from prometheus_client import CollectorRegistry

from controller.domain.service import ServiceState
from controller.observability.network_metrics import NetworkCollector
from controller.ports.observations import (
    AgentObservation,
    FidelityObservation,
    LinkObservation,
    PairLinkObservation,
    PathObservation,
)
from controller.service.figures import Listed, network_view
from qinet.northbound.v1 import entanglement_path_pb2, key_relay_pb2
from qinet.northbound.v1 import entanglement_service_pb2 as pb
from qinet.northbound.v1 import key_relay_service_pb2 as relay_pb
from qinet.northbound.v1 import operations_service_pb2 as operations_pb
from qinet.northbound.v1 import topology_service_pb2 as topology_pb
from qinet.types.v1 import pairs_pb2
from tests.integration.northbound.world import Client, Controller, reason_of

State = key_relay_pb2.KeyRelay.State
Kind = pb.WatchEntanglementPathsResponse.Kind


@pytest.fixture
def world(pair_world: Controller) -> Controller:
    """The controller that `operator` asks: one of a network of pairs."""
    return pair_world


def path(**more: Any) -> entanglement_path_pb2.EntanglementPath:
    told = {"source": "nodes/a", "target": "nodes/c", "minimum_fidelity": 0.9, "rate_hz": 5.0, **more}
    return entanglement_path_pb2.EntanglementPath(**told)


def asked(name: str = "p", request_id: str = "", **more: Any) -> pb.CreateEntanglementPathRequest:
    return pb.CreateEntanglementPathRequest(
        entanglement_path_id=name, entanglement_path=path(**more), request_id=request_id
    )


async def refused(call: "grpc.aio.UnaryUnaryCall[Any, Any]") -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


async def got(operator: Client, name: str = "p") -> entanglement_path_pb2.EntanglementPath:
    request = pb.GetEntanglementPathRequest(name=f"entanglementPaths/{name}")
    return (await operator.entanglement.GetEntanglementPath(request)).entanglement_path


def links_of(route: key_relay_pb2.Route) -> list[str]:
    return [hop.link for hop in route.hops]


async def test_a_path_is_created_planned_confirmed_and_deleted(operator: Client, world: Controller) -> None:
    answer = await operator.entanglement.CreateEntanglementPath(asked(lifetime=Duration(seconds=3600)))
    created = answer.entanglement_path
    assert (created.name, created.created_by) == ("entanglementPaths/p", "user/alice")
    assert answer.revision == created.revision > 0
    assert links_of(created.route) == ["links/ab", "links/bc"]
    assert created.HasField("expire_time")
    assert created.etag
    assert (created.state, created.route_version > 0) == (State.STATE_PENDING, True)

    plan = created.plan
    assert plan.regime == pairs_pb2.REGIME_BUFFERED
    assert plan.rate_hz >= 5.0
    assert plan.fidelity >= 0.9
    assert [(step.node, step.left, step.right) for step in plan.swaps] == [("b", "a", "c")]
    assert (plan.objective, plan.gap) == ("rate_hz", 0.0)
    assert plan.objective_value > plan.rate_hz
    held = {one.resource: one.amount for one in created.reservations}
    assert {"links/ab", "links/bc", "nodes/a/memories", "nodes/b/memories", "nodes/c/memories"} <= held.keys()
    assert not any(one.releasing for one in created.reservations)

    await world.confirm_pairs("p")
    active = await got(operator)
    assert (active.state, active.phase) == (State.STATE_ACTIVE, key_relay_pb2.KeyRelay.PHASE_SETTLED)
    assert not active.unconfirmed_nodes
    assert active.etag == created.etag

    link = (await operator.topology.GetLink(topology_pb.GetLinkRequest(name="links/ab"))).link
    assert link.reserved_pairs == held["links/ab"]
    assert link.pair_capacity > link.reserved_pairs
    assert link.reserved_bit_per_s == 0

    deleting = pb.DeleteEntanglementPathRequest(name="entanglementPaths/p", etag=created.etag)
    assert (await operator.entanglement.DeleteEntanglementPath(deleting)).revision
    await gone(operator)
    missing = await refused(
        operator.entanglement.GetEntanglementPath(pb.GetEntanglementPathRequest(name="entanglementPaths/p"))
    )
    assert missing.code() is grpc.StatusCode.NOT_FOUND
    freed = (await operator.topology.GetLink(topology_pb.GetLinkRequest(name="links/ab"))).link
    assert freed.reserved_pairs == 0


async def gone(operator: Client, name: str = "p") -> None:
    """Wait until a path is there no more."""
    named = False
    async for told in operator.entanglement.WatchEntanglementPaths(pb.WatchEntanglementPathsRequest()):
        named = named or told.entanglement_path.name == f"entanglementPaths/{name}"
        if told.deleted == f"entanglementPaths/{name}" or (told.kind == Kind.KIND_SYNC_END and not named):
            return


async def test_a_repeated_request_gets_the_first_answer_and_never_creates_again(operator: Client) -> None:
    create = operator.entanglement.CreateEntanglementPath
    first = (await create(asked("", request_id="q1"))).entanglement_path
    assert (await create(asked("", request_id="q1"))).entanglement_path.name == first.name
    other = await refused(create(asked("", request_id="q1", priority=1)))
    assert (other.code(), reason_of(other).reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    await operator.entanglement.DeleteEntanglementPath(pb.DeleteEntanglementPathRequest(name=first.name))
    late = await refused(create(asked("", request_id="q1")))
    assert (late.code(), reason_of(late).reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ALREADY_DELETED")


async def test_validate_only_tells_and_changes_nothing(operator: Client, world: Controller) -> None:
    before = world.desk.published.snapshot.revision
    request = asked()
    request.validate_only = True
    told = await operator.entanglement.CreateEntanglementPath(request)
    assert told.revision == 0
    assert told.entanglement_path.plan.rate_hz >= 5.0
    assert world.desk.published.snapshot.revision == before
    listed = await operator.entanglement.ListEntanglementPaths(pb.ListEntanglementPathsRequest())
    assert not listed.entanglement_paths


async def test_a_route_is_what_create_would_take_and_nothing_changes(operator: Client, world: Controller) -> None:
    before = world.desk.published.snapshot.revision
    answer = await operator.entanglement.ComputeEntanglementRoute(
        pb.ComputeEntanglementRouteRequest(entanglement_path=path())
    )
    assert world.desk.published.snapshot.revision == before == answer.revision
    created = (await operator.entanglement.CreateEntanglementPath(asked())).entanglement_path
    assert (answer.route, answer.plan) == (created.route, created.plan)
    assert list(answer.reservations) == list(created.reservations)


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({"minimum_fidelity": float("nan")}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"),
        ({"minimum_fidelity": 0.25}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"),
        ({"rate_hz": float("nan")}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"),
        ({"rate_hz": 0.0}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"),
        ({"target": "nodes/a"}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"),
        ({"target": "nodes/nowhere"}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        ({"avoid_links": ["links/none"]}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        ({"rate_hz": 1e6}, grpc.StatusCode.FAILED_PRECONDITION, "NO_CAPACITY"),
        ({"minimum_fidelity": 1.0}, grpc.StatusCode.FAILED_PRECONDITION, "FIDELITY_UNREACHABLE"),
        ({"target": "nodes/g"}, grpc.StatusCode.FAILED_PRECONDITION, "NO_MEMORIES"),
        ({"target": "nodes/h"}, grpc.StatusCode.FAILED_PRECONDITION, "NO_ROUTE"),
        ({"max_hops": 1}, grpc.StatusCode.FAILED_PRECONDITION, "NO_ROUTE"),
        ({"source": "nodes/b", "target": "nodes/f", "avoid_nodes": ["nodes/a"]}, None, "CANNOT_SWAP"),
        ({"target": "nodes/m", "source": "nodes/d", "avoid_nodes": ["nodes/f"]}, None, "MIXED_REGIMES"),
        (
            {"key_link": "links/k", "use": pairs_pb2.PAIR_USE_MEASURE},
            grpc.StatusCode.FAILED_PRECONDITION,
            "NO_AUTHENTICATION_KEY",
        ),
    ],
)
async def test_a_path_that_cannot_be_is_refused_with_its_reason_and_stores_nothing(
    operator: Client, world: Controller, change: dict[str, Any], code: grpc.StatusCode | None, reason: str
) -> None:
    error = await refused(operator.entanglement.CreateEntanglementPath(asked(**change)))
    assert (error.code(), reason_of(error).reason) == (code or grpc.StatusCode.FAILED_PRECONDITION, reason)
    assert not world.desk.published.snapshot.paths
    if "key_link" not in change:
        asking = pb.ComputeEntanglementRouteRequest(entanglement_path=path(**change))
        computed = await refused(operator.entanglement.ComputeEntanglementRoute(asking))
        assert (computed.code(), reason_of(computed).reason) == (error.code(), reason)


async def test_what_is_refused_for_want_of_capacity_can_be_kept_waiting(operator: Client) -> None:
    kept = (
        await operator.entanglement.CreateEntanglementPath(asked(rate_hz=1e6, accept_blocked=True))
    ).entanglement_path
    assert kept.state == State.STATE_BLOCKED
    assert kept.state_reason
    assert not kept.HasField("route")
    assert not kept.HasField("plan")


async def test_a_path_is_changed_in_place_under_its_etag(operator: Client, world: Controller) -> None:
    first = (await operator.entanglement.CreateEntanglementPath(asked())).entanglement_path
    await world.confirm_pairs("p")

    def change(*mask: str, validate_only: bool = False, etag: str = "", **values: Any) -> Any:
        wanted = entanglement_path_pb2.EntanglementPath(name=first.name, etag=etag, **values)
        return operator.entanglement.UpdateEntanglementPath(
            pb.UpdateEntanglementPathRequest(
                entanglement_path=wanted, update_mask=FieldMask(paths=mask), validate_only=validate_only
            )
        )

    tried = await change("rate_hz", validate_only=True, rate_hz=8.0)
    assert (tried.revision, tried.entanglement_path.rate_hz) == (0, 8.0)
    stale = await refused(change("rate_hz", rate_hz=8.0, etag="old"))
    assert reason_of(stale).reason == "STALE_ETAG"
    done = await change("rate_hz", "avoid_nodes", rate_hz=8.0, avoid_nodes=["nodes/b"], etag=first.etag)
    assert done.entanglement_path.rate_hz == 8.0
    assert links_of(done.entanglement_path.route) == ["links/ad", "links/cd"]
    assert done.entanglement_path.etag != first.etag
    assert done.entanglement_path.route_version > first.route_version
    for mask, field in (("key_link", "update_mask"), ("state", "update_mask"), ("source", "update_mask")):
        error = await refused(change(mask))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert field in (error.details() or "")
    beyond = await refused(change("minimum_fidelity", minimum_fidelity=1.0))
    assert reason_of(beyond).reason == "FIDELITY_UNREACHABLE"
    assert (await got(operator)).minimum_fidelity == 0.9

    moved = await operator.entanglement.RedeployEntanglementPath(pb.RedeployEntanglementPathRequest(name=first.name))
    assert moved.entanglement_path.route_version > done.entanglement_path.route_version


async def test_the_history_of_a_path_tells_who_and_why_and_outlives_it(operator: Client, world: Controller) -> None:
    await operator.entanglement.CreateEntanglementPath(asked())
    await world.confirm_pairs("p")
    await operator.entanglement.DeleteEntanglementPath(pb.DeleteEntanglementPathRequest(name="entanglementPaths/p"))
    await gone(operator)
    request = pb.GetEntanglementPathHistoryRequest(name="entanglementPaths/p", page_size=2)
    newest = await operator.entanglement.GetEntanglementPathHistory(request)
    assert newest.entries[0].state == State.STATE_REMOVING
    assert newest.next_page_token
    request.page_size, request.page_token = 0, newest.next_page_token
    older = (await operator.entanglement.GetEntanglementPathHistory(request)).entries
    assert older[-1].by == "user/alice"
    assert links_of(older[-1].route) == ["links/ab", "links/bc"]
    unknown = pb.GetEntanglementPathHistoryRequest(name="entanglementPaths/never")
    assert (await refused(operator.entanglement.GetEntanglementPathHistory(unknown))).code() is (
        grpc.StatusCode.NOT_FOUND
    )


async def test_lists_filter_and_page(operator: Client) -> None:
    for name, more in (("one", {"priority": 3}), ("two", {"avoid_nodes": ["nodes/b"]}), ("three", {"purpose_id": 7})):
        await operator.entanglement.CreateEntanglementPath(asked(name, **more))

    async def listed(filter_text: str = "", **more: Any) -> pb.ListEntanglementPathsResponse:
        request = pb.ListEntanglementPathsRequest(filter=filter_text, **more)
        return await operator.entanglement.ListEntanglementPaths(request)

    def ids(answer: pb.ListEntanglementPathsResponse) -> list[str]:
        return [one.name.removeprefix("entanglementPaths/") for one in answer.entanglement_paths]

    assert ids(await listed()) == ["one", "three", "two"]
    assert ids(await listed("priority = 3")) == ["one"]
    assert ids(await listed("node = d AND source = nodes/a")) == ["two"]
    assert ids(await listed("link = links/ab")) == ["one", "three"]
    assert ids(await listed("purpose_id = 7")) == ["three"]
    assert ids(await listed("use = KEEP")) == ["one", "three", "two"]
    assert ids(await listed('key_link = ""')) == ["one", "three", "two"]
    page = await listed(page_size=2)
    assert ids(page) == ["one", "three"]
    assert ids(await listed(page_size=2, page_token=page.next_page_token)) == ["two"]
    for text in ("use = BOTH", "colour = red", "state = HAPPY"):
        wrong = pb.ListEntanglementPathsRequest(filter=text)
        error = await refused(operator.entanglement.ListEntanglementPaths(wrong))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_watch_goes_on_where_it_was(operator: Client) -> None:
    await operator.entanglement.CreateEntanglementPath(asked("one"))
    seen: list[tuple[int, str]] = []
    resume = 0
    async for told in operator.entanglement.WatchEntanglementPaths(pb.WatchEntanglementPathsRequest()):
        seen.append((told.kind, told.entanglement_path.name))
        if told.kind == Kind.KIND_SYNC_END:
            resume = told.resume_revision
            break
    assert seen == [
        (Kind.KIND_SYNC_BEGIN, ""),
        (Kind.KIND_PUT, "entanglementPaths/one"),
        (Kind.KIND_SYNC_END, ""),
    ]
    await operator.entanglement.CreateEntanglementPath(asked("two", avoid_nodes=["nodes/b"]))
    async for told in operator.entanglement.WatchEntanglementPaths(
        pb.WatchEntanglementPathsRequest(resume_revision=resume)
    ):
        assert told.kind in (Kind.KIND_PUT, Kind.KIND_HEARTBEAT)
        if told.entanglement_path.name == "entanglementPaths/two":
            assert told.entanglement_path.plan.swaps[0].node == "d"
            assert told.resume_revision > resume
            return


async def test_measurements_tell_estimate_and_tracked_fidelity_apart(operator: Client, world: Controller) -> None:
    await operator.entanglement.CreateEntanglementPath(asked())
    known = FidelityObservation(fidelity=0.93, low=0.91, high=0.95, samples=400, age_ms=1500)
    world.observations.put(
        PathObservation(
            node="c", path="p", route_version=1, rate_millihertz=4900, delivered_total=70, starved=True, dropped_total=3
        ),
        PathObservation(
            node="a", path="p", route_version=1, rate_millihertz=5100, fidelity=known, tracked_fidelity=0.94
        ),
        LinkObservation(
            node="a",
            link="ab",
            pairs=PairLinkObservation(rate_millihertz=99_000, pair_total=10, memory_pairs_in_use=2, fidelity=known),
        ),
        LinkObservation(
            node="b", link="ab", pairs=PairLinkObservation(rate_millihertz=0, pair_total=0, memory_pairs_in_use=4)
        ),
    )
    told = await got(operator)
    assert [end.node for end in told.ends] == ["nodes/a", "nodes/c"]
    source, target = told.ends
    assert (source.rate_hz, source.fidelity.fidelity, source.fidelity.samples) == (5.1, 0.93, 400)
    assert source.fidelity.age_ms >= 1500
    assert source.tracked_fidelity == 0.94
    assert not target.HasField("tracked_fidelity")
    assert not target.HasField("fidelity")
    assert (target.delivered_total, target.dropped_total, target.starved) == (70, 3, True)

    request = operations_pb.StreamMeasurementsRequest(entanglement_paths=["entanglementPaths/p"], links=["links/ab"])
    async for sample in operator.operations.StreamMeasurements(request):
        (measured,) = sample.entanglement_paths
        assert measured.entanglement_path == "entanglementPaths/p"
        assert [end.rate_hz for end in measured.ends] == [5.1, 4.9]
        (link,) = sample.links
        assert (link.pair_rate_hz, link.pair_total, link.memory_pairs_in_use) == (99.0, 10, 4)
        assert link.fidelity.samples == 400
        assert not link.HasField("time_to_empty")
        break
    unknown = operations_pb.StreamMeasurementsRequest(entanglement_paths=["entanglementPaths/none"])
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await anext(aiter(operator.operations.StreamMeasurements(unknown)))
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


async def test_predictions_and_agents_name_paths_as_paths(operator: Client, world: Controller) -> None:
    world.agents.obeying = False
    await operator.entanglement.CreateEntanglementPath(asked())
    agents = (await operator.operations.ListAgents(operations_pb.ListAgentsRequest(filter="node = b"))).agents
    assert [list(agent.unconfirmed_paths) for agent in agents] == [["entanglementPaths/p"]]
    assert not agents[0].unconfirmed_relays

    told = await operator.operations.WhatIf(operations_pb.WhatIfRequest(failed=["links/ab"]))
    (move,) = told.moves
    assert (move.key_relay, move.entanglement_path) == ("", "entanglementPaths/p")
    assert move.outcome == relay_pb.PredictedMove.OUTCOME_MOVES
    assert links_of(move.routes[0]) == ["links/ad", "links/cd"]


async def test_a_path_feeds_a_key_link_and_announces_its_first_key(operator: Client) -> None:
    wanted = asked(
        key_link="links/ac-key", authentication="pre-shared", rate_hz=20.0, use=pairs_pb2.PAIR_USE_MEASURE,
        minimum_fidelity=0.94, distillation_block_bit=65536,
    )  # fmt: skip
    created = (await operator.entanglement.CreateEntanglementPath(wanted)).entanglement_path
    assert created.promised_skr_bit_per_s > 0
    assert created.time_to_first_key_s > 65536 / created.plan.rate_hz
    link = (await operator.topology.GetLink(topology_pb.GetLinkRequest(name="links/ac-key"))).link
    assert link.entanglement_path == "entanglementPaths/p"
    assert {end.node for end in link.ends} == {"nodes/a", "nodes/c"}
    assert link.model_skr_bit_per_s == pytest.approx(created.promised_skr_bit_per_s, abs=0.002)
    again = await refused(operator.entanglement.CreateEntanglementPath(wanted))
    assert again.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_calls_at_once_are_answered_each(operator: Client) -> None:
    asking = pb.ComputeEntanglementRouteRequest(entanglement_path=path())
    answers = await asyncio.gather(*(operator.entanglement.ComputeEntanglementRoute(asking) for _ in range(8)))
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1


async def test_the_metrics_page_shows_what_a_listed_path_delivers_of_its_promise(
    operator: Client, world: Controller
) -> None:
    for name in ("p", "unlisted"):
        await operator.entanglement.CreateEntanglementPath(asked(name))
    known = FidelityObservation(fidelity=0.93, low=0.91, high=0.95, samples=400, age_ms=1500)
    world.observations.put(
        PathObservation(node="a", path="p", route_version=1, rate_millihertz=4900, fidelity=known, heard_ms=10_000),
        PathObservation(node="a", path="unlisted", route_version=1, rate_millihertz=1, heard_ms=10_000),
        PathObservation(node="a", path="gone", route_version=1, rate_millihertz=1, heard_ms=10_000),
        AgentObservation(node="b", memories_in_use=64),
    )
    view = network_view(world.writer, world.observations, Listed(paths=frozenset({"p", "gone"})), 12_000)
    registry = CollectorRegistry()
    NetworkCollector(lambda: view, registry)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("qinet_path_promised_pair_rate_hertz", path="p") == (await got(operator)).plan.rate_hz
    assert value("qinet_path_delivered_pair_rate_hertz", path="p", node="a") == 4.9
    assert value("qinet_path_fidelity_estimate_age_seconds", path="p", node="a") == 3.5
    assert value("qinet_path_delivered_pair_rate_hertz", path="unlisted", node="a") is None
    assert value("qinet_path_delivered_pair_rate_hertz", path="gone", node="a") is None
    assert value("qinet_node_memories_in_use", node="b") == 64
    assert sum(value("qinet_entanglement_paths", state=state.value) or 0 for state in ServiceState) == 2
    reserved = value("qinet_node_memories_reserved_ratio", node="b")
    assert reserved is not None
    assert 0 < reserved < 1
