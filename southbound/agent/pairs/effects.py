"""What an engine has its shell do, or know: messages to send, pairs and outcomes delivered, versions that changed."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class PathChanged:
    """Something that is to be told at once: a version was confirmed or drained, or the path starves or no longer."""

    path: str


Effect: TypeAlias = Send | Delivered | Measured | PathChanged
