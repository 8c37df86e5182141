"""qinetctl status, freeze, unfreeze and what-if: how the controller stands, and what it does by itself."""

from typing import Annotated

import typer

from controller.cli import completion
from controller.cli.connection import connected
from controller.cli.output import Format, Output, emit, now_if_watched, tell


def status(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show who leads, how far it is, how many agents are connected, and whether automatic moves are frozen."""
    from controller.cli.tables_of_moves import status_sheet
    from qinet.northbound.v1.operations_service_pb2 import GetClusterStatusRequest

    with connected(context) as network:
        found = network.operations.GetClusterStatus(GetClusterStatusRequest(), timeout=network.timeout_s)
    emit(output, lambda: [status_sheet(found, now_if_watched())], found)


def freeze(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever looks at it later.")],
    output: Output = Format.TABLE,
) -> None:
    """Stop every automatic move of relays and paths, protection included; what operators ask for goes on.

    Example: qinetctl freeze --reason "splicing in the west until noon"
    """
    _set(context, frozen=True, reason=reason, output=output)


def unfreeze(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Let the controller move relays and paths by itself again; what waited for that moves at once."""
    _set(context, frozen=False, reason="", output=output)


def _set(context: typer.Context, *, frozen: bool, reason: str, output: Format) -> None:
    from controller.cli.tables_of_moves import frozen_sheet
    from qinet.northbound.v1.operations_service_pb2 import FreezeRequest

    with connected(context) as network:
        request = FreezeRequest(frozen=frozen, reason=reason)
        answer = network.operations.Freeze(request, timeout=network.timeout_s)
    found = answer.frozen if answer.HasField("frozen") else None
    emit(output, lambda: [frozen_sheet(found, now_if_watched())], answer)


def what_if(
    context: typer.Context,
    failed: Annotated[
        list[str],
        typer.Argument(
            metavar="NODE|LINK...",
            help="What fails, all at once; nodes/NAME or links/NAME where both have the name.",
            autocompletion=completion.places,
        ),
    ],
    output: Output = Format.TABLE,
) -> None:
    """Tell what would become of relays and paths if nodes or links failed, all at once; nothing is changed.

    Example: qinetctl what-if otemachi links/hakusan-hongo
    """
    from controller.cli.places import resolved
    from controller.cli.tables_of_moves import move_summary, move_table
    from qinet.northbound.v1.operations_service_pb2 import WhatIfRequest

    with connected(context) as network:
        names = resolved(network, failed)
        answer = network.operations.WhatIf(WhatIfRequest(failed=names), timeout=network.timeout_s)
    emit(output, lambda: [move_table(answer.moves)] if answer.moves else [], answer)
    if output is Format.TABLE:
        tell(f"if {', '.join(names)} failed: {move_summary(answer.moves)}")
