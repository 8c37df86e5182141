"""Drain, freeze and what-if over real gRPC, on the real writer."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from controller.domain.capacity import over_reserved
from qinet.northbound.v1 import key_relay_pb2, node_pb2
from qinet.northbound.v1 import key_relay_service_pb2 as relay_pb
from qinet.northbound.v1 import operations_service_pb2 as pb
from qinet.northbound.v1 import topology_service_pb2 as topology_pb
from tests.integration.northbound.test_changes import got, links, running, update
from tests.integration.northbound.test_key_relays import asked, refused
from tests.integration.northbound.world import Client, Controller

Outcome = relay_pb.PredictedMove.Outcome
Relay = key_relay_pb2.KeyRelay


async def alarms(operator: Client) -> dict[str, pb.Alarm]:
    listed = await operator.operations.ListAlarms(pb.ListAlarmsRequest())
    return {alarm.kind: alarm for alarm in listed.alarms}


async def by_way_of_n01(operator: Client, world: Controller, name: str, **more: Any) -> None:
    """Create a relay whose route is the one by n01, although it may have others."""
    await running(operator, world, name, avoid_nodes=["nodes/n03"], **more)
    await operator.relays.UpdateKeyRelay(update("avoid_nodes", name=name))


def maintained(world: Controller, node: str) -> bool:
    return world.desk.published.snapshot.nodes[node].maintenance


async def settled(world: Controller) -> None:
    """Let the writer finish what it has begun."""
    async with asyncio.timeout(10):
        while any(key[2] == "DRAINING" for key in world.desk.published.snapshot.alarms):
            await asyncio.sleep(0)


async def test_a_drain_moves_what_it_can_in_the_order_of_importance(operator: Client, world: Controller) -> None:
    await by_way_of_n01(operator, world, "low", priority=1)
    await by_way_of_n01(operator, world, "high", priority=2)
    await running(operator, world, "ends", target="nodes/n01")
    preview = await operator.operations.Drain(pb.DrainRequest(name="nodes/n01", validate_only=True))
    assert preview.revision == 0
    assert not maintained(world, "n01")

    answer = await operator.operations.Drain(pb.DrainRequest(name="nodes/n01"))
    assert list(answer.moves) == list(preview.moves)
    assert [(move.key_relay, move.outcome) for move in answer.moves] == [
        ("keyRelays/high", Outcome.OUTCOME_MOVES),
        ("keyRelays/low", Outcome.OUTCOME_MOVES),
        ("keyRelays/ends", Outcome.OUTCOME_STAYS),
    ]
    assert answer.moves[2].reason == "ends at nodes/n01"
    await settled(world)
    for name in ("low", "high"):
        moved = await got(operator, name)
        assert links(moved) == [["l03", "l02"]]
        assert moved.state == Relay.STATE_ACTIVE
    assert links(await got(operator, "ends")) == [["l00"]]
    assert maintained(world, "n01")
    assert not over_reserved(
        world.desk.published.snapshot.links,
        world.desk.published.snapshot.conditions,
        world.desk.published.reserved,
    )


async def test_hundreds_of_relays_are_drained_while_others_are_served(operator: Client, world: Controller) -> None:
    await asyncio.gather(
        *(operator.relays.CreateKeyRelay(asked(f"r{number:03}", rate_bit_per_s=1)) for number in range(200))
    )
    on = {name for name, relay in world.desk.published.snapshot.relays.items() if "n01" in relay.nodes()}
    answer = await operator.operations.Drain(pb.DrainRequest(name="nodes/n01"))
    assert {move.key_relay.removeprefix("keyRelays/") for move in answer.moves} == on
    # The writer has taken the drain, but not yet moved them all: others' requests go in between.
    meanwhile = (await operator.relays.CreateKeyRelay(asked("meanwhile", rate_bit_per_s=1))).key_relay
    assert links(meanwhile) == [["l03", "l02"]]
    await settled(world)
    assert not [relay for relay in world.desk.published.snapshot.relays.values() if "n01" in relay.nodes()]


async def test_the_end_of_maintenance_ends_a_drain_and_lets_relays_come_back(
    operator: Client, world: Controller
) -> None:
    await operator.operations.Drain(pb.DrainRequest(name="links/l00"))
    blocked = asked("b", target="nodes/n01", max_hops=1, accept_blocked=True)
    told = (await operator.relays.CreateKeyRelay(blocked)).key_relay
    assert told.state == Relay.STATE_BLOCKED
    link = topology_pb.UpdateLinkRequest(update_mask=FieldMask(paths=["maintenance"]))
    link.link.name, link.link.maintenance = "links/l00", False
    await operator.topology.UpdateLink(link)
    assert links(await got(operator, "b")) == [["l00"]]
    assert "DRAINING" not in await alarms(operator)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nodes/x", grpc.StatusCode.NOT_FOUND),
        ("links/x", grpc.StatusCode.NOT_FOUND),
        ("n01", grpc.StatusCode.INVALID_ARGUMENT),
        ("", grpc.StatusCode.INVALID_ARGUMENT),
        ("keyRelays/r", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_only_nodes_and_links_are_drained_and_fail(operator: Client, name: str, code: grpc.StatusCode) -> None:
    assert (await refused(operator.operations.Drain(pb.DrainRequest(name=name)))).code() is code
    assert (await refused(operator.operations.WhatIf(pb.WhatIfRequest(failed=[name])))).code() is code


async def test_nothing_moves_by_itself_while_frozen_and_all_does_afterwards(
    operator: Client, world: Controller
) -> None:
    await running(operator, world)
    unsaid = await refused(operator.operations.Freeze(pb.FreezeRequest(frozen=True)))
    assert unsaid.code() is grpc.StatusCode.INVALID_ARGUMENT
    frozen = await operator.operations.Freeze(pb.FreezeRequest(frozen=True, reason="storm"))
    assert (frozen.frozen.reason, frozen.frozen.by) == ("storm", "user/alice")
    assert frozen.frozen.since.seconds
    status = await operator.operations.GetClusterStatus(pb.GetClusterStatusRequest())
    assert status.frozen == frozen.frozen
    assert "user/alice" in (await alarms(operator))["FROZEN"].message

    await world.cut("l00")
    assert links(await got(operator)) == [["l00", "l01"]]
    assert (await operator.relays.CreateKeyRelay(asked("made"))).key_relay.routes  # what operators ask goes on

    thawed = await operator.operations.Freeze(pb.FreezeRequest(frozen=False))
    assert not thawed.HasField("frozen")
    assert links(await got(operator)) == [["l03", "l02"]]
    assert "FROZEN" not in await alarms(operator)
    assert not (await operator.operations.GetClusterStatus(pb.GetClusterStatusRequest())).HasField("frozen")


async def test_what_if_tells_what_becomes_of_each_relay_and_changes_nothing(
    operator: Client, world: Controller
) -> None:
    await running(operator, world, "switches", protection=Relay.PROTECTION_ONE_FOR_ONE)
    await by_way_of_n01(operator, world, "moves")
    await running(operator, world, "ends", target="nodes/n01")
    await by_way_of_n01(operator, world, "waits", hold_off=Duration(seconds=5))
    before = world.desk.published.snapshot
    told = await operator.operations.WhatIf(pb.WhatIfRequest(failed=["nodes/n01"]))
    assert told.revision == before.revision
    outcomes = {move.key_relay.removeprefix("keyRelays/"): move for move in told.moves}
    assert outcomes["ends"].outcome == Outcome.OUTCOME_BLOCKED
    assert outcomes["ends"].reason == "ends at nodes/n01"
    assert outcomes["moves"].outcome == Outcome.OUTCOME_MOVES
    assert [hop.link for hop in outcomes["moves"].routes[0].hops] == ["links/l03", "links/l02"]
    assert outcomes["switches"].outcome == Outcome.OUTCOME_SWITCHES
    assert outcomes["waits"].outcome == Outcome.OUTCOME_MOVES  # a node that is gone passes on no stored key
    cut = await operator.operations.WhatIf(pb.WhatIfRequest(failed=["links/l00"]))
    waits = {move.key_relay: move for move in cut.moves}["keyRelays/waits"]
    assert waits.outcome == Outcome.OUTCOME_STAYS
    assert "rides on stored key for about 5 s" in waits.reason
    assert world.desk.published.snapshot == before
    none = await refused(operator.operations.WhatIf(pb.WhatIfRequest()))
    assert none.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_if_is_what_then_happens(operator: Client, world: Controller) -> None:
    await running(operator, world, "a", rate_bit_per_s=4000, priority=2)
    await running(operator, world, "b", rate_bit_per_s=4000, priority=1)
    await running(operator, world, "c", rate_bit_per_s=4000, source="nodes/n03")
    predicted = await operator.operations.WhatIf(pb.WhatIfRequest(failed=["links/l00"]))
    await world.cut("l00")
    for move in predicted.moves:
        after = await got(operator, move.key_relay.removeprefix("keyRelays/"))
        if move.outcome == Outcome.OUTCOME_MOVES:
            assert list(after.routes) == list(move.routes)


async def test_searches_are_counted_with_the_time_they_took(operator: Client, world: Controller) -> None:
    def counted(outcome: str) -> float:
        name = "qinet_route_computation_seconds_count"
        return world.registry.get_sample_value(name, {"outcome": outcome}) or 0.0

    before = counted("found"), counted("refused")
    await operator.relays.ComputeRoutes(relay_pb.ComputeRoutesRequest(key_relay=asked().key_relay))
    await refused(operator.relays.ComputeRoutes(relay_pb.ComputeRoutesRequest(key_relay=asked(max_hops=1).key_relay)))
    assert (counted("found"), counted("refused")) == (before[0] + 1, before[1] + 1)


async def test_a_node_in_maintenance_is_seen_as_such(operator: Client) -> None:
    await operator.operations.Drain(pb.DrainRequest(name="nodes/n03"))
    told: node_pb2.Node = (await operator.topology.GetNode(topology_pb.GetNodeRequest(name="nodes/n03"))).node
    assert told.maintenance
