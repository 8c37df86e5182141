"""qinetctl events: one stream of everything that changes, or what is remembered of the past."""

import json
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.connection import Network, connected
from controller.cli.output import Format, Output, as_text, clean

if TYPE_CHECKING:
    from controller.cli.happenings import Happening


class Kind(StrEnum):
    """What an event is about."""

    NODES = "nodes"
    LINKS = "links"
    RELAYS = "relays"
    PATHS = "paths"
    APPLICATIONS = "applications"
    SAES = "saes"
    ALARMS = "alarms"


def events(
    context: typer.Context,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Tell what changes from now on; Ctrl-C ends it.")
    ] = False,
    kind: Annotated[
        list[Kind] | None, typer.Option("--kind", help="Only of these kinds; repeatable; all if none is given.")
    ] = None,
    resume: Annotated[
        int,
        typer.Option("--resume", metavar="REVISION", min=0, help="Only what followed this revision; 0: no matter."),
    ] = 0,
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="With --follow: end after so many events.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Without --follow: tell at most so many, the newest.")
    ] = 50,
    output: Output = Format.TABLE,
) -> None:
    """Tell what happens, one line each: time, revision, name, what it is now and why.

    Without --follow it tells the past as the controller remembers it: what became of relays and paths, and the alarms
    that are active. With --follow it tells what changes in the topology, relays, paths, applications and alarms from
    now on, or since the revision of --resume; it survives a restart of the controller.
    """
    kinds = frozenset(kind or Kind)
    with connected(context) as network:
        if follow:
            # Closed before the channel is: else each stream would tell that its connection is lost.
            with closing(_live(network, kinds, resume)) as happenings:
                _print(islice(happenings, count), output)
        else:
            _print(_remembered(network, kinds, resume)[-limit:], output)


def _print(happenings: "Iterator[Happening] | Sequence[Happening]", output: Format) -> None:
    for one in happenings:
        sys.stdout.write(_printed(one, output))
        sys.stdout.flush()


def _printed(one: "Happening", output: Format) -> str:
    if output is Format.TABLE:
        by = f"  (by {one.by})" if one.by and one.by not in one.text else ""
        return f"{one.at:%Y-%m-%dT%H:%M:%SZ}  {one.revision or '-':>6}  {clean(f'{one.name}  {one.text}{by}')}\n"
    value = {
        "time": f"{one.at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "revision": str(one.revision),
        "kind": one.kind,
        "name": one.name,
        "text": one.text,
        "by": one.by,
    }
    return json.dumps(value, ensure_ascii=False) + "\n" if output is Format.JSON else "---\n" + as_text(value, output)


def _remembered(network: Network, kinds: frozenset[Kind], after_revision: int) -> "list[Happening]":
    """Return what the controller remembers, oldest first."""
    from controller.cli.get import active_alarms, pages
    from controller.cli.happenings import of_alarm, of_history
    from qinet.northbound.v1 import entanglement_service_pb2 as paths_pb
    from qinet.northbound.v1 import key_relay_service_pb2 as pb

    found: list[Happening] = []
    if Kind.RELAYS in kinds:
        for relay in list(pages(network, network.relays.ListKeyRelays, pb.ListKeyRelaysRequest(), "key_relays")):
            request = pb.GetKeyRelayHistoryRequest(name=relay.name)
            entries = pages(network, network.relays.GetKeyRelayHistory, request, "entries")
            found += [of_history(relay.name, entry) for entry in entries if entry.revision > after_revision]
    if Kind.PATHS in kinds:
        listed = paths_pb.ListEntanglementPathsRequest()
        for path in list(pages(network, network.entanglement.ListEntanglementPaths, listed, "entanglement_paths")):
            asked = paths_pb.GetEntanglementPathHistoryRequest(name=path.name)
            lines = pages(network, network.entanglement.GetEntanglementPathHistory, asked, "entries")
            found += [of_history(path.name, entry) for entry in lines if entry.revision > after_revision]
    if Kind.ALARMS in kinds:
        found += [of_alarm(alarm) for alarm in active_alarms(network)]
    return sorted(found, key=lambda one: (one.at, one.revision, one.name))


def _live(network: Network, kinds: frozenset[Kind], after_revision: int) -> "Generator[Happening]":
    from controller.cli.merging import merged
    from qinet.northbound.v1.operations_service_pb2 import GetClusterStatusRequest

    # Asked before anything is watched: the first call tells whether we are let in, and every stream begins there.
    status = network.operations.GetClusterStatus(GetClusterStatusRequest(), timeout=network.timeout_s)
    start = after_revision or status.revision
    wanted = frozenset(kind.value for kind in kinds)
    with closing(merged(network, wanted, start, now=lambda: datetime.now(UTC))) as happenings:
        yield from (one for one in happenings if one.kind in kinds)
