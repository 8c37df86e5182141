"""Runs a command that ends with whoever started it, even if that is killed: `python -m ...demo_guard COMMAND`.

Linux tells a process by a signal that its parent is gone, once it has asked for it. The question survives exec, so it
is asked here, after the fork, where no other thread is in the way.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Ask for SIGTERM when the parent ends, and become the command."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(1)  # it ended before we asked
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 (a command of ours, no shell)


if __name__ == "__main__":
    main()
