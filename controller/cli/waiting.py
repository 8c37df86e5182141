"""Waiting for a service that was created, until it is in the state that somebody wants."""

import time
from typing import TYPE_CHECKING, TypeVar

import typer

from controller.cli.exits import Exit, Stop

if TYPE_CHECKING:
    from controller.cli.streaming import OpenWatch
    from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath
    from qinet.northbound.v1.key_relay_pb2 import KeyRelay


S = TypeVar("S", "KeyRelay", "EntanglementPath")


def wanted_state(text: str) -> str:
    """Return the state that `--wait` names.

    Raises:
        typer.BadParameter: There is no such state.
    """
    from qinet.northbound.v1.key_relay_pb2 import KeyRelay

    known = [name.removeprefix("STATE_") for name in KeyRelay.State.keys()[1:]]
    if text.upper() not in known:
        raise typer.BadParameter(f"--wait: {text!r} is not a state: {', '.join(known)}")
    return text.upper()


def wait_for(open_watch: "OpenWatch", service: S, wanted: str, *, revision: int, limit_s: float) -> tuple[S, bool]:
    """Follow a service until it is in the wanted state; return how it is in the end, and whether that was reached.

    Args:
        open_watch: Of services of its kind.
        service: As it was created.
        wanted: As `wanted_state` returns it.
        revision: At which it was so.
        limit_s: How long to wait.

    Raises:
        Stop: REFUSED: somebody deleted it meanwhile.
    """
    from controller.cli.following import Follower
    from controller.cli.streaming import changes
    from controller.cli.tables import state_word

    if state_word(service.state) == wanted:
        return service, True
    for change in changes(open_watch, Follower(revision), until=time.monotonic() + limit_s):
        if change.name != service.name:
            continue
        if not isinstance(change.resource, type(service)):
            raise Stop(Exit.REFUSED, f"{service.name} was deleted while we waited for {wanted}")
        service = change.resource
        if state_word(service.state) == wanted:
            return service, True
    return service, False
