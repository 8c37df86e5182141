"""Alarms: keyed by (node, object, kind), so that repeats are harmless."""

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """GS QKD 015 severity-types."""

    MAJOR = "MAJOR"
    MINOR = "MINOR"


CONTROLLER = ""
"""The `node` of an alarm that the controller itself raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that needs a person's eye, for as long as it lasts.

    Attributes:
        node: Who raised it: a node name, or "" for the controller.
        object: Resource name, as `links/a-b`; "" for the node itself.
        kind: UPPER_SNAKE_CASE, as LINK_DOWN, QBER_HIGH, DUPLICATE_AGENT.
        raised_ms: Wall clock of who raised it, displayed only; milliseconds since 1970.
    """

    node: str
    object: str
    kind: str
    severity: Severity = Severity.MAJOR
    message: str = ""
    raised_ms: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what makes two reports the same alarm."""
        return self.node, self.object, self.kind
