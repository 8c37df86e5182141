"""A GS QKD 014 key source as module: the steps that an end can take, and what comes of them. No I/O.

The rules (`master.py`, `slave.py`) are generators: they yield a step to take and are sent the scene as it is after it.
The steps that are module events are for the agent.
"""

import uuid
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from southbound.agent.drivers.module import Fault, ModuleEvent
from southbound.agent.keyplane.messages import ModuleKeys

LEAST_BLOCK_BIT: Final = 4096
"""Comparing a block costs 384 bit of it: smaller ones are not worth it, where the source stores so much at once."""
LEAST_STORE_BIT: Final = 1024
MAX_BLOCK_BIT: Final = 1 << 20
MAX_KEYS: Final = 4096
"""So many keys make a block at most: their ids go in one message."""
MIN_KEY_BIT: Final = 64
HIGHEST_BLOCK: Final = 1 << 53
"""Blocks are numbered by the clock, in ms: what is above this was made up, and would leave no number to go on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """How the source of one end of a link is used.

    Attributes:
        sae: Our SAE id there, as in the certificate that we show.
        peer_sae: That of the other end.
        key_size_bit: Size of the keys to ask for; None for the source's default.
        keys_per_block: How many make a block at most, in [1, MAX_KEYS].
        poll_s: How often to ask what is there; > 0.
        down_after: So many failures in a row stop the channel; >= 1.
        quiet_s: So long without any key stops it too; > 0.
        store_bit: So much stored key is enough: no more is fetched then.
    """

    sae: str
    peer_sae: str
    key_size_bit: int | None = None
    keys_per_block: int = 128
    poll_s: float = 1.0
    down_after: int = 3
    quiet_s: float = 60.0
    store_bit: int = 1 << 26


# ------------------------------------------------------------ steps, and what comes of them


@dataclass(frozen=True, slots=True)
class AskStatus:
    """GET status. Comes back as Source or Failed."""


@dataclass(frozen=True, slots=True)
class AskKeys:
    """POST enc_keys. Comes back as Keys, exactly so many of that size, or Failed."""

    number: int
    size_bit: int


@dataclass(frozen=True, slots=True)
class AskById:
    """POST dec_keys. Comes back as Keys, exactly these in this order and of that size, or Failed."""

    key_ids: tuple[str, ...] = field(repr=False)
    size_bit: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Say something to the other end's module, if a stream stands."""

    word: ModuleKeys


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait for a word of the other end, a change of the stream to it, or that time. Comes back as a word or None."""

    seconds: float


Step: TypeAlias = AskStatus | AskKeys | AskById | Tell | Listen | ModuleEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the source says of itself: `Status` of 014, sizes in bit."""

    key_size_bit: int
    stored_keys: int
    max_keys: int
    keys_per_request: int
    min_key_size_bit: int
    max_key_size_bit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of the source; `data` is ours to blank."""

    key_id: str = field(repr=False)
    data: bytearray = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Keys that the source gave, and will never give again."""

    keys: tuple[Key, ...] = field(repr=False)


NO_KEYS_AT_ONCE: Final = "the key source allows no key in a request (max_key_per_request)"


class Trouble(Enum):
    """Why something failed."""

    UNREACHABLE = Fault.MODULE_UNREACHABLE
    REFUSES = Fault.MODULE_REFUSES
    NO_KEY = "the source has no key now (503)"
    FAR = "the other end does not get the keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A request to the source failed; `reason` is for a person, and holds nothing of keys or their ids."""

    trouble: Trouble
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """How things stand after a step.

    Attributes:
        now_s: On a clock that never goes back.
        wall_ms: Wall clock; may jump.
        stream: Number of the stream to the other end; 0 while there is none.
        stored_bit: Compared key of the link here.
        result: What came of the step.
    """

    now_s: float
    wall_ms: int
    stream: int
    stored_bit: int
    result: Source | Keys | Failed | ModuleKeys | None = None


Rules: TypeAlias = Generator[Step, Scene, Scene]


def wipe(keys: Iterable[Key]) -> None:
    """Blank keys that are not needed any more."""
    for key in keys:
        key.data[:] = bytes(len(key.data))


def joined(keys: Sequence[Key]) -> bytes:
    """Return a block of keys, one after the other; blanks them."""
    block = b"".join(key.data for key in keys)
    wipe(keys)
    return block


def is_key_id(text: str) -> bool:
    """Tell whether a text is a UUID in its canonical form, in either case."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def answer_to(word: ModuleKeys, *, last: int, fetched: bool) -> ModuleKeys:
    """Return the slave's answer to what the master named; `last` is the highest number that it ever saw."""
    return ModuleKeys(
        link=word.link,
        block=max(word.block, last),
        key_ids=(),
        key_size_bit=word.key_size_bit if fetched else 0,
        end_time_ms=word.end_time_ms,
    )
