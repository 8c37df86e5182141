"""When an os-ken app has failed, and the alarm that says so. Imports nothing of os-ken: also for hosts of no apps."""

from typing import Any, Final

from controller.domain.alarm import CONTROLLER, Alarm
from controller.domain.events import AlarmCleared, AlarmRaised
from controller.domain.snapshot import Snapshot

OS_KEN_APP_FAILED: Final = "OS_KEN_APP_FAILED"


def failed(controller: str, app: str, why: str) -> AlarmRaised:
    """Return the event that an app of the controller of that name has failed; `app` is its module's dotted name."""
    return AlarmRaised(
        alarm=Alarm(node=CONTROLLER, object=_object(controller, app), kind=OS_KEN_APP_FAILED, message=why)
    )


def recovered(controller: str, app: str) -> AlarmCleared:
    """Return the event that an app goes on."""
    return AlarmCleared(key=(CONTROLLER, _object(controller, app), OS_KEN_APP_FAILED))


def left_over(snapshot: Snapshot) -> list[AlarmCleared]:
    """Return what ends the alarms of an earlier run: the apps have begun anew, or are not there any more."""
    return [AlarmCleared(key=key) for key in snapshot.alarms if key[2] == OS_KEN_APP_FAILED]


def _object(controller: str, app: str) -> str:
    return f"controllers/{controller}/osKenApps/{app}"


class Pulse:
    """Judges from successive looks at an app's queue whether the app still takes events.

    An app is stuck when the same event has stood first for a time; one with nothing to take is well. A thread that has
    ended never comes back.
    """

    def __init__(self, stuck_after_s: float) -> None:
        self._stuck_after_s = stuck_after_s
        self._head: Any = None
        self._since_s = 0.0
        self._ended = False

    def look(self, *, alive: bool, head: Any, now_s: float) -> str | None:
        """Return why the app has failed, or None.

        Args:
            alive: Whether its event thread runs.
            head: The first event of its queue; None when the queue is empty.
            now_s: Monotonic time.
        """
        self._ended = self._ended or not alive
        if self._ended:
            return "its event thread has ended: correct the app, then restart the controller"
        if head is None or head is not self._head:
            self._head, self._since_s = head, now_s
        if now_s - self._since_s >= self._stuck_after_s:
            return (
                f"it has taken no event for {self._stuck_after_s:g} s: a handler of it does not return; "
                "what waits for it is dropped, the oldest first"
            )
        return None
