"""Messages of pair engines <-> protobuf. Inside, times are an engine's; on the wire, nanoseconds since 1970 UTC."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from qinet.peer.v1 import pairs_pb2 as pb
from southbound.agent.pairs.messages import (
    Activate,
    Activated,
    Confirm,
    Herald,
    LinkCondition,
    Message,
    Outcome,
    Outcomes,
    PairHello,
    Recent,
    Resync,
    Swapped,
    Sweep,
    Swept,
    Token,
)
from southbound.agent.pairs.states import Pair

_BASES: Final = {"X": pb.TestOutcome.BASIS_X, "Y": pb.TestOutcome.BASIS_Y, "Z": pb.TestOutcome.BASIS_Z}
_BASIS_NAMES: Final = {number: name for name, number in _BASES.items()}
_MOST: Final = 4096
_MOST_COUNTED: Final = 1 << 62  # an engine counts on from what it is told
_MOST_NS: Final = 1 << 62  # what is passed on is turned there and back, and is to fit its field then, too
_LONGEST_ROUNDS: Final = 64


class _Times:
    """Turns times of one engine into those of the wire, and back."""

    def __init__(self, offset_ns: int) -> None:
        self._offset_ns = offset_ns

    def out(self, at_s: float) -> int:
        return round(at_s * 1e9) + self._offset_ns

    def back(self, at_ns: int) -> float:
        if not -_MOST_NS < at_ns < _MOST_NS:
            raise _WrongError(at_ns)
        return (at_ns - self._offset_ns) / 1e9


def message_to_pb(message: Message, *, offset_ns: int = 0) -> pb.PairMessage:
    """Return a message as it travels.

    Args:
        message: Of an engine.
        offset_ns: Network time less the engine's: what is added to its times, in nanoseconds.
    """
    times = _Times(offset_ns)
    match message:
        case PairHello():
            return pb.PairMessage(
                hello=pb.PairHello(
                    decay_rate=message.decay_rate, conditions=[_condition(one) for one in message.conditions]
                )
            )
        case LinkCondition():
            return pb.PairMessage(condition=_condition(message))
        case Activate():
            return pb.PairMessage(
                activate=pb.PathActivate(
                    path=message.path,
                    route_version=message.version,
                    generation=message.generation,
                    active=message.active,
                    at_ns=times.out(message.at_s),
                    seed=message.seed,
                    slot_s=message.slot_s,
                )
            )
        case Activated():
            return pb.PairMessage(
                activated=pb.PathActivated(
                    path=message.path,
                    route_version=message.version,
                    generation=message.generation,
                    slot_s=message.slot_s,
                )
            )
        case Resync():
            return pb.PairMessage(resync=pb.PathResync(path=message.path, route_version=message.version))
        case Herald():
            return pb.PairMessage(
                herald=pb.PairHerald(
                    path=message.path,
                    route_version=message.version,
                    generation=message.generation,
                    lane=message.lane,
                    hop=message.hop,
                    rounds=message.rounds,
                    at_ns=None if message.at_s == math.inf else times.out(message.at_s),
                    pair=_pair(message.pair, times),
                )
            )
        case Swapped():
            return pb.PairMessage(
                swapped=pb.PairSwapped(
                    path=message.path,
                    route_version=message.version,
                    generation=message.generation,
                    lane=message.lane,
                    left=message.left,
                    right=message.right,
                    rounds=message.rounds,
                    pair=None if message.pair is None else _pair(message.pair, times),
                    spent_left=message.spent_left,
                    spent_right=message.spent_right,
                    next_rounds=message.next_rounds,
                    restart_ns=times.out(message.restart_s) if message.next_rounds else 0,
                )
            )
        case Token():
            return pb.PairMessage(
                token=pb.PairToken(path=message.path, route_version=message.version, generation=message.generation)
            )
        case Sweep():
            return pb.PairMessage(
                sweep=pb.PairSweep(
                    path=message.path,
                    route_version=message.version,
                    generation=message.generation,
                    at_ns=times.out(message.at_s),
                    place=message.place,
                    lanes=_lanes(message.pairs, times),
                    drawn=message.drawn,
                    spent=message.spent,
                )
            )
        case Swept():
            return pb.PairMessage(
                swept=pb.PairSwept(
                    path=message.path,
                    route_version=message.version,
                    generation=message.generation,
                    lanes=_lanes(message.pairs, times),
                )
            )
        case Outcomes():
            return pb.PairMessage(
                outcomes=pb.TestOutcomes(
                    path=message.path,
                    route_version=message.version,
                    outcomes=[
                        pb.TestOutcome(sequence=one.sequence, basis=_BASES[one.basis], bit=bool(one.bit))
                        for one in message.outcomes
                    ],
                )
            )
        case Recent():
            return pb.PairMessage(
                recent=pb.PathRecent(
                    path=message.path,
                    route_version=message.version,
                    since_ns=times.out(message.since_s),
                    until_ns=times.out(message.until_s),
                    sequences=message.sequences,
                )
            )
        case Confirm():
            return pb.PairMessage(
                confirm=pb.PathConfirm(path=message.path, route_version=message.version, heard=message.heard)
            )


def message_from_pb(travelling: pb.PairMessage, *, offset_ns: int = 0) -> Message | None:
    """Return the message that travelled; None for one of an unknown kind, or with a number that cannot be.

    Args:
        travelling: As it came.
        offset_ns: See `message_to_pb`.
    """
    kind = travelling.WhichOneof("kind")
    reader = _READERS.get(kind or "")
    if kind is None or reader is None:
        return None
    try:
        message: Message = reader(getattr(travelling, kind), _Times(offset_ns))
    except _WrongError:
        return None
    return message


class _WrongError(ValueError):
    """A number that cannot be."""


def _condition(condition: LinkCondition) -> pb.LinkCondition:
    return pb.LinkCondition(
        link=condition.link,
        success_factor=condition.success_factor,
        werner_factor=condition.werner_factor,
        cut=condition.cut,
    )


def _pair(pair: Pair, times: _Times) -> pb.TrackedPair:
    return pb.TrackedPair(
        sequence=pair.sequence,
        zz=pair.zz,
        xx=pair.xx,
        yy=pair.yy,
        at_ns=times.out(pair.at_s),
        left_rate=pair.left_rate,
        right_rate=pair.right_rate,
        x=bool(pair.x),
        z=bool(pair.z),
    )


def _lanes(pairs: Iterable[Pair | None], times: _Times) -> list[pb.SweptLane]:
    return [pb.SweptLane(pair=None if pair is None else _pair(pair, times)) for pair in pairs]


def _number(value: float, low: float, high: float = math.inf) -> float:
    if not (math.isfinite(value) and low <= value <= high):
        raise _WrongError(value)
    return value


def _count(value: int) -> int:
    if value >= _MOST_COUNTED:
        raise _WrongError(value)
    return value


def _rounds(parts: Iterable[int]) -> tuple[int, ...]:
    rounds = tuple(_count(part) for part in parts)
    if len(rounds) > _LONGEST_ROUNDS:
        raise _WrongError(len(rounds))
    return rounds


def _read_condition(part: pb.LinkCondition, _: _Times) -> LinkCondition:
    return LinkCondition(part.link, _number(part.success_factor, 0.0), _number(part.werner_factor, 0.0, 1.0), part.cut)


def _read_pair(part: pb.TrackedPair, times: _Times) -> Pair:
    return Pair(
        part.sequence,
        _number(part.zz, -1.0, 1.0),
        _number(part.xx, -1.0, 1.0),
        _number(part.yy, -1.0, 1.0),
        times.back(part.at_ns),
        _number(part.left_rate, 0.0),
        _number(part.right_rate, 0.0),
        int(part.x),
        int(part.z),
    )


def _read_lanes(parts: Iterable[pb.SweptLane], times: _Times) -> tuple[Pair | None, ...]:
    lanes = tuple(_read_pair(part.pair, times) if part.HasField("pair") else None for part in parts)
    if len(lanes) > _MOST:
        raise _WrongError(len(lanes))
    return lanes


def _read_herald(part: pb.PairHerald, times: _Times) -> Herald:
    if not part.HasField("pair"):
        raise _WrongError
    at_s = times.back(part.at_ns) if part.HasField("at_ns") else math.inf
    pair = _read_pair(part.pair, times)
    return Herald(
        part.path, part.route_version, _count(part.generation), part.lane, part.hop, _rounds(part.rounds), at_s, pair
    )


def _read_swapped(part: pb.PairSwapped, times: _Times) -> Swapped:
    if part.left >= part.right:
        raise _WrongError(part.left)
    return Swapped(
        part.path,
        part.route_version,
        _count(part.generation),
        part.lane,
        part.left,
        part.right,
        _rounds(part.rounds),
        _read_pair(part.pair, times) if part.HasField("pair") else None,
        part.spent_left,
        part.spent_right,
        _rounds(part.next_rounds),
        times.back(part.restart_ns) if part.next_rounds else 0.0,
    )


_READERS: Final[dict[str, Callable[[Any, _Times], Message]]] = {
    "hello": lambda part, times: PairHello(
        _number(part.decay_rate, 0.0), tuple(_read_condition(one, times) for one in part.conditions)
    ),
    "condition": _read_condition,
    "activate": lambda part, times: Activate(
        part.path,
        part.route_version,
        _count(part.generation),
        part.active,
        times.back(part.at_ns),
        part.seed,
        _number(part.slot_s, 0.0),
    ),
    "activated": lambda part, _: Activated(
        part.path, part.route_version, _count(part.generation), _number(part.slot_s, 0.0)
    ),
    "resync": lambda part, _: Resync(part.path, part.route_version),
    "herald": _read_herald,
    "swapped": _read_swapped,
    "token": lambda part, _: Token(part.path, part.route_version, _count(part.generation)),
    "sweep": lambda part, times: Sweep(
        part.path,
        part.route_version,
        _count(part.generation),
        times.back(part.at_ns),
        part.place,
        _read_lanes(part.lanes, times),
        part.drawn,
        part.spent,
    ),
    "swept": lambda part, times: Swept(
        part.path, part.route_version, _count(part.generation), _read_lanes(part.lanes, times)
    ),
    "outcomes": lambda part, _: Outcomes(
        part.path,
        part.route_version,
        tuple(
            Outcome(one.sequence, _BASIS_NAMES[one.basis], int(one.bit))
            for one in part.outcomes[:_MOST]
            if one.basis in _BASIS_NAMES
        ),
    ),
    "recent": lambda part, times: Recent(
        part.path,
        part.route_version,
        times.back(part.since_ns),
        times.back(part.until_ns),
        tuple(part.sequences[:_MOST]),
    ),
    "confirm": lambda part, _: Confirm(part.path, part.route_version, part.heard),
}
