"""Fails on every event, after it has counted it."""

from typing import Any

from os_ken.base.app_manager import OSKenApp
from os_ken.controller.handler import set_ev_cls

from controller.service.host.events import EventNetworkChanged


class Raising(OSKenApp):  # type: ignore[misc]
    """Raises."""

    def __init__(self, *arguments: Any, **contexts: Any) -> None:
        super().__init__(*arguments, **contexts)
        self.failures = 0

    @set_ev_cls(EventNetworkChanged)  # type: ignore[untyped-decorator]
    def changed(self, event: EventNetworkChanged) -> None:
        self.failures += 1
        raise RuntimeError(f"the app is wrong about revision {event.snapshot.revision}")
