"""Watches on the real desk, fed by hand."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from controller.domain.node import Node
from controller.domain.snapshot import Changes, ElectionId, Snapshot, delete, put
from controller.northbound.watch import Note, NoteKind, watch
from controller.service.desk import TAIL_COMMITS, WATCH_BACKLOG, Desk, TooSlow
from controller.service.inbox import Inbox
from controller.service.published import Committed, Published

NODES = {"nodes": "nodes", "links": "links", "conditions": "links"}


class World:
    """A desk, and the hand that commits to it."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.desk = Desk(Inbox(), self._published())

    def _published(self) -> Published:
        return Published(snapshot=self.snapshot, election=ElectionId(epoch=1, term=1))

    def commit(self, changes: Changes) -> int:
        self.snapshot = replace(self.snapshot.applying(changes), revision=self.snapshot.revision + 1)
        self.desk.publish(Committed(changes=changes, published=self._published()))
        return self.snapshot.revision

    def watch(self, after: int = 0, *, heartbeat_s: float = 60) -> AsyncIterator[Note]:
        return watch(self.desk, after, NODES, heartbeat_s=heartbeat_s)


def node(name: str) -> Changes:
    return put(Node(name=name))


async def taken(notes: AsyncIterator[Note], count: int) -> list[tuple[str, str, int]]:
    return [
        (note.kind.name, note.key or "", note.resume_revision) for note in [await anext(notes) for _ in range(count)]
    ]


async def test_a_first_watch_gets_the_full_state_then_changes() -> None:
    world = World()
    world.commit(node("b") + node("a"))
    notes = world.watch()
    assert await taken(notes, 4) == [("SYNC_BEGIN", "", 0), ("PUT", "a", 0), ("PUT", "b", 0), ("SYNC_END", "", 1)]
    world.commit(delete("nodes", "a"))
    assert await taken(notes, 1) == [("DELETED", "a", 2)]


async def test_a_commit_between_sync_begin_and_end_is_told_after_it() -> None:
    world = World()
    world.commit(node("a"))
    notes = world.watch()
    assert await taken(notes, 1) == [("SYNC_BEGIN", "", 0)]
    world.commit(node("b"))
    assert await taken(notes, 3) == [("PUT", "a", 0), ("SYNC_END", "", 1), ("PUT", "b", 2)]


async def test_a_watch_resumes_behind_the_revision_it_has_seen() -> None:
    world = World()
    for name in "abc":
        world.commit(node(name))
    assert await taken(world.watch(1), 2) == [("PUT", "b", 2), ("PUT", "c", 3)]


async def test_the_revision_rises_with_the_last_change_of_a_commit() -> None:
    world = World()
    world.commit(node("a"))
    notes = world.watch(1)
    world.commit(node("b") + node("c") + node("b"))
    assert await taken(notes, 2) == [("PUT", "b", 1), ("PUT", "c", 2)]


@pytest.mark.parametrize("after", [1, TAIL_COMMITS + 100])
async def test_a_revision_that_is_too_old_or_of_a_lost_history_gets_the_full_state(after: int) -> None:
    world = World()
    for _ in range(TAIL_COMMITS + 5):
        world.commit(node("a"))
    kinds = [kind for kind, _, _ in await taken(world.watch(after), 3)]
    assert kinds == ["SYNC_BEGIN", "PUT", "SYNC_END"]


async def test_a_heartbeat_tells_how_far_all_was_told_also_where_nothing_concerned_the_watcher() -> None:
    world = World()
    world.commit(node("a"))
    notes = world.watch(1, heartbeat_s=0.02)
    world.commit(Changes(service_time_ms=5))
    beats = [await anext(notes) for _ in range(20)]
    assert all(beat.kind is NoteKind.HEARTBEAT for beat in beats)
    assert beats[-1].resume_revision == 2


async def test_a_watcher_that_does_not_keep_up_is_cut_off_and_delays_nobody() -> None:
    world = World()
    world.commit(node("a"))
    slow, quick = world.watch(1), world.watch(1)
    world.commit(node("b"))
    await anext(slow)
    for count in range(WATCH_BACKLOG + 5):
        world.commit(node("b"))
        if count == 0:
            await anext(quick)
        await anext(quick)
    with pytest.raises(TooSlow):
        await taken(slow, WATCH_BACKLOG + 5)
