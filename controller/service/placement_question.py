"""What is asked of the process that searches placements, and what it answers; light enough for who only asks."""

import pickle
from dataclasses import dataclass
from typing import Final

from controller.domain.placement import PlacementAim, PlacementFigures, PlannedMove
from controller.domain.snapshot import Snapshot
from controller.wire.documents import encode

LENGTH_BYTES: Final = 8
"""Each message is a pickle after its length, in so many bytes, the most significant first."""
SEEN: Final = ("nodes", "links", "conditions", "relays")
"""The collections on which a placement rests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be searched.

    Attributes:
        documents: Of the snapshot, as they are stored.
        connected: Nodes that hold a session.
        most_moves: None is no limit.
    """

    documents: tuple[bytes, ...]
    connected: frozenset[str]
    aim: PlacementAim
    most_moves: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a search is.

    Attributes:
        step: What is being done, for a person.
        done, total: How much of it; a total of 0 is not known.
        carried_millibit_per_s: Key that each relay carried by the placement so far takes of one link, together.
        key_use_millibit_per_s: Key that these relays use on all links.
    """

    step: str
    done: int
    total: int
    carried_millibit_per_s: int
    key_use_millibit_per_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a search came to; without moves nothing better was found.

    Attributes:
        key_use_bound_millibit_per_s: No placement of the same relays uses less key.
    """

    moves: tuple[PlannedMove, ...]
    before: PlacementFigures
    after: PlacementFigures
    key_use_bound_millibit_per_s: int


def question_about(snapshot: Snapshot, *, aim: PlacementAim, most_moves: int | None) -> Question:
    """Return the question for a better placement on a snapshot."""
    return Question(
        documents=tuple(
            encode(collection, key, document)
            for collection in SEEN
            for key, document in getattr(snapshot, collection).items()
        ),
        connected=snapshot.connected,
        aim=aim,
        most_moves=most_moves,
    )


def framed(message: Question | Progress | Answer) -> bytes:
    """Return a message as it goes through a pipe."""
    content = pickle.dumps(message)
    return len(content).to_bytes(LENGTH_BYTES, "big") + content
