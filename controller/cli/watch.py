"""qinetctl watch: changes as they are committed, over restarts of the controller."""

import json
import sys
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.connection import connected
from controller.cli.names import short, shorts
from controller.cli.output import Format, Output, as_text, clean, document
from controller.cli.quantities import shown_number

if TYPE_CHECKING:
    from google.protobuf.message import Message

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
        _print_changes(
            lambda resume, limit: network.relays.WatchKeyRelays(
                WatchKeyRelaysRequest(resume_revision=resume), timeout=limit
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
        _print_changes(
            lambda resume, limit: network.topology.WatchTopology(
                WatchTopologyRequest(resume_revision=resume), timeout=limit
            ),
            since,
            count,
            output,
        )


def _print_changes(open_watch: "OpenWatch", since: int, count: int | None, output: Format) -> None:
    from controller.cli.following import Follower
    from controller.cli.streaming import changes

    with closing(changes(open_watch, Follower(since))) as watched:
        for change in islice(watched, count):
            sys.stdout.write(_printed(change, output))
            sys.stdout.flush()


def _printed(change: "Change", output: Format) -> str:
    if output is Format.TABLE:
        stamp = f"{datetime.now().astimezone():%H:%M:%S}  " if sys.stdout.isatty() else ""
        told = "gone" if change.resource is None else _summary(change.resource)
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


def _summary(resource: "Message") -> str:
    from controller.cli.tables import link_remarks, link_status, relay_phase, relay_state, route_text
    from qinet.northbound.v1.key_relay_pb2 import KeyRelay
    from qinet.northbound.v1.link_pb2 import Link
    from qinet.northbound.v1.node_pb2 import Node

    parts: list[str] = []
    if isinstance(resource, KeyRelay):
        parts = [
            relay_state(resource),
            relay_phase(resource),
            f"unconfirmed: {shorts(resource.unconfirmed_nodes)}" if resource.unconfirmed_nodes else "",
            f"version {resource.route_version}",
            *map(route_text, resource.routes),
            "riding on stored key" if resource.riding_on_store else "",
            resource.state_reason,
        ]
    elif isinstance(resource, Link):
        ends = " - ".join(short(end.node) for end in resource.ends)
        parts = [
            link_status(resource),
            ends,
            f"{shown_number(resource.reserved_bit_per_s)} of {shown_number(resource.capacity_bit_per_s)} bit/s in use",
            *link_remarks(resource),
        ]
    elif isinstance(resource, Node):
        parts = [
            "connected" if resource.connected else "not connected",
            "" if not resource.HasField("admin_enabled") or resource.admin_enabled else "disabled",
            "maintenance" if resource.maintenance else "",
        ]
    return "  ".join(part for part in parts if part)
