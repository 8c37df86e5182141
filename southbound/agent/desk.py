"""What the GS QKD 014 server asks of its node: keys of the key room, and word to the controller."""

import logging
import time
from collections.abc import Callable
from typing import Final

from qinet.southbound.v1 import agent_pb2 as pb
from southbound.agent.key_room import KeyRoom
from southbound.agent.keyplane.events import Answer, GetKeys, GetKeysById, KeyStatus
from southbound.agent.notices import Notices

log = logging.getLogger(__name__)

_REPEAT_S: Final = 5.0
_REMEMBERED: Final = 1024


class NodeDesk:
    """Implements `delivery.desk.KeyDesk`."""

    def __init__(self, room: KeyRoom, notices: Notices, on_notice: Callable[[], None]) -> None:
        """Serve from a key room; `on_notice` is called when the controller is to be told something."""
        self._room = room
        self._notices = notices
        self._on_notice = on_notice
        self._missing: dict[tuple[str, ...], float] = {}
        self._seen: dict[str, None] = {}

    async def status(self, *, master: str, slave: str) -> KeyStatus | None:
        """Return the figures of the pair, or None where no association serves it."""
        return self._room.status(master, slave)

    async def get_keys(
        self, *, master: str, slave: str, number: int, size_bit: int | None, more_slaves: tuple[str, ...]
    ) -> Answer:
        """Hand out fresh keys."""
        return await self.ask(
            GetKeys(
                now_s=0.0,
                request=0,
                master=master,
                slave=slave,
                number=number,
                size_bit=size_bit,
                more_slaves=more_slaves,
            )
        )

    async def get_keys_by_id(self, *, slave: str, master: str, key_ids: tuple[str, ...]) -> Answer:
        """Hand out bound keys."""
        return await self.ask(GetKeysById(now_s=0.0, request=0, slave=slave, master=master, key_ids=key_ids))

    async def ask(self, event: GetKeys | GetKeysById) -> Answer:
        """Have the key plane answer; `request` and `now_s` of the event are filled in."""
        return await self._room.ask(event)

    def sae_called(self, sae: str) -> None:
        """Learn that this SAE is at this node; logged the first time."""
        if sae not in self._seen and len(self._seen) < _REMEMBERED:
            self._seen[sae] = None
            log.info("sae called sae=%s", sae)

    def application_missing(self, *, master: str, slaves: tuple[str, ...]) -> None:
        """Tell the controller that a master asked for keys without an association, now and then."""
        now_s = time.monotonic()
        asked = (master, *slaves)
        if now_s - self._missing.get(asked, -_REPEAT_S) < _REPEAT_S:
            return
        self._missing.pop(asked, None)
        if len(self._missing) >= _REMEMBERED:
            del self._missing[next(iter(self._missing))]
        self._missing[asked] = now_s
        new = pb.ApplicationNew(server_sae=master, client_saes=slaves)
        self._notices.add(("application_new", *asked), pb.Notification(application_new=new))
        self._on_notice()
