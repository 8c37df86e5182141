"""Has a better placement searched in a process of its own, and hears how far it is."""

import asyncio
import contextlib
import pickle
import sys
from collections.abc import AsyncGenerator
from typing import Final

from controller.domain.placement import PlacementAim
from controller.domain.refusals import Overloaded, TooHard
from controller.domain.snapshot import Snapshot
from controller.service.placement_question import LENGTH_BYTES, Answer, Progress, framed, question_about

_WORKER: Final = "controller.service.placement_worker"
_SHOWN_ERROR: Final = 2000


class SearchFailed(Exception):  # noqa: N818 (said of the search)
    """The process ended without an answer; the message has what it said last."""


class PlacementSearch:
    """At most one search at a time: it takes a core for as long as it lasts."""

    def __init__(self) -> None:
        self._busy = False

    async def search(
        self, snapshot: Snapshot, *, aim: PlacementAim, most_moves: int | None, within_s: float
    ) -> AsyncGenerator[Progress | Answer, None]:
        """Yield progress, then what was found. The process ends with this generator, however that ends.

        Raises:
            Overloaded: BUSY: another search is under way.
            TooHard: It takes longer than that.
            SearchFailed: The process died.
        """
        if self._busy:
            raise Overloaded("BUSY", "another placement is being searched; try again once that has ended", {})
        self._busy = True
        try:
            ends_at = asyncio.get_running_loop().time() + within_s
            question = await asyncio.to_thread(lambda: framed(question_about(snapshot, aim=aim, most_moves=most_moves)))
            worker = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                _WORKER,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            said = asyncio.create_task(_last_said(worker))
            try:
                while True:
                    # Not around the yield: there the time is the client's, and the end would hit what it does.
                    async with asyncio.timeout_at(ends_at):
                        message = await _heard(worker, question, said)
                    question = b""
                    yield message
                    if isinstance(message, Answer):
                        return
            except TimeoutError:
                raise TooHard(
                    "TOO_HARD",
                    f"no placement was found and proven within {within_s:g} s; give it more time (search_time),"
                    " or ask for fewer moves (max_moves)",
                ) from None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    worker.kill()
                said.cancel()
                await worker.wait()
        finally:
            self._busy = False


async def _heard(worker: asyncio.subprocess.Process, question: bytes, said: asyncio.Task[str]) -> Progress | Answer:
    """Return the next message, after the question was asked where there is one."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    if question:
        with contextlib.suppress(ConnectionError):  # it died at once: what it said says why
            worker.stdin.write(question)
            await worker.stdin.drain()
    try:
        length = int.from_bytes(await worker.stdout.readexactly(LENGTH_BYTES), "big")
        message: object = pickle.loads(await worker.stdout.readexactly(length))  # noqa: S301 (of our own process)
    except asyncio.IncompleteReadError:
        raise SearchFailed(await said or f"exit code {await worker.wait()}") from None
    assert isinstance(message, Progress | Answer)
    return message


async def _last_said(worker: asyncio.subprocess.Process) -> str:
    """Read what the process says to its standard error, so that it never waits for that, and return the end of it."""
    assert worker.stderr is not None
    last = b""
    while heard := await worker.stderr.read(2**16):
        last = (last + heard)[-_SHOWN_ERROR:]
    return last.decode(errors="replace").strip()
