"""Changes of key relays and applications in place, over real gRPC, on the real writer."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from qinet.northbound.v1 import application_pb2, key_relay_pb2
from qinet.northbound.v1 import application_service_pb2 as app_pb
from qinet.northbound.v1 import key_relay_service_pb2 as pb
from tests.integration.northbound.test_key_relays import asked, refused
from tests.integration.northbound.world import Client, Controller, client, reason_of

State = key_relay_pb2.KeyRelay.State
Phase = key_relay_pb2.KeyRelay.Phase
Relay = key_relay_pb2.KeyRelay


async def running(operator: Client, world: Controller, name: str = "r", **more: Any) -> Relay:
    """Create a relay on which keys flow."""
    await operator.relays.CreateKeyRelay(asked(name, **more))
    await world.confirm_keys(name)
    return await got(operator, name)


async def got(operator: Client, name: str = "r") -> Relay:
    return (await operator.relays.GetKeyRelay(pb.GetKeyRelayRequest(name=f"keyRelays/{name}"))).key_relay


def update(
    *paths: str, name: str = "r", etag: str = "", validate_only: bool = False, **values: Any
) -> pb.UpdateKeyRelayRequest:
    return pb.UpdateKeyRelayRequest(
        key_relay=Relay(name=f"keyRelays/{name}", etag=etag, **values),
        update_mask=FieldMask(paths=paths or list(values)),
        validate_only=validate_only,
    )


def links(relay: Relay) -> list[list[str]]:
    return [[hop.link.removeprefix("links/") for hop in route.hops] for route in relay.routes]


async def test_a_rate_changes_on_the_same_route_and_keys_never_stop(operator: Client, world: Controller) -> None:
    before = await running(operator, world)
    answer = await operator.relays.UpdateKeyRelay(update("rate", rate_bit_per_s=200, etag=before.etag))
    told = answer.key_relay
    assert (told.rate_bit_per_s, links(told)) == (200, links(before))
    assert told.route_version > before.route_version
    assert told.state == State.STATE_ACTIVE
    assert [list(route.hops) for route in told.retiring_routes] == [list(route.hops) for route in before.routes]
    assert told.etag != before.etag
    assert answer.revision == told.revision

    await world.confirm_keys("r")
    after = await got(operator)
    assert (after.phase, len(after.retiring_routes)) == (Phase.PHASE_SETTLED, 0)
    assert {held.charge_bit_per_s for held in after.reservations} != {
        held.charge_bit_per_s for held in before.reservations
    }


async def test_either_form_of_the_rate_stands_for_it(operator: Client, world: Controller) -> None:
    await running(operator, world)
    rate = key_relay_pb2.KeyRate(key_size_bit=256, keys=2, interval=Duration(seconds=1))
    told = (await operator.relays.UpdateKeyRelay(update("key_rate", key_rate=rate))).key_relay
    assert told.rate_bit_per_s == 512


async def test_a_priority_changes_the_document_alone(operator: Client, world: Controller) -> None:
    before = await running(operator, world)
    told = (await operator.relays.UpdateKeyRelay(update(priority=7))).key_relay
    assert (told.priority, told.route_version, told.phase) == (7, before.route_version, Phase.PHASE_SETTLED)


async def test_an_update_to_the_same_values_changes_nothing(operator: Client, world: Controller) -> None:
    before = await running(operator, world, priority=3)
    answer = await operator.relays.UpdateKeyRelay(update("priority", "rate", priority=3, rate_bit_per_s=100))
    assert answer.revision == 0
    assert (answer.key_relay.etag, answer.key_relay.route_version) == (before.etag, before.route_version)


async def test_validate_only_tells_what_an_update_would_do(operator: Client, world: Controller) -> None:
    before = await running(operator, world)
    request = update(avoid_links=["links/l00"], validate_only=True)
    answer = await operator.relays.UpdateKeyRelay(request)
    assert (answer.revision, links(answer.key_relay)) == (0, [["l03", "l02"]])
    assert links(await got(operator)) == links(before)


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (update(rate_bit_per_s=1e6), grpc.StatusCode.FAILED_PRECONDITION, "NO_CAPACITY"),
        (update(max_hops=1), grpc.StatusCode.FAILED_PRECONDITION, "NO_ROUTE"),
        (update(shares=3), grpc.StatusCode.FAILED_PRECONDITION, "NO_DISJOINT_ROUTES"),
        (update(priority=1, etag="old"), grpc.StatusCode.FAILED_PRECONDITION, "STALE_ETAG"),
        (update(priority=1, name="none"), grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        (update(applications=["applications/x"]), grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        (update(avoid_nodes=["nodes/x"]), grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        (update(avoid_nodes=["nodes/n00"]), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"),
        (update("rate"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"),
        (
            pb.UpdateKeyRelayRequest(key_relay=Relay(name="keyRelays/r")),
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_VALUE",
        ),
    ],
)
async def test_an_update_that_cannot_be_changes_nothing_at_all(
    operator: Client, world: Controller, request_: pb.UpdateKeyRelayRequest, code: grpc.StatusCode, reason: str
) -> None:
    await running(operator, world)
    before = world.desk.published.snapshot
    error = await refused(operator.relays.UpdateKeyRelay(request_))
    assert (error.code(), reason_of(error).reason) == (code, reason)
    assert world.desk.published.snapshot.relays == before.relays


@pytest.mark.parametrize("path", ["source", "target", "name", "state", "etag", "colour", "hold_off.seconds", "*"])
async def test_a_mask_that_names_what_cannot_be_changed_is_told_what_can(
    operator: Client, world: Controller, path: str
) -> None:
    await running(operator, world)
    error = await refused(operator.relays.UpdateKeyRelay(update("priority", path, priority=1)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = error.details()
    assert details is not None
    assert f"'{path}'" in details
    assert "hold_off" in details


async def test_a_relay_is_disabled_enabled_and_gets_shares_and_a_backup(operator: Client, world: Controller) -> None:
    await running(operator, world)
    off = (await operator.relays.UpdateKeyRelay(update(admin_enabled=False))).key_relay
    assert (off.state, off.state_reason) == (State.STATE_BLOCKED, "disabled by user/alice")
    on = (await operator.relays.UpdateKeyRelay(update(admin_enabled=True))).key_relay
    assert links(on)
    await world.confirm_keys("r")
    protected = update(protection=Relay.PROTECTION_ONE_FOR_ONE)
    told = (await operator.relays.UpdateKeyRelay(protected)).key_relay
    assert len(told.backup_routes) == 1
    await world.confirm_keys("r")
    assert (await got(operator)).backup_ready
    bare = update("protection", "shares", protection=Relay.PROTECTION_RESTORE, shares=2)
    told = (await operator.relays.UpdateKeyRelay(bare)).key_relay
    assert (len(told.routes), len(told.backup_routes)) == (2, 0)


async def test_a_lifetime_that_the_mask_names_begins_anew(operator: Client, world: Controller) -> None:
    await running(operator, world, lifetime=Duration(seconds=100))
    longer = (await operator.relays.UpdateKeyRelay(update(lifetime=Duration(seconds=9000)))).key_relay
    before = (await got(operator)).expire_time
    assert longer.lifetime.seconds == 9000
    assert (await operator.relays.UpdateKeyRelay(update("lifetime"))).key_relay.HasField("expire_time") is False
    assert before.seconds


async def test_a_redeployment_moves_a_manual_relay_and_tells_the_best_route_anew(
    operator: Client, world: Controller
) -> None:
    first = await running(operator, world, restoration_mode=Relay.RESTORATION_MODE_MANUAL)
    preview = await operator.relays.RedeployKeyRelay(pb.RedeployKeyRelayRequest(name="keyRelays/r", validate_only=True))
    assert preview.revision == 0
    again = (await operator.relays.RedeployKeyRelay(pb.RedeployKeyRelayRequest(name="keyRelays/r"))).key_relay
    assert (links(again), again.route_version > first.route_version) == (links(first), True)
    assert (await got(operator)).route_version == again.route_version > preview.key_relay.route_version - 10
    await world.confirm_keys("r")

    await world.cut("l00")
    assert links(await got(operator)) == links(first)
    moved = (await operator.relays.RedeployKeyRelay(pb.RedeployKeyRelayRequest(name="keyRelays/r"))).key_relay
    assert links(moved) == [["l03", "l02"]]
    stale = pb.RedeployKeyRelayRequest(name="keyRelays/r", etag="old")
    assert reason_of(await refused(operator.relays.RedeployKeyRelay(stale))).reason == "STALE_ETAG"


async def test_the_history_tells_who_and_why_newest_first_also_of_what_is_gone(
    operator: Client, world: Controller
) -> None:
    await running(operator, world)
    async with client(world.party, world.port, "user/bob") as bob:
        await bob.relays.UpdateKeyRelay(update(rate_bit_per_s=300))
        await world.confirm_keys("r")
        await world.cut("l00")
        await world.confirm_keys("r")
        await bob.relays.DeleteKeyRelay(pb.DeleteKeyRelayRequest(name="keyRelays/r"))
    await gone(operator)

    listed = pb.GetKeyRelayHistoryRequest(name="keyRelays/r", page_size=3)
    entries: list[pb.KeyRelayHistoryEntry] = []
    while True:
        page = await operator.relays.GetKeyRelayHistory(listed)
        assert len(page.entries) <= 3
        entries += page.entries
        if not page.next_page_token:
            break
        listed.page_token = page.next_page_token
    revisions = [entry.revision for entry in entries]
    assert revisions == sorted(set(revisions), reverse=True)
    assert {"user/alice", "user/bob", "apps/Restoration"} <= {entry.by for entry in entries}
    assert entries[-1].by == "user/alice"
    assert entries[-1].routes
    assert any("updated by user/bob" in entry.state_reason for entry in entries)
    assert any("l00 is down" in entry.state_reason for entry in entries)
    unknown = await refused(operator.relays.GetKeyRelayHistory(pb.GetKeyRelayHistoryRequest(name="keyRelays/never")))
    assert unknown.code() is grpc.StatusCode.NOT_FOUND
    wrong = pb.GetKeyRelayHistoryRequest(name="keyRelays/r", page_token="x")
    assert (await refused(operator.relays.GetKeyRelayHistory(wrong))).code() is grpc.StatusCode.INVALID_ARGUMENT


async def gone(operator: Client, name: str = "r") -> None:
    """Wait until a relay that was deleted is off its nodes."""
    async for told in operator.relays.WatchKeyRelays(pb.WatchKeyRelaysRequest()):
        try:
            await got(operator, name)
        except grpc.aio.AioRpcError:
            return
        assert told is not None


async def test_of_two_changes_of_one_etag_the_second_is_refused(operator: Client, world: Controller) -> None:
    before = await running(operator, world)
    answers = await asyncio.gather(
        *(operator.relays.UpdateKeyRelay(update(etag=before.etag, priority=number)) for number in (1, 2)),
        return_exceptions=True,
    )
    (stale,) = (answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError))
    assert reason_of(stale).reason == "STALE_ETAG"
    assert reason_of(stale).metadata["etag"] == (await got(operator)).etag


async def test_what_is_being_removed_changes_no_more(operator: Client, world: Controller) -> None:
    await running(operator, world)
    world.agents.obeying = False
    await operator.relays.DeleteKeyRelay(pb.DeleteKeyRelayRequest(name="keyRelays/r"))
    going = await refused(operator.relays.UpdateKeyRelay(update(priority=1)))
    assert (going.code(), reason_of(going).reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REMOVING")
    again = await refused(operator.relays.RedeployKeyRelay(pb.RedeployKeyRelayRequest(name="keyRelays/r")))
    assert reason_of(again).reason == "REMOVING"


async def test_a_disabled_relay_is_not_redeployed(operator: Client, world: Controller) -> None:
    await running(operator, world)
    await operator.relays.UpdateKeyRelay(update(admin_enabled=False))
    off = await refused(operator.relays.RedeployKeyRelay(pb.RedeployKeyRelayRequest(name="keyRelays/r")))
    assert (off.code(), reason_of(off).reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DISABLED")


# Applications


async def directory(operator: Client) -> None:
    for sae, node in (("alice", "n00"), ("bob", "n02"), ("carol", "n01"), ("near", "n00")):
        await operator.applications.CreateSae(
            app_pb.CreateSaeRequest(sae_id=sae, sae=application_pb2.Sae(node=f"nodes/{node}"))
        )


def created(name: str, *clients: str) -> app_pb.CreateApplicationRequest:
    body = application_pb2.Application(server_sae="saes/alice", client_saes=[f"saes/{one}" for one in clients])
    return app_pb.CreateApplicationRequest(application_id=name, application=body)


async def test_an_application_joins_several_nodes_with_a_relay_to_each(operator: Client, world: Controller) -> None:
    await directory(operator)
    told = (await operator.applications.CreateApplication(created("x", "bob", "carol"))).application
    assert list(told.client_saes) == ["saes/bob", "saes/carol"]
    await operator.relays.CreateKeyRelay(asked("far", applications=["applications/x"]))
    await operator.relays.CreateKeyRelay(asked("close", target="nodes/n01", applications=["applications/x"]))
    taken = await refused(operator.relays.CreateKeyRelay(asked("again", applications=["applications/x"])))
    assert reason_of(taken).reason == "APPLICATION_TAKEN"

    told = (await operator.applications.GetApplication(app_pb.GetApplicationRequest(name="applications/x"))).application
    assert (told.key_relay, list(told.key_relays)) == ("", ["keyRelays/close", "keyRelays/far"])
    beside = await refused(operator.applications.CreateApplication(created("y", "bob", "near")))
    assert reason_of(beside).reason == "SAME_NODE"
    assert reason_of(beside).metadata["node"] == "n00"


async def test_an_unnamed_relay_is_not_named_in_its_refusal(operator: Client) -> None:
    await directory(operator)
    await operator.applications.CreateApplication(created("x", "carol"))
    error = await refused(operator.relays.CreateKeyRelay(asked("", application="applications/x")))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = error.details()
    assert details is not None
    assert "keyRelays/" not in details
    assert "no SAE of applications/x is at nodes/n02" in details


async def test_an_application_is_updated_and_watchers_are_told(operator: Client) -> None:
    await directory(operator)
    first = (await operator.applications.CreateApplication(created("x", "bob"))).application
    answer = await operator.applications.UpdateApplication(
        app_pb.UpdateApplicationRequest(
            application=application_pb2.Application(
                name="applications/x",
                etag=first.etag,
                qos=application_pb2.Qos(ttl=Duration(seconds=9), priority=4),
                client_saes=["saes/bob", "saes/carol"],
            ),
            update_mask=FieldMask(paths=["qos.ttl", "client_saes"]),
        )
    )
    told = answer.application
    assert (told.qos.ttl.seconds, told.qos.priority, len(told.client_saes)) == (9, 0, 2)
    async for note in operator.applications.WatchApplications(
        app_pb.WatchApplicationsRequest(resume_revision=answer.revision - 1)
    ):
        assert note.application == told
        break
    wrong = app_pb.UpdateApplicationRequest(
        application=application_pb2.Application(name="applications/x", server_sae="saes/bob"),
        update_mask=FieldMask(paths=["server_sae"]),
    )
    error = await refused(operator.applications.UpdateApplication(wrong))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "key_size_bit" in (error.details() or "")
