"""SIGHUP: the configuration file is read again, checked whole, and put in force as far as a running controller can.

A file with a mistake changes nothing. What came of it stands in the log, in two alarms and in the metrics.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from controller.config.controller_file import ControllerConfig
from controller.config.mistakes import Mistakes
from controller.config.reloading import Reload, reload_of
from controller.domain.alarm import CONTROLLER, Alarm, Severity
from controller.domain.events import AgentEvent, AlarmCleared, AlarmRaised
from controller.domain.refusals import Refusal
from controller.identity.tls_files import Tls
from controller.preflight import check_everything, load_controller_tls

log = logging.getLogger(__name__)

CONFIG_INVALID: Final = "CONFIG_INVALID"
RESTART_NEEDED: Final = "RESTART_NEEDED"
_MOST_CHARACTERS: Final = 1000


class Reloader:
    """Knows the configuration in force. Lives on the asyncio thread; files are read off it."""

    def __init__(
        self,
        file: Path,
        running: ControllerConfig,
        *,
        apply: Callable[[Reload, Tls], None],
        deliver: Callable[[AgentEvent], bool],
        count: Callable[[str], None],
    ) -> None:
        """Begin with what runs.

        Args:
            file: The configuration file.
            running: As it was read at the start.
            apply: Puts a sound configuration in force; where it fails, the next reload does all of it again.
            deliver: The writer's inbox; False when it has no room.
            count: Told the outcome of every reload: "applied" or "refused".
        """
        self._file = file
        self._running = running
        self._apply = apply
        self._deliver = deliver
        self._count = count
        self._object = f"controllers/{running.name}"
        # The newest word on each alarm, until the writer has taken it.
        self._due: dict[str, AgentEvent] = {
            kind: AlarmCleared(key=(CONTROLLER, self._object, kind)) for kind in (CONFIG_INVALID, RESTART_NEEDED)
        }

    async def reload(self) -> bool:
        """Read the file again, and return whether it was taken; no mistake in it, and no fault of ours, is raised."""
        try:
            reload, tls = await asyncio.to_thread(self._read)
            self._taken(reload, tls)
        except Refusal as refusal:
            self._refused(refusal)
        except Exception as problem:  # whatever the file led to, what runs goes on
            log.exception("reload failed file=%s", self._file)
            self._alarm(CONFIG_INVALID, f"{type(problem).__name__}: the controller's log says more")
            self._count("refused")
        else:
            return True
        finally:
            self.tell()
        return False

    def tell(self) -> None:
        """Bring the alarms to the writer; again and again, for the inbox may have no room. Cheap when all is told."""
        for kind, event in list(self._due.items()):
            if not self._deliver(event):
                return
            del self._due[kind]

    def _read(self) -> tuple[Reload, Tls]:
        reload = reload_of(self._running, check_everything(self._file, with_apps=True))
        # Under the name that runs: another one waits for a restart, and the certificate with it.
        return reload, load_controller_tls(reload.config)

    def _taken(self, reload: Reload, tls: Tls) -> None:
        self._apply(reload, tls)
        self._running = reload.config
        log.info(
            "configuration reloaded file=%s sha256=%s applied=%s",
            self._file,
            reload.config.sha256,
            ",".join(reload.applied) or "none",
        )
        self._count("applied")
        self._alarm(CONFIG_INVALID, "")
        waiting = ", ".join(reload.waiting)
        if waiting:
            log.warning("needs a restart: %s file=%s", waiting, self._file)
        self._alarm(RESTART_NEEDED, f"needs a restart: {waiting}" if waiting else "", Severity.MINOR)

    def _refused(self, refusal: Refusal) -> None:
        lines = [str(mistake) for mistake in refusal.mistakes] if isinstance(refusal, Mistakes) else [str(refusal)]
        for line in lines:
            log.error("configuration refused, the old one stays in force: %s", line)
        self._count("refused")
        self._alarm(CONFIG_INVALID, "; ".join(lines))

    def _alarm(self, kind: str, message: str, severity: Severity = Severity.MAJOR) -> None:
        self._due.pop(kind, None)
        if not message:
            self._due[kind] = AlarmCleared(key=(CONTROLLER, self._object, kind))
            return
        short = message if len(message) <= _MOST_CHARACTERS else message[: _MOST_CHARACTERS - 3] + "..."
        alarm = Alarm(node=CONTROLLER, object=self._object, kind=kind, severity=severity, message=short)
        self._due[kind] = AlarmRaised(alarm=alarm)
