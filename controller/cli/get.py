"""qinetctl get: lists, and single resources by name; once, or again and again."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from controller.cli import completion
from controller.cli.connection import Network, connected
from controller.cli.exits import Exit, Stop
from controller.cli.names import full
from controller.cli.output import Format, Output, emit, now_if_watched
from controller.cli.quantities import duration_ms

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from controller.cli.output import Table

app = typer.Typer(help="List what there is, or show single resources by name.", no_args_is_help=True)


def _names(offer: completion.Completion | None) -> Any:
    return typer.Argument(metavar="[NAME]...", help="Only these; all if none is given.", autocompletion=offer)


NodeNames = Annotated[list[str] | None, _names(completion.nodes)]
LinkNames = Annotated[list[str] | None, _names(completion.links)]
PathNames = Annotated[list[str] | None, _names(completion.paths)]
RelayNames = Annotated[list[str] | None, _names(completion.relays)]
ApplicationNames = Annotated[list[str] | None, _names(completion.applications)]
AlarmNames = Annotated[list[str] | None, _names(None)]
Filter = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="FIELD=VALUE", help="Only where this holds; repeat it, or join with AND."),
]
Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="Go on: the table is kept up to date, or what changes is printed below.")
]
Interval = Annotated[str, typer.Option("--interval", metavar="TIME", help="With --watch: how often to look.")]
Count = Annotated[int | None, typer.Option("--count", min=1, help="With --watch: end after so many looks.")]
R = TypeVar("R", bound="Message")
_PAGE = 200


def pages(network: Network, call: Callable[..., Any], request: Any, field: str) -> Iterator[Any]:
    """Yield every resource of a list, page by page.

    Args:
        network: For the deadline of each page.
        call: The list RPC.
        request: With the filter; its page fields are set here.
        field: Of the answer, which holds the resources.
    """
    request.page_size = _PAGE
    while True:
        answer = call(request, timeout=network.timeout_s)
        yield from getattr(answer, field)
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


def joined(filters: Sequence[str] | None) -> str:
    """Return several filters as one.

    >>> joined(["node = a", "status = ACTIVE"])
    'node = a AND status = ACTIVE'
    """
    return " AND ".join(text for text in filters or () if text.strip())


def chosen(found: Sequence[R], names: Sequence[str], name_of: Callable[[R], str]) -> list[R]:
    """Return the resources of those names, in that order, of a list that has no get call of its own.

    Raises:
        Stop: REFUSED: one does not exist.
    """
    known = {name_of(one): one for one in found}
    for name in names:
        if name not in known:
            raise Stop(Exit.REFUSED, f"{name} does not exist")
    return [known[name] for name in names]


def _shown(
    context: typer.Context,
    find: "Callable[[Network], list[Any]]",
    table: "Callable[[list[Any]], Table]",
    name_of: "Callable[[Any], str]",
    *,
    names: Sequence[str] | None,
    filters: Sequence[str] | None,
    output: Format,
    watch: bool,
    interval: str,
    count: int | None,
) -> None:
    """Print what is found, once or for as long as it is watched; one that is asked for by name is an object."""
    if names and filters:
        raise typer.BadParameter("give names or a --filter, not both")
    interval_s = duration_ms(interval) / 1000
    if not 0.1 <= interval_s <= 86_400:
        raise typer.BadParameter("--interval: from 100ms to 1d")
    with connected(context) as network:
        if watch:
            from controller.cli.live_table import follow

            follow(lambda: find(network), table, name_of, interval_s=interval_s, count=count, fmt=output)
            return
        found = find(network)
    emit(output, lambda: [table(found)], found[0] if names and len(names) == 1 else found)


@app.command()
def nodes(
    context: typer.Context,
    names: NodeNames = None,
    *,
    filters: Filter = None,
    watch: Watch = False,
    interval: Interval = "2s",
    count: Count = None,
    output: Output = Format.TABLE,
) -> None:
    """Show nodes. Filters: name, location, trust_domain, admin_enabled, maintenance, connected."""
    from controller.cli.tables import node_table
    from qinet.northbound.v1 import topology_service_pb2 as pb

    def find(network: Network) -> list[Any]:
        call, limit_s = network.topology.GetNode, network.timeout_s
        if names:
            return [call(pb.GetNodeRequest(name=full("nodes", name)), timeout=limit_s).node for name in names]
        return list(pages(network, network.topology.ListNodes, pb.ListNodesRequest(filter=joined(filters)), "nodes"))

    _shown(
        context, find, node_table, lambda one: str(one.name), names=names, filters=filters,
        output=output, watch=watch, interval=interval, count=count,
    )  # fmt: skip


@app.command()
def links(
    context: typer.Context,
    names: LinkNames = None,
    *,
    filters: Filter = None,
    watch: Watch = False,
    interval: Interval = "2s",
    count: Count = None,
    output: Output = Format.TABLE,
) -> None:
    """Show links. Filters: name, kind, establishment, status, stale, admin_enabled, maintenance, node (either end)."""
    from controller.cli.tables import link_table
    from qinet.northbound.v1 import topology_service_pb2 as pb

    def find(network: Network) -> list[Any]:
        call, limit_s = network.topology.GetLink, network.timeout_s
        if names:
            return [call(pb.GetLinkRequest(name=full("links", name)), timeout=limit_s).link for name in names]
        return list(pages(network, network.topology.ListLinks, pb.ListLinksRequest(filter=joined(filters)), "links"))

    _shown(
        context, find, link_table, lambda one: str(one.name), names=names, filters=filters,
        output=output, watch=watch, interval=interval, count=count,
    )  # fmt: skip


@app.command()
def relays(
    context: typer.Context,
    names: RelayNames = None,
    *,
    filters: Filter = None,
    watch: Watch = False,
    interval: Interval = "2s",
    count: Count = None,
    output: Output = Format.TABLE,
) -> None:
    """Show key relays.

    Filters: name, state, source, target, application, protection, priority, shares, created_by, admin_enabled,
    link_status, and link and node, which fit any of a relay's routes.
    """
    from controller.cli.tables import relay_table
    from qinet.northbound.v1 import key_relay_service_pb2 as pb

    def find(network: Network) -> list[Any]:
        call, limit_s = network.relays.GetKeyRelay, network.timeout_s
        if names:
            asked = [pb.GetKeyRelayRequest(name=full("keyRelays", name)) for name in names]
            return [call(request, timeout=limit_s).key_relay for request in asked]
        request = pb.ListKeyRelaysRequest(filter=joined(filters))
        return list(pages(network, network.relays.ListKeyRelays, request, "key_relays"))

    _shown(
        context, find, relay_table, lambda one: str(one.name), names=names, filters=filters,
        output=output, watch=watch, interval=interval, count=count,
    )  # fmt: skip


@app.command()
def paths(
    context: typer.Context,
    names: PathNames = None,
    *,
    filters: Filter = None,
    watch: Watch = False,
    interval: Interval = "2s",
    count: Count = None,
    output: Output = Format.TABLE,
) -> None:
    """Show entanglement paths.

    Filters: name, state, source, target, use, priority, purpose_id, key_link, created_by, admin_enabled, and link and
    node, which fit its route.
    """
    from controller.cli.tables_of_paths import path_table
    from qinet.northbound.v1 import entanglement_service_pb2 as pb

    def find(network: Network) -> list[Any]:
        call, limit_s = network.entanglement.GetEntanglementPath, network.timeout_s
        if names:
            asked = [pb.GetEntanglementPathRequest(name=full("entanglementPaths", name)) for name in names]
            return [call(request, timeout=limit_s).entanglement_path for request in asked]
        request = pb.ListEntanglementPathsRequest(filter=joined(filters))
        return list(pages(network, network.entanglement.ListEntanglementPaths, request, "entanglement_paths"))

    _shown(
        context, find, path_table, lambda one: str(one.name), names=names, filters=filters,
        output=output, watch=watch, interval=interval, count=count,
    )  # fmt: skip


@app.command()
def applications(
    context: typer.Context,
    names: ApplicationNames = None,
    *,
    filters: Filter = None,
    watch: Watch = False,
    interval: Interval = "2s",
    count: Count = None,
    output: Output = Format.TABLE,
) -> None:
    """Show applications. Filters: name, server_sae, key_relay, sae (any of its SAEs)."""
    from controller.cli.tables import application_table
    from qinet.northbound.v1 import application_service_pb2 as pb

    def find(network: Network) -> list[Any]:
        call, limit_s = network.applications.GetApplication, network.timeout_s
        if names:
            asked = [pb.GetApplicationRequest(name=full("applications", name)) for name in names]
            return [call(request, timeout=limit_s).application for request in asked]
        request = pb.ListApplicationsRequest(filter=joined(filters))
        return list(pages(network, network.applications.ListApplications, request, "applications"))

    _shown(
        context, find, application_table, lambda one: str(one.name), names=names, filters=filters,
        output=output, watch=watch, interval=interval, count=count,
    )  # fmt: skip


@app.command()
def agents(
    context: typer.Context,
    names: NodeNames = None,
    *,
    filters: Filter = None,
    watch: Watch = False,
    interval: Interval = "2s",
    count: Count = None,
    output: Output = Format.TABLE,
) -> None:
    """Show agents, by the name of their node, and what each has confirmed. Filters: node, connected, agent_version."""
    from controller.cli.tables import agent_table
    from qinet.northbound.v1 import operations_service_pb2 as pb

    def find(network: Network) -> list[Any]:
        request = pb.ListAgentsRequest(filter=joined(filters))
        found = list(pages(network, network.operations.ListAgents, request, "agents"))
        return chosen(found, [full("nodes", name) for name in names], lambda agent: agent.node) if names else found

    _shown(
        context, find, agent_table, lambda one: str(one.node), names=names, filters=filters,
        output=output, watch=watch, interval=interval, count=count,
    )  # fmt: skip


@app.command()
def alarms(
    context: typer.Context,
    names: AlarmNames = None,
    *,
    filters: Filter = None,
    watch: Watch = False,
    interval: Interval = "2s",
    count: Count = None,
    output: Output = Format.TABLE,
) -> None:
    """Show active alarms. Filters: name, node, object, kind, severity."""
    from controller.cli.tables import alarm_table

    def find(network: Network) -> list[Any]:
        found = active_alarms(network, joined(filters))
        return chosen(found, [full("alarms", name) for name in names], lambda alarm: alarm.name) if names else found

    _shown(
        context, find, lambda found: alarm_table(found, now_if_watched()), lambda one: str(one.name),
        names=names, filters=filters, output=output, watch=watch, interval=interval, count=count,
    )  # fmt: skip


def active_alarms(network: Network, filter_text: str = "") -> list[Any]:
    """Return the alarms that are active now and that the filter fits."""
    from qinet.northbound.v1.operations_service_pb2 import ListAlarmsRequest

    return list(pages(network, network.operations.ListAlarms, ListAlarmsRequest(filter=filter_text), "alarms"))
