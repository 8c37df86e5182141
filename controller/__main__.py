"""qinet-controller: the controller's command line."""

import importlib.util
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from controller.config.controller_file import load_controller_config
from controller.domain.refusals import Refusal

app = typer.Typer(
    name="qinet-controller",
    help="The Qinet controller. Exit codes: 0 stopped as asked, 1 not healthy, 2 wrong usage or a mistake, "
    "70 the writer died, 75 an address cannot be had now.",
    no_args_is_help=True,
    add_completion=False,
)

_CONFIG = typer.Option(
    "--config", "-c", help="Configuration file; see docs/operating.md.", exists=False, dir_okay=False
)


_EXTRA = ("grpc_health", "grpc_reflection", "networkx", "os_ken")
_WRONG: Final = 2
_TRY_AGAIN: Final = 75
"""EX_TEMPFAIL of sysexits.h: another start may succeed without anybody having corrected anything."""

_INSTALL = "pip install 'qinet-controller[controller]'"


@app.command()
def run(config: Annotated[Path, _CONFIG]) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reads the configuration file again."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it can be obeyed: what is asked to reload must not end
    try:
        from controller import bootstrap
    except ModuleNotFoundError as missing:
        _fail(f"{missing.name} is not installed; the controller needs more than the base install: {_INSTALL}")
    try:
        code = bootstrap.run(load_controller_config(config), config)
    except Refusal as refusal:
        _fail(str(refusal), _TRY_AGAIN if refusal.reason == "ADDRESS_IN_USE" else _WRONG)
    raise typer.Exit(code)


@app.command("check-config")
def check_config(config: Annotated[Path, _CONFIG]) -> None:
    """Read a configuration file and what it names (topology, certificates, apps), and report every mistake."""
    from controller.preflight import check_everything

    with_apps = all(map(importlib.util.find_spec, _EXTRA))
    if not with_apps:
        print(f"qinet-controller: the apps were not tried: that needs {_INSTALL}", file=sys.stderr)
    try:
        check_everything(config, with_apps=with_apps)
    except Refusal as refusal:
        _fail(str(refusal))
    typer.echo(f"{config}: no mistakes")


@app.command("check-health")
def check_health(
    config: Annotated[Path, _CONFIG],
    timeout_s: Annotated[float, typer.Option(min=0.1, max=600, help="How long it may take to answer.")] = 5.0,
) -> None:
    """Ask the controller that runs from this file whether it serves: exit code 0 if so, 1 if not."""
    try:
        from controller.health import ask
    except ModuleNotFoundError as missing:
        _fail(f"{missing.name} is not installed; that needs {_INSTALL}")
    try:
        problem = ask(load_controller_config(config), timeout_s=timeout_s)
    except Refusal as refusal:
        _fail(str(refusal))
    if problem:
        print(f"qinet-controller: {problem}", file=sys.stderr)
        raise typer.Exit(1)
    typer.echo("serving")


@app.command("raise-epoch")
def raise_epoch(
    config: Annotated[Path, _CONFIG],
    above: Annotated[int, typer.Option(min=0, help="An epoch that agents have seen; the new one is higher.")] = 0,
) -> None:
    """Begin a new line of history on a stopped controller's store: after a restore that it could not notice."""
    from controller.store.sqlite import SqliteStore

    try:
        read = load_controller_config(config)
        if read.store.kind != "sqlite":
            _fail(f"{config}: store: kind {read.store.kind} keeps no epoch")
        if not read.store.path.exists():
            _fail(f"{read.store.path} does not exist; there is no epoch to raise")
        store = SqliteStore(read.store.path)
        try:
            epoch = store.raise_epoch(above)
        finally:
            store.close()
    except Refusal as refusal:
        _fail(str(refusal))
    typer.echo(f"epoch {epoch}: agents refuse every earlier one once they have seen it")


def _fail(message: str, code: int = _WRONG) -> NoReturn:
    print(f"qinet-controller: {message}", file=sys.stderr)
    raise typer.Exit(code)


def main() -> None:
    """Enter here."""
    # What gRPC itself writes to standard error names its source lines, and what is wrong we say ourselves.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    app()


if __name__ == "__main__":
    main()
