"""Single keys from a terminal, as they are pressed."""

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_LOOK_S: Final = 0.1  # how soon the thread that reads keys notices that nobody wants them any more


@contextmanager
def keys(take: Callable[[str], object]) -> Iterator[None]:
    """Hand over each key as it is pressed, an arrow as its escape sequence; without a terminal nothing.

    Args:
        take: Called in a thread of its own.
    """
    if not sys.stdin.isatty():
        yield
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    over = threading.Event()
    reader = threading.Thread(target=_read, args=(number, take, over), name="keys", daemon=True)
    try:
        tty.setcbreak(number)
        reader.start()
        yield
    finally:
        over.set()
        reader.join()
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _read(number: int, take: Callable[[str], object], over: threading.Event) -> None:
    while not over.is_set():
        ready, _, _ = select.select([number], [], [], _LOOK_S)
        if ready:
            pressed = os.read(number, 16).decode(errors="replace")
            if not pressed:  # the terminal was closed
                take("q")
                return
            for key in [pressed] if pressed.startswith("\x1b") else pressed:
                take(key)
