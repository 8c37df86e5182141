"""Does not return from its first change before it is let go; keeps what it is told, as `recorder`."""

import threading

from os_ken.controller.handler import set_ev_cls

from controller.service.host.events import EventNetworkChanged, EventResync
from tests.support.os_ken_apps.recorder import Recorder

LET_GO = threading.Event()


class Hanging(Recorder):
    """Waits for LET_GO."""

    @set_ev_cls(EventNetworkChanged)  # type: ignore[untyped-decorator]
    def changed(self, event: EventNetworkChanged) -> None:
        self.seen.append(("changed", event.snapshot.revision))
        LET_GO.wait()

    @set_ev_cls(EventResync)  # type: ignore[untyped-decorator]
    def resync(self, event: EventResync) -> None:
        super().resync(event)
