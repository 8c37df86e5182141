"""qinetctl node and link: drain them for maintenance, take them back, switch them off and on."""

import sys
import time
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli import completion
from controller.cli.connection import Network, connected
from controller.cli.exits import Exit, Stop
from controller.cli.names import full, short
from controller.cli.options import Etag, ValidateOnly
from controller.cli.output import Format, Output, emit, tell
from controller.cli.quantities import duration_ms, shown_span

if TYPE_CHECKING:
    from controller.cli.following import Change
    from controller.cli.streaming import OpenWatch
    from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath
    from qinet.northbound.v1.key_relay_pb2 import KeyRelay
    from qinet.northbound.v1.key_relay_service_pb2 import PredictedMove
    from qinet.northbound.v1.link_pb2 import Link
    from qinet.northbound.v1.node_pb2 import Node

node_app = typer.Typer(help="Drain, switch off and take back nodes. `get nodes` lists them.", no_args_is_help=True)
link_app = typer.Typer(help="Drain, switch off and take back links. `get links` lists them.", no_args_is_help=True)

NodeName = Annotated[str, typer.Argument(help="Name of the node.", autocompletion=completion.nodes)]
LinkName = Annotated[str, typer.Argument(help="Name of the link.", autocompletion=completion.links)]
Wait = Annotated[bool, typer.Option("--wait", help="Show progress until all that moves has left.")]
_LOOK_S = 2.0  # for each kind, however long the one before took

WaitTimeout = Annotated[str, typer.Option("--wait-timeout", metavar="TIME", help="Wait at most so long.")]


@node_app.command("drain")
def drain_node(
    context: typer.Context,
    name: NodeName,
    *,
    validate_only: ValidateOnly = False,
    wait: Wait = False,
    wait_timeout: WaitTimeout = "5m",
    output: Output = Format.TABLE,
) -> None:
    """Put a node into maintenance, and move every relay and path off it that fits elsewhere.

    What ends at the node or fits nowhere stays. Look first: qinetctl node drain otemachi --dry-run
    """
    _drain(context, full("nodes", name), dry=validate_only, wait=wait, timeout=wait_timeout, output=output)


@link_app.command("drain")
def drain_link(
    context: typer.Context,
    name: LinkName,
    *,
    validate_only: ValidateOnly = False,
    wait: Wait = False,
    wait_timeout: WaitTimeout = "5m",
    output: Output = Format.TABLE,
) -> None:
    """Put a link into maintenance, and move every relay and path off it that fits elsewhere; the others stay."""
    _drain(context, full("links", name), dry=validate_only, wait=wait, timeout=wait_timeout, output=output)


@node_app.command("undrain")
def undrain_node(context: typer.Context, name: NodeName, etag: Etag = "", output: Output = Format.TABLE) -> None:
    """End the maintenance of a node: it takes new services again. What left does not come back by itself."""
    _change_node(context, name, etag, output, maintenance=False)


@link_app.command("undrain")
def undrain_link(context: typer.Context, name: LinkName, etag: Etag = "", output: Output = Format.TABLE) -> None:
    """End the maintenance of a link: it takes new services again. What left does not come back by itself."""
    _change_link(context, name, etag, output, maintenance=False)


@node_app.command("enable")
def enable_node(context: typer.Context, name: NodeName, etag: Etag = "", output: Output = Format.TABLE) -> None:
    """Let a node take services again."""
    _change_node(context, name, etag, output, admin_enabled=True)


@node_app.command("disable")
def disable_node(context: typer.Context, name: NodeName, etag: Etag = "", output: Output = Format.TABLE) -> None:
    """Keep every new service off a node."""
    _change_node(context, name, etag, output, admin_enabled=False)


@link_app.command("enable")
def enable_link(context: typer.Context, name: LinkName, etag: Etag = "", output: Output = Format.TABLE) -> None:
    """Switch a link's key generation on."""
    _change_link(context, name, etag, output, admin_enabled=True)


@link_app.command("disable")
def disable_link(context: typer.Context, name: LinkName, etag: Etag = "", output: Output = Format.TABLE) -> None:
    """Switch a link's key generation off."""
    _change_link(context, name, etag, output, admin_enabled=False)


def _change_node(context: typer.Context, name: str, etag: str, output: Format, **fields: bool) -> None:
    from google.protobuf.field_mask_pb2 import FieldMask

    from controller.cli.tables import node_table
    from qinet.northbound.v1 import node_pb2, topology_service_pb2

    node = node_pb2.Node(name=full("nodes", name), etag=etag)
    for field, value in fields.items():
        setattr(node, field, value)
    with connected(context) as network:
        request = topology_service_pb2.UpdateNodeRequest(node=node, update_mask=FieldMask(paths=fields))
        changed: Node = network.topology.UpdateNode(request, timeout=network.timeout_s).node
    emit(output, lambda: [node_table([changed])], changed)


def _change_link(context: typer.Context, name: str, etag: str, output: Format, **fields: bool) -> None:
    from google.protobuf.field_mask_pb2 import FieldMask

    from controller.cli.tables import link_table
    from qinet.northbound.v1 import link_pb2, topology_service_pb2

    link = link_pb2.Link(name=full("links", name), etag=etag)
    for field, value in fields.items():
        setattr(link, field, value)
    with connected(context) as network:
        request = topology_service_pb2.UpdateLinkRequest(link=link, update_mask=FieldMask(paths=fields))
        changed: Link = network.topology.UpdateLink(request, timeout=network.timeout_s).link
    emit(output, lambda: [link_table([changed])], changed)


def _drain(context: typer.Context, place: str, *, dry: bool, wait: bool, timeout: str, output: Format) -> None:
    from controller.cli.tables_of_moves import move_summary, move_table
    from qinet.northbound.v1 import operations_service_pb2 as pb

    limit_s = duration_ms(timeout) / 1000
    if wait and dry:
        raise typer.BadParameter("--wait has nothing to wait for with --validate-only")
    with connected(context) as network:
        request = pb.DrainRequest(name=place, validate_only=dry)
        answer = network.operations.Drain(request, timeout=network.timeout_s)
        if dry:
            tell("nothing was changed: this is what would become of the services there")
        emit(output, lambda: [move_table(answer.moves)] if answer.moves else [], answer)
        if output is Format.TABLE:
            tell(f"{place}: {move_summary(answer.moves)}" + ("" if dry else "; it is in maintenance now"))
        left = _wait_until_left(network, place, answer.moves, limit_s) if wait else []
    if left:
        raise Stop(
            Exit.NOT_YET,
            f"{len(left)} of the services are still at {place} after {shown_span(limit_s)}: {', '.join(left)}",
            "next: they go on moving without us; `qinetctl get relays` and `get paths`, with --filter "
            f"'{'node' if place.startswith('nodes/') else 'link'} = {short(place)}', tell who is left",
        )


def _wait_until_left(network: Network, place: str, moves: "Sequence[PredictedMove]", limit_s: float) -> list[str]:
    """Show progress until all that was to move has left; return what has not when time is up."""
    from controller.cli.following import Follower
    from controller.cli.streaming import changes
    from qinet.northbound.v1.entanglement_service_pb2 import WatchEntanglementPathsRequest
    from qinet.northbound.v1.key_relay_service_pb2 import PredictedMove, WatchKeyRelaysRequest

    leaving = {
        move.entanglement_path or move.key_relay
        for move in moves
        if move.outcome in (PredictedMove.OUTCOME_MOVES, PredictedMove.OUTCOME_SWITCHES)
    }
    waited_for = len(leaving)
    if not leaving:
        return []
    until = time.monotonic() + limit_s
    watches: dict[str, OpenWatch] = {
        "keyRelays": lambda resume, limit: network.relays.WatchKeyRelays(
            WatchKeyRelaysRequest(resume_revision=resume), timeout=limit
        ),
        "entanglementPaths": lambda resume, limit: network.entanglement.WatchEntanglementPaths(
            WatchEntanglementPathsRequest(resume_revision=resume), timeout=limit
        ),
    }
    left: list[str] = []
    with _Progress(waited_for) as progress:
        # One kind after the other: each watch begins with the full state, so that what left, or is gone, is seen.
        for collection, open_watch in watches.items():
            these = {name for name in leaving if name.startswith(f"{collection}/")}
            if these:
                one_look_at_least = max(until, time.monotonic() + _LOOK_S)
                watched = changes(open_watch, Follower(known=these), until=one_look_at_least)
                _see_off(watched, these, place, progress)
            left += sorted(these)
    return left


def _see_off(watched: "Generator[Change]", leaving: set[str], place: str, progress: "_Progress") -> None:
    """Follow services of one kind until all of them have left a place, or the watch ends; who left is taken out."""
    from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath
    from qinet.northbound.v1.key_relay_pb2 import KeyRelay

    for change in watched:
        if change.name not in leaving:
            continue
        if isinstance(change.resource, KeyRelay | EntanglementPath) and uses(change.resource, place):
            continue
        leaving.remove(change.name)
        progress.left(change.name, gone=change.resource is None)
        if not leaving:
            watched.close()
            return


def uses(service: "KeyRelay | EntanglementPath", place: str) -> bool:
    """Tell whether a service has something at a node or link: routes, backup, or routes that it is leaving."""
    from qinet.northbound.v1.key_relay_pb2 import KeyRelay

    routes = [*service.retiring_routes]
    if isinstance(service, KeyRelay):
        routes += [*service.routes, *service.backup_routes]
    elif service.HasField("route"):
        routes.append(service.route)
    return any(place in (hop.start_node, hop.link, hop.end_node) for route in routes for hop in route.hops)


class _Progress:
    """Tells on stderr who has left: a bar on a terminal, a line for each elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._bar: Any = None
        self._task: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)

    def __enter__(self) -> "_Progress":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("relays moved", total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def left(self, name: str, *, gone: bool) -> None:
        """Count one relay."""
        self._done += 1
        if self._bar is not None:
            self._bar.advance(self._task)
        else:
            tell(f"{self._done} of {self._total}: {name} {'is gone' if gone else 'has left'}")
