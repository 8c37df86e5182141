"""The port for switches: how many are let in, and what becomes of who is not."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from controller.service.host.host import HostSettings
from tests.support.os_ken_world import Hosting, eventually, hosting

from southbound.openflow import listener  # isort: skip (os_ken_world chooses the hub)

GUARD = "southbound.openflow.fibre_guard"


@pytest.fixture
async def listening() -> AsyncIterator[Hosting]:
    settings = HostSettings(openflow=("127.0.0.1", 0), look_every_s=0.02)
    async with hosting(modules=[GUARD], listener=listener.OpenFlowListener, settings=settings) as here:
        yield here


async def greeting(here: Hosting) -> tuple[bytes, asyncio.StreamWriter]:
    """Dial as a switch does; return the first byte of the controller's Hello, b"" if it hangs up."""
    assert here.openflow is not None
    reader, writer = await asyncio.open_connection(*here.openflow)
    said = b""
    with suppress(ConnectionError):
        said = await asyncio.wait_for(reader.read(1), 10)
    return said, writer


async def test_one_switch_more_than_are_let_in_is_hung_up_on_until_another_leaves(
    listening: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "MOST_SWITCHES", 2)
    let_in = [await greeting(listening) for _ in range(2)]
    assert all(said for said, _ in let_in)
    said, turned_away = await greeting(listening)
    assert said == b""
    turned_away.close()
    let_in[0][1].close()

    async def again() -> bool:
        said, writer = await greeting(listening)
        writer.close()
        return bool(said)

    async with asyncio.timeout(10):
        while not await again():
            pass
    let_in[1][1].close()


async def test_a_switch_that_comes_while_there_are_no_threads_is_hung_up_on_and_the_next_is_served(
    listening: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, failed = threading.Thread.start, threading.Event()

    def no_more(thread: threading.Thread) -> None:
        if thread.name == "openflow serve" and not failed.is_set():
            failed.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", no_more)
    said, writer = await greeting(listening)
    writer.close()
    assert (said, failed.is_set()) == (b"", True)
    said, writer = await greeting(listening)
    assert said
    writer.close()


async def test_a_switch_that_comes_while_the_controller_ends_is_not_served() -> None:
    settings = HostSettings(openflow=("127.0.0.1", 0), look_every_s=0.02)
    async with hosting(modules=[GUARD], listener=listener.OpenFlowListener, settings=settings) as here:
        port = here.app("ofp_event")
        said, writer = await greeting(here)
        assert said
        await eventually(lambda: len(port._threads) == 2, "the switch's thread")
    with pytest.raises(ConnectionAbortedError):
        port._spawn(port._serve, None, None, ("127.0.0.1", 0))
    writer.close()
