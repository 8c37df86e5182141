"""Runs qinetctl in this process, and keeps what it printed."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from controller.cli.main import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One command: its exit code, and what it printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def runner(capsys: pytest.CaptureFixture[str], *always: str) -> Run:
    """Return a function that runs qinetctl with the arguments it is given, after those that are always given."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([*always, *map(str, arguments)])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Ran(code=code, out=printed.out, err=printed.err)

    return run
