"""qinetctl at a terminal of its own: what a person sees, and the keys that they press."""

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from types import TracebackType

from tests.integration.cli.laboratory import REPOSITORY, Laboratory

_WITHIN_S = 60.0
_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """One command that runs until it ends, or until the block is left."""

    def __init__(self, lab: Laboratory, *arguments: object, columns: int = 80, lines: int = 24) -> None:
        self._outside, inside = pty.openpty()
        environment = {
            **os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(lines),
            "QINET_CONTROLLER": lab.northbound, "QINET_PKI": str(lab.directory / "pki"),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "controller.cli.main", *map(str, arguments)],
            cwd=REPOSITORY,
            env=environment,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)
        self.raw = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._outside)

    @property
    def seen(self) -> str:
        """All that was shown so far, without what steers the terminal."""
        return _STEERING.sub("", self.raw)

    def until(self, text: str, *, times: int = 1) -> str:
        """Read until that was shown so often, and return all that was shown."""
        deadline = time.monotonic() + _WITHIN_S
        while self.seen.count(text) < times:
            assert time.monotonic() < deadline, f"{text!r} was not shown {times} times: {self.seen[-2000:]}"
            assert self._read(), f"it ended without {text!r}: {self.seen}"
        return self.seen

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._outside, keys.encode())

    def end(self) -> int:
        """Read until it ends, and return its exit code."""
        while self._read():
            pass
        return self.process.wait(_WITHIN_S)

    def _read(self) -> bool:
        """Take what is shown now; False once nothing can follow."""
        ready, _, _ = select.select([self._outside], [], [], _WITHIN_S)
        part = b""
        with contextlib.suppress(OSError):  # how Linux ends a terminal whose other side is closed
            part = os.read(self._outside, 65536) if ready else b""
        self.raw += part.decode(errors="replace")
        return bool(part)
