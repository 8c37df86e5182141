"""From measured pairs to secret bits (BBM92), sans I/O: sifting, comparison, and how much key a block leaves.

The far end of the two (the greater node name) tells which pairs it measured in which basis, batch after batch; the
other one, which leads, answers which of them it measured in the same, with its own bits. Both so fill the same block;
when the leader says that it is full, the far end compares all its bits and tells how many differed. From those numbers
both ends take the length of the key.

Reconciliation and privacy amplification are simulated: in their place the ends compare the very bits that a real
implementation would keep to itself, and derive the key from a seed that both know (`drivers.distilled`). What is real
are the outcomes, the sifting, the errors and the length.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controller.physics.pair_keys import distilled_bits, expected_leak_bits
from southbound.agent.keyplane.messages import SiftBatch, SiftKept

MAX_BATCH: Final = 4096
"""Pairs that one batch names."""
MAX_BLOCKS: Final = 1 << 48
"""Number that no block goes beyond."""
KEPT_RECORDS: Final = 1 << 16
"""Outcomes that wait at an end; the oldest are given up."""
FLUSH_S: Final = 0.25
REPEAT_S: Final = 2.0
PATIENCE_S: Final = 2.0
"""How long the leader waits for outcomes of its own that a batch names while none come: one end may be behind."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What an end measured of one pair of a path; `x_basis` is false for the basis that key is made of."""

    route_version: int
    sequence: int
    x_basis: bool
    bit: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What the ends agree on of one block: bits in either basis, and how many of them differed."""

    x_bits: int = 0
    x_errors: int = 0
    z_bits: int = 0
    z_errors: int = 0

    @property
    def sifted(self) -> int:
        """Return all bits that were measured in one basis by both."""
        return self.x_bits + self.z_bits

    @property
    def error(self) -> float:
        """Return the share that differed; ratio in [0, 1]."""
        return (self.x_errors + self.z_errors) / self.sifted if self.sifted else 0.0

    def secret_bit(self) -> int:
        """Return the length of the key that is left, a multiple of 8: the finite-key bound on what was observed."""
        if not (self.x_bits and self.z_bits):
            return 0
        bits = distilled_bits(
            sifted_bits=self.z_bits,
            sample_bits=self.x_bits,
            sample_error=self.x_errors / self.x_bits,
            leaked_bits=expected_leak_bits(self.z_bits, self.z_errors / self.z_bits),
        )
        return bits // 8 * 8


@dataclass(frozen=True, slots=True)
class Distilled:
    """One block that both ends know all about.

    `block` never repeats on the link but where both ends lose their stores; `epoch`, drawn anew for every beginning of
    the far end, differs then.
    """

    block: int
    counts: Counts
    epoch: int = 0

    @property
    def refused(self) -> str:
        """Return why it yields no key; "" where it does."""
        counts = self.counts
        if counts.secret_bit():
            return ""
        return (
            f"block {self.block} yields no key: {counts.error:.1%} of {counts.sifted} sifted bits differ, and so many "
            "bits with so many errors leave none: larger blocks, or pairs of a higher fidelity"
        )


def packed(bits: Sequence[bool | int]) -> bytes:
    """Return bits, the first one lowest in the first byte.

    >>> packed([1, 0, 0, 0, 0, 0, 0, 0, 1]).hex()
    '0101'
    """
    value = 0
    for index, bit in enumerate(bits):
        value |= bool(bit) << index
    return value.to_bytes((len(bits) + 7) // 8, "little")


def unpacked(data: bytes, count: int) -> list[bool] | None:
    """Return that many bits; None where the bytes are not as many as it takes."""
    if len(data) != (count + 7) // 8:
        return None
    value = int.from_bytes(data, "little")
    return [bool(value >> index & 1) for index in range(count)]


class _Records:
    """Outcomes that wait for the other end's, the oldest first; no more than KEPT_RECORDS."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], Measured] = {}

    def add(self, measured: Measured) -> None:
        key = (measured.route_version, measured.sequence)
        self._held.pop(key, None)
        self._held[key] = measured
        if len(self._held) > KEPT_RECORDS:
            del self._held[next(iter(self._held))]

    def take(self, version: int, sequence: int) -> Measured | None:
        return self._held.pop((version, sequence), None)

    def has(self, version: int, sequence: int) -> bool:
        return (version, sequence) in self._held

    def oldest(self, most: int) -> list[Measured]:
        """Take the oldest."""
        keys = [key for key, _ in zip(self._held, range(most), strict=False)]
        return [self._held.pop(key) for key in keys]

    def __len__(self) -> int:
        return len(self._held)


class Follower:
    """The end that names its pairs, batch after batch. Times are seconds on a clock that does not go back."""

    def __init__(self, link: str, epoch: int, after_block: int | None) -> None:
        """Begin; `epoch` is drawn anew for every beginning, `after_block` is the last block that is stored here."""
        self._link = link
        self._epoch = epoch
        self._records = _Records()
        self._batch = 0
        self._out: list[Measured] | None = None
        self._said: SiftBatch | None = None
        self._said_s = -REPEAT_S
        self._counts = Counts()
        self._last = Distilled(-1 if after_block is None else after_block, Counts())
        self._untold = False

    @property
    def sifted_bit(self) -> int:
        """Return how many bits the block that is being filled has."""
        return self._counts.sifted

    def measured(self, outcomes: Iterable[Measured]) -> None:
        """Take what was measured here."""
        for outcome in outcomes:
            self._records.add(outcome)

    def due(self, now_s: float) -> SiftBatch | None:
        """Return what is to be said now."""
        if self._said is not None:
            if now_s - self._said_s < REPEAT_S:
                return None
        else:
            if now_s - self._said_s < FLUSH_S or not (len(self._records) or self._untold):
                return None
            self._out = self._records.oldest(MAX_BATCH)
            last = self._last
            self._said = SiftBatch(
                link=self._link,
                epoch=self._epoch,
                batch=self._batch,
                route_versions=tuple(one.route_version for one in self._out),
                sequences=tuple(one.sequence for one in self._out),
                x_bases=packed([one.x_basis for one in self._out]),
                last_block=last.block,
                x_bits=last.counts.x_bits,
                x_errors=last.counts.x_errors,
                z_bits=last.counts.z_bits,
                z_errors=last.counts.z_errors,
            )
            self._untold = False
        self._said_s = now_s
        return self._said

    def repeat(self) -> None:
        """Say what was not answered again at once: another stream stands."""
        self._said_s = -REPEAT_S

    def heard(self, word: SiftKept, epoch: int) -> Distilled | None:
        """Take the leader's answer; return the block that it completes.

        It counts once what is returned is stored: only then ask `due` again. `epoch` is the next one where the leader
        knows nothing of this one any more.
        """
        if self._said is None or self._out is None or (word.epoch, word.batch) != (self._epoch, self._batch):
            return None
        if word.again:
            self._epoch, self._batch, self._counts = epoch, 0, Counts()
            self._said = self._out = None
            return None
        kept = unpacked(word.kept, len(self._out))
        bits = None if kept is None else unpacked(word.bits, sum(kept))
        if kept is None or bits is None:
            return None
        ours = [one for one, keep in zip(self._out, kept, strict=True) if keep]
        counts = self._counts
        for one, theirs in zip(ours, bits, strict=True):
            wrong = bool(one.bit) is not theirs
            if one.x_basis:
                counts = replace(counts, x_bits=counts.x_bits + 1, x_errors=counts.x_errors + wrong)
            else:
                counts = replace(counts, z_bits=counts.z_bits + 1, z_errors=counts.z_errors + wrong)
        self._said = self._out = None
        self._batch += 1
        self._counts = counts
        if not word.full or not self._last.block < word.block <= MAX_BLOCKS:
            return None
        self._last, self._counts, self._untold = Distilled(word.block, counts, self._epoch), Counts(), True
        return self._last


class Leader:
    """The end that answers, fills blocks and numbers them."""

    def __init__(self, link: str, after_block: int | None) -> None:
        """Begin after the last block that is stored here."""
        self._link = link
        self._last_block = -1 if after_block is None else after_block
        self._records = _Records()
        self._epoch: int | None = None
        self._open: SiftBatch | None = None
        self._open_s = 0.0
        self._open_held = 0
        self._answered: SiftKept | None = None
        self._again: SiftKept | None = None
        self._filled = Counts()
        self._pending: Distilled | None = None
        """A full block whose errors are not told yet; how many bits it has is known, none of them wrong so far."""

    @property
    def sifted_bit(self) -> int:
        """Return how many bits the block that is being filled has."""
        return self._filled.sifted

    def measured(self, outcomes: Iterable[Measured]) -> None:
        """Take what was measured here."""
        for outcome in outcomes:
            self._records.add(outcome)

    def heard(self, word: SiftBatch, now_s: float) -> Distilled | None:
        """Take a batch of the other end; return the block that it completes: to be stored before anything is said."""
        count = len(word.sequences)
        if count > MAX_BATCH or len(word.route_versions) != count or unpacked(word.x_bases, count) is None:
            return None
        if not -1 <= word.last_block < MAX_BLOCKS:
            return None
        done = self._completed(word)
        known, answered = word.epoch == self._epoch, self._answered
        if known and answered is not None and word.batch == answered.batch:
            self._again = answered  # our answer was lost
        elif word.batch != (answered.batch + 1 if known and answered is not None else 0):
            self._again = SiftKept(
                link=self._link, epoch=word.epoch, batch=word.batch, block=0, kept=b"", bits=b"", full=False, again=True
            )
        elif not known or self._open is None:
            if not known:
                self._epoch, self._answered, self._filled = word.epoch, None, Counts()
            self._open, self._open_s, self._open_held = word, now_s, self._held(word)
        return done

    def due(self, now_s: float, block_bit: int) -> SiftKept | None:
        """Return what is to be said now; a block is full at `block_bit` sifted bits, never at 0."""
        if self._again is not None:
            word, self._again = self._again, None
            return word
        batch = self._open
        if batch is None:
            return None
        named = list(zip(batch.route_versions, batch.sequences, strict=True))
        held = self._held(batch)
        if held > self._open_held:
            self._open_s, self._open_held = now_s, held
        if held < len(named) and now_s - self._open_s < PATIENCE_S:
            return None
        self._open = None
        bases = unpacked(batch.x_bases, len(named))
        kept: list[bool] = []
        bits: list[int] = []
        x_bits = 0
        for one, x_basis in zip(named, bases or (), strict=True):
            ours = self._records.take(*one)
            kept.append(ours is not None and ours.x_basis is x_basis)
            if ours is not None and kept[-1]:
                bits.append(ours.bit)
                x_bits += x_basis
        filled = self._filled
        self._filled = Counts(x_bits=filled.x_bits + x_bits, z_bits=filled.z_bits + len(bits) - x_bits)
        number = max(self._last_block, batch.last_block) + 1
        full = 0 < block_bit <= self._filled.sifted
        if full:
            self._pending, self._filled = Distilled(number, self._filled, batch.epoch), Counts()
        self._answered = SiftKept(
            link=self._link,
            epoch=batch.epoch,
            batch=batch.batch,
            block=number,
            kept=packed(kept),
            bits=packed(bits),
            full=full,
            again=False,
        )
        return self._answered

    def _held(self, batch: SiftBatch) -> int:
        """Return of how many pairs of a batch there is an outcome here."""
        return sum(map(self._records.has, batch.route_versions, batch.sequences))

    def _completed(self, word: SiftBatch) -> Distilled | None:
        if self._pending is None:
            return None
        number, own = self._pending.block, self._pending.counts
        counts = Counts(word.x_bits, word.x_errors, word.z_bits, word.z_errors)
        sound = (counts.x_bits, counts.z_bits) == (own.x_bits, own.z_bits)
        if word.last_block == number and sound and counts.x_errors <= own.x_bits and counts.z_errors <= own.z_bits:
            done = replace(self._pending, counts=counts)
            self._last_block, self._pending = number, None
            return done
        if word.last_block >= number or word.epoch != self._epoch:
            self._pending = None  # the other end began anew: what it knew of the block is lost
        self._last_block = max(self._last_block, word.last_block)
        return None
