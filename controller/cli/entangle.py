"""qinetctl entangle: create, show and delete entanglement paths, and look for their routes."""

from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli import completion, demand, pair_demand
from controller.cli.connection import connected
from controller.cli.entangle_change import history, redeploy, update
from controller.cli.exits import Exit, Stop
from controller.cli.names import full, short
from controller.cli.options import Etag, RequestId, ValidateOnly
from controller.cli.output import Format, Output, emit, now_if_watched, tell
from controller.cli.quantities import duration_ms, shown_span
from controller.cli.watch import Count, Since, print_changes

if TYPE_CHECKING:
    from controller.cli.connection import Network
    from controller.cli.streaming import OpenWatch

app = typer.Typer(
    help="Create, show, change and delete entanglement paths. F is <Phi+|rho|Phi+>; rates are in pairs per second.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Name of the path.", autocompletion=completion.paths)]


@app.command()
def create(
    context: typer.Context,
    source: demand.Source,
    target: demand.Destination,
    *,
    fidelity: pair_demand.Fidelity = None,
    rate: pair_demand.Rate = None,
    packet_pairs: pair_demand.PacketPairs = None,
    packet_window: pair_demand.PacketWindow = None,
    packet_rate: pair_demand.PacketRate = None,
    name: Annotated[str, typer.Option("--name", help="Name of the path; the controller picks one if none.")] = "",
    use: pair_demand.UseWish = None,
    purpose: pair_demand.Purpose = None,
    priority: pair_demand.Priority = None,
    max_hops: pair_demand.MaxHops = None,
    avoid_node: demand.AvoidNode = None,
    avoid_link: demand.AvoidLink = None,
    test_share: pair_demand.TestShare = None,
    protection: pair_demand.ProtectionWish = None,
    restoration: demand.RestorationWish = None,
    hold_off: pair_demand.HoldOff = None,
    deadline: pair_demand.Deadline = None,
    lifetime: pair_demand.Lifetime = None,
    key_link: pair_demand.KeyLink = None,
    authentication: pair_demand.Authentication = None,
    block: pair_demand.Block = None,
    accept_blocked: Annotated[
        bool, typer.Option("--accept-blocked", help="If it cannot be carried now, store it BLOCKED and retry it.")
    ] = False,
    validate_only: ValidateOnly = False,
    request_id: RequestId = "",
    wait: Annotated[
        str | None,
        typer.Option("--wait", metavar="[=STATE]", help="Wait until it is in that state; alone it means ACTIVE."),
    ] = None,
    wait_timeout: Annotated[str, typer.Option("--wait-timeout", metavar="TIME", help="Wait at most so long.")] = "60s",
    output: Output = Format.TABLE,
) -> None:
    """Create an entanglement path: pairs between two nodes, over repeaters where there are some between.

    Example: qinetctl entangle create delft eindhoven --fidelity 0.8 --rate 10 --wait
    """
    from controller.cli.tables import state_word
    from controller.cli.tables_of_paths import path_parts
    from controller.cli.waiting import wait_for, wanted_state
    from qinet.northbound.v1 import entanglement_service_pb2 as pb

    wanted = wanted_state(wait) if wait is not None else None
    wait_s = duration_ms(wait_timeout) / 1000
    if wanted and validate_only:
        raise typer.BadParameter("--wait has nothing to wait for with --validate-only")
    path = pair_demand.path_pb(
        pair_demand.PairWish(
            source=source,
            target=target,
            fidelity=fidelity,
            rate=rate,
            packet_pairs=packet_pairs,
            packet_window=packet_window,
            packet_rate=packet_rate,
            use=use,
            purpose=purpose,
            priority=priority,
            max_hops=max_hops,
            avoid_nodes=avoid_node or (),
            avoid_links=avoid_link or (),
            test_share=test_share,
            protection=protection,
            restoration=restoration,
            hold_off=hold_off,
            deadline=deadline,
            lifetime=lifetime,
            key_link=key_link,
            authentication=authentication,
            block_bit=block,
            accept_blocked=accept_blocked or None,
        )
    )
    request = pb.CreateEntanglementPathRequest(
        entanglement_path_id=short(name), entanglement_path=path, request_id=request_id, validate_only=validate_only
    )
    with connected(context) as network:
        answer = network.entanglement.CreateEntanglementPath(request, timeout=network.timeout_s)
        created = answer.entanglement_path
        reached = True
        if wanted:
            created, reached = wait_for(_watch_of(network), created, wanted, revision=answer.revision, limit_s=wait_s)
    if validate_only:
        tell("nothing was changed: the path would be created like this")
    emit(output, lambda: path_parts(created, now_if_watched()), created)
    if not reached:
        raise Stop(
            Exit.NOT_YET,
            f"{created.name} is {state_word(created.state)}, not {wanted}, after {shown_span(wait_s)}"
            + (f": {created.state_reason}" if created.state_reason else ""),
            f"next: it goes on without us; `qinetctl entangle show {short(created.name)}` tells how far it is",
        )


@app.command()
def show(context: typer.Context, name: Name, output: Output = Format.TABLE) -> None:
    """Show all there is to know about a path: state, route, plan, certificate, reservations, ends, etag.

    `qinetctl get paths` lists them.
    """
    from controller.cli.tables_of_paths import path_parts
    from qinet.northbound.v1 import entanglement_service_pb2 as pb

    with connected(context) as network:
        request = pb.GetEntanglementPathRequest(name=full("entanglementPaths", name))
        path = network.entanglement.GetEntanglementPath(request, timeout=network.timeout_s).entanglement_path
    emit(output, lambda: path_parts(path, now_if_watched()), path)


app.command()(update)
app.command()(redeploy)
app.command()(history)


@app.command()
def delete(context: typer.Context, name: Name, etag: Etag = "", output: Output = Format.TABLE) -> None:
    """Delete a path; what it holds stays reserved until its nodes have confirmed."""
    from controller.cli.output import Sheet
    from controller.cli.tables import state_word
    from qinet.northbound.v1 import entanglement_service_pb2 as pb

    with connected(context) as network:
        request = pb.DeleteEntanglementPathRequest(name=full("entanglementPaths", name), etag=etag)
        answer = network.entanglement.DeleteEntanglementPath(request, timeout=network.timeout_s)
    state = state_word(answer.entanglement_path.state) if answer.HasField("entanglement_path") else "gone"
    emit(output, lambda: [Sheet(facts=(("path", request.name), ("state", state)))], answer)


@app.command()
def route(
    context: typer.Context,
    source: demand.Source,
    target: demand.Destination,
    *,
    fidelity: pair_demand.Fidelity = None,
    rate: pair_demand.Rate = None,
    packet_pairs: pair_demand.PacketPairs = None,
    packet_window: pair_demand.PacketWindow = None,
    packet_rate: pair_demand.PacketRate = None,
    max_hops: pair_demand.MaxHops = None,
    avoid_node: demand.AvoidNode = None,
    avoid_link: demand.AvoidLink = None,
    test_share: pair_demand.TestShare = None,
    output: Output = Format.TABLE,
) -> None:
    """Compute the best route and plan on the network as it is, with its certificate; nothing is created or reserved.

    Without --rate or packets it asks for 0.001 pairs per second: is there a way at all?
    """
    from controller.cli.tables_of_paths import route_parts
    from qinet.northbound.v1 import entanglement_service_pb2 as pb

    wanted = pair_demand.path_pb(
        pair_demand.PairWish(
            source=source,
            target=target,
            fidelity=fidelity,
            rate="0.001" if rate is None and packet_pairs is None else rate,
            packet_pairs=packet_pairs,
            packet_window=packet_window,
            packet_rate=packet_rate,
            max_hops=max_hops,
            avoid_nodes=avoid_node or (),
            avoid_links=avoid_link or (),
            test_share=test_share,
        )
    )
    with connected(context) as network:
        request = pb.ComputeEntanglementRouteRequest(entanglement_path=wanted)
        answer = network.entanglement.ComputeEntanglementRoute(request, timeout=network.timeout_s)
    emit(output, lambda: route_parts(answer), answer)


@app.command()
def watch(context: typer.Context, since: Since = 0, count: Count = None, output: Output = Format.TABLE) -> None:
    """Watch entanglement paths: state, route, reason. The same as `qinetctl watch paths`."""
    with connected(context) as network:
        print_changes(_watch_of(network), since, count, output)


def _watch_of(network: "Network") -> "OpenWatch":
    from qinet.northbound.v1.entanglement_service_pb2 import WatchEntanglementPathsRequest

    return lambda resume, limit: network.entanglement.WatchEntanglementPaths(
        WatchEntanglementPathsRequest(resume_revision=resume), timeout=limit
    )
