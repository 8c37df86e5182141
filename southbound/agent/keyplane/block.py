"""One block of a link's key, and how it lies on disk: in pieces, so that what is used is erased before the rest.

The bits that compare a block are never written: the tags are made while it is whole, and kept. A piece goes when
the durable mark has passed it, for a restart goes on from there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from southbound.agent.keyplane.comparison import COMPARE_BIT, block_tags
from southbound.agent.keyplane.outbox import Outbox

_LEAST_PIECE_BIT: Final = 8192


@dataclass(slots=True)
class Block:
    """One block as one end sees it.

    Attributes:
        tags: Ours and the neighbour's, by which the ends compare it.
        piece_bit: How much a piece on disk holds; the first begins after what compares the block.
        mark_bit, durable_bit: Used or burnt up to here: in memory, and on disk; mark <= durable.
        seen_bit: End of the last real use.
        cessions: How often it changed hands.
        compared: The other end holds it durably and has the same bits.
        settled: The other end knows the same of us.
    """

    link: str
    number: int
    key: bytearray = field(repr=False)
    made_s: float
    tags: tuple[bytes, bytes]
    piece_bit: int
    mark_bit: int = COMPARE_BIT
    seen_bit: int = COMPARE_BIT
    durable_bit: int = COMPARE_BIT
    cessions: int = 0
    compared: bool = False
    settled: bool = False

    @property
    def length_bit(self) -> int:
        """Return the length of the block."""
        return 8 * len(self.key)

    @property
    def left_bit(self) -> int:
        """Return how much is neither used nor burnt."""
        return self.length_bit - self.mark_bit

    @property
    def unused(self) -> bool:
        """Tell whether nothing but the comparison was ever drawn, on disk as in memory."""
        return self.durable_bit == COMPARE_BIT

    def bits(self, offset_bit: int, length_bit: int) -> bytes:
        """Return a copy of a range."""
        return bytes(self.key[offset_bit // 8 : (offset_bit + length_bit) // 8])

    def persist_mark(self, box: Outbox) -> None:
        """Make marks and owner durable."""
        meta = {
            "link": self.link,
            "block": self.number,
            "mark_bit": self.durable_bit,
            "seen_bit": self.seen_bit,
            "cessions": self.cessions,
            "compared": self.compared,
        }
        box.persist("mark", self._name, meta)

    def advance_durable(self, to_bit: int, box: Outbox) -> None:
        """Move the durable mark, and erase the pieces that it has passed."""
        for at_bit in self._pieces():
            if at_bit + self.piece_bit > to_bit:
                break
            box.erase("bits", f"{self._name}/{at_bit}")
        self.durable_bit = to_bit
        self.persist_mark(box)

    def erase(self, box: Outbox) -> None:
        """Blank the block in memory and erase it on disk."""
        self.key[:] = bytes(len(self.key))
        for at_bit in self._pieces():
            box.erase("bits", f"{self._name}/{at_bit}")
        self.mark_bit = self.length_bit
        box.erase("block", self._name)
        box.erase("mark", self._name)

    def _pieces(self) -> Iterator[int]:
        """Yield where the pieces begin that are still on disk."""
        first = (self.durable_bit - COMPARE_BIT) // self.piece_bit
        return iter(range(COMPARE_BIT + first * self.piece_bit, self.length_bit, self.piece_bit))

    @property
    def _name(self) -> str:
        return f"{self.link}/{self.number}"


def new_block(link: str, number: int, key: bytes, *, is_smaller: bool, stride_bit: int, box: Outbox) -> Block:
    """Hold a block of a module durably; see `block_tags` for `is_smaller`."""
    block = Block(
        link=link,
        number=number,
        key=bytearray(key),
        made_s=box.now_s,
        tags=block_tags(link, number, key, is_smaller=is_smaller),
        piece_bit=max(stride_bit, _LEAST_PIECE_BIT),
    )
    block.key[: COMPARE_BIT // 8] = bytes(COMPARE_BIT // 8)
    name = f"{link}/{number}"
    meta = {
        "link": link,
        "block": number,
        "made_s": block.made_s,
        "length_bit": block.length_bit,
        "piece_bit": block.piece_bit,
        "tags": [tag.hex() for tag in block.tags],
    }
    box.persist("block", name, meta)
    for at_bit in range(COMPARE_BIT, block.length_bit, block.piece_bit):
        piece = block.bits(at_bit, min(block.piece_bit, block.length_bit - at_bit))
        box.persist("bits", f"{name}/{at_bit}", {"link": link, "block": number, "at_bit": at_bit}, piece)
    block.persist_mark(box)
    return block


def restored_block(meta: dict[str, Any], mark: dict[str, Any], pieces: dict[int, bytes]) -> Block:
    """Return a block from its records; `pieces` are those that are left, by where they begin."""
    key = bytearray(meta["length_bit"] // 8)
    for at_bit, piece in pieces.items():
        key[at_bit // 8 : at_bit // 8 + len(piece)] = piece
    key[: mark["mark_bit"] // 8] = bytes(mark["mark_bit"] // 8)
    ours, theirs = meta["tags"]
    return Block(
        link=meta["link"],
        number=meta["block"],
        key=key,
        made_s=meta["made_s"],
        tags=(bytes.fromhex(ours), bytes.fromhex(theirs)),
        piece_bit=meta["piece_bit"],
        mark_bit=mark["mark_bit"],
        seen_bit=mark["seen_bit"],
        durable_bit=mark["mark_bit"],
        cessions=mark["cessions"],
        compared=bool(mark["compared"]),
    )
