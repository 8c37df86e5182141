"""qinetctl get: lists, and single resources by name."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from controller.cli.connection import Network, connected
from controller.cli.exits import Exit, Stop
from controller.cli.names import full
from controller.cli.output import Format, Output, emit, now_if_watched

if TYPE_CHECKING:
    from google.protobuf.message import Message

app = typer.Typer(help="List what there is, or show single resources by name.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these; all if none is given.")]
Filter = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="FIELD=VALUE", help="Only where this holds; repeat it, or join with AND."),
]
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


def _no_both(names: Sequence[str] | None, filters: Sequence[str] | None) -> None:
    if names and filters:
        raise typer.BadParameter("give names or a --filter, not both")


def _answer(found: "Sequence[R]", names: Sequence[str] | None) -> "R | Sequence[R]":
    """Return what a program gets: the object itself where one was asked for by name."""
    return found[0] if names and len(names) == 1 else found


@app.command()
def nodes(context: typer.Context, names: Names = None, filters: Filter = None, output: Output = Format.TABLE) -> None:
    """Show nodes. Filters: name, location, trust_domain, admin_enabled, maintenance, connected."""
    from controller.cli.tables import node_table
    from qinet.northbound.v1 import topology_service_pb2 as pb

    _no_both(names, filters)
    with connected(context) as network:
        service = network.topology
        if names:
            found = [
                service.GetNode(pb.GetNodeRequest(name=full("nodes", name)), timeout=network.timeout_s).node
                for name in names
            ]
        else:
            found = list(pages(network, service.ListNodes, pb.ListNodesRequest(filter=joined(filters)), "nodes"))
    emit(output, lambda: [node_table(found)], _answer(found, names))


@app.command()
def links(context: typer.Context, names: Names = None, filters: Filter = None, output: Output = Format.TABLE) -> None:
    """Show links. Filters: name, kind, establishment, status, stale, admin_enabled, maintenance, node (either end)."""
    from controller.cli.tables import link_table
    from qinet.northbound.v1 import topology_service_pb2 as pb

    _no_both(names, filters)
    with connected(context) as network:
        service = network.topology
        if names:
            found = [
                service.GetLink(pb.GetLinkRequest(name=full("links", name)), timeout=network.timeout_s).link
                for name in names
            ]
        else:
            found = list(pages(network, service.ListLinks, pb.ListLinksRequest(filter=joined(filters)), "links"))
    emit(output, lambda: [link_table(found)], _answer(found, names))


@app.command()
def relays(context: typer.Context, names: Names = None, filters: Filter = None, output: Output = Format.TABLE) -> None:
    """Show key relays.

    Filters: name, state, source, target, application, protection, priority, shares, created_by, admin_enabled,
    link_status, and link and node, which fit any of a relay's routes.
    """
    from controller.cli.tables import relay_table
    from qinet.northbound.v1 import key_relay_service_pb2 as pb

    _no_both(names, filters)
    with connected(context) as network:
        service = network.relays
        if names:
            found = [
                service.GetKeyRelay(
                    pb.GetKeyRelayRequest(name=full("keyRelays", name)), timeout=network.timeout_s
                ).key_relay
                for name in names
            ]
        else:
            request = pb.ListKeyRelaysRequest(filter=joined(filters))
            found = list(pages(network, service.ListKeyRelays, request, "key_relays"))
    emit(output, lambda: [relay_table(found)], _answer(found, names))


@app.command()
def applications(
    context: typer.Context, names: Names = None, filters: Filter = None, output: Output = Format.TABLE
) -> None:
    """Show applications. Filters: name, server_sae, key_relay, sae (any of its SAEs)."""
    from controller.cli.tables import application_table
    from qinet.northbound.v1 import application_service_pb2 as pb

    _no_both(names, filters)
    with connected(context) as network:
        service = network.applications
        if names:
            found = [
                service.GetApplication(
                    pb.GetApplicationRequest(name=full("applications", name)), timeout=network.timeout_s
                ).application
                for name in names
            ]
        else:
            request = pb.ListApplicationsRequest(filter=joined(filters))
            found = list(pages(network, service.ListApplications, request, "applications"))
    emit(output, lambda: [application_table(found)], _answer(found, names))


@app.command()
def agents(context: typer.Context, names: Names = None, filters: Filter = None, output: Output = Format.TABLE) -> None:
    """Show agents, by the name of their node, and what each has confirmed. Filters: node, connected, agent_version."""
    from controller.cli.tables import agent_table
    from qinet.northbound.v1 import operations_service_pb2 as pb

    _no_both(names, filters)
    with connected(context) as network:
        request = pb.ListAgentsRequest(filter=joined(filters))
        found: list[pb.Agent] = list(pages(network, network.operations.ListAgents, request, "agents"))
    if names:
        found = chosen(found, [full("nodes", name) for name in names], lambda agent: agent.node)
    emit(output, lambda: [agent_table(found)], _answer(found, names))


@app.command()
def alarms(context: typer.Context, names: Names = None, filters: Filter = None, output: Output = Format.TABLE) -> None:
    """Show active alarms. Filters: name, node, object, kind, severity."""
    from controller.cli.tables import alarm_table
    from qinet.northbound.v1 import operations_service_pb2 as pb

    _no_both(names, filters)
    with connected(context) as network:
        request = pb.ListAlarmsRequest(filter=joined(filters))
        found: list[pb.Alarm] = list(pages(network, network.operations.ListAlarms, request, "alarms"))
    if names:
        found = chosen(found, [full("alarms", name) for name in names], lambda alarm: alarm.name)
    emit(output, lambda: [alarm_table(found, now_if_watched())], _answer(found, names))
