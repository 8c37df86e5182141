"""What an engine has its shell do, or know: messages to send, pairs and outcomes delivered, versions that changed."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from controller.physics.pair_states import BellDiagonal
from southbound.agent.pairs.messages import Message


class Send(NamedTuple):
    """A message for a neighbour, on the stream that stands to it."""

    neighbour: str
    message: Message


class PairId(NamedTuple):
    """What both ends call a pair: the path's head, its far end, and a number; never given twice."""

    head: str
    far: str
    sequence: int


class Delivered(NamedTuple):
    """A pair between the ends of a path, at one of them. Both get one with the same id, state, time and frame.

    Attributes:
        lane: On which it was made; told for a person.
        state: At `goodness_s`, after the corrections of the frame. The emulation's truth.
        goodness_s: Time of the last swap, to which fidelity and state refer.
        x, z: Pauli frame: corrections that were owed, and count as made.
        test: It was measured to estimate the fidelity, and is consumed.
        kept: It stands in the store of delivered pairs (`service.py`); else nobody asked and it is consumed.
    """

    path: str
    version: int
    pair: PairId
    lane: int
    state: BellDiagonal
    goodness_s: float
    x: int
    z: int
    test: bool
    kept: bool


class Voided(NamedTuple):
    """Pairs that were delivered here are void: the other end never got its halves."""

    path: str
    version: int
    sequences: tuple[int, ...]


class Measured(NamedTuple):
    """A pair of a path of kind MEASURE was measured at this end, in a basis that this end drew.

    Attributes:
        sequence: Of the pair; both ends have the same.
        basis: "X" or "Z".
        bit: 0 or 1, with the Pauli frame applied: equal at both ends for Phi+ where the bases are.
        key_link: QKD link that the pairs become; "" for none.
    """

    path: str
    version: int
    sequence: int
    basis: str
    bit: int
    key_link: str


class ServiceError(Enum):
    """ERR codes of the link-layer draft."""

    UNSUPPORTED = 1
    CREATE = 2
    REJECTED = 3
    OTHER = 4
    EXPIRED = 5
    TIMEOUT = 6


class Kept(NamedTuple):
    """OK of type K: a pair that was asked for lies in a memory here, until it is released.

    Attributes:
        create_id: Of the request.
        logical_qubit: Which memory; to be given to `release`.
        remote_request: Direction: whether the other end asked; here it never is.
        goodness: What is thought of its fidelity; no guarantee.
        goodness_s: The time that refers to: of the pair's last swap.
    """

    create_id: int
    logical_qubit: int
    remote_request: bool
    pair: PairId
    purpose: int
    remote: str
    goodness: float
    goodness_s: float


class MeasuredFor(NamedTuple):
    """OK of type M: the outcome and the basis of a pair that was asked for; else as `Kept`."""

    create_id: int
    bit: int
    basis: str
    remote_request: bool
    pair: PairId
    purpose: int
    remote: str
    goodness: float


class Failed(NamedTuple):
    """ERR.

    Attributes:
        create_id: Of the request; 0 where pairs of any are meant.
        sequences: EXPIRED: pairs that are void; empty: all of the request.
        origin: Node that says so.
    """

    create_id: int
    error: ServiceError
    sequences: tuple[int, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class PathChanged:
    """Something that is to be told at once: a version was confirmed or drained, or the path starves or no longer."""

    path: str


Effect: TypeAlias = Send | Delivered | Voided | Measured | PathChanged | Kept | MeasuredFor | Failed
