"""What readers see: the last committed snapshot and what the core derived from it. Never waits for the writer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.domain.snapshot import Changes, ElectionId, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One committed state of the world.

    Attributes:
        unconfirmed: By key of a service, its nodes that have not confirmed what they were last told.
        reserved: By resource, what services hold, releasing included: of a QKD link in millibit/s.
        confirmed_version: By node id, the highest revision whose configuration its agent confirmed.
        digests: By node id, the digest of the configuration that is wanted of it.
    """

    snapshot: Snapshot
    election: ElectionId
    unconfirmed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    reserved: Mapping[str, int] = field(default_factory=dict)
    confirmed_version: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """One step of the published world, as watchers get it."""

    changes: Changes
    published: Published
