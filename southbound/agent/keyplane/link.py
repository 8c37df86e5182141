"""One link with its neighbour: comparing blocks, taking the larger marks on connect, ceding what is unused."""

from collections.abc import Iterator
from typing import Final

from controller.domain.capacity import HOP_TAG_BIT
from southbound.agent.keyplane.block import Block
from southbound.agent.keyplane.comparison import COMPARE_BIT
from southbound.agent.keyplane.events import AlarmKind, BlockFinished, ClearAlarm, LinkFigures
from southbound.agent.keyplane.gf128 import PolynomialHash, bind
from southbound.agent.keyplane.ledger import Purpose
from southbound.agent.keyplane.messages import (
    BlockCession,
    BlockCompare,
    BlockGone,
    BlockMark,
    HashKeyDrawn,
    LinkState,
    PoolRange,
)
from southbound.agent.keyplane.outbox import NEVER, Outbox
from southbound.agent.keyplane.pool import Cause, InvalidRange, LinkPools
from southbound.agent.keyplane.settings import LinkSetting

_RESTART_PAUSE_S: Final = 5.0
_MOST_CESSIONS: Final = 8
SALT_BYTES: Final = 2


def range_fields(ranges: tuple[PoolRange, ...]) -> tuple[int, ...]:
    """Return the pool positions as a tag covers them."""
    return tuple(number for each in ranges for number in (each.block, each.offset_bit, each.length_bit))


def _for_cessions_bit(ours_bit_per_s: float, theirs_bit_per_s: float) -> int:
    """Return what relays leave in our direction: who used up all could not give the other one what falls to it.

    So many tags as blocks may have to be ceded before the next one is ours.
    """
    ceded = theirs_bit_per_s / ours_bit_per_s if ours_bit_per_s else 0.0
    return HOP_TAG_BIT * (2 + min(_MOST_CESSIONS, int(ceded)))


class QkdLink:
    """A link's pools and its session with the neighbour.

    A session begins when both have told their marks. In it, each end draws a hash key for the tags it
    sends; nothing of a session outlives it. `session` counts them.
    """

    def __init__(self, setting: LinkSetting, pools: LinkPools, *, session: int = 0, salt: int = 0) -> None:
        """Begin without a connection.

        Args:
            setting: Of this link.
            pools: Its blocks.
            session: How many there were on a link of that name before.
            salt: Random, of SALT_BYTES: tells two processes apart that start at the same time.
        """
        self.setting = setting
        self.pools = pools
        self.connected = False
        self.synchronised = False
        self.measured: float | None = None
        self._early: dict[int, BlockCompare] = {}
        self._sending: PolynomialHash | None = None
        self._receiving: PolynomialHash | None = None
        self._sent_sequence = 0
        self._received_sequence = 0
        self._restarted_s = -NEVER
        self._is_older = False
        self._cede_again: set[int] = set()
        self._vain_lead_bit = -1  # with no more lead than that, nothing was found to cede
        self._fresh: list[int] = []  # blocks that were never looked at for whose promise they are
        self._promised: tuple[float, float] = (0.0, 0.0)
        self._keep_bit = 0
        self._salt = salt
        self._lives: set[int] = set()  # that this process has begun
        self.session = session

    @property
    def name(self) -> str:
        """Return the link's name."""
        return self.setting.link

    @property
    def neighbour(self) -> str:
        """Return the neighbour's name."""
        return self.setting.neighbour

    # ------------------------------------------------------------ session

    def connect(self, box: Outbox) -> None:
        """Begin: the stream to the neighbour stands."""
        self.disconnect()
        self.connected = True
        if not self.pools.life:
            moment = int(1000 * box.now_s) << 8 * SALT_BYTES
            self._live(max(self.pools.proven_life + 1, moment + self._salt))
        self._tell(box, answers=False)

    def _live(self, life: int) -> None:
        self.pools.life = life
        self._lives.add(life)

    def disconnect(self) -> None:
        """Forget the session."""
        self.session += 1
        self.connected = self.synchronised = False
        self._sending = self._receiving = None
        self._sent_sequence = self._received_sequence = 0
        for block in self.pools.blocks.values():
            block.settled = False

    def _tell(self, box: Outbox, *, answers: bool) -> None:
        marks = tuple(
            BlockMark(block.number, block.mark_bit, block.seen_bit, block.cessions, block.compared)
            for block in self.pools.blocks.values()
        )
        pools = self.pools
        box.send(
            self.neighbour,
            LinkState(self.name, answers, pools.last_block, pools.received_bit, marks, pools.life, pools.heard_life),
        )

    def on_state(self, state: LinkState, box: Outbox) -> None:
        """Go on from the larger marks; burn what the other end may have used and we do not know of."""
        news = state.life > self.pools.heard_life
        proven = self._prove(state, box)
        if not state.answers:
            if self.synchronised:
                self.disconnect()
                self.connected = True
            self._tell(box, answers=True)
        elif news:
            # It told us before we had the link, and nobody heard it; now it waits to hear that its life is known.
            self._tell(box, answers=True)
        if state.received_bit > self.pools.sent_durable_bit:
            # We count ahead of what we send, and the neighbour only what has come: this can't be but for an old copy.
            self._older(f"{state.received_bit} bit were sent", box)
            self.pools.sent_bit = self.pools.sent_durable_bit = state.received_bit
            self.pools.persist_link(box)
        theirs = {mark.block: mark for mark in state.marks}
        for mark in state.marks:
            self._merge(mark, box)
        for block in list(self.pools.blocks.values()):
            if block.number not in theirs and block.number <= state.last_block:
                self.pools.drop(block, box)
        if self._is_older:
            # What was sent and lost on the way is in nobody's marks, yet an eavesdropper may have it.
            self._is_older = False
            for block in list(self.pools.blocks.values()):
                taken_over = block.number in theirs and theirs[block.number].cessions > block.cessions
                if taken_over or self.pools.sender(block) == self.pools.node:
                    self.pools.drop(block, box)
                    box.send(self.neighbour, BlockGone(self.name, block.number))
        if not proven:
            if state.answers:
                self.restart(box)
            return
        self.synchronised = True
        self._vain_lead_bit = -1
        for block in list(self.pools.blocks.values()):
            self._compare(block, box)
        self._cede_again = {
            number
            for number, block in self.pools.blocks.items()
            if self.pools.sender(block) == self.neighbour
            and number in theirs
            and block.cessions > theirs[number].cessions
        }

    def _prove(self, state: LinkState, box: Outbox) -> bool:
        """Compare what the two ends know of each other's lives; tell whether the neighbour keeps that this one began.

        Nothing is sent with key before it does. So a life that it knows of, and this store does not, is one that may
        have sent: this store is an older copy, however much of what that life sent was lost on the way.
        """
        pools = self.pools
        if state.life > pools.heard_life:
            pools.heard_life = state.life
            pools.persist_link(box)
        if state.heard_life == pools.life:
            if pools.proven_life != pools.life:
                pools.proven_life = pools.life
                pools.persist_link(box)
            return True
        # A life that this process began, and gave up, crossed with what it has said since: the answer to that comes.
        if state.heard_life > pools.proven_life and state.heard_life not in self._lives:
            self._older("it ran before, and does not know of it", box)
            self._live(max(pools.life, state.heard_life + 1 + self._salt))
        return False

    def _merge(self, mark: BlockMark, box: Outbox) -> None:
        pools = self.pools
        block = pools.blocks.get(mark.block)
        if block is None:
            if mark.block > pools.last_block and mark.compared:
                # The other end compared it with us, so we once held it: this store is a copy from before that.
                self._older(f"block {mark.block} is not in it", box)
                pools.last_block = mark.block
                pools.persist_link(box)
            if mark.block <= pools.last_block:
                box.send(self.neighbour, BlockGone(self.name, mark.block))
            return
        ours = pools.sender(block) == pools.node
        if (missed := mark.cessions - block.cessions) > 1 or (missed == 1 and ours):
            # The ends take turns in ceding, so one of these was ours, and this store does not know of it.
            self._older(f"block {mark.block} was ceded", box)
            pools.drop(block, box)
            box.send(self.neighbour, BlockGone(self.name, mark.block))
            return
        if (ours or missed == 1) and mark.seen_bit > block.durable_bit:
            self._older(f"block {mark.block} was used up to {mark.seen_bit}", box)
        block.settled = block.compared and mark.compared
        pools.burn(block, mark.mark_bit, box)

    def _older(self, how: str, box: Outbox) -> None:
        self._is_older = True
        box.alarm(
            AlarmKind.STORE_OLDER_THAN_PEER,
            f"links/{self.name}",
            f"key store is older than that of {self.neighbour} ({how}); from a backup? burnt what it could send with",
        )

    def restart(self, box: Outbox) -> None:
        """Compare marks anew: the two ends disagree about what may be used."""
        if self.connected and box.now_s - self._restarted_s >= _RESTART_PAUSE_S:
            self._restarted_s = box.now_s
            self.connect(box)

    def gone(self, message: BlockGone, box: Outbox) -> None:
        """Drop a block that the other end does not hold."""
        block = self.pools.blocks.get(message.block)
        if block is not None:
            self.pools.drop(block, box)
        self._early.pop(message.block, None)

    # ------------------------------------------------------------ blocks

    def finished(self, event: BlockFinished, box: Outbox) -> None:
        """Take a block from the module, if it yields key."""
        pools = self.pools
        if event.block <= pools.last_block:
            return
        pools.last_block = event.block
        pools.persist_link(box)
        self.measured = event.measured
        subject = f"links/{self.name}"
        early = self._early.pop(event.block, None)
        for passed in sorted(number for number in self._early if number < event.block):
            # Numbers rise: a block that was passed over never comes.
            del self._early[passed]
            box.send(self.neighbour, BlockGone(self.name, passed))
        if event.measured is not None and not self.setting.yields_key(event.measured):
            box.alarm(
                AlarmKind.BLOCK_DISTURBED,
                subject,
                f"block {event.block}: {self.setting.measure} {event.measured:.4g} is beyond "
                f"{self.setting.measure_limit:.4g}, no key taken: fault or eavesdropping, undetermined",
            )
            if early is not None:
                box.send(self.neighbour, BlockGone(self.name, event.block))
            return
        box.effects.append(ClearAlarm(AlarmKind.BLOCK_DISTURBED, subject))
        if 8 * len(event.key) <= COMPARE_BIT:
            if early is not None:
                box.send(self.neighbour, BlockGone(self.name, event.block))
            return
        block = pools.add(event.block, event.key, box)
        pools.note_compare(block, box, sent=True)
        box.wake(block.made_s + self.setting.key_ttl_s)
        if self.setting.quarantine_last_s:
            box.wake(block.made_s + self.setting.quarantine_last_s)
        if self.synchronised:
            self._compare(block, box)
        if early is not None:
            self.on_compare(early, box)

    def _compare(self, block: Block, box: Outbox) -> None:
        if not block.settled:
            box.send(
                self.neighbour,
                BlockCompare(self.name, block.number, block.length_bit, block.tags[0], block.compared),
            )

    def on_compare(self, message: BlockCompare, box: Outbox) -> None:
        """Count a block as stored if the other end has the same bits; drop it if not."""
        if not self.synchronised:
            return
        block = self.pools.blocks.get(message.block)
        if block is None:
            if message.block <= self.pools.last_block:
                box.send(self.neighbour, BlockGone(self.name, message.block))
            else:
                self._early[message.block] = message
                while len(self._early) > 256:
                    del self._early[min(self._early)]
            return
        subject = f"links/{self.name}"
        if message.length_bit != block.length_bit or message.tag != block.tags[1]:
            if block.compared:
                return
            text = f"block {block.number} came out different at {self.neighbour}, no key taken"
            box.alarm(AlarmKind.BLOCK_MISMATCH, subject, text)
            self.pools.drop(block, box)
            box.send(self.neighbour, BlockGone(self.name, message.block))
            return
        news = not block.compared
        if news:
            self.pools.note_compare(block, box, sent=False)
            self.pools.store(block, box)
            box.effects.append(ClearAlarm(AlarmKind.BLOCK_MISMATCH, subject))
            # What an older store may have used was burnt as the session began: key that came since is fresh.
            box.effects.append(ClearAlarm(AlarmKind.STORE_OLDER_THAN_PEER, subject))
        if news or not message.compared:
            self._compare(block, box)
        if news:
            # The other end holds it and is told just now that we do: it knows the block before it hears of a cession.
            self._fresh.append(block.number)
        if message.compared and not block.settled:
            self._vain_lead_bit = -1
        block.settled = message.compared

    def expire(self, box: Outbox) -> None:
        """Look again at what may be ceded, and ask to be woken when a block leaves quarantine."""
        self._vain_lead_bit = -1
        if self.setting.quarantine_last_s:
            for block in self.pools.blocks.values():
                if box.now_s < block.made_s + self.setting.quarantine_last_s:
                    box.wake(block.made_s + self.setting.quarantine_last_s)

    # ------------------------------------------------------------ drawing and accepting

    def _drawable(self, now_s: float, *, newest_first: bool = False) -> Iterator[Block]:
        return self.pools.drawable(now_s, quarantine_s=self.setting.quarantine_last_s, newest_first=newest_first)

    def sendable_bit(self, now_s: float) -> int:
        """Return what this node could send with now, the floor not taken off."""
        return self.pools.drawable_bit(now_s, quarantine_s=self.setting.quarantine_last_s)

    def spare_bit(self, now_s: float) -> int:
        """Return what relays may draw here now: each direction leaves half of the floor, both together all of it."""
        floor_bit = self.setting.authentication_floor_bit
        pools = self.pools
        own_bit = self.sendable_bit(now_s)
        both_bit = pools.left_bit(pools.node) + pools.left_bit(pools.neighbour)
        return min(own_bit - -(-floor_bit // 2), both_bit - floor_bit) - _for_cessions_bit(*self._promised)

    def neighbour_spare_bit(self) -> int:
        """Return what the neighbour may draw for acknowledgements, as far as this node knows."""
        kept_bit = -(-self.setting.authentication_floor_bit // 2) + _for_cessions_bit(*reversed(self._promised))
        return self.pools.left_bit(self.neighbour) - kept_bit

    @property
    def ready(self) -> bool:
        """Tell whether tagged messages can go both ways."""
        return self._sending is not None and self._receiving is not None

    def next_sequence(self) -> int:
        """Return the number of the next tagged message."""
        self._sent_sequence += 1
        return self._sent_sequence

    def draw(self, length_bit: int, cause: Cause, box: Outbox, *, but: int = -1) -> tuple[tuple[PoolRange, ...], bytes]:
        """Take bits to send with; the caller has made sure that they are there."""
        blocks = (block for block in self._drawable(box.now_s) if block.number != but)
        return self.pools.draw(blocks, length_bit, cause, box)

    def tag(self, content: bytes, mask: bytes) -> bytes:
        """Return the tag of a message that we send."""
        if self._sending is None:
            raise ValueError(f"links/{self.name}: no hash key drawn yet")
        return self._sending.tag(content, mask)

    def check(
        self, *, ranges: tuple[PoolRange, ...], length_bit: int, sequence: int, content: bytes, tag: bytes, box: Outbox
    ) -> bytes | None:
        """Return the bits a message was sent with, or None if it is not to be believed; uses nothing yet.

        The last 128 bits are the mask of its tag. Verified before the mark moves, so that a forger can't burn key.
        """
        if self._receiving is None or not self.synchronised:
            return None
        try:
            key = self.pools.peek(ranges, length_bit)
        except InvalidRange:
            self.restart(box)
            return None
        if sequence <= self._received_sequence or self._receiving.tag(content, key[-HOP_TAG_BIT // 8 :]) != tag:
            text = f"a message of {self.neighbour} failed authentication: fault or attack, undetermined"
            box.alarm(AlarmKind.TAG_INVALID, f"links/{self.name}", text)
            return None
        self._received_sequence = sequence
        return key

    def keep_up(self, box: Outbox) -> None:
        """Do what the link itself needs: a hash key to send with, cessions told again, cessions made."""
        if not self.synchronised:
            return
        if self._sending is None and self.sendable_bit(box.now_s) >= HOP_TAG_BIT:
            ranges, key = self.draw(HOP_TAG_BIT, Cause(purpose=Purpose.HASH_KEY), box)
            self._sending = PolynomialHash(key)
            box.send(self.neighbour, HashKeyDrawn(self.name, ranges))
        if self._sending is None:
            return
        self._share_out(box)
        for number in sorted(self._cede_again):
            block = self.pools.blocks.get(number)
            if block is None or self.pools.sender(block) != self.neighbour or self._tell_cession(block, box):
                self._cede_again.discard(number)
        while (block := self._to_cede(box.now_s)) is not None:
            if not self._can_tell_cession(block, box.now_s):
                break
            self.pools.cede(block, block.cessions + 1, box, sent=True)
            self._tell_cession(block, box)

    def on_hash_key(self, message: HashKeyDrawn, box: Outbox) -> None:
        """Take the key under which the neighbour's tags are made from here on."""
        if not self.synchronised:
            return
        try:
            key = self.pools.peek(message.ranges, HOP_TAG_BIT)
        except InvalidRange:
            self.restart(box)
            return
        self.pools.accept(message.ranges, Cause(purpose=Purpose.HASH_KEY), box)
        self._receiving = PolynomialHash(key)

    # ------------------------------------------------------------ cession

    def promise(self, *, ours_bit_per_s: float, theirs_bit_per_s: float, keep_bit: int) -> None:
        """Take what relays are promised of each direction, and what is never lent of ours."""
        self._promised = ours_bit_per_s, theirs_bit_per_s
        self._keep_bit = keep_bit
        self._vain_lead_bit = -1

    def _is_theirs(self, number: int) -> bool:
        """Tell whether a block falls to the neighbour's direction, when each gets its part of what is promised.

        Numbers are dealt out evenly, and alternately as they come where both are promised the same: so both ends
        deal alike without a word, and neither direction lives on what the other has not used yet.
        """
        ours, theirs = self._promised
        smaller, larger = (ours, theirs) if self.pools.is_smaller() else (theirs, ours)
        part = larger / (smaller + larger) if smaller + larger else 0.5
        falls_to_larger = int((number + 1) * part) > int(number * part)
        return falls_to_larger is self.pools.is_smaller()

    def _share_out(self, box: Outbox) -> None:
        """Cede new blocks that came to our direction and fall to the other one."""
        while self._fresh:
            block = self.pools.blocks.get(self._fresh[-1])
            if block is not None and block.unused and block.compared and not block.cessions:
                ours = self.pools.sender(block) == self.pools.node
                if ours and block.left_bit > HOP_TAG_BIT and self._is_theirs(block.number):
                    if not self._can_tell_cession(block, box.now_s):
                        return
                    self.pools.cede(block, block.cessions + 1, box, sent=True)
                    self._tell_cession(block, box)
            self._fresh.pop()

    def _to_cede(self, now_s: float) -> Block | None:
        """Return the newest unused block whose move still leaves us no less than the neighbour then has.

        What our direction is promised is not lent. The tag of the cession counts as ours, or a block smaller than it
        would go back and forth until all is used up.
        """
        pools = self.pools
        own_bit = self.sendable_bit(now_s)
        lead_bit = own_bit - pools.left_bit(pools.neighbour)
        # This is asked at every event, mostly in vain: the answer must not cost a walk over all blocks.
        least_bit = 2 * max(pools.least_unused_bit(pools.node), HOP_TAG_BIT) + HOP_TAG_BIT
        if lead_bit < least_bit or lead_bit <= self._vain_lead_bit or own_bit < self._keep_bit:
            return None
        for block in self._drawable(now_s, newest_first=True):
            worth = block.left_bit > HOP_TAG_BIT and 2 * block.left_bit + HOP_TAG_BIT <= lead_bit
            worth = worth and own_bit - block.left_bit - HOP_TAG_BIT >= self._keep_bit
            if block.unused and block.settled and worth:
                return block
        self._vain_lead_bit = lead_bit
        return None

    def _can_tell_cession(self, block: Block, now_s: float) -> bool:
        ours = self.pools.sender(block) == self.pools.node
        return self.sendable_bit(now_s) - ours * block.left_bit >= HOP_TAG_BIT

    def _tell_cession(self, block: Block, box: Outbox) -> bool:
        if not self._can_tell_cession(block, box.now_s):
            return False
        ranges, mask = self.draw(HOP_TAG_BIT, Cause(purpose=Purpose.CESSION_TAG), box, but=block.number)
        sequence = self.next_sequence()
        content = bind("cession", self.name, block.number, block.cessions, sequence, *range_fields(ranges))
        tag = self.tag(content, mask)
        box.send(self.neighbour, BlockCession(self.name, block.number, block.cessions, sequence, ranges, tag))
        return True

    def on_cession(self, message: BlockCession, box: Outbox) -> None:
        """Take over a block that the neighbour gave to our direction."""
        ranges = message.ranges
        content = bind("cession", self.name, message.block, message.cessions, message.sequence, *range_fields(ranges))
        if (
            self.check(
                ranges=ranges,
                length_bit=HOP_TAG_BIT,
                sequence=message.sequence,
                content=content,
                tag=message.tag,
                box=box,
            )
            is None
        ):
            return
        self.pools.accept(ranges, Cause(purpose=Purpose.CESSION_TAG), box)
        block = self.pools.blocks.get(message.block)
        if block is None or not block.compared or message.cessions <= block.cessions:
            return
        if (message.cessions - block.cessions) % 2 == 1 and self.pools.sender(block) == self.neighbour:
            self.pools.cede(block, message.cessions, box, sent=False)
            self._vain_lead_bit = -1

    def figures(self, now_s: float, *, exhausted: bool) -> LinkFigures:
        """Return the figures for reports; whether relays find it exhausted is theirs to say."""
        pools = self.pools
        stored_bit = pools.left_bit(pools.node) + pools.left_bit(pools.neighbour)
        return LinkFigures(
            link=self.name,
            neighbour=self.neighbour,
            stored_bit=stored_bit,
            sendable_bit=self.sendable_bit(now_s),
            usable_bit=max(0, stored_bit - self.setting.authentication_floor_bit),
            exhausted=exhausted,
            consumed_bit=pools.consumed_bit,
            burnt_bit=pools.burnt_bit,
            blocks=pools.stored_blocks,
            measured=self.measured,
            synchronised=self.synchronised,
        )
