"""qinetctl topology: check, apply and import topology files; show a network as tables and as a map."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.connection import connected
from controller.cli.exits import Exit, Stop
from controller.cli.get import pages
from controller.cli.names import short
from controller.cli.output import Format, Output, Sheet, as_text, emit, show, tell
from controller.cli.quantities import shown_rate
from controller.cli.topology_import import import_

if TYPE_CHECKING:
    from controller.config.topology_file import TopologyFile
    from qinet.northbound.v1.link_pb2 import Link
    from qinet.northbound.v1.node_pb2 import Node

app = typer.Typer(
    help="Check, apply and import topology files, show networks. Files: docs/topologies.md.", no_args_is_help=True
)
app.command("import")(import_)

File = Annotated[Path, typer.Argument(metavar="FILE", help="Topology file (YAML).")]


@app.command()
def check(file: File, output: Output = Format.TABLE) -> None:
    """Check a file. Every mistake is told at once, as file:line: field: what; the exit code is then 5."""
    from controller.config.topology_file import load_topology

    found = load_topology(file)
    ends = " and ".join(found.suggested_ends) if found.suggested_ends else ""
    facts = (
        ("network", found.name),
        ("title", found.title),
        ("nodes", str(len(found.nodes))),
        ("links", str(len(found.links))),
        ("suggested ends", ends),
        ("figures", _bases(found)),
        ("mistakes", "none"),
    )
    if output is Format.TABLE:
        show([Sheet(facts=facts)])
    else:
        summary = {
            "name": found.name,
            "title": found.title,
            "nodes": len(found.nodes),
            "links": len(found.links),
            "mistakes": [],
        }
        sys.stdout.write(as_text(summary, output))


@app.command()
def apply(
    context: typer.Context,
    file: File,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Tell what would change, and change nothing.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Make the network what the file says: create, update, and delete what the file does not name.

    It is one change: if any part is refused, nothing is done.
    """
    from controller.cli.tables import action_table
    from controller.config.topology_file import load_topology
    from controller.wire.northbound_link import link_to_pb
    from controller.wire.northbound_node import node_to_pb
    from qinet.northbound.v1.topology_service_pb2 import ApplyTopologyRequest

    wanted = load_topology(file)
    request = ApplyTopologyRequest(
        nodes=map(node_to_pb, wanted.nodes),
        links=map(link_to_pb, wanted.links),
        network_name=wanted.name,
        validate_only=validate_only,
    )
    with connected(context) as network:
        answer = network.topology.ApplyTopology(request, timeout=network.timeout_s)
    counts = (
        f"{answer.created} created, {answer.updated} updated, {answer.deleted} deleted, {answer.unchanged} unchanged"
    )
    if validate_only:
        tell("nothing was changed: this is what would be done")
    emit(
        output,
        lambda: [*([action_table(answer.actions)] if answer.actions else []), Sheet(facts=(("result", counts),))],
        answer,
    )


@app.command("show")
def show_(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A topology file; the controller's network if none is given."),
    ] = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="OUT", help="Also draw a map, as SVG; - draws it on stdout only.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show nodes and links as tables, and as a map coloured by status."""
    from controller.cli.tables import link_table, node_table, planned_link_table, planned_node_table

    if file is None:
        nodes, links = _live(context)
        title = "Network"
    else:
        nodes, links, title = _planned(file)
    if svg is not None:
        drawing = _map(nodes, links, title=title, live=file is None)
        if str(svg) == "-":
            sys.stdout.write(drawing)
            return
        _write(svg, drawing)
    emit(
        output,
        lambda: (
            [node_table(nodes), link_table(links)]
            if file is None
            else [planned_node_table(nodes), planned_link_table(links)]
        ),
        {"nodes": nodes, "links": links},
    )


def _bases(found: "TopologyFile") -> str:
    from controller.domain.link import Basis

    counted = dict.fromkeys(Basis, 0)
    for fields in found.provenance.values():
        for provenance in fields.values():
            counted[provenance.basis] += 1
    return ", ".join(f"{number} {basis.value}" for basis, number in counted.items() if number)


def _live(context: typer.Context) -> "tuple[list[Node], list[Link]]":
    from qinet.northbound.v1 import topology_service_pb2 as pb

    with connected(context) as network:
        service = network.topology
        nodes = list(pages(network, service.ListNodes, pb.ListNodesRequest(), "nodes"))
        links = list(pages(network, service.ListLinks, pb.ListLinksRequest(), "links"))
    return nodes, links


def _planned(file: Path) -> "tuple[list[Node], list[Link], str]":
    from controller.config.topology_file import load_topology
    from controller.wire.northbound_link import link_to_pb
    from controller.wire.northbound_node import node_to_pb

    found = load_topology(file)
    return list(map(node_to_pb, found.nodes)), list(map(link_to_pb, found.links)), found.title or found.name


def _map(nodes: "list[Node]", links: "list[Link]", *, title: str, live: bool) -> str:
    from controller.cli.network_map import MapLink, MapNode, svg
    from controller.cli.tables import link_remarks, link_status
    from controller.cli.tables_of_pairs import pair_label
    from qinet.northbound.v1.link_pb2 import Establishment

    def status(link: "Link") -> str:
        if link.establishment == Establishment.ESTABLISHMENT_POSSIBLE:
            return "POSSIBLE"
        return link_status(link) if live else "PLANNED"

    known = {node.name for node in nodes}
    return svg(
        [
            MapNode(
                name=short(node.name),
                position=(node.longitude_deg, node.latitude_deg)
                if node.HasField("longitude_deg") and node.HasField("latitude_deg")
                else None,
                state=_node_state(node) if live else "",
            )
            for node in nodes
        ],
        [
            MapLink(
                name=short(link.name),
                ends=(short(link.ends[0].node), short(link.ends[1].node)),
                status=status(link),
                rate=pair_label(link) if link.HasField("pairs") else shown_rate(link.promised_skr_bit_per_s),
                entangled=link.HasField("pairs"),
                stale=link.stale,
                note="; ".join(link_remarks(link)),
            )
            # Nodes and links come in two calls: a node may have gone in between.
            for link in links
            if len(link.ends) == 2 and all(end.node in known for end in link.ends)
        ],
        title=title,
    )


def _node_state(node: "Node") -> str:
    if node.HasField("admin_enabled") and not node.admin_enabled:
        return "disabled"
    if node.maintenance:
        return "maintenance"
    return "connected" if node.connected else "not connected"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise Stop(Exit.FILE, f"{path}: cannot be written ({problem.strerror}): choose another place") from None
    tell(f"the map is in {path}")
