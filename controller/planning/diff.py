"""What has to be sent so that what is in force at an agent becomes what is wanted of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controller.domain.entries import digest_moved, digest_of, entry_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The step from one configuration to another.

    Attributes:
        upserts: Content by id, of entries to add or replace, in the order of their ids.
        deletes: Ids to remove, in order.
        base_digest, target_digest: Of the configuration before and after; 32 bytes.
        after: Hash of each entry by id, after the step.
    """

    upserts: Mapping[str, bytes]
    deletes: tuple[str, ...]
    base_digest: bytes
    target_digest: bytes
    after: Mapping[str, bytes]

    def __bool__(self) -> bool:
        return bool(self.upserts) or bool(self.deletes)


def hashes_of(desired: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the hash of each entry, by id."""
    return {entry_id: entry_hash(entry_id, content) for entry_id, content in desired.items()}


def difference(
    desired: Mapping[str, bytes],
    in_force: Mapping[str, bytes],
    *,
    held: Collection[str] = (),
    hashes: Mapping[str, bytes] | None = None,
) -> Difference:
    """Return the smallest step that makes `in_force` into `desired`.

    Args:
        desired: Content by entry id.
        in_force: Hash by entry id, 32 bytes each.
        held: Ids to leave as they are, whatever is desired.
        hashes: Of what is desired, where they are known already.

    >>> step = difference({"a": b"1"}, {"b": entry_hash("b", b"2")})
    >>> dict(step.upserts), step.deletes
    ({'a': b'1'}, ('b',))
    >>> bool(difference({"a": b"1"}, step.after))
    False
    >>> bool(difference({"a": b"2"}, step.after, held={"a"}))
    False
    """
    wanted = hashes_of(desired) if hashes is None else hashes
    after = {name: value for name, value in wanted.items() if name not in held}
    after |= {name: in_force[name] for name in held if name in in_force}
    upserts = {name: desired[name] for name in sorted(after) if in_force.get(name) != after[name]}
    deletes = tuple(sorted(name for name in in_force if name not in after))
    base = target = digest_of(in_force)
    for name in upserts:
        target = digest_moved(target, removed=in_force.get(name), added=after[name])
    for name in deletes:
        target = digest_moved(target, removed=in_force[name])
    return Difference(upserts=upserts, deletes=deletes, base_digest=base, target_digest=target, after=after)
