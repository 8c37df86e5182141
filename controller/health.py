"""Asks a running controller whether it serves (grpc.health.v1): for containers and whoever watches processes."""

import json
from datetime import UTC, datetime
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from controller.config.controller_file import ControllerConfig
from controller.identity.credentials import open_channel
from controller.identity.peers import Identity, Kind
from controller.identity.tls_files import files_in, load_tls

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (dialled, not bound)


def ask(config: ControllerConfig, *, timeout_s: float) -> str:
    """Ask the controller of this configuration, with its own certificate; return "" where it serves, else why not.

    Raises:
        TlsRefused: The certificate cannot be used.
    """
    identity = Identity(Kind.CONTROLLER, config.name)
    tls = load_tls(files_in(config.pki, identity), now=datetime.now(UTC), expect=identity)
    try:
        address = _address(config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        return (
            f"{config.addresses or 'addresses'}: does not tell where the controller listens ({problem}): does it run?"
        )
    with open_channel(tls, address, identity) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            status = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s).status
        except grpc.RpcError as refused:
            call: Any = refused
            return f"{address}: {call.code().name}: {call.details()}"
    if status != health_pb2.HealthCheckResponse.SERVING:
        return f"{address}: {health_pb2.HealthCheckResponse.ServingStatus.Name(status)}"
    return ""


def _address(config: ControllerConfig) -> str:
    host, port = config.northbound
    if not port:
        if config.addresses is None:
            raise KeyError("northbound.listen has port 0, and no `addresses` file is configured")
        told: str = json.loads(config.addresses.read_text())["northbound"]
        host, _, told_port = told.rpartition(":")
        port = int(told_port)
    host = _EVERYWHERE.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
