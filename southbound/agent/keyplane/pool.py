"""The blocks of one link at one end, split into one pool per direction: marks only rise, gaps are burnt.

A block belongs to the direction that its number says (even: the smaller node name sends), turned round
once for every cession. Offsets are in bit and multiples of 8. The memory mark moves with every use; the
durable mark runs ahead of it in strides, and is where a restart goes on.
"""

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from southbound.agent.keyplane.block import Block, new_block
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind, Purpose
from southbound.agent.keyplane.messages import PoolRange
from southbound.agent.keyplane.outbox import NEVER, Outbox

_SENDER_STOPS_AT: Final = 0.95
"""Part of a block's life after which it is not sent with: the other end's clock may run a little ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What a use is for, as the ledger tells it."""

    purpose: Purpose
    relay: str = ""
    route_version: int = 0
    share: int = 0
    origin: str = ""
    chunk_id: int = -1


class InvalidRange(Exception):  # noqa: N818 (an answer to a message, not an error of ours)
    """A neighbour named bits that it may not use, or that are used up."""


class LinkPools:
    """All blocks of one link at one end, and which of them each direction may draw.

    `life` numbers what this node sends on the link from one start of its process to its end (0 before the first
    connection), `proven_life` is the last that the neighbour said it keeps, and `heard_life` the neighbour's highest.
    """

    def __init__(self, *, link: str, node: str, neighbour: str, stride_bit: int) -> None:
        self.key_ttl_s = NEVER
        self.link = link
        self.node = node
        self.neighbour = neighbour
        self.last_block = -1
        self.blocks: dict[int, Block] = {}
        self.sent_bit = 0
        self.sent_durable_bit = 0
        self.received_bit = 0
        self.life = self.proven_life = self.heard_life = 0
        self.consumed_bit = 0
        self.burnt_bit = 0
        self.stored_blocks = 0
        self._ends = sorted((node, neighbour))
        # Kept up with every change: draws and their permits must not cost a walk over all blocks.
        self._numbers: dict[str, list[int]] = {node: [], neighbour: []}
        self._left_bit: dict[str, int] = {node: 0, neighbour: 0}
        self._least_unused_bit: dict[str, int] = {}
        self._stride_bit = max(8, stride_bit)

    # ------------------------------------------------------------ whose, and how much

    def sender(self, block: Block) -> str:
        """Return the node that may send with the block."""
        return self._ends[(block.number + block.cessions) % 2]

    def is_smaller(self) -> bool:
        """Tell whether this node has the smaller name of the two."""
        return self.node == self._ends[0]

    def of(self, sender: str, *, newest_first: bool = False) -> Iterator[Block]:
        """Yield the compared blocks of a direction, in the order of their numbers."""
        return (self.blocks[number] for number in self._numbers[sender][:: -1 if newest_first else 1])

    def left_bit(self, sender: str) -> int:
        """Return what is stored for a direction."""
        return self._left_bit[sender]

    def least_unused_bit(self, sender: str) -> int:
        """Return a lower bound of what an unused block of a direction holds: no smaller one ever came to it."""
        return self._least_unused_bit.get(sender, 0)

    def drawable(self, now_s: float, *, quarantine_s: float, newest_first: bool = False) -> Iterator[Block]:
        """Yield the blocks that this node may send with now, oldest number first unless asked otherwise."""
        return (
            block
            for block in self.of(self.node, newest_first=newest_first)
            if block.made_s + quarantine_s <= now_s < block.made_s + self.key_ttl_s * _SENDER_STOPS_AT
        )

    def drawable_bit(self, now_s: float, *, quarantine_s: float) -> int:
        """Return what those blocks hold; looks only at the oldest and the newest, as numbers rise with time."""
        total_bit = self._left_bit[self.node]
        numbers = self._numbers[self.node]
        first, last = 0, len(numbers)
        while first < last and now_s >= self.blocks[numbers[first]].made_s + self.key_ttl_s * _SENDER_STOPS_AT:
            total_bit -= self.blocks[numbers[first]].left_bit
            first += 1
        while first < last and now_s < self.blocks[numbers[last - 1]].made_s + quarantine_s:
            last -= 1
            total_bit -= self.blocks[numbers[last]].left_bit
        return total_bit

    def _enter(self, block: Block) -> None:
        sender = self.sender(block)
        insort(self._numbers[sender], block.number)
        self._left_bit[sender] += block.left_bit
        if block.unused:
            least_bit = self._least_unused_bit.get(sender, block.left_bit)
            self._least_unused_bit[sender] = min(least_bit, block.left_bit)

    def _leave(self, block: Block) -> None:
        sender = self.sender(block)
        self._numbers[sender].remove(block.number)
        self._left_bit[sender] -= block.left_bit

    # ------------------------------------------------------------ using bits

    def draw(
        self, blocks: Iterable[Block], length_bit: int, cause: Cause, box: Outbox
    ) -> tuple[tuple[PoolRange, ...], bytes]:
        """Take bits to send with. The caller has made sure that the blocks hold that many."""
        ranges, key = [], bytearray()
        for block in blocks:
            part = min(length_bit, block.left_bit)
            ranges.append(PoolRange(block.number, block.mark_bit, part))
            key += block.bits(block.mark_bit, part)
            self._use(block, block.mark_bit, part, cause, box, sent=True)
            length_bit -= part
            if not length_bit:
                break
        if length_bit:
            raise ValueError(f"links/{self.link}: {length_bit} bit short of a draw that was granted")
        return tuple(ranges), bytes(key)

    def peek(self, ranges: tuple[PoolRange, ...], length_bit: int) -> bytes:
        """Return the bits that the neighbour used, without using them here.

        Raises:
            InvalidRange: They are not the neighbour's, not there, at or below the mark, or of another total length.
        """
        key = bytearray()
        seen: set[int] = set()
        for each in ranges:
            block = self.blocks.get(each.block)
            if block is None or not block.compared or self.sender(block) != self.neighbour:
                raise InvalidRange(f"block {each.block} is not the neighbour's to use")
            if each.block in seen or each.length_bit <= 0 or each.length_bit % 8 or each.offset_bit % 8:
                raise InvalidRange(f"block {each.block}: malformed range")
            if each.offset_bit < block.mark_bit or each.offset_bit + each.length_bit > block.length_bit:
                raise InvalidRange(f"block {each.block}: offset {each.offset_bit} is used up or beyond the end")
            seen.add(each.block)
            key += block.bits(each.offset_bit, each.length_bit)
        if 8 * len(key) != length_bit:
            raise InvalidRange(f"{8 * len(key)} bit named where {length_bit} are needed")
        return bytes(key)

    def accept(self, ranges: tuple[PoolRange, ...], cause: Cause, box: Outbox) -> None:
        """Use the bits of ranges that `peek` let pass; what lies between is burnt."""
        for each in ranges:
            block = self.blocks[each.block]
            self.burn(block, each.offset_bit, box)
            self._use(block, each.offset_bit, each.length_bit, cause, box, sent=False)

    def burn(self, block: Block, up_to_bit: int, box: Outbox) -> None:
        """Never use what is left below that offset."""
        up_to_bit = min(up_to_bit, block.length_bit)
        gap_bit = up_to_bit - block.mark_bit
        if gap_bit <= 0:
            return
        self.note_burn(block, block.mark_bit, gap_bit, box)
        self._advance(block, up_to_bit, box)

    def note_burn(self, block: Block, offset_bit: int, length_bit: int, box: Outbox) -> None:
        """Account for bits that are never used; those in the range that were used before stay used."""
        box.note(self._entry(LedgerKind.BURN, box, block, offset_bit, length_bit))
        if block.compared:
            self.burnt_bit += length_bit

    def _use(self, block: Block, offset_bit: int, length_bit: int, cause: Cause, box: Outbox, *, sent: bool) -> None:
        box.note(self._entry(LedgerKind.USE, box, block, offset_bit, length_bit, cause=cause, sent=sent))
        self.consumed_bit += length_bit
        if sent:
            self.sent_bit += length_bit
        else:
            self.received_bit += length_bit
        if self.sent_bit > self.sent_durable_bit:
            self.sent_durable_bit = self.sent_bit + self._stride_bit
            self.persist_link(box)
        block.seen_bit = offset_bit + length_bit
        self._advance(block, offset_bit + length_bit, box)

    def _advance(self, block: Block, to_bit: int, box: Outbox) -> None:
        block.key[block.mark_bit // 8 : to_bit // 8] = bytes((to_bit - block.mark_bit) // 8)
        if block.compared:
            self._left_bit[self.sender(block)] -= to_bit - block.mark_bit
        block.mark_bit = to_bit
        if to_bit == block.length_bit:
            self.drop(block, box)
        elif to_bit > block.durable_bit:
            block.advance_durable(min(block.length_bit, to_bit + self._stride_bit), box)
            self.persist_link(box)

    # ------------------------------------------------------------ a block's life

    def add(self, number: int, key: bytes, box: Outbox) -> Block:
        """Hold a new block durably, not compared yet."""
        block = new_block(self.link, number, key, is_smaller=self.is_smaller(), stride_bit=self._stride_bit, box=box)
        self.blocks[number] = block
        return block

    def restore(self, block: Block, box: Outbox) -> None:
        """Take up a block at its durable mark: what lies between the last known use and it is burnt."""
        self.blocks[block.number] = block
        if block.compared:
            self._enter(block)
        if gap_bit := block.mark_bit - block.seen_bit:
            self.note_burn(block, block.seen_bit, gap_bit, box)
        if not block.left_bit:
            self.drop(block, box)

    def drop(self, block: Block, box: Outbox) -> None:
        """Erase a block; what was left of it is burnt."""
        if block.left_bit:
            # Also of one that is not compared: where a store is an old copy, the neighbour knows it as compared.
            self.note_burn(block, block.mark_bit, block.left_bit, box)
        if block.compared:
            self._leave(block)
        del self.blocks[block.number]
        block.erase(box)
        box.note(self._entry(LedgerKind.WIPE, box, block, 0, 0))

    def store(self, block: Block, box: Outbox) -> None:
        """Count a block as stored: the other end holds it, and the same."""
        block.compared = True
        self._enter(block)
        self.stored_blocks += 1
        block.persist_mark(box)
        box.note(self._entry(LedgerKind.BLOCK, box, block, 0, block.length_bit))

    def note_compare(self, block: Block, box: Outbox, *, sent: bool) -> None:
        """Account for the bits of a block that compare it: ours when we send, the other end's when they check."""
        cause = Cause(purpose=Purpose.COMPARE)
        if self.is_smaller() == sent:
            box.note(self._entry(LedgerKind.USE, box, block, 0, 256, cause=cause, sent=sent))
        else:
            box.note(self._entry(LedgerKind.USE, box, block, 256, 128, cause=cause, sent=sent))

    def cede(self, block: Block, cessions: int, box: Outbox, *, sent: bool) -> None:
        """Turn a block round, durably."""
        self._leave(block)
        block.cessions = cessions
        self._enter(block)
        block.persist_mark(box)
        box.note(self._entry(LedgerKind.CESSION, box, block, 0, 0, count=cessions, sent=sent))

    def keep_for(self, ttl_s: float, box: Outbox) -> None:
        """Set how long key is kept, durably: it ends also when the link is not set any more."""
        if ttl_s != self.key_ttl_s:
            self.key_ttl_s = ttl_s
            self.persist_link(box)

    def expire(self, box: Outbox) -> None:
        """Erase what is too old, and ask to be woken for the next."""
        for block in list(self.blocks.values()):
            if box.now_s >= block.made_s + self.key_ttl_s:
                self.drop(block, box)
        box.wake(min((block.made_s + self.key_ttl_s for block in self.blocks.values()), default=NEVER))

    def persist_link(self, box: Outbox) -> None:
        """Make durable up to which number blocks have come, and how much was sent (ahead) and received (at least)."""
        meta = {
            "link": self.link,
            "neighbour": self.neighbour,
            "last_block": self.last_block,
            "sent_bit": self.sent_durable_bit,
            "received_bit": self.received_bit,
            "proven_life": self.proven_life,
            "heard_life": self.heard_life,
            "key_ttl_s": self.key_ttl_s,
        }
        box.persist("link", self.link, meta)

    def _entry(
        self,
        kind: LedgerKind,
        box: Outbox,
        block: Block,
        offset_bit: int,
        length_bit: int,
        *,
        cause: Cause | None = None,
        sent: bool = False,
        count: int = 0,
    ) -> LedgerEntry:
        return LedgerEntry(
            kind=kind,
            at_s=box.now_s,
            link=self.link,
            neighbour=self.neighbour,
            block=block.number,
            offset_bit=offset_bit,
            length_bit=length_bit,
            sent=sent,
            count=count,
            purpose=cause.purpose if cause else None,
            relay=cause.relay if cause else "",
            route_version=cause.route_version if cause else 0,
            share=cause.share if cause else 0,
            origin=cause.origin if cause else "",
            chunk_id=cause.chunk_id if cause else -1,
        )
