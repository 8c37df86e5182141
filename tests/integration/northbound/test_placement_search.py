"""The process that searches a placement: it ends with who asked, and what it says never stops it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.domain.placement import PlacementAim
from controller.domain.refusals import TooHard
from controller.northbound import placement_search
from controller.northbound.placement_search import PlacementSearch, SearchFailed
from controller.service.placement_question import Answer, Progress
from tests.support.networks import network

SNAPSHOT = network([("ab", "a", "b", 1000)])
TOLD = """
import os, sys, time, types
for name in ("running", "placement"):  # the engine takes long to load, and has nothing to say here
    sys.modules["controller.routing.optimum." + name] = types.SimpleNamespace(
        searching=None, Better=None, Aim=types.SimpleNamespace(KEY=0, SPREAD=1)
    )
from controller.domain.placement import PlacementFigures
from controller.service import placement_worker
from controller.service.placement_question import Answer, Progress

def answered(question):
    open({pid!r}, "w").write(str(os.getpid()))
    yield Progress(step="first", done=0, total=0, carried_millibit_per_s=0, key_use_millibit_per_s=0)
{then}
    yield Answer(moves=(), before=PlacementFigures(), after=PlacementFigures(), key_use_bound_millibit_per_s=0)

placement_worker.answered = answered
placement_worker.main()
"""


def slow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, then: str) -> Path:
    """Have the search of the worker replaced by one that does as it is told; return where its process id is."""
    pid = tmp_path / "pid"
    (tmp_path / "told_worker.py").write_text(TOLD.format(pid=str(pid), then="    " + then))
    monkeypatch.setattr(placement_search, "_WORKER", "told_worker")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    return pid


def searching(search: PlacementSearch, within_s: float = 30.0) -> AsyncIterator[Progress | Answer]:
    return search.search(SNAPSHOT, aim=PlacementAim.KEY, most_moves=None, within_s=within_s)


def is_gone(pid: Path) -> bool:
    try:
        os.kill(int(pid.read_text()), 0)
    except ProcessLookupError:
        return True
    return False


async def test_what_the_solver_says_to_its_standard_output_and_error_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow(monkeypatch, tmp_path, "print('x' * 1_000_000); print('y' * 1_000_000, file=sys.stderr)")
    heard = [type(message) async for message in searching(PlacementSearch())]
    assert heard == [Progress, Answer]


async def test_a_client_that_takes_its_time_is_not_cut_off_in_its_own_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pid = slow(monkeypatch, tmp_path, "time.sleep(3600)")
    search = PlacementSearch()
    messages = searching(search, within_s=30.0)
    await anext(messages)
    loop = asyncio.get_running_loop()
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + 60.0)  # longer than the search may take
    await asyncio.sleep(0)
    with pytest.raises(TooHard):
        await anext(messages)
    assert is_gone(pid)


async def test_a_process_that_is_killed_is_told_of_and_another_can_be_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow(monkeypatch, tmp_path, f"print('out of memory', file=sys.stderr); os.kill(os.getpid(), {signal.SIGKILL})")
    search = PlacementSearch()
    for _ in range(2):
        with pytest.raises(SearchFailed, match="out of memory"):
            [message async for message in searching(search)]


async def test_the_process_ends_with_a_client_that_leaves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pid = slow(monkeypatch, tmp_path, "time.sleep(3600)")
    search = PlacementSearch()
    under_way = asyncio.Event()

    async def asking() -> None:
        async with contextlib.aclosing(searching(search)) as messages:  # type: ignore[type-var]
            async for _ in messages:
                under_way.set()

    client = asyncio.create_task(asking())
    await under_way.wait()
    client.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await client
    assert is_gone(pid)


async def test_the_process_ends_with_a_controller_that_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pid = slow(monkeypatch, tmp_path, "time.sleep(3600)")
    asker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        """
import asyncio
from controller.domain.placement import PlacementAim
from controller.northbound import placement_search
from tests.support.networks import network
placement_search._WORKER = "told_worker"
async def main():
    search = placement_search.PlacementSearch()
    snapshot = network([("ab", "a", "b", 1000)])
    async for _ in search.search(snapshot, aim=PlacementAim.KEY, most_moves=None, within_s=60):
        print("under way", flush=True)
asyncio.run(main())
""",
        stdout=asyncio.subprocess.PIPE,
    )
    assert asker.stdout is not None
    assert await asker.stdout.readline() == b"under way\n"
    asker.kill()
    async with asyncio.timeout(20):
        while not is_gone(pid):
            await asyncio.sleep(0.01)
    await asker.wait()
