"""The writer's counter for coroutines: ask, look, and follow."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from controller.domain.refusals import Overloaded, Refusal
from controller.service.inbox import Inbox, Urgency
from controller.service.published import Committed, Published
from controller.service.requests import Request, Result

TAIL_COMMITS: Final = 256
"""How many commits are kept in memory for watches to resume from; each holds the documents of its time."""
WATCH_BACKLOG: Final = 1024
"""How many commits a watcher may be behind before it is cut off."""


class TooOld(Refusal):
    """The revision to resume from is not in memory any more: take the full state."""

    def __init__(self, revision: int) -> None:
        super().__init__("TOO_OLD", f"revision {revision} is no longer kept", {"revision": revision})


class TooSlow(Refusal):
    """A watcher was so far behind that it was cut off: watch again from its last revision."""

    def __init__(self) -> None:
        super().__init__("TOO_SLOW", "the watch fell too far behind; watch again from the last revision", {})


class Stopping(Refusal):
    """The controller is ending and takes nothing more in."""

    def __init__(self) -> None:
        super().__init__("STOPPING", "the controller is stopping; try again when it is back", {})


class Desk:
    """Lives on the asyncio thread; the writer calls it back there, once per batch."""

    def __init__(self, inbox: Inbox, published: Published) -> None:
        self._inbox = inbox
        self._published = published
        self._tail: deque[Committed] = deque(maxlen=TAIL_COMMITS)
        self._followers: set[asyncio.Queue[Committed | None]] = set()

    @property
    def published(self) -> Published:
        """Return the last committed state; read it once per request."""
        return self._published

    async def submit(self, request: Request) -> Result:
        """Have the writer decide, and return when the decision is durable.

        Raises:
            Refusal: The writer's answer is no, or the inbox is full (Overloaded) or closed (Stopping).
        """
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        if not self._inbox.offer((request, answer), Urgency.OPERATOR):
            if self._inbox.closed:
                raise Stopping
            raise Overloaded("INBOX_FULL", "too many requests are waiting for the writer; try again in a second", {})
        return await answer

    def follow(self, after_revision: int | None) -> "Following":
        """Return the commits after a revision, or from now on when it is None.

        Raises:
            TooOld: The tail in memory does not reach back to it.
        """
        backlog: list[Committed] = []
        head = self._published.snapshot.revision
        if after_revision is not None and after_revision > head:
            raise TooOld(after_revision)  # of a history that this store has lost
        if after_revision is not None and after_revision < head:
            backlog = [step for step in self._tail if step.published.snapshot.revision > after_revision]
            if not backlog or backlog[0].published.snapshot.revision != after_revision + 1:
                raise TooOld(after_revision)
        queue: asyncio.Queue[Committed | None] = asyncio.Queue(maxsize=WATCH_BACKLOG)
        self._followers.add(queue)
        return Following(self, queue, tuple(backlog))

    def unfollow(self, queue: "asyncio.Queue[Committed | None]") -> None:
        """Forget a follower."""
        self._followers.discard(queue)

    def publish(self, step: Committed) -> None:
        """Show a new state to readers and watchers. A watcher that is too far behind is cut off, not waited for."""
        self._published = step.published
        if not step.changes:
            return
        self._tail.append(step)
        for queue in list(self._followers):
            if queue.qsize() >= WATCH_BACKLOG - 1:
                self._followers.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(step)


class Following:
    """Commits as they come; `async for step in following`, inside `with following`."""

    def __init__(self, desk: Desk, queue: "asyncio.Queue[Committed | None]", backlog: tuple[Committed, ...]) -> None:
        self._desk = desk
        self._queue = queue
        self._backlog = backlog

    def __enter__(self) -> "Following":
        return self

    def __exit__(self, *_: object) -> None:
        self._desk.unfollow(self._queue)

    async def __aiter__(self) -> AsyncIterator[Committed]:
        """Yield commits in order.

        Raises:
            TooSlow: Too many were not taken in time.
        """
        for step in self._backlog:
            yield step
        while (latest := await self._queue.get()) is not None:
            yield latest
        raise TooSlow
