"""What is too large for one message: updates are cut into parts, and answers put together from theirs."""

from typing import Final

from controller.domain.entries import DIGEST_BYTES
from controller.planning.diff import Difference
from qinet.southbound.v1 import agent_pb2 as pb

# Around an entry in an update: field tags, lengths, remaining_s; rounded up.
_ENTRY_OVERHEAD_BYTES: Final = 32
_UPDATE_OVERHEAD_BYTES: Final = 128
_MOST_HASHES: Final = 1_000_000


class OutOfStep(Exception):  # noqa: N818 (named by what happened)
    """The agent answered what it was not asked."""


class HashParts:
    """Takes the parts of one EntryHashes answer, in order."""

    def __init__(self) -> None:
        self.hashes: dict[str, bytes] = {}
        self._taken = 0
        self._parts = 0

    def take(self, answer: pb.EntryHashes) -> bool:
        """Take a part, and tell whether it was the last: then `hashes` is complete.

        Raises:
            OutOfStep: It is not the next part, or names what cannot be.
        """
        parts = max(1, answer.parts)
        if answer.part != self._taken or answer.part >= parts or self._parts not in (0, parts):
            raise OutOfStep(f"part {answer.part} of {parts} of EntryHashes is not the next one")
        self._parts, self._taken = parts, self._taken + 1
        if len(self.hashes) + len(answer.hashes) > _MOST_HASHES:
            raise OutOfStep(f"EntryHashes names more than {_MOST_HASHES} entries")
        known = len(self.hashes)
        self.hashes |= {item.id: item.hash for item in answer.hashes}
        if len(self.hashes) != known + len(answer.hashes) or any(
            len(item.hash) != DIGEST_BYTES for item in answer.hashes
        ):
            raise OutOfStep("EntryHashes names an id twice, or a hash is not 32 bytes long")
        return self._taken == parts


def cut(step: Difference, part_bytes: int) -> list[tuple[list[str], list[str]]]:
    """Return (ids to upsert, ids to delete) of each part, of at most so many bytes; an entry is never split."""
    budget = max(1, part_bytes - _UPDATE_OVERHEAD_BYTES)
    cuts: list[tuple[list[str], list[str]]] = [([], [])]
    used = 0
    sizes = [(0, name, len(name.encode()) + len(content)) for name, content in step.upserts.items()]
    sizes += [(1, name, len(name.encode())) for name in step.deletes]
    for kind, name, size in sizes:
        cost = size + _ENTRY_OVERHEAD_BYTES
        if used and used + cost > budget:
            cuts.append(([], []))
            used = 0
        cuts[-1][kind].append(name)
        used += cost
    return cuts
