"""Follows commits for a client: from the revision it has seen, else from the full state."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from controller.service.desk import Desk, Following, TooOld
from controller.service.published import Committed, Published


class NoteKind(Enum):
    """What a watcher is told; named as in the API, after KIND_."""

    SYNC_BEGIN = 1
    SYNC_END = 2
    PUT = 3
    DELETED = 4
    HEARTBEAT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing to tell.

    Attributes:
        resume_revision: With which to resume after it; 0 within a sync.
        collection, key: Of Snapshot, for PUT and DELETED.
        document: For PUT.
        published: The world that it is true in.
    """

    kind: NoteKind
    resume_revision: int
    published: Published
    collection: str = ""
    key: Any = None
    document: Any = None


async def watch(
    desk: Desk, after_revision: int, collections: Mapping[str, str], *, heartbeat_s: float
) -> AsyncIterator[Note]:
    """Yield what changes, for as long as it is asked for.

    Args:
        desk: Where commits are published.
        after_revision: What was seen already; 0 for nothing.
        collections: By collection of Snapshot whose changes count, the collection of what is told: a link's
            condition is told as the link. Told in this order.
        heartbeat_s: With nothing to tell for so long, a heartbeat says that all was told.

    Raises:
        TooSlow: The reader was cut off.
    """
    # Nothing is awaited between following and looking, so that no commit falls in between.
    published = desk.published
    following = _resumed(desk, after_revision, published)
    resumed = following is not None
    with following or desk.follow(None) as steps:
        if not resumed:
            yield Note(kind=NoteKind.SYNC_BEGIN, resume_revision=0, published=published)
            for collection in dict.fromkeys(collections.values()):
                for key, document in sorted(getattr(published.snapshot, collection).items()):
                    yield Note(
                        kind=NoteKind.PUT,
                        resume_revision=0,
                        published=published,
                        collection=collection,
                        key=key,
                        document=document,
                    )
            yield Note(kind=NoteKind.SYNC_END, resume_revision=published.snapshot.revision, published=published)
        seen = after_revision if resumed else published.snapshot.revision
        async for step in _with_pulse(steps, heartbeat_s):
            if step is None:
                yield Note(kind=NoteKind.HEARTBEAT, resume_revision=seen, published=desk.published)
                continue
            for note in notes_of(step, collections, before=seen):
                yield note
            seen = step.published.snapshot.revision


def _resumed(desk: Desk, after_revision: int, published: Published) -> Following | None:
    # A revision above ours is of a history that this store has lost: nothing can be resumed from it.
    if not 0 < after_revision <= published.snapshot.revision:
        return None
    try:
        return desk.follow(after_revision)
    except TooOld:
        return None


def notes_of(step: Committed, collections: Mapping[str, str], *, before: int) -> list[Note]:
    """Return what a commit means to a watcher: each resource once, as it is then; the last resumes behind it."""
    snapshot = step.published.snapshot
    touched = dict.fromkeys(
        (collections[collection], key) for collection, key in step.changes.folded if collection in collections
    )
    notes = []
    for place, (collection, key) in enumerate(touched, start=1):
        document = getattr(snapshot, collection).get(key)
        notes.append(
            Note(
                kind=NoteKind.DELETED if document is None else NoteKind.PUT,
                resume_revision=snapshot.revision if place == len(touched) else before,
                published=step.published,
                collection=collection,
                key=key,
                document=document,
            )
        )
    return notes


async def _with_pulse(steps: Following, heartbeat_s: float) -> AsyncIterator[Committed | None]:
    """Yield commits as they come, and None whenever none came for so long."""
    source = aiter(steps)
    coming: asyncio.Future[Committed] = asyncio.ensure_future(anext(source))
    try:
        while True:
            await asyncio.wait({coming}, timeout=heartbeat_s)
            if not coming.done():
                yield None
                continue
            step = coming.result()
            coming = asyncio.ensure_future(anext(source))
            yield step
    finally:
        coming.cancel()


def wanted(collections: Collection[str]) -> dict[str, str]:
    """Return collections that are told as themselves."""
    return {collection: collection for collection in collections}
