"""The demonstration's screen: a live table of steps on a terminal, a line per step elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table


class Stopped(Exception):  # noqa: N818 (it is no error)
    """Ctrl-C, SIGTERM, or the terminal was closed."""


@dataclass
class Step:
    """One step and how it stands."""

    what: str
    began: float
    state: str = "..."
    result: str = ""
    took_s: float | None = None

    def note(self, result: str) -> None:
        """Say what came of it."""
        self.result = result


class Screen:
    """Shows steps as they are taken."""

    def __init__(self, title: str, *, live: bool, to: TextIO | None = None) -> None:
        """Show steps live on the terminal, or as lines on a stream; by default on standard output."""
        self._title = title
        self._to = to
        self._steps: list[Step] = []
        self._console = Console()
        self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=8) if live else None

    def __enter__(self) -> "Screen":
        if self._live is not None:
            self._live.start()
        else:
            print(self._title, file=self._to, flush=True)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """Show a step while it is taken, and how it ended."""
        step = Step(what, time.monotonic())
        self._steps.append(step)
        try:
            yield step
        except Exception as failure:
            step.state = "stopped" if isinstance(failure, Stopped) else "failed"
            raise
        else:
            step.state = "done"
        finally:
            step.took_s = time.monotonic() - step.began
            if self._live is None:
                line = f"  {step.state:7} {step.took_s:6.2f} s  {step.what}: {step.result}".rstrip(": ")
                print(line, file=self._to, flush=True)

    def _table(self) -> Table:
        table = Table(title=self._title, title_justify="left", expand=False)
        table.add_column("step")
        table.add_column("state")
        table.add_column("s", justify="right")
        table.add_column("result", overflow="fold")
        for step in self._steps:
            took_s = time.monotonic() - step.began if step.took_s is None else step.took_s
            table.add_row(step.what, step.state, f"{took_s:.1f}", step.result)
        return table
