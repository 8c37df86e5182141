"""qinetctl watch: changes as they are committed, over restarts of the controller."""

import json
import sys
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.connection import connected
from controller.cli.output import Format, Output, as_text, clean, document

if TYPE_CHECKING:
    from controller.cli.following import Change
    from controller.cli.streaming import OpenWatch

app = typer.Typer(
    help="Print changes as they are committed, one line each: revision, name, what it is now. The full state comes "
    "first. It survives a restart of the controller. Ctrl-C ends it.",
    no_args_is_help=True,
)

Since = Annotated[int, typer.Option("--since", metavar="REVISION", min=0, help="Only what followed this revision.")]
Count = Annotated[int | None, typer.Option("--count", min=1, help="End after so many lines.")]


@app.command()
def relays(context: typer.Context, since: Since = 0, count: Count = None, output: Output = Format.TABLE) -> None:
    """Watch key relays: state, route, reason."""
    from qinet.northbound.v1.key_relay_service_pb2 import WatchKeyRelaysRequest

    with connected(context) as network:
        print_changes(
            lambda resume, limit: network.relays.WatchKeyRelays(
                WatchKeyRelaysRequest(resume_revision=resume), timeout=limit
            ),
            since,
            count,
            output,
        )


@app.command()
def paths(context: typer.Context, since: Since = 0, count: Count = None, output: Output = Format.TABLE) -> None:
    """Watch entanglement paths: state, route, reason."""
    from qinet.northbound.v1.entanglement_service_pb2 import WatchEntanglementPathsRequest

    with connected(context) as network:
        print_changes(
            lambda resume, limit: network.entanglement.WatchEntanglementPaths(
                WatchEntanglementPathsRequest(resume_revision=resume), timeout=limit
            ),
            since,
            count,
            output,
        )


@app.command()
def topology(context: typer.Context, since: Since = 0, count: Count = None, output: Output = Format.TABLE) -> None:
    """Watch nodes and links: status, capacity, administration."""
    from qinet.northbound.v1.topology_service_pb2 import WatchTopologyRequest

    with connected(context) as network:
        print_changes(
            lambda resume, limit: network.topology.WatchTopology(
                WatchTopologyRequest(resume_revision=resume), timeout=limit
            ),
            since,
            count,
            output,
        )


def print_changes(open_watch: "OpenWatch", since: int, count: int | None, output: Format) -> None:
    """Print changes, one line or document each, for as long as somebody looks."""
    from controller.cli.following import Follower
    from controller.cli.streaming import changes

    with closing(changes(open_watch, Follower(since))) as watched:
        for change in islice(watched, count):
            sys.stdout.write(_printed(change, output))
            sys.stdout.flush()


def _printed(change: "Change", output: Format) -> str:
    if output is Format.TABLE:
        stamp = f"{datetime.now().astimezone():%H:%M:%S}  " if sys.stdout.isatty() else ""
        from controller.cli.happenings import summary

        told = "gone" if change.resource is None else summary(change.resource)
        return f"{stamp}{change.revision or '-'}  {clean(f'{change.name}  {told}')}\n"
    value = {
        "kind": "DELETED" if change.resource is None else "PUT",
        "name": change.name,
        "revision": str(change.revision),
        **({} if change.resource is None else {change.field: document(change.resource)}),
    }
    if output is Format.JSON:
        return json.dumps(value, ensure_ascii=False) + "\n"
    return "---\n" + as_text(value, output)
