"""Applications and SAEs of the northbound API <-> the domain."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from controller.domain.application import Application, Qos, Sae
from controller.domain.etag import etag
from controller.domain.names import SAE_RULE, is_sae_id
from controller.domain.snapshot import NIL_NETWORK
from controller.wire.northbound_values import Mistakes, ceil_to, duration_ms, network_uuid
from qinet.northbound.v1 import application_pb2 as pb

_DEFAULT_KEY_SIZE_BIT: Final = 256
_MAX_CLIENTS: Final = 32


def application_from_pb(application_id: str, application: pb.Application, *, field: str = "application") -> Application:
    """Return the application that a client describes.

    Args:
        application_id: Its id; checked by the caller.
        application: What it is; output-only fields are ignored.
        field: Where it stands in the request, for messages.

    Raises:
        InvalidValue: With every mistake.
    """
    mistakes = Mistakes(f"applications/{application_id}")
    server = mistakes.id("saes", application.server_sae, f"{field}.server_sae")
    clients = _clients(application, field, mistakes)
    qos = Qos()
    if application.HasField("qos"):
        with mistakes.under(field):
            qos = Qos(**_qos(application.qos, f"{field}.qos", mistakes))
    built = None
    if server and all(clients):
        with mistakes.under(field):
            built = Application(
                name=application_id,
                server_sae=server,
                client_saes=clients,
                qos=qos,
                key_size_bit=application.key_size_bit or _DEFAULT_KEY_SIZE_BIT,
            )
    return mistakes.built(built)


_FIGURES: Final = ("max_bandwidth_bit_per_s", "min_bandwidth_bit_per_s", "jitter_ms", "priority")


def _qos(qos: pb.Qos, field: str, mistakes: Mistakes) -> dict[str, int]:
    """Return what is asked of keys, by field of Qos."""
    ttl_s = Qos().ttl_s
    if qos.HasField("ttl"):
        ttl_s = ceil_to(mistakes.duration_ns(qos.ttl, f"{field}.ttl"), 10**9)
    return {**{name: int(getattr(qos, name)) for name in _FIGURES}, "ttl_s": ttl_s}


_QOS_PATHS: Final = {**{f"qos.{name}": name for name in _FIGURES}, "qos.ttl": "ttl_s"}
UPDATABLE: Final = ("qos", *_QOS_PATHS, "key_size_bit", "client_saes")
"""What an update mask may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationChange:
    """What a client wants changed of an application; what it does not name is None, or absent."""

    qos: dict[str, int]
    key_size_bit: int | None = None
    client_saes: tuple[str, ...] | None = None


def change_from_pb(
    application: pb.Application, paths: Iterable[str], mistakes: Mistakes, *, field: str = "application"
) -> ApplicationChange:
    """Return what an update mask changes: a field that it names and that is not set gets its default.

    Raises:
        InvalidValue: With every mistake.
    """
    named = list(dict.fromkeys(paths))
    for path in named:
        if path not in UPDATABLE:
            mistakes.add("update_mask", f"{path[:80]!r} cannot be changed; these can: {', '.join(UPDATABLE)}")
    if not named:
        mistakes.add("update_mask", f"names nothing to change; these can be: {', '.join(UPDATABLE)}")
    wanted = set(_QOS_PATHS.values() if "qos" in named else (_QOS_PATHS[path] for path in named if path in _QOS_PATHS))
    asked = _qos(application.qos, f"{field}.qos", mistakes) if wanted else {}
    qos = {name: asked[name] for name in sorted(wanted)}
    clients = None
    if "client_saes" in named:
        clients = _clients(application, field, mistakes)
    mistakes.settle()
    size = (application.key_size_bit or _DEFAULT_KEY_SIZE_BIT) if "key_size_bit" in named else None
    return ApplicationChange(qos=qos, key_size_bit=size, client_saes=clients)


def _clients(application: pb.Application, field: str, mistakes: Mistakes) -> tuple[str, ...]:
    if len(application.client_saes) > _MAX_CLIENTS:
        mistakes.add(f"{field}.client_saes", f"names {len(application.client_saes)}; at most {_MAX_CLIENTS} are served")
    return tuple(
        mistakes.id("saes", client, f"{field}.client_saes[{index}]")
        for index, client in enumerate(application.client_saes[:_MAX_CLIENTS])
    )


def application_to_pb(
    application: Application, *, relays: Iterable[str] = (), network: uuid.UUID = NIL_NETWORK
) -> pb.Application:
    """Return the application as the API tells it; `relays` are the ids of the key relays that feed it."""
    feeding = [f"keyRelays/{relay}" for relay in sorted(relays)]
    qos = application.qos
    return pb.Application(
        name=f"applications/{application.name}",
        server_sae=f"saes/{application.server_sae}",
        client_saes=[f"saes/{client}" for client in application.client_saes],
        qos=pb.Qos(
            max_bandwidth_bit_per_s=qos.max_bandwidth_bit_per_s,
            min_bandwidth_bit_per_s=qos.min_bandwidth_bit_per_s,
            jitter_ms=qos.jitter_ms,
            ttl=duration_ms(1000 * qos.ttl_s),
            priority=qos.priority,
        ),
        key_size_bit=application.key_size_bit,
        key_relay=feeding[0] if len(feeding) == 1 else "",
        key_relays=feeding,
        uuid=network_uuid(network, f"applications/{application.name}"),
        etag=etag(application),
    )


def sae_from_pb(sae_id: str, sae: pb.Sae, *, field: str = "sae") -> Sae:
    """Return the SAE that a client describes.

    Raises:
        InvalidValue: With every mistake.
    """
    mistakes = Mistakes(f"saes/{sae_id[:80]}")
    if not is_sae_id(sae_id):
        mistakes.add("sae_id", f"{sae_id[:80]!r} is not {SAE_RULE}" if sae_id else f"is required: {SAE_RULE}")
    node = mistakes.id("nodes", sae.node, f"{field}.node")
    mistakes.settle()
    with mistakes.under(field):
        return Sae(id=sae_id, node=node)
    return mistakes.built(None)


def sae_to_pb(sae: Sae, *, applications: Iterable[str] = ()) -> pb.Sae:
    """Return the SAE as the API tells it; `applications` are the ids of those that name it."""
    return pb.Sae(
        name=f"saes/{sae.id}",
        node=f"nodes/{sae.node}",
        applications=[f"applications/{name}" for name in sorted(applications)],
        etag=etag(sae),
    )
