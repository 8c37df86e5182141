"""What os-ken apps are told of the network: subscribe with `set_ev_cls`, as to any event of os-ken."""

from typing import Any

import os_ken.base.app_manager  # noqa: F401 (before os_ken.controller, or that one cannot be imported)
from os_ken.controller.event import EventBase

from controller.domain.snapshot import Changes, Snapshot


class EventNetworkChanged(EventBase):  # type: ignore[misc]  # os-ken has no types
    """One batch was committed.

    Attributes:
        changes: What it wrote, in order; `changes.folded` has the last write of each document.
        snapshot: The network afterwards. Immutable: keep it, read it from any thread.
    """

    def __init__(self, changes: Changes, snapshot: Snapshot) -> None:
        super().__init__()
        self.changes = changes
        self.snapshot = snapshot


class EventResync(EventBase):  # type: ignore[misc]  # os-ken has no types
    """The whole state: the first event of every app, and sent again after events for it had to be dropped.

    No EventNetworkChanged that comes later is older than this snapshot. Derive everything anew.

    Attributes:
        snapshot: The network as it was committed last.
        switches: The os_ken Datapath of each OpenFlow switch that is connected and ready.
        dropped: How many events were lost since the last resync; 0 at the first.
    """

    def __init__(self, snapshot: Snapshot, switches: tuple[Any, ...], dropped: int) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.switches = switches
        self.dropped = dropped
