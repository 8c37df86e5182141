"""What two pair engines say to each other; names and fields are those of `proto/qinet/peer/v1/pairs.proto`.

Times are on the network's time (see the package). Nodes of a route are named by their place on it, the head is 0.
Tuples, not dataclasses: an emulation makes some ten of them for every pair that it delivers.
"""

from typing import NamedTuple, TypeAlias

from southbound.agent.pairs.states import Pair

Rounds: TypeAlias = tuple[int, ...]
"""Generation of the lane, then how often each segment began again, from the whole route inwards: greater is newer."""


class PairHello(NamedTuple):
    """First on a stream: what the neighbour has to know to track pairs that it shares with the sender.

    Attributes:
        decay_rate: 1 / T of the sender's memories, per second; 0 for none.
        conditions: Faults of the links between both, as the sender knows them.
    """

    decay_rate: float
    conditions: tuple["LinkCondition", ...] = ()


class LinkCondition(NamedTuple):
    """A fault of a link began or ended at the sender; the worse of what both ends say counts.

    Attributes:
        link: Its name.
        success_factor, werner_factor: What the success of attempts and w of pairs are multiplied by; in [0, 1].
        cut: Whether nothing gets through.
    """

    link: str
    success_factor: float
    werner_factor: float
    cut: bool


class Activate(NamedTuple):
    """From the head along the path: begin on a version at a time, or cease. Repeated until the far end answers.

    Attributes:
        generation: Rises with each; an older one is not followed.
        active: Whether pairs are to be made.
        at_s: When.
        seed: From which both ends derive which pairs are test pairs, and what they measure.
        slot_s: Longest attempt period of the links up to the receiver.
    """

    path: str
    version: int
    generation: int
    active: bool
    at_s: float
    seed: int
    slot_s: float = 0.0


class Activated(NamedTuple):
    """From the far end to the head: it follows this generation; from any node that knows a newer one: that one.

    Attributes:
        slot_s: Longest attempt period of the route, from the far end; SLOT: that is a slot.
    """

    path: str
    version: int
    generation: int
    slot_s: float = 0.0


class Resync(NamedTuple):
    """Towards the head: a node on the way has lost, or never had, the state of this version."""

    path: str
    version: int


class Herald(NamedTuple):
    """From the end that draws: when a pair of a hop will be there, or that it won't be.

    Told ahead of its time, for in truth a station in the middle would tell both ends at that time.

    Attributes:
        lane, hop: MEMORY: which; else lane is 0.
        rounds: Of the hop; MEMORY only, else empty.
        at_s: When both ends know it; infinite: what was told for these rounds is withdrawn.
        pair: As it is at its herald.
    """

    path: str
    version: int
    generation: int
    lane: int
    hop: int
    rounds: Rounds
    at_s: float
    pair: Pair


class Swapped(NamedTuple):
    """From the node of a segment to all nodes of it, both ways: what came of its two pairs, and when all begin again.

    Attributes:
        left, right: Ends of the segment.
        rounds: Of the segment, in which this happened; MEMORY only.
        pair: The pair between its ends; None when the swap failed, or a cut-off dropped what there was.
        spent_left, spent_right: Sequences of the pairs that the swap took, 0 where none was there.
        next_rounds, restart_s: Of all that is inside the segment from then on; empty: nothing begins again.
    """

    path: str
    version: int
    generation: int
    lane: int
    left: int
    right: int
    rounds: Rounds
    pair: Pair | None
    spent_left: int = 0
    spent_right: int = 0
    next_rounds: Rounds = ()
    restart_s: float = 0.0


class Token(NamedTuple):
    """AT_ONCE, towards the head: every hop from the sender to the far end has set one more pair aside."""

    path: str
    version: int
    generation: int


class Sweep(NamedTuple):
    """SLOT, AT_ONCE: towards the far end, swap after swap. Lanes that failed are None.

    Attributes:
        at_s: SLOT: end of the slot; AT_ONCE: when the sweep began.
        place: Of the node that the message goes to.
        pairs: One for each lane from the head to that node.
        drawn: Whether the last hop is already in; else the receiver draws it.
        spent: AT_ONCE: sequence of the last hop's pair, which the sender has used up; else 0.
    """

    path: str
    version: int
    generation: int
    at_s: float
    place: int
    pairs: tuple[Pair | None, ...]
    drawn: bool = True
    spent: int = 0


class Swept(NamedTuple):
    """SLOT, AT_ONCE: from the far end to the head: what came of a sweep."""

    path: str
    version: int
    generation: int
    pairs: tuple[Pair | None, ...]


class Outcome(NamedTuple):
    """One measured half.

    Attributes:
        sequence: Of the pair.
        basis: "X", "Y" or "Z".
        bit: 0 or 1, with the Pauli frame applied.
    """

    sequence: int
    basis: str
    bit: int


class Outcomes(NamedTuple):
    """From one end to the other: what it measured of test pairs."""

    path: str
    version: int
    outcomes: tuple[Outcome, ...]


class Confirm(NamedTuple):
    """From one end to the other: a pair was delivered here on this version.

    Attributes:
        heard: Whether the sender has got the receiver's; else that one answers.
    """

    path: str
    version: int
    heard: bool


class Recent(NamedTuple):
    """From one end to the other when the head has begun anew: which pairs it has had before, for some may be lost.

    Attributes:
        since_s: Of pairs whose last swap was earlier nothing is said.
        until_s: Nor of those that were swapped later.
        sequences: All in between that were delivered to the sender; the receiver voids what it has had besides.
    """

    path: str
    version: int
    since_s: float
    until_s: float
    sequences: tuple[int, ...]


PathMessage: TypeAlias = (
    Activate | Activated | Resync | Herald | Swapped | Token | Sweep | Swept | Outcomes | Confirm | Recent
)
Message: TypeAlias = PairHello | LinkCondition | PathMessage
