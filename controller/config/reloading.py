"""What a changed configuration file means for a running controller: what counts at once, and what at the next start."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final

from controller.config.controller_file import ControllerConfig

RELOADABLE: Final = frozenset(
    {
        "pki",
        "southbound.heartbeat_interval_ms",
        "southbound.report_interval_ms",
        "metrics.relays",
        "metrics.paths",
        "logging.level",
        "logging.format",
    }
)
"""Fields of the file that count from a reload on; every other one counts from the next start on."""

# Where a field of ours is called otherwise than the file's.
_IN_THE_FILE: Final = {
    "northbound": "northbound.listen",
    "metrics.plaintext": "metrics.plaintext_on_loopback",
    "logging.json": "logging.format",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """What follows from a file that was read again.

    Attributes:
        config: In force from now on: what runs, with everything new that can be reloaded.
        applied: Fields of the file whose new values are in `config`.
        waiting: Fields that differ from what runs, and need a restart.
    """

    config: ControllerConfig
    applied: tuple[str, ...]
    waiting: tuple[str, ...]


def reload_of(running: ControllerConfig, read: ControllerConfig) -> Reload:
    """Compare what runs with what the file says now.

    The hash is that of the file as it was read, also where fields wait for a restart: it names the file that was
    taken, and `waiting` what of it is not in force yet.
    """
    changed = [_IN_THE_FILE.get(field, field) for field in _differences(running, read, "")]
    metrics = running.metrics
    if metrics is not None and read.metrics is not None:
        metrics = replace(metrics, relays=read.metrics.relays, paths=read.metrics.paths)
    southbound = replace(
        running.southbound,
        heartbeat_interval_ms=read.southbound.heartbeat_interval_ms,
        report_interval_ms=read.southbound.report_interval_ms,
    )
    return Reload(
        config=replace(
            running,
            pki=read.pki,
            southbound=southbound,
            metrics=metrics,
            logging=read.logging,
            sha256=read.sha256,
        ),
        applied=tuple(field for field in changed if field in RELOADABLE),
        waiting=tuple(field for field in changed if field not in RELOADABLE),
    )


def _differences(one: Any, other: Any, place: str) -> Iterator[str]:
    """Yield the dotted name of every field that differs; a section that one lacks counts as one field."""
    for field in fields(one):
        mine, its = getattr(one, field.name), getattr(other, field.name)
        name = f"{place}{field.name}"
        if mine == its or name == "sha256":
            continue
        if is_dataclass(mine) and type(mine) is type(its):
            yield from _differences(mine, its, f"{name}.")
        else:
            yield name
