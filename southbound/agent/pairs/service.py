"""The link-layer service at one node, in the sense of draft-dahlberg-ll-quantum: CREATE, then ACK and OK, or ERR.

It is local: a request takes pairs of an entanglement path that ends here as they are delivered. Both ends call a pair
the same, so whoever asks at both ends finds the halves of one pair by its sequence. What nobody has asked for is
consumed at once. Requests are served by priority, then in the order in which they came; an atomic one, once begun,
before all others.
"""

import heapq
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from controller.domain.entanglement_path import PairUse
from southbound.agent.pairs.effects import Effect, Failed, Kept, MeasuredFor, PairId, ServiceError
from southbound.agent.pairs.part import Part
from southbound.agent.pairs.states import Pair
from southbound.agent.pairs.timers import Timer, Timers

MAX_REQUESTS: Final = 256
MAX_NUMBER: Final = 65535
MAX_PURPOSE: Final = 65535
MAX_PRIORITY: Final = 7
_LOWEST_FIDELITY: Final = 0.25


class PairType(Enum):
    """TPE of CREATE: K, create and keep; M, measure directly."""

    KEEP = "K"
    MEASURE = "M"


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """What a higher layer asks.

    Attributes:
        remote: Name of the node at the other end.
        number: Pairs wanted; in 1..65535.
        minimum_fidelity: F = <Phi+|rho|Phi+> as the path promises it; in (0.25, 1].
        max_time_s: How long to wait for all of them; > 0; None: for ever.
        purpose: Of the path, like a port; in 0..65535.
        priority: 0..7; higher is sooner.
        type: Whether pairs are kept or measured.
        atomic: Not interrupted by other requests once it has begun.
        consecutive: One OK for each pair; else all OKs when the request is done (K: all in memory at once).
    """

    remote: str
    number: int
    minimum_fidelity: float
    max_time_s: float | None = None
    purpose: int = 0
    priority: int = 0
    type: PairType = PairType.KEEP
    atomic: bool = False
    consecutive: bool = True


@dataclass(frozen=True, slots=True)
class Ack:
    """The request is taken; its OKs and ERRs name this id, which is unique at this node."""

    create_id: int


@dataclass(slots=True)
class _Request:
    create: Create
    create_id: int
    path: str
    got: int = 0
    held: list[Kept | MeasuredFor] = field(default_factory=list)
    timer: Timer | None = None


class ServiceHost(Protocol):
    """The engine, as the service sees it."""

    node: str
    now_s: float
    timers: Timers

    def parts(self) -> list[Part]:
        """Return the versions of paths that are set here."""

    def effect(self, effect: Effect) -> None:
        """Have the shell do, or know, something."""

    def take_memories(self, wanted: int, *, least: int = 0) -> int:
        """Take memories."""

    def free_memories(self, taken: int) -> None:
        """Give memories back."""

    def goodness(self, part: Part) -> float:
        """Return what is thought of the fidelity of a path's pairs: the estimate, before the first the promise."""


class LinkLayerService:
    """Takes requests and hands delivered pairs to them; replies are effects of the engine (`Kept`, `Failed`, ...)."""

    def __init__(self, host: ServiceHost) -> None:
        self._host = host
        self._requests: dict[int, _Request] = {}
        self._last_id = 0
        self._qubits: dict[int, Kept] = {}
        """By logical qubit id."""
        self._free_ids: list[int] = []
        self.unserved_total = 0
        """Pairs that somebody had asked for, but no memory was free to keep them."""

    def create(self, create: Create) -> Ack | Failed:
        """Take a request (CREATE), or say at once why not."""
        self._last_id += 1
        if problem := self._problem(create):
            return Failed(self._last_id, problem, (), self._host.node)
        serving = [part for part in self._host.parts() if _serves(part, create, self._host.node)]
        if not serving:
            return Failed(self._last_id, ServiceError.UNSUPPORTED, (), self._host.node)
        request = _Request(create, self._last_id, serving[0].path)
        self._requests[request.create_id] = request
        if create.max_time_s is not None:
            due_s = self._host.now_s + create.max_time_s
            request.timer = self._host.timers.at(due_s, self._ended, request.create_id, ServiceError.TIMEOUT)
        return Ack(request.create_id)

    def cancel(self, create_id: int) -> None:
        """Withdraw a request; pairs that were not handed over yet are consumed."""
        if (request := self._requests.pop(create_id, None)) is not None:
            self._host.timers.off(request.timer)
            self._give_up(request)

    def release(self, logical_qubit: int) -> None:
        """Take back the memory of a pair that was handed over; an unknown one is no matter."""
        if self._qubits.pop(logical_qubit, None) is not None:
            heapq.heappush(self._free_ids, logical_qubit)
            self._host.free_memories(1)

    @property
    def kept(self) -> int:
        """Delivered pairs that lie in memories here."""
        return len(self._qubits)

    def offer(self, part: Part, pair: Pair, identity: PairId) -> bool:
        """Take a delivered pair if somebody asked for it and there is a memory."""
        request = self._next(part, PairType.KEEP)
        if request is None:
            return False
        if not self._host.take_memories(1, least=1):
            self.unserved_total += 1
            return False
        qubit = heapq.heappop(self._free_ids) if self._free_ids else len(self._qubits)
        remote = identity.far if identity.head == self._host.node else identity.head
        goodness = self._host.goodness(part)
        kept = Kept(request.create_id, qubit, False, identity, part.entry.purpose, remote, goodness, pair.at_s)
        self._qubits[qubit] = kept
        self._hand_over(request, kept)
        return True

    def offer_measured(self, part: Part, identity: PairId, basis: str, bit: int) -> None:
        """Take a measured pair if somebody asked for it."""
        if (request := self._next(part, PairType.MEASURE)) is not None:
            remote = identity.far if identity.head == self._host.node else identity.head
            goodness = self._host.goodness(part)
            self._hand_over(
                request,
                MeasuredFor(request.create_id, bit, basis, False, identity, part.entry.purpose, remote, goodness),
            )

    def void(self, sequences: frozenset[int]) -> None:
        """Give up kept pairs whose other halves were lost (ERR_EXPIRE)."""
        lost = [(qubit, kept) for qubit, kept in self._qubits.items() if kept.pair.sequence in sequences]
        for qubit, kept in lost:
            self.release(qubit)
            self._host.effect(Failed(kept.create_id, ServiceError.EXPIRED, (kept.pair.sequence,), self._host.node))

    def path_gone(self, path: str) -> None:
        """End the requests of a path that is no longer set here; pairs that were handed over stay."""
        for create_id in [one.create_id for one in self._requests.values() if one.path == path]:
            self._ended(create_id, ServiceError.REJECTED)

    def _problem(self, create: Create) -> ServiceError | None:
        sound = (
            1 <= create.number <= MAX_NUMBER
            and 0 <= create.purpose <= MAX_PURPOSE
            and 0 <= create.priority <= MAX_PRIORITY
            and _LOWEST_FIDELITY < create.minimum_fidelity <= 1.0
            and (create.max_time_s is None or create.max_time_s > 0.0)
        )
        if not sound:
            return ServiceError.CREATE
        return ServiceError.REJECTED if len(self._requests) >= MAX_REQUESTS else None

    def _next(self, part: Part, kind: PairType) -> _Request | None:
        wanting = [one for one in self._requests.values() if one.path == part.path and one.create.type is kind]
        if not wanting:
            return None
        return min(wanting, key=lambda one: (not (one.create.atomic and one.got), -one.create.priority, one.create_id))

    def _hand_over(self, request: _Request, reply: Kept | MeasuredFor) -> None:
        request.got += 1
        done = request.got >= request.create.number
        if request.create.consecutive:
            self._host.effect(reply)
        else:
            request.held.append(reply)
        if done:
            for one in request.held:
                self._host.effect(one)
            self._host.timers.off(request.timer)
            del self._requests[request.create_id]

    def _ended(self, create_id: int, error: ServiceError) -> None:
        if (request := self._requests.pop(create_id, None)) is not None:
            self._host.timers.off(request.timer)
            self._give_up(request)
            self._host.effect(Failed(create_id, error, (), self._host.node))

    def _give_up(self, request: _Request) -> None:
        for reply in request.held:
            if isinstance(reply, Kept):
                self.release(reply.logical_qubit)


def _serves(part: Part, create: Create, node: str) -> bool:
    entry = part.entry
    use = PairUse.KEEP if create.type is PairType.KEEP else PairUse.MEASURE
    ends = {entry.head, entry.far}
    return (
        ends == {node, create.remote}
        and entry.use is use
        and entry.purpose == create.purpose
        and not entry.packet_pairs
        and entry.fidelity >= create.minimum_fidelity
        and (use is PairUse.MEASURE or part.host.hardware.memories > 0)
        and (create.consecutive or use is PairUse.MEASURE or create.number <= part.host.hardware.memories)
    )
