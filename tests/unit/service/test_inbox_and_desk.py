"""The writer's inbox and counter: bounded, most urgent first, and no watcher waited for."""

import asyncio
from dataclasses import replace

import pytest

from controller.domain.node import Node
from controller.domain.refusals import Overloaded
from controller.domain.snapshot import ElectionId, Snapshot, put
from controller.service.desk import TAIL_COMMITS, WATCH_BACKLOG, Desk, TooOld, TooSlow
from controller.service.inbox import Inbox, Urgency
from controller.service.published import Committed, Published
from controller.service.requests import Create

ELECTION = ElectionId(epoch=1, term=1)


def step(revision: int) -> Committed:
    changes = put(Node(name=f"n{revision}"))
    snapshot = replace(Snapshot().applying(changes), revision=revision)
    return Committed(changes=changes, published=Published(snapshot=snapshot, election=ELECTION))


def desk_at(revision: int, *, sizes: dict[Urgency, int] | None = None) -> Desk:
    published = Published(snapshot=Snapshot(revision=revision), election=ELECTION)
    return Desk(Inbox(sizes) if sizes else Inbox(), published)


def test_what_is_urgent_goes_first_and_in_order() -> None:
    inbox = Inbox()
    for item, urgency in (("tick", Urgency.BACKGROUND), ("a", Urgency.OPERATOR), ("b", Urgency.OPERATOR)):
        inbox.offer(item, urgency)
    assert inbox.take() == "a"
    inbox.offer("cut", Urgency.NETWORK)
    assert [inbox.take_now() for _ in range(4)] == ["cut", "b", "tick", None]


def test_a_full_class_takes_nothing_more_and_another_still_does() -> None:
    inbox = Inbox({Urgency.NETWORK: 1, Urgency.OPERATOR: 1, Urgency.BACKGROUND: 0})
    assert inbox.offer(1, Urgency.OPERATOR)
    assert not inbox.offer(2, Urgency.OPERATOR)
    assert inbox.offer(3, Urgency.NETWORK)
    assert inbox.depths() == {Urgency.NETWORK: 1, Urgency.OPERATOR: 1, Urgency.BACKGROUND: 0}


def test_closed_it_gives_out_what_is_in_and_then_nothing() -> None:
    inbox = Inbox()
    inbox.offer(1, Urgency.OPERATOR)
    inbox.close()
    assert not inbox.offer(2, Urgency.OPERATOR)
    assert (inbox.take(), inbox.take()) == (1, None)


async def test_a_full_inbox_is_an_answer() -> None:
    desk = desk_at(0, sizes=dict.fromkeys(Urgency, 0))
    with pytest.raises(Overloaded):
        await desk.submit(Create(document=Node(name="a")))


async def test_a_watch_resumes_behind_what_it_saw_and_misses_nothing() -> None:
    desk = desk_at(5)
    for revision in (6, 7, 8):
        desk.publish(step(revision))
    with desk.follow(6) as following:
        desk.publish(step(9))
        desk.publish(Committed(changes=put(), published=step(9).published))  # nothing was committed
        seen = []
        async for told in following:
            seen.append(told.published.snapshot.revision)
            if seen[-1] == 9:
                break
    assert seen == [7, 8, 9]


async def test_a_revision_that_is_not_kept_or_never_was_is_too_old() -> None:
    desk = desk_at(5)
    for revision in range(6, 8 + TAIL_COMMITS):
        desk.publish(step(revision))
    desk.follow(7)
    desk.follow(7 + TAIL_COMMITS)
    for revision in (4, 5, 6, 8 + TAIL_COMMITS):
        with pytest.raises(TooOld):
            desk.follow(revision)


async def test_a_watcher_far_behind_is_cut_off_and_delays_nobody() -> None:
    desk = desk_at(0)
    slow, quick = desk.follow(None), desk.follow(None)
    reader = aiter(quick)
    for revision in range(1, WATCH_BACKLOG + 10):
        desk.publish(step(revision))
        assert (await asyncio.wait_for(anext(reader), 1)).published.snapshot.revision == revision
    behind = aiter(slow)
    for revision in range(1, WATCH_BACKLOG):
        assert (await anext(behind)).published.snapshot.revision == revision
    with pytest.raises(TooSlow):
        await anext(behind)
