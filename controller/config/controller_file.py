"""The controller's configuration file, schema `qinet-controller` version 1: to a frozen value, or every mistake."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controller.config.admission_section import admission_section
from controller.config.auto_relay_section import auto_relay_section
from controller.config.loopback import is_loopback
from controller.config.os_ken_section import OsKenConfig, os_ken_section
from controller.config.section import Section, load
from controller.domain.admission import DEFAULT_ADMISSION, Admission
from controller.domain.auto_relay import AutoRelay
from controller.domain.names import LABEL_RULE, is_label

SCHEMA: Final = "qinet-controller"
VERSION: Final = 1
DEFAULT_APPS: Final = (
    "apps.restoration.Restoration",
    "apps.retry_blocked.RetryBlocked",
    "apps.optimiser.Optimiser",
)
MOST_SERVICE_METRICS: Final = 200
"""Services may have metrics of their own up to this many: labels stay bounded."""

_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """Where decisions are kept. Attributes: kind: "sqlite" or "memory"; path: of the SQLite file."""

    kind: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SouthboundConfig:
    """The port that agents dial. Intervals in milliseconds."""

    listen: tuple[str, int]
    heartbeat_interval_ms: int
    report_interval_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """The port that Prometheus scrapes.

    Attributes:
        plaintext: Plain HTTP instead of mutual TLS; on loopback only.
        relays, paths: Key relays and entanglement paths that have series of their own.
    """

    listen: tuple[str, int]
    plaintext: bool
    relays: tuple[str, ...]
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingConfig:
    """What is logged. Attributes: level: a name of the logging module; json: one JSON object a line."""

    level: str
    json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerConfig:
    """Everything a controller is told at its start.

    Attributes:
        name: It is `controller/{name}`: a DNS label.
        pki: Folder as `qinetctl pki` makes it.
        os_ken: Operators' os-ken apps; None for none.
        auto_relay: What an SAE gets that asks for keys without an association; None for nothing.
        admission: By which policy key relays get their routes.
        topology: File that is applied at each start; None leaves the store's.
        addresses: File into which the bound addresses are written once all is up; None for none.
        sha256: Hex hash of the file.
    """

    name: str
    pki: Path
    store: StoreConfig
    northbound: tuple[str, int]
    southbound: SouthboundConfig
    metrics: MetricsConfig | None
    apps: tuple[str, ...]
    os_ken: OsKenConfig | None = None
    auto_relay: AutoRelay | None = None
    admission: Admission = DEFAULT_ADMISSION
    topology: Path | None
    addresses: Path | None
    logging: LoggingConfig
    sha256: str = field(default="")


def load_controller_config(path: Path | str) -> ControllerConfig:
    """Read a controller's configuration file.

    Raises:
        Mistakes: Every mistake of the file.
    """
    return load(path, read_controller_config)


def read_controller_config(root: Section) -> ControllerConfig:
    """Read the whole file; for `section.load`."""
    root.choice("schema", {SCHEMA: SCHEMA})
    root.choice("version", {str(VERSION): VERSION})
    config = ControllerConfig(
        name=root.label("name", default="controller"),
        pki=root.path("pki", default="pki"),
        store=_store(root.section("store", required=False)),
        northbound=root.section("northbound", required=False).endpoint("listen", default=("localhost", 7400)),
        southbound=_southbound(root.section("southbound", required=False)),
        metrics=_metrics(root.section("metrics")) if root.has("metrics") else None,
        apps=_apps(root),
        os_ken=os_ken_section(root.section("os_ken")) if root.has("os_ken") else None,
        auto_relay=auto_relay_section(root.section("auto_relay")) if root.has("auto_relay") else None,
        admission=admission_section(root.section("admission", required=False)),
        topology=root.path("topology") if root.has("topology") else None,
        addresses=root.path("addresses") if root.has("addresses") else None,
        logging=_logging(root.section("logging", required=False)),
        sha256=_hash(root.file),
    )
    _note_shared_ports(root, config)
    return config


def _note_shared_ports(root: Section, config: ControllerConfig) -> None:
    listens = {"northbound": config.northbound, "southbound": config.southbound.listen}
    if config.metrics is not None:
        listens["metrics"] = config.metrics.listen
    if config.os_ken is not None:
        listens["os_ken"] = config.os_ken.listen
    taken: dict[str, tuple[str, int]] = {}
    for service, (host, port) in listens.items():
        for other, (its_host, its_port) in taken.items():
            if port and port == its_port and _overlap(host, its_host):
                root.section(service, required=False).mistake(
                    "listen", f"port {port} is {other}'s already: give each its own, or 0 for any free one"
                )
        taken[service] = (host, port)


def _overlap(host: str, other: str) -> bool:
    everywhere = {"0.0.0.0", "::"}  # noqa: S104 (compared with, not bound)
    return host == other or bool({host, other} & everywhere) or (is_loopback(host) and is_loopback(other))


def _hash(file: str) -> str:
    path = Path(file)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _store(section: Section) -> StoreConfig:
    return StoreConfig(
        kind=section.choice("kind", {"sqlite": "sqlite", "memory": "memory"}, default="sqlite"),
        path=section.path("path", default="controller.db"),
    )


def _southbound(section: Section) -> SouthboundConfig:
    return SouthboundConfig(
        listen=section.endpoint("listen", default=("localhost", 7401)),
        heartbeat_interval_ms=section.integer("heartbeat_interval_ms", low=50, high=600_000, default=2_000),
        report_interval_ms=section.integer("report_interval_ms", low=50, high=3_600_000, default=5_000),
    )


def _metrics(section: Section) -> MetricsConfig:
    listen = section.endpoint("listen", default=("localhost", 7402))
    plaintext = section.boolean("plaintext_on_loopback", default=False)
    if plaintext and not is_loopback(listen[0]):
        section.mistake(
            "plaintext_on_loopback", f"{listen[0]} is not loopback; leave it out, and metrics speak mutual TLS"
        )
    relays, paths = (_listed(section, field) for field in ("relays", "paths"))
    return MetricsConfig(listen=listen, plaintext=plaintext, relays=relays, paths=paths)


def _listed(section: Section, field: str) -> tuple[str, ...]:
    """Read which services have series of their own: few, as every series costs whoever keeps them."""
    services = section.texts(field, default=())
    if len(services) > MOST_SERVICE_METRICS:
        section.mistake(field, f"{len(services)} are more than {MOST_SERVICE_METRICS}")
    for service in services:
        if not is_label(service):
            section.mistake(field, f"{service!r} is not {LABEL_RULE}")
    return services


def _apps(root: Section) -> tuple[str, ...]:
    apps = root.texts("apps", default=DEFAULT_APPS)
    for app in apps:
        if not _DOTTED.fullmatch(app):
            root.mistake("apps", f"{app!r} is not a dotted name as {DEFAULT_APPS[0]}")
    return apps


def _logging(section: Section) -> LoggingConfig:
    levels = {name: name for name in ("DEBUG", "INFO", "WARNING", "ERROR")}
    return LoggingConfig(
        level=section.choice("level", levels, default="INFO"),
        json=section.choice("format", {"text": False, "json": True}, default=False),
    )
