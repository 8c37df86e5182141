"""qinetctl relay: create, show and delete key relays; what changes one is in `relay_change`."""

from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli import completion, demand
from controller.cli.connection import Network, connected
from controller.cli.exits import Exit, Stop
from controller.cli.names import full, short
from controller.cli.options import Etag, RequestId, ValidateOnly
from controller.cli.output import Format, Output, emit, now_if_watched, tell
from controller.cli.quantities import duration_ms, shown_span
from controller.cli.relay_change import history, redeploy, update

if TYPE_CHECKING:
    from controller.cli.streaming import OpenWatch

app = typer.Typer(help="Create, show, change and delete key relays.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the relay.", autocompletion=completion.relays)]


@app.command()
def create(
    context: typer.Context,
    source: demand.Source,
    target: demand.Destination,
    *,
    rate: demand.Rate = None,
    key_size: demand.KeySize = None,
    keys: demand.Keys = 1,
    every: demand.Every = "1s",
    name: Annotated[str, typer.Option("--name", help="Name of the relay; the controller picks one if none.")] = "",
    application: demand.Application = None,
    priority: demand.Priority = 0,
    max_hops: demand.MaxHops = None,
    avoid_node: demand.AvoidNode = None,
    avoid_link: demand.AvoidLink = None,
    pass_node: demand.PassNode = None,
    pass_link: demand.PassLink = None,
    trust_domain: demand.TrustDomain = None,
    shares: demand.Shares = None,
    protection: demand.ProtectionWish = None,
    restoration: demand.RestorationWish = None,
    revertive: demand.Revertive = None,
    wait_to_restore: demand.WaitToRestore = None,
    preempt: demand.Preempt = None,
    no_trusted_transit: demand.NoTrustedTransit = None,
    hold_off: demand.HoldOff = None,
    lifetime: demand.Lifetime = None,
    forward_share: demand.ForwardShare = None,
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
    """Create a key relay between two nodes that are not neighbours, or are.

    Example: qinetctl relay create hakusan koganei --rate 1000 --application mail --wait
    """
    from controller.cli.tables import relay_parts, relay_state
    from controller.cli.tables_of_moves import move_table
    from controller.cli.waiting import wait_for, wanted_state
    from qinet.northbound.v1 import key_relay_service_pb2 as pb

    wanted = wanted_state(wait) if wait is not None else None
    wait_s = duration_ms(wait_timeout) / 1000
    if wanted and validate_only:
        raise typer.BadParameter("--wait has nothing to wait for with --validate-only")
    relay = demand.demand_pb(
        demand.Demand(
            source=source,
            target=target,
            rate=rate,
            key_size_bit=key_size,
            keys=keys,
            every=every,
            priority=priority,
            max_hops=max_hops,
            avoid_nodes=avoid_node or (),
            avoid_links=avoid_link or (),
            pass_nodes=pass_node or (),
            pass_links=pass_link or (),
            trust_domains=trust_domain or (),
            shares=shares,
            applications=application or (),
            protection=protection,
            restoration=restoration,
            revertive=revertive,
            wait_to_restore=wait_to_restore,
            preempt=preempt,
            no_trusted_transit=no_trusted_transit,
            hold_off=hold_off,
            lifetime=lifetime,
            forward_share=forward_share,
            accept_blocked=accept_blocked,
        )
    )
    request = pb.CreateKeyRelayRequest(
        key_relay_id=short(name), key_relay=relay, request_id=request_id, validate_only=validate_only
    )
    if protection not in demand.WITH_BACKUP and (revertive or wait_to_restore is not None):
        tell("note: --revertive and --wait-to-restore count with --protection 1:1 or 1+1 alone")
    with connected(context) as network:
        answer = network.relays.CreateKeyRelay(request, timeout=network.timeout_s)
        created = answer.key_relay
        reached = True
        if wanted:
            created, reached = wait_for(_watch_of(network), created, wanted, revision=answer.revision, limit_s=wait_s)
    if validate_only:
        tell("nothing was changed: the relay would be created like this")
    displaced = move_table(answer.displaced, title="Relays that make room for it")
    if answer.displaced and output is not Format.TABLE:
        tell("relays of lower priority make room for it:", *("  " + "  ".join(row) for row in displaced.rows))
    emit(
        output,
        lambda: [*relay_parts(created, now_if_watched()), *([displaced] if answer.displaced else [])],
        created,
    )
    if not reached:
        raise Stop(
            Exit.NOT_YET,
            f"{created.name} is {relay_state(created)}, not {wanted}, after {shown_span(wait_s)}"
            + (f": {created.state_reason}" if created.state_reason else ""),
            f"next: it goes on without us; `qinetctl relay show {short(created.name)}` tells how far it is",
        )


@app.command()
def show(context: typer.Context, name: Name, output: Output = Format.TABLE) -> None:
    """Show all there is to know about a key relay: state, routes, backup, reservations, ends, etag."""
    from controller.cli.tables import relay_parts
    from qinet.northbound.v1 import key_relay_service_pb2 as pb

    with connected(context) as network:
        request = pb.GetKeyRelayRequest(name=full("keyRelays", name))
        relay = network.relays.GetKeyRelay(request, timeout=network.timeout_s).key_relay
    emit(output, lambda: relay_parts(relay, now_if_watched()), relay)


app.command()(update)
app.command()(redeploy)
app.command()(history)


@app.command()
def delete(context: typer.Context, name: Name, etag: Etag = "", output: Output = Format.TABLE) -> None:
    """Delete a key relay; its links stay reserved until its nodes have confirmed."""
    from controller.cli.output import Sheet
    from controller.cli.tables import relay_state
    from qinet.northbound.v1 import key_relay_service_pb2 as pb

    with connected(context) as network:
        request = pb.DeleteKeyRelayRequest(name=full("keyRelays", name), etag=etag)
        answer = network.relays.DeleteKeyRelay(request, timeout=network.timeout_s)
    state = relay_state(answer.key_relay) if answer.HasField("key_relay") else "gone"
    emit(output, lambda: [Sheet(facts=(("relay", request.name), ("state", state)))], answer)


def _watch_of(network: Network) -> "OpenWatch":
    from qinet.northbound.v1.key_relay_service_pb2 import WatchKeyRelaysRequest

    return lambda resume, limit: network.relays.WatchKeyRelays(
        WatchKeyRelaysRequest(resume_revision=resume), timeout=limit
    )
