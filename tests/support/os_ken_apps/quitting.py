"""Ends its own thread: a handler that was registered late is not guarded, and what it raises is the end for os-ken."""

from os_ken.base.app_manager import OSKenApp
from os_ken.controller.handler import set_ev_cls

from controller.service.host.events import EventNetworkChanged, EventResync


class Quitting(OSKenApp):  # type: ignore[misc]
    """Quits."""

    @set_ev_cls(EventResync)  # type: ignore[untyped-decorator]
    def resync(self, event: EventResync) -> None:
        self.register_handler(EventNetworkChanged, self.changed)

    def changed(self, event: EventNetworkChanged) -> None:
        raise RuntimeError("the app has had enough")
