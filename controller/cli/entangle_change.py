"""qinetctl entangle update, redeploy and history: how an entanglement path changes, and what became of it."""

from itertools import islice
from typing import Annotated, Final

import typer

from controller.cli import completion, demand, pair_demand
from controller.cli.connection import connected
from controller.cli.names import full
from controller.cli.options import Etag, ValidateOnly
from controller.cli.output import Format, Output, emit, now_if_watched, tell
from controller.cli.relay_change import with_cleared

CLEARED: Final = {
    "purpose": "purpose_id",
    "priority": "priority",
    "deadline": "deadline",
    "lifetime": "lifetime",
    "max-hops": "max_hops",
    "avoid-node": "avoid_nodes",
    "avoid-link": "avoid_links",
    "test-share": "test_share",
    "protection": "protection",
    "restoration": "restoration_mode",
    "hold-off": "hold_off",
    "accept-blocked": "accept_blocked",
}
"""By option, the field of the API that `--clear` sets back."""

Name = Annotated[str, typer.Argument(help="Name of the path.", autocompletion=completion.paths)]


def _clearable(incomplete: str) -> list[str]:
    return [name for name in CLEARED if name.startswith(incomplete)]


def update(
    context: typer.Context,
    name: Name,
    *,
    fidelity: pair_demand.Fidelity = None,
    rate: pair_demand.Rate = None,
    packet_pairs: pair_demand.PacketPairs = None,
    packet_window: pair_demand.PacketWindow = None,
    packet_rate: pair_demand.PacketRate = None,
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
    """Change a path in place: the new route delivers pairs before the old one is given up.

    What is not named stays. A list that is named is replaced as a whole.

    Example: qinetctl entangle update lab --rate 20 --clear max-hops
    """
    from google.protobuf.field_mask_pb2 import FieldMask

    from controller.cli.tables_of_paths import path_parts
    from qinet.northbound.v1 import entanglement_service_pb2 as pb

    path, named = pair_demand.path_change_pb(
        pair_demand.PairWish(
            fidelity=fidelity,
            rate=rate,
            packet_pairs=packet_pairs,
            packet_window=packet_window,
            packet_rate=packet_rate,
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
            accept_blocked=accept_blocked,
            enabled=enable,
        )
    )
    mask = with_cleared(named, clear or (), CLEARED)
    path.name, path.etag = full("entanglementPaths", name), etag
    with connected(context) as network:
        request = pb.UpdateEntanglementPathRequest(
            entanglement_path=path, update_mask=FieldMask(paths=mask), validate_only=validate_only
        )
        updated = network.entanglement.UpdateEntanglementPath(request, timeout=network.timeout_s).entanglement_path
    if validate_only:
        tell("nothing was changed: the path would be like this")
    emit(output, lambda: path_parts(updated, now_if_watched()), updated)


def redeploy(
    context: typer.Context,
    name: Name,
    etag: Etag = "",
    validate_only: ValidateOnly = False,
    output: Output = Format.TABLE,
) -> None:
    """Compute a path's route and plan anew and move it there; also where restoration is manual."""
    from controller.cli.tables_of_paths import path_parts
    from qinet.northbound.v1 import entanglement_service_pb2 as pb

    with connected(context) as network:
        request = pb.RedeployEntanglementPathRequest(
            name=full("entanglementPaths", name), etag=etag, validate_only=validate_only
        )
        answer = network.entanglement.RedeployEntanglementPath(request, timeout=network.timeout_s)
    if validate_only:
        tell("nothing was changed: the path would be like this")
    emit(output, lambda: path_parts(answer.entanglement_path, now_if_watched()), answer.entanglement_path)


def history(
    context: typer.Context,
    name: Name,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Most changes to show.")] = 64,
    output: Output = Format.TABLE,
) -> None:
    """Tell what became of a path, why, and who asked for it, newest first; also for a day after it is gone."""
    from controller.cli.get import pages
    from controller.cli.tables_of_moves import history_table
    from qinet.northbound.v1 import entanglement_service_pb2 as pb

    with connected(context) as network:
        request = pb.GetEntanglementPathHistoryRequest(name=full("entanglementPaths", name))
        found = list(islice(pages(network, network.entanglement.GetEntanglementPathHistory, request, "entries"), limit))
    emit(output, lambda: [history_table(found, now_if_watched())], found)
