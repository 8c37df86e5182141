"""qinetctl demo: its options; what it does is in `demo`."""

from pathlib import Path
from typing import Annotated

import typer

from controller.cli.output import Format, Output


def demo(
    topology: Annotated[
        str | None, typer.Option("--topology", metavar="NAME|FILE", help="Network: of topologies/, or a file; Tokyo.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Do everything once, judge it, and exit.")] = False,
    directory: Annotated[
        Path | None,
        typer.Option("--directory", metavar="DIR", help="Where to keep its files; default: a temporary one."),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Run a controller and all agents of a network here, and show a key relay from end to end."""
    from controller.cli import demo as demonstration

    raise typer.Exit(demonstration.run(topology=topology, once=once, directory=directory, output=output))
