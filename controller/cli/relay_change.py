"""qinetctl relay update, redeploy and history: how a key relay changes, and what became of it."""

from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Final

import typer

from controller.cli import completion, demand
from controller.cli.connection import connected
from controller.cli.names import full
from controller.cli.options import Etag, ValidateOnly
from controller.cli.output import Format, Output, emit, now_if_watched, tell

CLEARED: Final = {
    "priority": "priority",
    "max-hops": "max_hops",
    "avoid-node": "avoid_nodes",
    "avoid-link": "avoid_links",
    "pass-node": "pass_nodes",
    "pass-link": "pass_links",
    "trust-domain": "trust_domains",
    "shares": "shares",
    "application": "applications",
    "protection": "protection",
    "restoration": "restoration_mode",
    "revertive": "revertive",
    "wait-to-restore": "wait_to_restore",
    "preempt": "may_preempt",
    "no-trusted-transit": "no_trusted_transit",
    "hold-off": "hold_off",
    "lifetime": "lifetime",
    "forward-share": "forward_share",
    "accept-blocked": "accept_blocked",
}
"""By option, the field of the API that `--clear` sets back."""

Name = Annotated[str, typer.Argument(help="Name of the relay.", autocompletion=completion.relays)]


def _clearable(incomplete: str) -> list[str]:
    return [name for name in CLEARED if name.startswith(incomplete)]


def update(
    context: typer.Context,
    name: Name,
    *,
    rate: demand.Rate = None,
    key_size: demand.KeySize = None,
    keys: demand.Keys = 1,
    every: demand.Every = "1s",
    application: demand.Application = None,
    priority: demand.NewPriority = None,
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
    accept_blocked: demand.AcceptBlockedWish = None,
    enable: demand.EnableWish = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(
            "--clear",
            metavar="OPTION",
            help="Set an option back to its default, as `--clear max-hops`; repeatable.",
            autocompletion=_clearable,
        ),
    ] = None,
    etag: Etag = "",
    validate_only: ValidateOnly = False,
    output: Output = Format.TABLE,
) -> None:
    """Change a key relay in place: keys in stock stay, and new routes are in use before old ones are given up.

    What is not named stays. A list that is named is replaced as a whole.

    Example: qinetctl relay update mail --rate 2k --clear max-hops
    """
    from google.protobuf.field_mask_pb2 import FieldMask

    from controller.cli.tables import relay_parts
    from qinet.northbound.v1 import key_relay_service_pb2 as pb

    relay, named = demand.change_pb(
        demand.Demand(
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
            enabled=enable,
        )
    )
    mask = with_cleared(named, clear or (), CLEARED)
    relay.name, relay.etag = full("keyRelays", name), etag
    with connected(context) as network:
        request = pb.UpdateKeyRelayRequest(
            key_relay=relay, update_mask=FieldMask(paths=mask), validate_only=validate_only
        )
        updated = network.relays.UpdateKeyRelay(request, timeout=network.timeout_s).key_relay
    if validate_only:
        tell("nothing was changed: the relay would be like this")
    emit(output, lambda: relay_parts(updated, now_if_watched()), updated)


def with_cleared(named: Sequence[str], clear: Sequence[str], cleared: dict[str, str]) -> list[str]:
    """Return the paths of an update mask: fields that were given, and fields that go back to their default.

    Args:
        named: Fields that were given.
        clear: Options to set back, with or without dashes before them.
        cleared: By option, its field.

    Raises:
        typer.BadParameter: Nothing is named, an option is unknown, or it is both given and set back.
    """
    paths = list(named)
    for option in clear:
        bare = option.lstrip("-")
        if bare not in cleared:
            raise typer.BadParameter(f"--clear: {option!r} cannot be set back; these can: {', '.join(cleared)}")
        if cleared[bare] in named:
            raise typer.BadParameter(f"--{bare} and --clear {bare} exclude each other")
        paths.append(cleared[bare])
    if not paths:
        raise typer.BadParameter("name what to change: --help tells what can be, --clear sets an option back")
    return list(dict.fromkeys(paths))


def redeploy(
    context: typer.Context,
    name: Name,
    etag: Etag = "",
    validate_only: ValidateOnly = False,
    output: Output = Format.TABLE,
) -> None:
    """Compute a relay's routes anew and move it there without losing keys; also where restoration is manual."""
    from controller.cli.tables import relay_parts
    from qinet.northbound.v1 import key_relay_service_pb2 as pb

    with connected(context) as network:
        request = pb.RedeployKeyRelayRequest(name=full("keyRelays", name), etag=etag, validate_only=validate_only)
        moved = network.relays.RedeployKeyRelay(request, timeout=network.timeout_s).key_relay
    if validate_only:
        tell("nothing was changed: the relay would be like this")
    emit(output, lambda: relay_parts(moved, now_if_watched()), moved)


def history(
    context: typer.Context,
    name: Name,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Most changes to show.")] = 64,
    output: Output = Format.TABLE,
) -> None:
    """Tell what became of a relay, why, and who asked for it, newest first; also for a day after it is gone."""
    from controller.cli.get import pages
    from controller.cli.tables_of_moves import history_table
    from qinet.northbound.v1 import key_relay_service_pb2 as pb

    with connected(context) as network:
        request = pb.GetKeyRelayHistoryRequest(name=full("keyRelays", name))
        found = list(islice(pages(network, network.relays.GetKeyRelayHistory, request, "entries"), limit))
    emit(output, lambda: [history_table(found, now_if_watched())], found)
