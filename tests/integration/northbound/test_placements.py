"""Placements over real gRPC: searched in a process of its own, stored, carried out on the word of an operator."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from qinet.northbound.v1 import placement_pb2
from qinet.northbound.v1 import placement_service_pb2 as pb
from tests.integration.northbound.test_changes import got, links, running, update
from tests.integration.northbound.test_key_relays import refused
from tests.integration.northbound.world import Client, Controller, reason_of

State = placement_pb2.PlacementState


async def roundabout(operator: Client, world: Controller, *names: str) -> None:
    """Create relays from n00 to n01 that go the long way round although the short one is free."""
    for name in names:
        await running(operator, world, name, target="nodes/n01", avoid_links=["links/l00"])
        await operator.relays.UpdateKeyRelay(update("avoid_links", name=name))
        assert links(await got(operator, name)) == [["l03", "l02", "l01"]]


async def proposed(operator: Client, **more: object) -> Sequence[pb.ProposePlacementResponse]:
    request = pb.ProposePlacementRequest(**more)  # type: ignore[arg-type]
    return [message async for message in operator.placements.ProposePlacement(request)]


async def carried_out(operator: Client, world: Controller, name: str, at_once: int) -> placement_pb2.Placement:
    """Carry a placement out, with ends that confirm keys whenever a relay has moved; return it once it is done."""
    await operator.placements.CarryOutPlacement(pb.CarryOutPlacementRequest(name=name, at_once=at_once))
    last = placement_pb2.Placement()
    async with asyncio.timeout(30):
        async for told in operator.placements.WatchPlacement(pb.WatchPlacementRequest(name=name)):
            last = told.placement
            moving = [move for move in last.moves if move.state == placement_pb2.PLANNED_MOVE_STATE_MOVING]
            assert len(moving) <= at_once
            for move in moving:
                await world.confirm_keys(move.service.removeprefix("keyRelays/"))
    return last


async def test_what_goes_the_long_way_round_is_found_and_moved_on_the_operators_word(
    operator: Client, world: Controller
) -> None:
    await roundabout(operator, world, "r1", "r2", "r3")
    messages = await proposed(operator)
    assert [message.WhichOneof("told") for message in messages[:-1]] == ["progress"] * (len(messages) - 1)
    assert len(messages) > 1
    placement = messages[-1].placement
    assert placement.state == State.PLACEMENT_STATE_PROPOSED
    assert placement.created_by == "user/alice"
    assert sorted(move.service for move in placement.moves) == ["keyRelays/r1", "keyRelays/r2", "keyRelays/r3"]
    assert placement.after.key_use_bit_per_s == pytest.approx(placement.before.key_use_bit_per_s / 3)
    assert placement.key_use_bound_bit_per_s == pytest.approx(placement.after.key_use_bit_per_s, rel=1e-3)
    assert placement.gap < 1e-3
    assert links(await got(operator, "r1")) == [["l03", "l02", "l01"]]  # nothing has moved yet

    done = await carried_out(operator, world, placement.name, at_once=2)
    assert done.state == State.PLACEMENT_STATE_DONE
    assert {move.state for move in done.moves} == {placement_pb2.PLANNED_MOVE_STATE_DONE}
    for name in ("r1", "r2", "r3"):
        assert links(await got(operator, name)) == [["l00"]]
    last = (await proposed(operator))[-1]
    assert last.WhichOneof("told") == "nothing_better"
    assert last.nothing_better.figures.key_use_bit_per_s == pytest.approx(done.after.key_use_bit_per_s)


async def test_one_search_at_a_time_and_it_ends_with_its_client(operator: Client, world: Controller) -> None:
    await roundabout(operator, world, "r1", "r2")
    first = operator.placements.ProposePlacement(pb.ProposePlacementRequest())
    progress = await first.read()
    assert isinstance(progress, pb.ProposePlacementResponse)  # it is under way
    with pytest.raises(grpc.aio.AioRpcError) as busy:
        await proposed(operator)
    assert reason_of(busy.value).reason == "BUSY"
    first.cancel()
    found = None
    async with asyncio.timeout(20):
        while found is None:
            with suppress(grpc.aio.AioRpcError):
                found = (await proposed(operator, max_moves=1, aim=pb.PLACEMENT_AIM_SPREAD))[-1]
    assert len(found.placement.moves) == 1


async def test_what_is_wrong_is_named(operator: Client, world: Controller) -> None:
    placements = operator.placements
    for request, field in (
        (pb.ProposePlacementRequest(max_moves=1001), "max_moves"),
        (pb.ProposePlacementRequest(search_time=Duration(nanos=1)), "search_time"),
        (pb.ProposePlacementRequest(search_time=Duration(seconds=601)), "search_time"),
        (pb.ProposePlacementRequest(aim=7), "aim"),  # type: ignore[arg-type]
    ):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await placements.ProposePlacement(request).read()
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert field in (error.value.details() or "")
    for call in (
        placements.GetPlacement(pb.GetPlacementRequest(name="placements/p-1")),
        placements.CarryOutPlacement(pb.CarryOutPlacementRequest(name="placements/p-1")),
        placements.CancelPlacement(pb.CancelPlacementRequest(name="placements/p-1")),
    ):
        assert (await refused(call)).code() is grpc.StatusCode.NOT_FOUND
    too_many = placements.CarryOutPlacement(pb.CarryOutPlacementRequest(name="placements/p-1", at_once=65))
    assert (await refused(too_many)).code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await placements.WatchPlacement(pb.WatchPlacementRequest(name="placements/p-1")).read()
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND


async def test_placements_are_kept_newest_first_and_one_that_was_given_up_moves_nothing(
    operator: Client, world: Controller
) -> None:
    await roundabout(operator, world, "r1")
    names = [(await proposed(operator))[-1].placement.name for _ in range(2)]
    answer = await operator.placements.CancelPlacement(pb.CancelPlacementRequest(name=names[0]))
    assert answer.placement.state == State.PLACEMENT_STATE_CANCELLED
    assert answer.placement.state_reason == "cancelled by user/alice"
    assert [move.state for move in answer.placement.moves] == [placement_pb2.PLANNED_MOVE_STATE_LEFT_OUT]
    again = await operator.placements.CancelPlacement(pb.CancelPlacementRequest(name=names[0]))
    assert again.revision == 0
    error = await refused(operator.placements.CarryOutPlacement(pb.CarryOutPlacementRequest(name=names[0])))
    assert reason_of(error).reason == "NOT_PROPOSED"
    assert links(await got(operator, "r1")) == [["l03", "l02", "l01"]]

    listed = await operator.placements.ListPlacements(pb.ListPlacementsRequest(page_size=1))
    assert [one.name for one in listed.placements] == names[1:]
    rest = await operator.placements.ListPlacements(pb.ListPlacementsRequest(page_token=listed.next_page_token))
    assert [one.name for one in rest.placements] == names[:1]
    one = await operator.placements.GetPlacement(pb.GetPlacementRequest(name=names[0]))
    assert one.placement == rest.placements[0] == again.placement
