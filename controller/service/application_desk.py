"""Decisions on applications and the SAE directory: pure functions from snapshot and request to changes."""

from controller.domain.application import Application, Sae
from controller.domain.refusals import AlreadyExists, NotFound, Precondition
from controller.domain.snapshot import Changes, Snapshot, delete, put


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
        Precondition: UNKNOWN_SAE: an SAE is not in the directory; SAME_NODE: its SAEs need no relay.
    """
    name = f"applications/{application.name}"
    if application.name in snapshot.applications:
        raise AlreadyExists("ALREADY_EXISTS", f"{name} exists", {"resource": name})
    for sae in application.saes:
        if sae not in snapshot.saes:
            raise Precondition(
                "UNKNOWN_SAE",
                f"{name}: saes/{sae} is not in the directory; add it with its node first (qinetctl sae add)",
                {"sae": sae},
            )
    nodes = {snapshot.saes[sae].node for sae in application.saes}
    if len(nodes) == 1:
        node = nodes.pop()
        raise Precondition(
            "SAME_NODE", f"{name}: both SAEs are at nodes/{node}; nothing is to be relayed", {"node": node}
        )
    for other in snapshot.applications.values():
        if set(other.saes) == set(application.saes):
            raise AlreadyExists(
                "SAE_PAIR_TAKEN",
                f"{name}: applications/{other.name} already joins these SAEs",
                {"resource": f"applications/{other.name}"},
            )
    return put(application)


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
