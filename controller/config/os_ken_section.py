"""The section `os_ken` of the controller's configuration: operators' own os-ken apps, and where switches dial."""

import re
from dataclasses import dataclass
from typing import Final

from controller.config.loopback import is_loopback
from controller.config.section import Section

OPENFLOW_PORT: Final = 6653  # IANA
MOST_OS_KEN_APPS: Final = 32
"""Each has a thread, a queue and metrics of its own."""

_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class OsKenConfig:
    """What of os-ken runs in the controller's process.

    Attributes:
        apps: Dotted names of modules, each with one OSKenApp; at least one.
        listen: Where OpenFlow switches dial; nobody listens there unless an app handles OpenFlow events.
        plaintext_beyond_loopback: OpenFlow is plain TCP here; without this it is spoken on loopback only.
        queue_size: Most events that wait for one app.
    """

    apps: tuple[str, ...]
    listen: tuple[str, int]
    plaintext_beyond_loopback: bool
    queue_size: int


def os_ken_section(section: Section) -> OsKenConfig:
    """Read the section."""
    apps = section.texts("apps")
    for app in apps:
        if not _DOTTED.fullmatch(app):
            section.mistake("apps", f"{app!r} is not the dotted name of a module")
    if len(set(apps)) < len(apps):
        section.mistake("apps", "an app is named twice")
    if not 0 < len(apps) <= MOST_OS_KEN_APPS:
        section.mistake("apps", f"{len(apps)} are not 1 to {MOST_OS_KEN_APPS}; without apps leave os_ken out")
    listen = section.endpoint("listen", default=("127.0.0.1", OPENFLOW_PORT))
    beyond = section.boolean("plaintext_beyond_loopback", default=False)
    if not is_loopback(listen[0]) and not beyond:
        section.mistake(
            "listen",
            f"{listen[0]} is not loopback, and OpenFlow is plain TCP here: bring the switches to loopback through a "
            "tunnel, or, on a network of their own, say plaintext_beyond_loopback: true",
        )
    return OsKenConfig(
        apps=apps,
        listen=listen,
        plaintext_beyond_loopback=beyond,
        queue_size=section.integer("queue_size", low=1, high=1_000_000, default=1024),
    )
