"""Single keys from a terminal, as they are pressed."""

import os
import re
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_KEY: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|.", re.DOTALL)
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
            pressed = os.read(number, 64).decode(errors="replace")
            if not pressed:  # the terminal was closed
                take("q")
                return
            for key in keys_in(pressed):
                take(key)


def keys_in(text: str) -> list[str]:
    r"""Return the keys that were pressed: an arrow and the like as its escape sequence, anything else as it is.

    >>> keys_in("s\x1b[Aq"), keys_in("\x1b[6~\x1b")
    (['s', '\x1b[A', 'q'], ['\x1b[6~', '\x1b'])
    """
    return _KEY.findall(text)
