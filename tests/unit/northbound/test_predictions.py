"""Predictions run beside the event loop, and end."""

import asyncio
from dataclasses import replace

import pytest

from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.refusals import NotFound, Overloaded, TooHard
from controller.domain.snapshot import ElectionId, Snapshot, put
from controller.northbound.route_search import RouteSearch
from controller.service.maintenance_desk import Leaving
from controller.service.published import Published
from controller.service.relay_desk import create_relay
from controller.service.what_if import Failure
from tests.support.networks import ring

CUT = Failure(links=frozenset({"l00"}))


def published(relays: int) -> Published:
    snapshot: Snapshot = ring(5, 10_000_000)
    for number in range(relays):
        relay = KeyRelay(
            name=f"r{number:03}", demand=Demand(source="n00", target="n01", rate_millibit_per_s=1000, max_hops=1)
        )
        made = create_relay(snapshot, relay, version=3, caller="", now_ms=0, wall_ms=0).relay
        free = replace(made, demand=replace(made.demand, max_hops=None))
        snapshot = snapshot.applying(put(free))
    return Published(snapshot=snapshot, election=ElectionId(epoch=1, term=1))


async def test_a_prediction_that_takes_too_long_is_given_up() -> None:
    search = RouteSearch(prediction_s=-1)
    try:
        for predicted in (
            search.failed(published(2), CUT),
            search.drained(published(2), Leaving(links=frozenset({"l00"}))),
        ):
            with pytest.raises(TooHard) as refusal:
                await predicted
            assert refusal.value.reason == "TOO_HARD"
    finally:
        search.close()


async def test_the_event_loop_goes_on_while_hundreds_of_moves_are_predicted() -> None:
    search = RouteSearch()
    state = published(300)
    ticks = 0

    async def ticking() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    beside = asyncio.create_task(ticking())
    try:
        moves = await search.failed(state, CUT)
    finally:
        beside.cancel()
        search.close()
    assert len(moves) == 300
    assert ticks > 3


async def test_what_is_not_there_and_what_is_too_much_at_once_is_refused() -> None:
    search = RouteSearch()
    state = published(0)
    try:
        with pytest.raises(NotFound, match="nodes/x"):
            await search.drained(state, Leaving(nodes=frozenset({"x"})))
        asked = [asyncio.ensure_future(search.failed(state, CUT)) for _ in range(100)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    finally:
        search.close()
    assert any(isinstance(answer, Overloaded) for answer in answers)
    assert [] in answers
