"""SIGHUP has two meanings: `read your configuration again`, and `your terminal is gone`."""

import os


class Terminal:
    """The terminal that a daemon was started at, if there was one; made at its start."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._had = os.isatty(descriptor)

    def gone(self) -> bool:
        """Tell whether there was a terminal and is none any more: then SIGHUP asks the process to end with it."""
        return self._had and not os.isatty(self._descriptor)
