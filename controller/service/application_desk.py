"""Decisions on applications and the SAE directory: pure functions from snapshot and request to changes."""

from dataclasses import replace
from typing import Final

from controller.domain.application import Application, Sae
from controller.domain.etag import etag
from controller.domain.refusals import AlreadyExists, InvalidValue, NotFound, Precondition
from controller.domain.snapshot import NO_CHANGES, Changes, Snapshot, delete, put
from controller.service.relay_desk import check_etag
from controller.service.requests import UpdateApplication

MAX_CLIENTS: Final = 32
"""Client SAEs of one application: a key for all is one-time-padded to each of their nodes."""


def add_sae(snapshot: Snapshot, sae: Sae) -> Changes:
    """Return the changes that put an SAE into the directory.

    Raises:
        NotFound: Its node does not exist.
        AlreadyExists: It is there already, be it at this node or another.
    """
    if sae.node not in snapshot.nodes:
        raise NotFound(f"nodes/{sae.node}")
    known = snapshot.saes.get(sae.id)
    if known is not None:
        raise AlreadyExists(
            "ALREADY_EXISTS",
            f"saes/{sae.id} is served by nodes/{known.node} already; delete it first to move it",
            {"resource": f"saes/{sae.id}", "node": known.node},
        )
    return put(sae)


def delete_sae(snapshot: Snapshot, sae: str) -> Changes:
    """Return the changes that take an SAE out of the directory.

    Raises:
        NotFound: It is not in it.
        Precondition: IN_USE by applications.
    """
    if sae not in snapshot.saes:
        raise NotFound(f"saes/{sae}")
    users = sorted(f"applications/{app.name}" for app in snapshot.applications.values() if sae in app.saes)
    if users:
        shown = ", ".join(users)
        raise Precondition("IN_USE", f"saes/{sae} belongs to {shown}; delete these first", {"used_by": shown})
    return delete("saes", sae)


def create_application(snapshot: Snapshot, application: Application) -> Changes:
    """Return the changes that register an application.

    Raises:
        AlreadyExists: One of that name exists, or one with the same SAEs.
        InvalidValue: It has too many client SAEs.
        Precondition: UNKNOWN_SAE: an SAE is not in the directory; SAME_NODE: a client needs no relay.
    """
    name = f"applications/{application.name}"
    if application.name in snapshot.applications:
        raise AlreadyExists("ALREADY_EXISTS", f"{name} exists", {"resource": name})
    _check_saes(snapshot, application)
    return put(application)


def _check_saes(snapshot: Snapshot, application: Application) -> None:
    name = f"applications/{application.name}"
    if len(application.client_saes) > MAX_CLIENTS:
        problem = f"names {len(application.client_saes)}; at most {MAX_CLIENTS} are served"
        raise InvalidValue(name, ("application.client_saes", problem))
    unknown = [sae for sae in application.saes if sae not in snapshot.saes]
    if unknown:
        shown = ", ".join(f"saes/{sae}" for sae in unknown)
        raise Precondition(
            "UNKNOWN_SAE",
            f"{name}: {shown} {'is' if len(unknown) == 1 else 'are'} not in the directory; add it with its node first"
            " (qinetctl sae add)",
            {"sae": ",".join(unknown)},
        )
    server_node = snapshot.saes[application.server_sae].node
    beside = [sae for sae in application.client_saes if snapshot.saes[sae].node == server_node]
    if beside:
        shown = ", ".join(f"saes/{sae}" for sae in beside)
        raise Precondition(
            "SAME_NODE",
            f"{name}: {shown} and saes/{application.server_sae} are at nodes/{server_node}: one key manager"
            " serves both, and nothing is to be relayed",
            {"node": server_node, "sae": ",".join(beside)},
        )
    for other in snapshot.applications.values():
        if other.name != application.name and set(other.saes) == set(application.saes):
            raise AlreadyExists(
                "SAE_PAIR_TAKEN",
                f"{name}: applications/{other.name} already joins these SAEs",
                {"resource": f"applications/{other.name}"},
            )


def update_application(snapshot: Snapshot, request: UpdateApplication) -> Changes:
    """Return the changes that make an application what is wanted; none where it is so already.

    Raises:
        NotFound: There is none.
        InvalidValue: A value is out of range.
        AlreadyExists, Precondition: As `create_application`; IN_USE: a relay serves an SAE that would go.
    """
    name = f"applications/{request.application}"
    known = snapshot.applications.get(request.application)
    if known is None:
        raise NotFound(name)
    check_etag(name, request.etag, etag(known))
    try:
        wanted = replace(
            known,
            qos=replace(known.qos, **request.qos),
            key_size_bit=known.key_size_bit if request.key_size_bit is None else request.key_size_bit,
            client_saes=known.client_saes if request.client_saes is None else request.client_saes,
        )
    except InvalidValue as problem:
        raise InvalidValue(name, *((f"application.{field}", why) for field, why in problem.fields)) from None
    if wanted == known:
        return NO_CHANGES
    if wanted.client_saes != known.client_saes:
        _check_saes(snapshot, wanted)
        _check_still_served(snapshot, wanted)
    return put(wanted)


def _check_still_served(snapshot: Snapshot, wanted: Application) -> None:
    """Check that every relay that serves the application still leads from an SAE of it to another."""
    nodes = {snapshot.saes[sae].node for sae in wanted.saes}
    for relay in sorted(snapshot.relays.values(), key=lambda relay: relay.name):
        left = sorted({relay.demand.source, relay.demand.target} - nodes)
        if wanted.name in relay.applications and not relay.removed and left:
            user = f"keyRelays/{relay.name}"
            raise Precondition(
                "IN_USE",
                f"{user} serves applications/{wanted.name} at nodes/{left[0]}, where it would have no SAE any more;"
                " take it off that relay first (qinetctl relay update)",
                {"used_by": user, "node": left[0]},
            )


def delete_application(snapshot: Snapshot, name: str) -> Changes:
    """Return the changes that unregister an application.

    Raises:
        NotFound: There is none.
        Precondition: IN_USE by a key relay.
    """
    if name not in snapshot.applications:
        raise NotFound(f"applications/{name}")
    for relay in snapshot.relays.values():
        if name in relay.applications:
            user = f"keyRelays/{relay.name}"
            raise Precondition("IN_USE", f"applications/{name} is served by {user}; delete it first", {"used_by": user})
    return delete("applications", name)
