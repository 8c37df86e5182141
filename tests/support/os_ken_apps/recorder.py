"""Keeps what it is told."""

import json
import os
import sys
from typing import Any

from os_ken.base.app_manager import OSKenApp
from os_ken.controller.handler import set_ev_cls

from controller.service.host.events import EventNetworkChanged, EventResync


class Recorder(OSKenApp):  # type: ignore[misc]
    """`seen` has (kind, revision) in order; the file of QINET_TEST_RECORD, if any, what it finds around it."""

    def __init__(self, *arguments: Any, **contexts: Any) -> None:
        super().__init__(*arguments, **contexts)
        self.seen: list[tuple[str, int]] = []
        self.dropped: list[int] = []
        if "QINET_TEST_RECORD" in os.environ:
            with open(os.environ["QINET_TEST_RECORD"], "w") as record:
                json.dump({"eventlet": "eventlet" in sys.modules, "grpc": "grpc" in sys.modules}, record)

    @set_ev_cls(EventResync)  # type: ignore[untyped-decorator]
    def resync(self, event: EventResync) -> None:
        self.dropped.append(event.dropped)
        self.seen.append(("resync", event.snapshot.revision))

    @set_ev_cls(EventNetworkChanged)  # type: ignore[untyped-decorator]
    def changed(self, event: EventNetworkChanged) -> None:
        self.seen.append(("changed", event.snapshot.revision))
