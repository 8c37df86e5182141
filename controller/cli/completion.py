"""Completion of names from the controller: within a second, or nothing; a shell that waits is worse than no offer."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from controller.cli.connection import Target

LIMIT_S: Final = 1.0
_MOST: Final = 1000  # more than that helps nobody who presses Tab

Completion = Callable[[typer.Context, str], list[str]]


def nodes(context: typer.Context, incomplete: str) -> list[str]:
    """Return the nodes that may be meant."""
    return _matching(context, incomplete, "nodes")


def links(context: typer.Context, incomplete: str) -> list[str]:
    """Return the links that may be meant."""
    return _matching(context, incomplete, "links")


def relays(context: typer.Context, incomplete: str) -> list[str]:
    """Return the key relays that may be meant."""
    return _matching(context, incomplete, "keyRelays")


def paths(context: typer.Context, incomplete: str) -> list[str]:
    """Return the entanglement paths that may be meant."""
    return _matching(context, incomplete, "entanglementPaths")


def applications(context: typer.Context, incomplete: str) -> list[str]:
    """Return the applications that may be meant."""
    return _matching(context, incomplete, "applications")


def saes(context: typer.Context, incomplete: str) -> list[str]:
    """Return the SAEs that may be meant."""
    return _matching(context, incomplete, "saes")


def places(context: typer.Context, incomplete: str) -> list[str]:
    """Return the nodes and links that may be meant, by their full names."""
    found = [*_names(context, "nodes"), *_names(context, "links")]
    return [name for name in found if name.startswith(incomplete)]


def _matching(context: typer.Context, incomplete: str, collection: str) -> list[str]:
    """Return names as the person began to write them: short, or full."""
    prefix = f"{collection}/"
    whole = incomplete.startswith(prefix)
    names = (name if whole else name.removeprefix(prefix) for name in _names(context, collection))
    return [name for name in names if name.startswith(incomplete)]


def _names(context: typer.Context, collection: str) -> list[str]:
    try:
        return _asked(_target(context), collection)
    except Exception:
        # Whatever is wrong, a person who presses Tab is no help to it, and a traceback would break their line.
        return []


def _target(context: typer.Context) -> "Target":
    """Return whom to ask: while a line is completed, the root command has read its options, but did not run."""
    import os
    from pathlib import Path

    from controller.cli.connection import DEFAULT_CONTROLLER, DEFAULT_PKI, DEFAULT_USER, Target

    given = context.find_root().params

    def option(name: str, variable: str, default: str) -> str:
        return str(given.get(name) or os.environ.get(variable) or default)

    def file(name: str) -> Path | None:
        return Path(given[name]) if given.get(name) else None

    return Target(
        address=option("controller", "QINET_CONTROLLER", DEFAULT_CONTROLLER),
        controller_name=option("controller_name", "QINET_CONTROLLER_NAME", "controller"),
        pki=Path(option("pki_directory", "QINET_PKI", DEFAULT_PKI)),
        user=option("user", "QINET_USER", DEFAULT_USER),
        ca=file("ca"),
        certificate=file("certificate"),
        key=file("key"),
        timeout_s=LIMIT_S,
    )


def _asked(target: "Target", collection: str) -> list[str]:
    from controller.cli.connection import Network, opened

    with opened(target) as channel:
        network = Network(channel, address=target.address, timeout_s=target.timeout_s)
        call, request, field = _list_of(network, collection)
        return [one.name for one in getattr(call(request, timeout=target.timeout_s), field)]


def _list_of(network: Any, collection: str) -> tuple[Any, Any, str]:
    if collection in ("nodes", "links"):
        from qinet.northbound.v1 import topology_service_pb2

        if collection == "nodes":
            return network.topology.ListNodes, topology_service_pb2.ListNodesRequest(page_size=_MOST), "nodes"
        return network.topology.ListLinks, topology_service_pb2.ListLinksRequest(page_size=_MOST), "links"
    if collection == "keyRelays":
        from qinet.northbound.v1 import key_relay_service_pb2

        request = key_relay_service_pb2.ListKeyRelaysRequest(page_size=_MOST)
        return network.relays.ListKeyRelays, request, "key_relays"
    if collection == "entanglementPaths":
        from qinet.northbound.v1 import entanglement_service_pb2

        wanted = entanglement_service_pb2.ListEntanglementPathsRequest(page_size=_MOST)
        return network.entanglement.ListEntanglementPaths, wanted, "entanglement_paths"
    from qinet.northbound.v1 import application_service_pb2 as pb

    if collection == "applications":
        return network.applications.ListApplications, pb.ListApplicationsRequest(page_size=_MOST), "applications"
    return network.applications.ListSaes, pb.ListSaesRequest(page_size=_MOST), "saes"
