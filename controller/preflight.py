"""What can be found wrong before a controller starts: in its configuration, in what that names, and at its ports."""

import importlib
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from controller.config.controller_file import ControllerConfig, read_controller_config
from controller.config.section import Section, load
from controller.config.topology_file import read_topology
from controller.domain.refusals import Precondition, Refusal
from controller.hosting import load_os_ken_apps
from controller.identity.credentials import grpc_server_credentials
from controller.identity.peers import Identity, Kind
from controller.identity.tls_files import Tls, files_in, load_tls

if TYPE_CHECKING:
    from controller.service.app_desk import App


class AppUnusable(Refusal):
    """An app of the configuration cannot be imported or made."""


def check_everything(path: Path, *, with_apps: bool) -> ControllerConfig:
    """Read a configuration file and all that it names, and return the configuration.

    Args:
        path: The configuration file.
        with_apps: Whether to import the apps too: they may need what only the controller extra installs.

    Raises:
        Mistakes: Every mistake, of all files.
    """

    def read(root: Section) -> ControllerConfig:
        config = read_controller_config(root)
        if config.topology is not None:
            root.include("topology", read_topology)
        try:
            load_controller_tls(config)
        except Refusal as refusal:
            root.mistake("pki", str(refusal))
        for name in config.apps if with_apps else ():
            try:
                load_app(name)
            except AppUnusable as refusal:
                root.mistake("apps", str(refusal))
        if config.os_ken is not None and with_apps:
            try:
                load_os_ken_apps(config.os_ken.apps)
            except Refusal as refusal:
                root.section("os_ken").mistake("apps", str(refusal))
        return config

    return load(path, read)


def load_app(name: str) -> "App":
    """Return a new app of that dotted name.

    Raises:
        AppUnusable: There is none, or it fails.
    """
    module, _, attribute = name.rpartition(".")
    try:
        app: App = getattr(importlib.import_module(module), attribute)()
    except (Exception, SystemExit) as problem:
        # An app is anybody's code: whatever it raises is told, not thrown at the operator, and ends no controller.
        raise AppUnusable(
            "APP_UNUSABLE",
            f"app {name} cannot be loaded ({type(problem).__name__}: {problem}): correct `apps` in the configuration, "
            "or install what it needs",
            {"app": name},
        ) from problem
    return app


def load_controller_tls(config: ControllerConfig) -> Tls:
    """Return the controller's certificate and key, as a server can use them now.

    Raises:
        TlsRefused: It cannot.
    """
    identity = Identity(Kind.CONTROLLER, config.name)
    tls = load_tls(files_in(config.pki, identity), now=datetime.now(UTC), expect=identity)
    grpc_server_credentials(tls)
    return tls


def check_ports(config: ControllerConfig) -> None:
    """See that nobody listens yet at the configured ports, so that nothing is begun in vain.

    Whoever takes one a moment later is still found by the listening itself.

    Raises:
        Precondition: ADDRESS_IN_USE.
    """
    listens = {"northbound": config.northbound, "southbound": config.southbound.listen}
    if config.metrics is not None:
        listens["metrics"] = config.metrics.listen
    if config.os_ken is not None:
        listens["os_ken"] = config.os_ken.listen
    for service, (host, port) in listens.items():
        problem = _cannot_bind(host, port) if port else None
        if problem is not None:
            raise Precondition(
                "ADDRESS_IN_USE",
                f"cannot listen at {host}:{port} ({service}): {problem}; stop what listens there, or choose another "
                f"address in the configuration ({service}.listen)",
                {"address": f"{host}:{port}", "service": service},
            )


def _cannot_bind(host: str, port: int) -> str | None:
    """Return why none of the host's addresses can be bound, or None if one can."""
    problem: str | None = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as unknown:
        return unknown.strerror or str(unknown)
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as refused:
            problem = refused.strerror or str(refused)
        else:
            return None
    return problem
