"""Prints the help of every command of the three programs; run as a process of its own, with a plain environment."""

import os
import subprocess
import sys
from typing import Any

from tests.support.pages import ROOT

WIDTH = 100


def pages() -> str:
    """Return every help page, as a terminal of `WIDTH` columns without colours shows it."""
    environment = {"PATH": os.environ.get("PATH", ""), "COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    shown = subprocess.run(
        [sys.executable, "-m", "tests.golden.cli_help"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return "\n".join(line.rstrip() for line in shown.stdout.decode().splitlines()) + "\n"


def _show(command: Any, path: list[str]) -> None:
    print(f"$ {' '.join(path)} --help", flush=True)
    command.main(args=["--help"], prog_name=" ".join(path), standalone_mode=False)
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        _show(inner, [*path, name])


def _main() -> None:
    import typer.main

    from controller.__main__ import app as controller_app
    from controller.cli.commands import assembled
    from southbound.commands.main import app as agent_app

    for name, app in (("qinetctl", assembled()), ("qinet-controller", controller_app), ("qinet-agent", agent_app)):
        _show(typer.main.get_command(app), [name])


if __name__ == "__main__":
    _main()
