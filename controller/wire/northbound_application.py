"""Applications and SAEs of the northbound API <-> the domain."""

import uuid
from collections.abc import Iterable
from typing import Final

from controller.domain.application import Application, Qos, Sae
from controller.domain.etag import etag
from controller.domain.names import SAE_RULE, is_sae_id
from controller.domain.snapshot import NIL_NETWORK
from controller.wire.northbound_values import Mistakes, ceil_to, duration_ms, network_uuid
from qinet.northbound.v1 import application_pb2 as pb

_DEFAULT_KEY_SIZE_BIT: Final = 256
_MAX_CLIENTS: Final = 1024


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
    if len(application.client_saes) > _MAX_CLIENTS:
        mistakes.add(f"{field}.client_saes", f"names {len(application.client_saes)}; at most {_MAX_CLIENTS} are taken")
    clients = tuple(
        mistakes.id("saes", client, f"{field}.client_saes[{index}]")
        for index, client in enumerate(application.client_saes[:_MAX_CLIENTS])
    )
    qos = Qos()
    if application.HasField("qos"):
        with mistakes.under(field):
            qos = _qos(application.qos, f"{field}.qos", mistakes)
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


def _qos(qos: pb.Qos, field: str, mistakes: Mistakes) -> Qos:
    ttl_s = Qos().ttl_s
    if qos.HasField("ttl"):
        ttl_s = ceil_to(mistakes.duration_ns(qos.ttl, f"{field}.ttl"), 10**9)
    return Qos(
        max_bandwidth_bit_per_s=qos.max_bandwidth_bit_per_s,
        min_bandwidth_bit_per_s=qos.min_bandwidth_bit_per_s,
        jitter_ms=qos.jitter_ms,
        ttl_s=ttl_s,
        priority=qos.priority,
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
