"""Real os-ken apps beside a real writer: they follow it in order, and whatever they do, it goes on deciding."""

import asyncio
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.domain.events import LinkReport
from controller.domain.refusals import Refusal
from controller.hosting import load_os_ken_apps
from controller.service.host.host import HostSettings
from controller.service.host.native import OsKenUnusable, choose_native_hub
from controller.store.memory import Memory, MemoryStore
from tests.support.networks import line
from tests.support.os_ken_apps import hanging
from tests.support.os_ken_world import APPS, Hosting, eventually, hosting
from tests.support.pages import ROOT, blocks

OS_KENS_OWN_QUEUE = 128


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    """Return what lets the hanging app go; it is let go at the end at the latest."""
    hanging.LET_GO.clear()
    yield hanging.LET_GO
    hanging.LET_GO.set()


async def commits(here: Hosting, count: int) -> int:
    revision = 0
    for _ in range(count):
        revision = await here.commit()
    return revision


async def test_an_app_is_told_the_whole_state_then_every_commit_in_order() -> None:
    async with hosting("recorder") as here:
        recorder = here.app("Recorder")
        await eventually(lambda: bool(recorder.seen), "the first event")
        first = here.snapshot.revision
        last = await commits(here, 20)
        await eventually(lambda: bool(recorder.seen[-1][1] == last), "the last commit")
        assert recorder.seen == [("resync", first), *(("changed", revision) for revision in range(first + 1, last + 1))]
        assert recorder.dropped == [0]
        assert here.value("qinet_os_ken_queue_events", "recorder") == 0
        assert here.value("qinet_os_ken_events_dropped_total", "recorder") == 0
        assert here.value("qinet_os_ken_app_up", "recorder") == 1


async def test_a_handler_that_raises_costs_its_app_nothing_but_the_event() -> None:
    async with hosting("raising", "recorder") as here:
        last = await commits(here, 3)
        await eventually(lambda: here.app("Recorder").seen[-1:] == [("changed", last)], "the other app's events")
        await eventually(lambda: bool(here.app("Raising").failures == 3), "three failures")
        await eventually(
            lambda: here.value("qinet_os_ken_handler_errors_total", "raising") == 3, "three failures counted"
        )
        assert here.value("qinet_os_ken_app_up", "raising") == 1
        assert here.alarms() == []


async def test_an_app_whose_thread_ended_is_named_in_an_alarm_and_nobody_else_notices() -> None:
    async with hosting("quitting", "recorder") as here:
        app = here.app("Quitting")
        await eventually(lambda: len(app.event_handlers) == 2, "its second handler")
        await here.commit()
        await eventually(lambda: bool(here.alarms()), "the alarm")
        (alarm,) = here.alarms()
        assert alarm.object == f"controllers/c1/osKenApps/{APPS}quitting"
        assert here.value("qinet_os_ken_app_up", "quitting") == 0
        last = await commits(here, 300)
        await eventually(lambda: here.app("Recorder").seen[-1:] == [("changed", last)], "the other app's events")
        assert here.alarms() == [alarm]


async def test_a_handler_that_never_returns_fills_its_queues_and_the_writer_goes_on(let_go: threading.Event) -> None:
    settings = HostSettings(queue_size=16, look_every_s=0.02, stuck_after_s=0.3)
    async with hosting("hanging", "recorder", settings=settings) as here:
        app = here.app("Hanging")
        await eventually(lambda: bool(app.seen), "the first event")
        full = OS_KENS_OWN_QUEUE + 16
        # One resync may stand for many events, so that a fixed number of commits need not fill the queues.
        while here.value("qinet_os_ken_queue_events", "hanging") < full:
            await commits(here, 16)
        last = await commits(here, 40)
        await eventually(lambda: ("changed", last) in here.app("Recorder").seen, "the other app's events")
        assert here.value("qinet_os_ken_queue_events", "hanging") == full
        await eventually(lambda: here.value("qinet_os_ken_events_dropped_total", "hanging") >= 40, "40 events dropped")
        await eventually(lambda: here.value("qinet_os_ken_app_up", "hanging") == 0, "its failure to be noticed")
        await eventually(lambda: any("hanging" in alarm.object for alarm in here.alarms()), "the alarm")

        # It goes on: after what its own queue held comes the whole state, and nothing that is older.
        published = here.snapshot.revision
        let_go.set()
        await eventually(lambda: not any("hanging" in alarm.object for alarm in here.alarms()), "the alarm's end")
        assert here.value("qinet_os_ken_app_up", "hanging") == 1
        last = await commits(here, 2)
        await eventually(lambda: ("changed", last) in app.seen, "the last commit")
        seen = list(app.seen)
        resync = max(at for at, (kind, _) in enumerate(seen) if kind == "resync")
        begins = seen[resync][1]
        assert begins >= published
        assert sum(app.dropped) >= 40
        revisions = [revision for _, revision in seen]
        assert revisions == sorted(revisions)
        assert seen[resync + 1 :] == [("changed", each) for each in range(begins + 1, revisions[-1] + 1)]


async def test_the_controller_ends_although_an_app_does_not(let_go: threading.Event) -> None:
    loop = asyncio.get_running_loop()
    settings = HostSettings(end_within_s=0.3)
    async with hosting("hanging", settings=settings, leaves_threads=True) as here:
        app = here.app("Hanging")
        await commits(here, OS_KENS_OWN_QUEUE + 40)
        await eventually(lambda: ("changed", 1) in app.seen, "the event that it hangs on")
        began = loop.time()
    assert loop.time() - began < 3
    assert all(thread.daemon for thread in app.threads)  # so the process can end
    let_go.set()
    for thread in app.threads:
        await asyncio.to_thread(thread.join, 10)


async def test_a_look_at_the_apps_of_another_configuration_leaves_those_that_run_alone() -> None:
    async with hosting("keeping", "recorder") as here:
        app = here.app("Keeping")
        await asyncio.to_thread(load_os_ken_apps, [APPS + "keeping", APPS + "raising"])
        with pytest.raises(OsKenUnusable):
            await asyncio.to_thread(load_os_ken_apps, [APPS + "two"])
        last = await commits(here, 3)
        await eventually(lambda: ("changed", last) in here.app("Recorder").seen, "the last commit")
        assert not app.keeper.closed
    assert app.keeper.closed


async def test_an_alarm_of_an_earlier_run_is_stored_for_the_next_to_end() -> None:
    memory = Memory()
    async with hosting("quitting", store=MemoryStore(memory)) as here:
        app = here.app("Quitting")
        await eventually(lambda: len(app.event_handlers) == 2, "its second handler")
        await here.commit()
        await eventually(lambda: bool(here.alarms()), "the alarm")
    async with hosting("recorder", store=MemoryStore(memory)) as here:
        assert len(here.alarms()) == 1  # controller.hosting ends it: see tests/system/test_os_ken.py


async def test_the_app_of_the_page_on_os_ken_apps_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, code = next(blocks((ROOT / "docs" / "writing-an-os-ken-app.md").read_text(), "python"))
    (tmp_path / "wall_display.py").write_text(code)
    shown = tmp_path / "shown"
    monkeypatch.setenv("WALL_DISPLAY", str(shown))
    monkeypatch.syspath_prepend(tmp_path)
    async with hosting(modules=["wall_display"]) as here:
        await here.apply(line(3))
        await here.tell(LinkReport(node="n02", link="l02", down_reason="fibre cut"))
        await eventually(lambda: shown.exists() and shown.read_text() == "l02\n", "the display to show it")
        await here.tell(LinkReport(node="n02", link="l02"))
        await eventually(lambda: shown.read_text() == "", "the display to show nothing")


async def test_nothing_of_the_process_is_changed_by_os_ken() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    lock, socket_class = type(threading.Lock()), sys.modules["socket"].socket
    async with hosting("recorder"):
        assert "eventlet" not in sys.modules
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == handlers
        assert (type(threading.Lock()), sys.modules["socket"].socket) == (lock, socket_class)


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (APPS + "nowhere", "nowhere"),
        (APPS + "two", "First, Second"),
        ("tests.support.pages", "0 subclasses"),
        (APPS + "unmakeable", "no such device"),
    ],
)
async def test_an_app_that_cannot_be_run_stops_the_start_and_is_named(module: str, says: str) -> None:
    with pytest.raises(OsKenUnusable) as refused:
        async with hosting("recorder", modules=[module]):
            pass
    assert says in str(refused.value)
    async with hosting("recorder") as here:  # nothing of the failed start is left in os-ken
        await commits(here, 1)


async def test_an_app_that_handles_openflow_needs_a_controller_that_speaks_it() -> None:
    with pytest.raises(Refusal, match="OpenFlow"):
        async with hosting(modules=["southbound.openflow.fibre_guard"]):
            pass


def test_with_eventlet_in_the_process_os_ken_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "eventlet", threading)
    with pytest.raises(OsKenUnusable, match="eventlet"):
        choose_native_hub()


async def test_an_app_that_brings_eventlet_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "eventlet", threading)
    with pytest.raises(OsKenUnusable, match="recorder imports eventlet"):
        async with hosting("recorder"):
            pass


def test_an_environment_that_wants_another_hub_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSKEN_HUB_TYPE", "eventlet")
    with pytest.raises(OsKenUnusable, match="OSKEN_HUB_TYPE"):
        choose_native_hub()
