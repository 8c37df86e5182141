"""qinetctl optimise: look for a better placement of the relays that run, and have it carried out."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.connection import connected
from controller.cli.exits import Exit, Stop
from controller.cli.names import full, short
from controller.cli.output import Format, Output, emit, now_if_watched, tell
from controller.cli.quantities import duration_pb, shown_rate

if TYPE_CHECKING:
    from controller.cli.connection import Network
    from qinet.northbound.v1.placement_pb2 import Placement
    from qinet.northbound.v1.placement_service_pb2 import (
        ProposePlacementRequest,
        ProposePlacementResponse,
        SearchProgress,
    )

app = typer.Typer(
    help="Look for a better placement of the key relays that run; carried out only when you say so.",
    invoke_without_command=True,
)

Name = Annotated[str, typer.Argument(help="Name of the placement, as `optimise list` shows it.")]
AtOnce = Annotated[int, typer.Option("--at-once", min=1, max=64, help="Most moves under way at the same time.")]
_SLACK_S = 5.0
"""How much longer than the search a client waits for its end."""


class AimWish(StrEnum):
    """What is to be bettered."""

    KEY = "key"
    SPREAD = "spread"


@app.callback()
def optimise(context: typer.Context) -> None:
    """Look for a better placement; alone it is `optimise propose`."""
    if context.invoked_subcommand is None:
        propose(context)


@app.command()
def propose(
    context: typer.Context,
    *,
    aim: Annotated[
        AimWish,
        typer.Option(
            "--aim", help="key: relays take as little key as can be. spread: the fullest link gets less full first."
        ),
    ] = AimWish.KEY,
    max_moves: Annotated[int, typer.Option("--max-moves", min=0, max=1000, help="Most moves; 0: up to 1000.")] = 0,
    search_time: Annotated[str, typer.Option("--time", metavar="TIME", help="Search at most so long.")] = "60s",
    carry_out_: Annotated[
        bool, typer.Option("--carry-out", help="Carry out what is found, without asking again.")
    ] = False,
    at_once: AtOnce = 4,
    output: Output = Format.TABLE,
) -> None:
    """Search, and show what would be moved and what that gains. Nothing is moved without --carry-out.

    Example: qinetctl optimise propose --aim spread --max-moves 10
    """
    from controller.cli.tables_of_placements import figures_sheet, placement_parts
    from qinet.northbound.v1 import placement_service_pb2 as pb

    request = pb.ProposePlacementRequest(
        max_moves=max_moves,
        search_time=duration_pb(search_time),
        aim=pb.PlacementAim.Value(f"PLACEMENT_AIM_{aim.name}"),
    )
    with connected(context) as network:
        limit_s = request.search_time.ToTimedelta().total_seconds() + max(_SLACK_S, network.timeout_s)
        found = _searched(network, request, limit_s)
        if found.HasField("nothing_better"):
            emit(output, lambda: [figures_sheet(found.nothing_better)], found)
            if output is Format.TABLE:
                tell("nothing better was found: what runs stays as it is")
            return
        placement = found.placement
        if carry_out_:
            _carry_out(network, placement.name, at_once)
            placement = _followed(network, placement.name)
    emit(output, lambda: placement_parts(placement, now_if_watched()), placement)
    if output is Format.TABLE and not carry_out_:
        tell(f"nothing is moved yet; to do it: qinetctl optimise carry-out {short(placement.name)}")


@app.command()
def carry_out(context: typer.Context, name: Name, *, at_once: AtOnce = 4, output: Output = Format.TABLE) -> None:
    """Make the moves of a placement, a few at a time, and show how far it is until it is done.

    Every move is made before the old route is broken, and only if it still fits. Ctrl-C stops the showing, not the
    moves: `optimise cancel` does that.
    """
    from controller.cli.tables_of_placements import placement_parts

    with connected(context) as network:
        _carry_out(network, full("placements", name), at_once)
        placement = _followed(network, full("placements", name))
    emit(output, lambda: placement_parts(placement, now_if_watched()), placement)


@app.command()
def cancel(context: typer.Context, name: Name, output: Output = Format.TABLE) -> None:
    """Begin no more moves of a placement; those that have begun end, and what was moved stays there."""
    from controller.cli.tables_of_placements import placement_parts
    from qinet.northbound.v1.placement_service_pb2 import CancelPlacementRequest

    with connected(context) as network:
        answer = network.placements.CancelPlacement(
            CancelPlacementRequest(name=full("placements", name)), timeout=network.timeout_s
        )
    emit(output, lambda: placement_parts(answer.placement, now_if_watched()), answer.placement)


@app.command()
def show(context: typer.Context, name: Name, output: Output = Format.TABLE) -> None:
    """Show a placement: what is moved, how far that is, and what it gains."""
    from controller.cli.tables_of_placements import placement_parts
    from qinet.northbound.v1.placement_service_pb2 import GetPlacementRequest

    with connected(context) as network:
        request = GetPlacementRequest(name=full("placements", name))
        placement = network.placements.GetPlacement(request, timeout=network.timeout_s).placement
    emit(output, lambda: placement_parts(placement, now_if_watched()), placement)


@app.command(name="list")
def list_placements(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List the placements that the controller keeps, the newest first."""
    from controller.cli.tables_of_placements import placement_table
    from qinet.northbound.v1.placement_service_pb2 import ListPlacementsRequest

    with connected(context) as network:
        answer = network.placements.ListPlacements(ListPlacementsRequest(), timeout=network.timeout_s)
    emit(output, lambda: [placement_table(answer.placements, now_if_watched())], answer)


def _searched(network: "Network", request: "ProposePlacementRequest", limit_s: float) -> "ProposePlacementResponse":
    """Return the last message of a search, and show the others as they come."""
    last = None
    shown = sys.stderr.isatty()
    try:
        for message in network.placements.ProposePlacement(request, timeout=limit_s):
            if message.HasField("progress"):
                if shown:
                    sys.stderr.write(f"\r\x1b[K{_progress_text(message.progress)}")
                    sys.stderr.flush()
                continue
            last = message
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
    if last is None:
        raise Stop(Exit.UNREACHABLE, "the controller ended the search without an answer; try again")
    return last


def _progress_text(progress: "SearchProgress") -> str:
    of = f"/{progress.total}" if progress.total else ""
    done = f" {progress.done}{of}" if progress.done or progress.total else ""
    return f"{progress.step}{done}: relays use {shown_rate(progress.key_use_bit_per_s)} of key"


def _carry_out(network: "Network", name: str, at_once: int) -> None:
    from qinet.northbound.v1.placement_service_pb2 import CarryOutPlacementRequest

    network.placements.CarryOutPlacement(
        CarryOutPlacementRequest(name=name, at_once=at_once), timeout=network.timeout_s
    )


def _followed(network: "Network", name: str) -> "Placement":
    """Return a placement once nothing of it is under way any more, and say how far it is until then."""
    from controller.cli.tables_of_placements import tally
    from qinet.northbound.v1.placement_service_pb2 import WatchPlacementRequest

    said = ""
    placement = None
    for message in network.placements.WatchPlacement(WatchPlacementRequest(name=name)):
        placement = message.placement
        now = tally(placement)
        if now != said:
            said = now
            tell(f"{short(name)}: {now}")
    if placement is None:
        raise Stop(Exit.UNREACHABLE, f"the controller ended the watch of {name} without an answer; try again")
    return placement
