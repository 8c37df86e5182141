"""A better placement of what runs: more carried, then less key used or the fullest link less full, with few moves."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NamedTuple

from controller.domain.refusals import InvalidValue
from controller.routing.optimum.limits import least_full, least_key, most_carried
from controller.routing.optimum.moving import Move, Ways, after, in_order, possible
from controller.routing.optimum.shuffle import Shuffle
from controller.routing.optimum.standing import Figures, Standing, figures

SEARCHES: Final = 50_000
"""Route searches for one placement; some seconds."""
_PASSES: Final = 4


class Aim(Enum):
    """What a placement looks for once all is carried that can be.

    KEY: That services use as little key as can be, and no link is fuller than the fullest was.
    SPREAD: That the fullest link is as little full as can be, then the same.
    """

    KEY = "key"
    SPREAD = "spread"


class Progress(NamedTuple):
    """How far a search is.

    Attributes:
        step: What is being done, for a person.
        done, total: How much of it; a total of 0 is not known.
        carried, key_use: Of the placement as it is so far, millibit/s.
    """

    step: str
    done: int
    total: int
    carried: int
    key_use: int


class Proof(NamedTuple):
    """What no placement exceeds, or comes below, whatever is moved.

    Attributes:
        value: Of the proposed placement.
        bound: Proven.
        gap: How far the value is from the bound, as a part of the larger of them; in [0, 1].
    """

    value: float
    bound: float
    gap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Moves that better a placement.

    Attributes:
        moves: In an order in which each fits beside what is held when it is its turn. Each service moves once.
        before, after: The figures of what runs, and of what will run.
        carried: (priority, proof that no placement carries more of services of that priority and above), highest first.
        key_use: Proof that no placement of what will be carried uses less key.
        fullest: Proof that in none of them the fullest link is less full; with Aim.SPREAD only.
    """

    moves: tuple[Move, ...]
    before: Figures
    after: Figures
    carried: tuple[tuple[int, Proof], ...]
    key_use: Proof
    fullest: Proof | None


def propose(
    standing: Standing, *, aim: Aim = Aim.KEY, most_moves: int | None = None, searches: int = SEARCHES
) -> Proposal:
    """Return a better placement; see `search`."""
    found = search(standing, aim=aim, most_moves=most_moves, searches=searches)
    while True:
        try:
            next(found)
        except StopIteration as end:
            proposal: Proposal = end.value
            return proposal


def search(
    standing: Standing, *, aim: Aim = Aim.KEY, most_moves: int | None = None, searches: int = SEARCHES
) -> Generator[Progress, None, Proposal]:
    """Look for a better placement, tell how far it is, and return it.

    Blocked services come first, by priority, then by volume; for one that does not fit others are moved aside. What
    is carried stays carried. Deterministic; not exact: the proofs say what may be missing. A search may be left at any
    time. Cost: some linear programs as of `Carrying`, and up to `searches` searches of O((n + m) log n).

    Args:
        standing: The network and its services.
        aim: What is bettered beside what is carried.
        most_moves: More are not proposed; None is no limit.
        searches: Route searches that may be made, >= 0.

    Raises:
        InvalidValue: A limit is below 0.
        ArithmeticError: The solver gave up.
    """
    if searches < 0 or (most_moves is not None and most_moves < 0):
        raise InvalidValue("", ("most_moves", "limits of moves and searches are 0 or more"))
    before = figures(standing, standing.ways())
    yield Progress("bounds", 0, 0, before.carried, before.key_use)
    bounds, prices = most_carried(standing)
    shuffle = Shuffle(standing, prices, searches)
    services = standing.services
    blocked = [number for number, service in enumerate(services) if service.way is None and service.movable]
    blocked.sort(key=lambda one: (-services[one].priority, -services[one].want.volume, one))
    for done, number in enumerate(blocked):
        shuffle.admit(number)
        yield _progress(standing, shuffle, "room for what is blocked", done + 1, len(blocked))
    opening = in_order(standing, shuffle.ways(), shuffle.changed)
    if aim is Aim.SPREAD:
        for done in range(4 * len(services)):
            if not shuffle.relieve():
                break
            yield _progress(standing, shuffle, "less on the fullest link", done + 1, 0)
    done = 0
    for _ in range(_PASSES):
        ceiling = figures(standing, shuffle.ways()).fullest
        moved = 0
        for _ in shuffle.shorten(ceiling):
            moved, done = moved + 1, done + 1
            yield _progress(standing, shuffle, "shorter routes", done, 0)
        if not moved:
            break
    moves = _spared(standing, _ordered(standing, opening, shuffle, aim), aim)
    if most_moves is not None and len(moves) > most_moves:
        moves = _spared(standing, moves[:most_moves], aim)
    yield Progress("proof", 0, 0, before.carried, before.key_use)
    goal = after(standing, moves)
    reached = figures(standing, goal)
    return Proposal(
        moves=moves,
        before=before,
        after=reached,
        carried=tuple(
            (priority, _proof(value, bounds[priority])) for priority, value in reached.by_priority if priority in bounds
        ),
        key_use=_proof(reached.key_use, least_key(standing, goal)),
        fullest=_proof(reached.fullest, least_full(standing, goal)) if aim is Aim.SPREAD else None,
    )


def _progress(standing: Standing, shuffle: Shuffle, step: str, done: int, total: int) -> Progress:
    carried, key_use = 0, 0
    for service, way in zip(standing.services, shuffle.ways(), strict=True):
        if way is not None:
            carried += service.want.volume
            key_use += service.want.volume * len(way)
    return Progress(step, done, total, carried, key_use)


def _proof(value: float, bound: float) -> Proof:
    larger = max(value, bound)
    return Proof(value=value, bound=bound, gap=abs(value - bound) / larger if larger > 0 else 0.0)


def _ordered(standing: Standing, opening: Sequence[Move], shuffle: Shuffle, aim: Aim) -> tuple[Move, ...]:
    """Return the better of two orders: to the goal at once, or first what made room for others, which then stays."""
    goal = shuffle.ways()
    at_once = in_order(standing, goal, shuffle.changed)
    opened = {move.service: move.after for move in opening}
    services = tuple(
        replace(service, way=opened.get(number, service.way)) for number, service in enumerate(standing.services)
    )
    rest = in_order(
        replace(standing, services=services),
        [opened.get(number, way) for number, way in enumerate(goal)],
        shuffle.changed,
    )
    return max(at_once, (*opening, *rest), key=lambda moves: _merit(standing, after(standing, moves), aim))


def _spared(standing: Standing, moves: Sequence[Move], aim: Aim) -> tuple[Move, ...]:
    """Return the moves without those that nothing is lost without: the last ones are tried first."""
    kept = list(moves)
    best = _merit(standing, after(standing, kept), aim)
    for move in reversed(moves):
        if _is_worth_most(move, aim):
            continue
        without = [other for other in kept if other is not move]
        if possible(standing, without):
            merit = _merit(standing, after(standing, without), aim)
            if merit >= best:
                kept, best = without, merit
    return tuple(kept)


def _is_worth_most(move: Move, aim: Aim) -> bool:
    """Tell whether what is compared first is worse without a move, whatever the others are."""
    return move.before is None or (aim is Aim.KEY and len(move.after) < len(move.before))


def _merit(standing: Standing, ways: Ways, aim: Aim) -> tuple[float, ...]:
    """Return what is compared, larger is better."""
    now = figures(standing, ways)
    carried = tuple(volume for _, volume in now.by_priority)
    fullest = -round(now.fullest, 6)
    return (*carried, fullest, -now.key_use) if aim is Aim.SPREAD else (*carried, -now.key_use, fullest)
