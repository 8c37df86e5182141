"""KeyRelayService over real gRPC, on the real writer."""

from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from controller.ports.observations import RelayObservation
from qinet.northbound.v1 import application_pb2, key_relay_pb2
from qinet.northbound.v1 import application_service_pb2 as app_pb
from qinet.northbound.v1 import key_relay_service_pb2 as pb
from qinet.types.v1 import types_pb2
from tests.integration.northbound.world import Client, Controller, reason_of

State = key_relay_pb2.KeyRelay.State


def relay(**more: Any) -> key_relay_pb2.KeyRelay:
    told = key_relay_pb2.KeyRelay(source="nodes/n00", target="nodes/n02", rate_bit_per_s=100)
    told.MergeFrom(key_relay_pb2.KeyRelay(**more))
    return told


def asked(name: str = "r", request_id: str = "", **more: Any) -> pb.CreateKeyRelayRequest:
    return pb.CreateKeyRelayRequest(key_relay_id=name, key_relay=relay(**more), request_id=request_id)


async def refused(call: grpc.aio.UnaryUnaryCall) -> grpc.aio.AioRpcError:  # type: ignore[type-arg]
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


async def test_a_relay_is_created_routed_confirmed_and_deleted(operator: Client, world: Controller) -> None:
    created = (await operator.relays.CreateKeyRelay(asked(lifetime=Duration(seconds=3600)))).key_relay
    assert created.name == "keyRelays/r"
    assert created.created_by == "user/alice"
    assert [hop.link for hop in created.routes[0].hops] == ["links/l00", "links/l01"]
    assert {held.link for held in created.reservations} == {"links/l00", "links/l01"}
    assert created.reservations[0].charge_bit_per_s > created.rate_bit_per_s == 100
    assert created.HasField("expire_time")
    assert created.etag
    assert created.link_status == types_pb2.LINK_STATUS_PENDING

    await world.confirm_keys("r")
    world.observations.put(RelayObservation(node="n00", relay="r", route_version=1, stock_bit=4096, confirmed=True))
    active = (await operator.relays.GetKeyRelay(pb.GetKeyRelayRequest(name="keyRelays/r"))).key_relay
    assert (active.state, active.link_status) == (State.STATE_ACTIVE, types_pb2.LINK_STATUS_ACTIVE)
    assert active.phase == key_relay_pb2.KeyRelay.PHASE_SETTLED
    assert not active.unconfirmed_nodes
    assert [(end.node, end.stock_bit) for end in active.ends] == [("nodes/n00", 4096)]
    assert active.etag == created.etag

    await operator.relays.DeleteKeyRelay(pb.DeleteKeyRelayRequest(name="keyRelays/r", etag=created.etag))
    async for told in operator.relays.WatchKeyRelays(pb.WatchKeyRelaysRequest()):
        if told.kind == pb.WatchKeyRelaysResponse.KIND_SYNC_END and not world.desk.published.snapshot.relays:
            break
        if told.deleted == "keyRelays/r":
            break
    gone = await refused(operator.relays.GetKeyRelay(pb.GetKeyRelayRequest(name="keyRelays/r")))
    assert gone.code() is grpc.StatusCode.NOT_FOUND


async def test_a_repeated_request_gets_the_first_answer_and_never_creates_again(operator: Client) -> None:
    first = (await operator.relays.CreateKeyRelay(asked("", request_id="q1"))).key_relay
    again = (await operator.relays.CreateKeyRelay(asked("", request_id="q1"))).key_relay
    assert again.name == first.name

    other = await refused(operator.relays.CreateKeyRelay(asked("", request_id="q1", priority=1)))
    assert (other.code(), reason_of(other).reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")

    await operator.relays.DeleteKeyRelay(pb.DeleteKeyRelayRequest(name=first.name))
    late = await refused(operator.relays.CreateKeyRelay(asked("", request_id="q1")))
    assert (late.code(), reason_of(late).reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ALREADY_DELETED")


async def test_validate_only_tells_and_changes_nothing(operator: Client, world: Controller) -> None:
    before = world.desk.published.snapshot
    request = asked()
    request.validate_only = True
    told = await operator.relays.CreateKeyRelay(request)
    assert told.revision == 0
    assert told.key_relay.routes
    assert world.desk.published.snapshot.revision == before.revision
    assert not (await operator.relays.ListKeyRelays(pb.ListKeyRelaysRequest())).key_relays


async def test_a_stale_etag_deletes_nothing(operator: Client) -> None:
    await operator.relays.CreateKeyRelay(asked())
    stale = await refused(operator.relays.DeleteKeyRelay(pb.DeleteKeyRelayRequest(name="keyRelays/r", etag="old")))
    assert (stale.code(), reason_of(stale).reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STALE_ETAG")
    assert (await operator.relays.GetKeyRelay(pb.GetKeyRelayRequest(name="keyRelays/r"))).key_relay.name


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({"rate_bit_per_s": float("nan")}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"),
        ({"rate_bit_per_s": 2.0**32}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"),
        ({"target": "nodes/n00"}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"),
        ({"target": "n02"}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"),
        ({"target": "nodes/nowhere"}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        ({"application": "applications/none"}, grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        ({"rate_bit_per_s": 1e6}, grpc.StatusCode.FAILED_PRECONDITION, "NO_CAPACITY"),
        ({"max_hops": 1}, grpc.StatusCode.FAILED_PRECONDITION, "NO_ROUTE"),
        ({"shares": 3}, grpc.StatusCode.FAILED_PRECONDITION, "NO_DISJOINT_ROUTES"),
        (
            {"shares": 2, "protection": key_relay_pb2.KeyRelay.PROTECTION_ONE_PLUS_ONE},
            grpc.StatusCode.FAILED_PRECONDITION,
            "NO_DISJOINT_ROUTES",
        ),
    ],
)
async def test_a_relay_that_cannot_be_is_refused_with_its_reason(
    operator: Client, world: Controller, change: dict[str, Any], code: grpc.StatusCode, reason: str
) -> None:
    error = await refused(operator.relays.CreateKeyRelay(asked(**change)))
    assert (error.code(), reason_of(error).reason) == (code, reason)
    assert reason_of(error).domain == "qinet.northbound"
    assert not world.desk.published.snapshot.relays


async def test_the_bottleneck_of_what_does_not_fit_is_in_the_metadata(operator: Client) -> None:
    error = await refused(operator.relays.CreateKeyRelay(asked(rate_bit_per_s=1e6)))
    facts = reason_of(error).metadata
    assert facts["bottleneck_links"]
    assert float(facts["possible_bit_per_s"]) > 0


async def test_shares_protection_and_mode_are_taken_and_told(operator: Client, world: Controller) -> None:
    wanted: dict[str, Any] = {
        "shares": 2,
        "restoration_mode": key_relay_pb2.KeyRelay.RESTORATION_MODE_MANUAL,
        "wait_to_restore": Duration(seconds=7),
    }
    told = (await operator.relays.CreateKeyRelay(asked("k", **wanted))).key_relay
    assert (told.shares, len(told.routes)) == (2, 2)
    assert told.restoration_mode == key_relay_pb2.KeyRelay.RESTORATION_MODE_MANUAL
    assert told.wait_to_restore.seconds == 7
    double = asked("p", protection=key_relay_pb2.KeyRelay.PROTECTION_ONE_PLUS_ONE, revertive=True)
    told = (await operator.relays.CreateKeyRelay(double)).key_relay
    assert (len(told.routes), len(told.backup_routes), told.revertive) == (1, 1, True)
    assert told.backup_route_version > told.route_version
    await world.confirm_keys("p")
    assert (await operator.relays.GetKeyRelay(pb.GetKeyRelayRequest(name="keyRelays/p"))).key_relay.backup_ready
    await world.cut("l00")
    after = (await operator.relays.GetKeyRelay(pb.GetKeyRelayRequest(name="keyRelays/p"))).key_relay
    assert not after.backup_ready


async def test_accept_blocked_stores_what_does_not_fit(operator: Client) -> None:
    told = (await operator.relays.CreateKeyRelay(asked(rate_bit_per_s=1e6, accept_blocked=True))).key_relay
    assert told.state == State.STATE_BLOCKED
    assert "bottleneck" in told.state_reason


async def test_lists_filter_and_page(operator: Client) -> None:
    for name in ("a", "b", "c"):
        await operator.relays.CreateKeyRelay(asked(name))
    await operator.relays.CreateKeyRelay(asked("d", source="nodes/n01"))
    listed = pb.ListKeyRelaysRequest(page_size=2, filter="source = n00 AND node = nodes/n02")
    first = await operator.relays.ListKeyRelays(listed)
    listed.page_token = first.next_page_token
    second = await operator.relays.ListKeyRelays(listed)
    assert [one.name for page in (first, second) for one in page.key_relays] == [
        "keyRelays/a",
        "keyRelays/b",
        "keyRelays/c",
    ]
    assert not second.next_page_token
    wrong = await refused(operator.relays.ListKeyRelays(pb.ListKeyRelaysRequest(filter="colour = red")))
    assert wrong.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_watch_tells_the_state_then_changes_and_resumes(operator: Client) -> None:
    await operator.relays.CreateKeyRelay(asked("a"))
    watching = operator.relays.WatchKeyRelays(pb.WatchKeyRelaysRequest())
    kinds, revision = [], 0
    async for told in watching:
        kinds.append(pb.WatchKeyRelaysResponse.Kind.Name(told.kind))
        if told.kind == pb.WatchKeyRelaysResponse.KIND_SYNC_END:
            revision = told.resume_revision
            break
    assert kinds == ["KIND_SYNC_BEGIN", "KIND_PUT", "KIND_SYNC_END"]
    watching.cancel()

    await operator.relays.CreateKeyRelay(asked("b"))
    names = set()
    async for told in operator.relays.WatchKeyRelays(pb.WatchKeyRelaysRequest(resume_revision=revision)):
        assert told.kind != pb.WatchKeyRelaysResponse.KIND_SYNC_BEGIN
        if told.kind == pb.WatchKeyRelaysResponse.KIND_HEARTBEAT:
            assert told.resume_revision >= revision
            break
        names.add(told.key_relay.name)
    assert "keyRelays/b" in names


async def test_a_cut_is_told_to_a_watcher_with_the_new_route(operator: Client, world: Controller) -> None:
    await operator.relays.CreateKeyRelay(asked())
    await world.confirm_keys("r")
    watching = operator.relays.WatchKeyRelays(
        pb.WatchKeyRelaysRequest(resume_revision=world.desk.published.snapshot.revision)
    )
    await world.cut("l00")
    async for told in watching:
        if told.key_relay.state == State.STATE_RESTORING:
            assert [hop.link for hop in told.key_relay.routes[0].hops] == ["links/l03", "links/l02"]
            assert [hop.link for hop in told.key_relay.retiring_routes[0].hops] == ["links/l00", "links/l01"]
            assert len(told.key_relay.reservations) == 4
            break


async def test_routes_are_computed_without_creating(operator: Client, world: Controller) -> None:
    request = pb.ComputeRoutesRequest(key_relay=relay(), max_candidates=5)
    told = await operator.relays.ComputeRoutes(request)
    ways = [[hop.link for hop in candidate.routes[0].hops] for candidate in told.candidates]
    assert ways == [["links/l00", "links/l01"], ["links/l03", "links/l02"]]
    assert told.candidates[0].bottleneck_bit_per_s == 10_000
    assert not world.desk.published.snapshot.relays

    two = await operator.relays.ComputeRoutes(pb.ComputeRoutesRequest(key_relay=relay(shares=2)))
    assert len(two.candidates[0].routes) == 2
    protected = relay(protection=key_relay_pb2.KeyRelay.PROTECTION_ONE_FOR_ONE)
    (spare,) = (await operator.relays.ComputeRoutes(pb.ComputeRoutesRequest(key_relay=protected))).candidates
    assert (len(spare.routes), len(spare.reservations)) == (1, 4)
    far = await refused(operator.relays.ComputeRoutes(pb.ComputeRoutesRequest(key_relay=relay(max_hops=1))))
    assert reason_of(far).reason == "NO_ROUTE"
    nowhere = await refused(
        operator.relays.ComputeRoutes(pb.ComputeRoutesRequest(key_relay=relay(avoid_nodes=["nodes/x"])))
    )
    assert nowhere.code() is grpc.StatusCode.NOT_FOUND


async def test_an_application_goes_with_its_relay(operator: Client) -> None:
    for sae, node in (("alice", "n00"), ("bob", "n02")):
        request = app_pb.CreateSaeRequest(sae_id=sae, sae=application_pb2.Sae(node=f"nodes/{node}"))
        assert (await operator.applications.CreateSae(request)).sae.name == f"saes/{sae}"
    body = application_pb2.Application(server_sae="saes/alice", client_saes=["saes/bob"])
    await operator.applications.CreateApplication(app_pb.CreateApplicationRequest(application_id="x", application=body))
    await operator.relays.CreateKeyRelay(asked(application="applications/x"))

    told = (await operator.applications.GetApplication(app_pb.GetApplicationRequest(name="applications/x"))).application
    assert (told.key_relay, told.key_size_bit, told.qos.ttl.seconds) == ("keyRelays/r", 256, 3600)
    listed = await operator.applications.ListApplications(app_pb.ListApplicationsRequest(filter="sae = bob"))
    assert [one.name for one in listed.applications] == ["applications/x"]
    saes = await operator.applications.ListSaes(app_pb.ListSaesRequest(filter="node = n02"))
    assert [(one.name, list(one.applications)) for one in saes.saes] == [("saes/bob", ["applications/x"])]

    used = await refused(operator.applications.DeleteSae(app_pb.DeleteSaeRequest(name="saes/bob")))
    assert reason_of(used).reason == "IN_USE"
    served = await refused(
        operator.applications.DeleteApplication(app_pb.DeleteApplicationRequest(name="applications/x"))
    )
    assert reason_of(served).reason == "IN_USE"
    kinds = []
    async for note in operator.applications.WatchApplications(app_pb.WatchApplicationsRequest()):
        kinds.append(note.WhichOneof("resource"))
        if note.kind == app_pb.WatchApplicationsResponse.KIND_SYNC_END:
            break
    assert kinds == [None, "sae", "sae", "application", None]


async def test_a_relay_of_higher_priority_displaces_others_and_tells_whom(operator: Client, world: Controller) -> None:
    room: dict[str, Any] = {"rate_bit_per_s": 8000, "target": "nodes/n01", "max_hops": 1}
    await operator.relays.CreateKeyRelay(asked("low", **room))
    refusal = await refused(operator.relays.CreateKeyRelay(asked("high", priority=5, **room)))
    assert reason_of(refusal).reason == "NO_CAPACITY"
    request = asked("high", priority=5, may_preempt=True, **room)
    request.validate_only = True
    preview = await operator.relays.CreateKeyRelay(request)
    request.validate_only = False
    answer = await operator.relays.CreateKeyRelay(request)
    assert list(answer.displaced) == list(preview.displaced)
    (move,) = answer.displaced
    assert (move.key_relay, move.outcome) == ("keyRelays/low", pb.PredictedMove.OUTCOME_BLOCKED)
    assert "makes room for keyRelays/high" in move.reason
    async for told in operator.relays.WatchKeyRelays(pb.WatchKeyRelaysRequest()):
        if told.key_relay.name == "keyRelays/high" and told.key_relay.routes:
            break
    await world.confirm_keys("high")
    low = (await operator.relays.GetKeyRelay(pb.GetKeyRelayRequest(name="keyRelays/low"))).key_relay
    assert low.state == State.STATE_BLOCKED
