"""Runs os-ken apps beside the writer: feeds each through a forwarder of its own, and notices those that fail."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from controller.domain.events import AlarmCleared, AlarmRaised
from controller.observability.metrics import Metrics
from controller.service.desk import Desk, Following, TooSlow
from controller.service.host import manager
from controller.service.host.events import EventNetworkChanged, EventResync
from controller.service.host.failures import Pulse, failed, recovered
from controller.service.host.forwarder import Fed, Forwarder
from controller.service.host.manager import HostedApp
from controller.service.published import Committed

log = logging.getLogger(__name__)

QUEUE_SIZE: Final = 1024


class Listener(Protocol):
    """An OSKenApp in the place of os-ken's own ofp_handler: it listens when told to, and hands over through us."""

    def listen(self, address: tuple[str, int], hand_over: Callable[[str, Any, str | None], None]) -> tuple[str, int]:
        """Let switches in; return the bound address. Events for the app of a name go to `hand_over`.

        Raises:
            Precondition: ADDRESS_IN_USE.
        """

    def switches(self) -> tuple[Any, ...]:
        """Return the Datapath of each switch that is connected and ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """How apps are run.

    Attributes:
        openflow: Address for switches; listened at only when an app handles OpenFlow events.
        queue_size: Most events that wait for one app, beside the 128 of os-ken's own queue.
        look_every_s, stuck_after_s: How often an app is looked at, and how long it may stand still.
        end_within_s: How long apps may take to end when the controller does; then it ends without them.
    """

    openflow: tuple[str, int] = ("127.0.0.1", 6653)
    queue_size: int = QUEUE_SIZE
    look_every_s: float = 1.0
    stuck_after_s: float = 10.0
    end_within_s: float = 3.0


@dataclass(slots=True)
class _Watched:
    hosted: HostedApp
    forwarder: Forwarder
    pulse: Pulse
    why: str | None = None
    told: str | None = None


class Host:
    """Lives on the asyncio thread, and never waits there for an app. One at a time in a process, as os-ken is."""

    def __init__(
        self,
        modules: Sequence[str],
        *,
        name: str,
        desk: Desk,
        deliver: Callable[[AlarmRaised | AlarmCleared, None], bool],
        metrics: Metrics,
        listener: type[Any] | None = None,
        settings: HostSettings | None = None,
    ) -> None:
        """Import the apps; `start` makes them.

        Args:
            modules: Dotted names, each of a module with one OSKenApp.
            name: Of the controller, for its alarms.
            desk: Whose commits the apps follow.
            deliver: Takes alarms to the writer; never blocks, False when there is no room.
            metrics: Where queues and failures are counted, by the module's dotted name.
            listener: Class of the Listener.
            settings: How they are run.

        Raises:
            OsKenUnusable: An app cannot be imported.
        """
        self._name = name
        self._desk = desk
        self._deliver = deliver
        self._metrics = metrics
        self._listener = listener
        self._settings = settings or HostSettings()
        self._manager = manager.load(modules)
        self._hosted: list[HostedApp] = []
        self._watched: dict[str, _Watched] = {}
        self._switches: Callable[[], tuple[Any, ...]] = tuple
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> tuple[str, int] | None:
        """Make and begin the apps; return the address bound for OpenFlow, None when no app needs it.

        Raises:
            OsKenUnusable: An app cannot be made.
            Precondition: ADDRESS_IN_USE.
        """
        try:
            self._hosted = await asyncio.to_thread(manager.start, self._manager, self._listener)
            following = self._desk.follow(None)  # before the first resync, so that no commit falls in between
            bound = None
            for hosted in self._hosted:
                if self._listener is not None and isinstance(hosted.app, self._listener):
                    self._switches = hosted.app.switches
                    bound = hosted.app.listen(self._settings.openflow, self._hand_over)
                else:
                    self._feed(hosted)
        except BaseException:
            await self.stop()
            raise
        self._tasks = [
            asyncio.create_task(self._follow(following), name="os-ken commits"),
            asyncio.create_task(self._watch(), name="os-ken watch"),
        ]
        log.info("os-ken apps run apps=%s", ",".join(each.hosted.name for each in self._watched.values()))
        return bound

    async def stop(self) -> None:
        """End the apps, once; those that do not end in time are left to the end of the process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = await asyncio.to_thread(self._end)
        if left:
            log.warning("os-ken apps do not end, and are left behind apps=%s", ",".join(left))

    def _end(self) -> list[str]:
        for each in self._watched.values():
            each.forwarder.close()
        hosted, self._hosted = self._hosted, []
        return manager.end(self._manager, hosted, self._settings.end_within_s)

    def _feed(self, hosted: HostedApp) -> None:
        name = hosted.name
        hosted.guard(lambda app: self._metrics.os_ken_handler_errors_total.labels(app).inc())
        dropped = self._metrics.os_ken_events_dropped_total.labels(name)
        forwarder = Forwarder(name, hosted, size=self._settings.queue_size, resync=self._resync, on_drop=dropped.inc)
        self._watched[hosted.app.name] = _Watched(hosted, forwarder, Pulse(self._settings.stuck_after_s))
        self._metrics.os_ken_queue_events.labels(name).set_function(lambda: forwarder.depth + hosted.depth)
        self._metrics.os_ken_app_up.labels(name).set(1)
        self._metrics.os_ken_handler_errors_total.labels(name)
        forwarder.start()

    def _resync(self, dropped: int) -> Fed:
        """Make the event with the whole present state; on a forwarder's thread."""
        snapshot = self._desk.published.snapshot
        return Fed(EventResync(snapshot, self._switches(), dropped), revision=snapshot.revision)

    def _hand_over(self, app: str, event: Any, state: str | None) -> None:
        """Take an event of OpenFlow; on the thread of a switch's connection."""
        if (watched := self._watched.get(app)) is not None:
            watched.forwarder.offer(Fed(event, state))

    async def _follow(self, following: Following) -> None:
        while True:
            try:
                with following as steps:
                    async for step in steps:
                        self._tell(step)
            except TooSlow:
                following = self._desk.follow(None)
                for watched in self._watched.values():
                    watched.forwarder.resync()

    def _tell(self, step: Committed) -> None:
        snapshot = step.published.snapshot
        fed = Fed(EventNetworkChanged(step.changes, snapshot), revision=snapshot.revision)
        for watched in self._watched.values():
            if EventNetworkChanged in watched.hosted.handles:
                watched.forwarder.offer(fed)

    async def _watch(self) -> None:
        while True:
            for watched in self._watched.values():
                self._look(watched)
            await asyncio.sleep(self._settings.look_every_s)

    def _look(self, watched: _Watched) -> None:
        hosted = watched.hosted
        why = watched.pulse.look(alive=hosted.alive, head=hosted.head, now_s=time.monotonic())
        if why != watched.why:
            watched.why = why
            self._metrics.os_ken_app_up.labels(hosted.name).set(0 if why else 1)
            if why:
                log.error("os-ken app failed app=%s why=%s", hosted.name, why)
            else:
                log.warning("os-ken app goes on app=%s", hosted.name)
        event = failed(self._name, hosted.name, why) if why else recovered(self._name, hosted.name)
        # With no room in the inbox it is said again at the next look.
        if why != watched.told and self._deliver(event, None):
            watched.told = why
