"""Which links may carry something new, and why the others may not."""

from dataclasses import dataclass

from controller.domain.link import Establishment, Link, LinkKind
from controller.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A link that carries nothing new, and why."""

    nodes: tuple[str, str]
    why: str


def why_unusable(snapshot: Snapshot, link: Link) -> str | None:
    """Return why a link carries nothing new for a person to read, or None when it may.

    A link that is down keeps what runs on it, on stored key, but nothing new is promised on it.
    """
    return "makes no key" if link.kind is not LinkKind.QKD else why_no_service(snapshot, link)


def why_no_service(snapshot: Snapshot, link: Link) -> str | None:
    """Return why a link, whatever it makes, carries nothing new, or None when it may."""
    condition = snapshot.condition(link.name)
    if link.establishment is not Establishment.ESTABLISHED:
        return "not established"
    if not link.admin_enabled:
        return "disabled"
    if link.maintenance:
        return "in maintenance"
    if not condition.generating:
        return f"down: {condition.down_reason}" if condition.down_reason else "down"
    if condition.damped:
        return "it went down too often lately, and has to stay up for some minutes first"
    for name in link.nodes:
        node = snapshot.nodes.get(name)
        if node is None:
            return f"nodes/{name} does not exist"
        if not node.admin_enabled:
            return f"nodes/{name} is disabled"
        if node.maintenance:
            return f"nodes/{name} is in maintenance"
    absent = [name for name in link.nodes if name not in snapshot.connected]
    if absent:
        return "stale: no session with " + " and ".join(f"nodes/{name}" for name in absent)
    return None
