"""What a daemon and the world outside its process tell each other: signals in, the service manager's news out."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from controller.domain.refusals import Refusal
from controller.identity.rotation import AnyTls, RotatingTls, renewed
from controller.observability.service_manager import ServiceManager
from controller.observability.terminal import Terminal

log = logging.getLogger(__name__)

_ALIVE_EVERY_S: Final = 0.5
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


class Process:
    """Made when the daemon starts: from then on signals are heard.

    Attributes:
        ended: Set by the first SIGINT or SIGTERM, or when the terminal goes; a second signal ends the process at once.
    """

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._renewals = asyncio.Event()
        self._manager = ServiceManager()
        self._terminal = Terminal()
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)

    def _end(self) -> None:
        self.ended.set()
        for number in _ENDING:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    def _hung_up(self) -> None:
        if self._terminal.gone():
            self._end()
        else:
            self._renewals.set()

    @asynccontextmanager
    async def serving(self, status: str, certificates: Sequence[AnyTls]) -> AsyncIterator[None]:
        """Tell the service manager that we are ready, that we live, and at the end that we stop; renew on SIGHUP."""
        tasks = [
            asyncio.create_task(self._live(), name="alive"),
            asyncio.create_task(self._renew(status, certificates), name="renew"),
        ]
        self._manager.ready(status)
        try:
            yield
        finally:
            self._manager.stopping()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self) -> None:
        while True:
            self._manager.alive()
            await asyncio.sleep(_ALIVE_EVERY_S)

    async def _renew(self, status: str, certificates: Sequence[AnyTls]) -> None:
        while True:
            await self._renewals.wait()
            self._renewals.clear()
            self._manager.reloading()
            for tls in certificates:
                # Off the loop: files that do not come, as from a server that is gone, hold up no key delivery.
                await asyncio.to_thread(renew_certificate, tls, datetime.now(UTC))
            self._manager.ready(status)


def renew_certificate(tls: AnyTls, now: datetime) -> None:
    """Read a certificate, its key and the CA again; what cannot be used is told, and what was used stays in force."""
    if not isinstance(tls, RotatingTls):
        return
    try:
        news = renewed(tls, now)
    except Refusal as refusal:
        log.error("certificate refused, the old one stays in force: %s", refusal)
        return
    except Exception:
        # Whatever the files led to: the next SIGHUP is heard too.
        log.exception("certificate cannot be read, the old one stays in force file=%s", tls.current.files.certificate)
        return
    current = tls.current
    if news:
        log.info(
            "certificate in force file=%s until=%s", current.files.certificate, current.not_valid_after.isoformat()
        )
    else:
        log.info("certificate unchanged file=%s", current.files.certificate)
