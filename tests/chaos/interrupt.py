"""An interrupted run stops its processes, too."""

import signal
from types import FrameType


def closes_on_signals() -> None:
    """Let the first SIGINT, SIGTERM or SIGHUP end the program through its `finally`; later ones are ignored."""

    def end(number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, end)
