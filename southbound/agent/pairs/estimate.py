"""What consumed test pairs tell of the fidelity of a path, or a link: an estimate, never the tracked state."""

from collections import deque
from typing import Final, NamedTuple

from controller.physics.pair_states import fidelity_interval
from southbound.agent.pairs.messages import Outcome

WINDOW_SAMPLES: Final = 3000
WINDOW_S: Final = 600.0
_PENDING: Final = 1024
_BASES: Final = "XYZ"


class Estimate(NamedTuple):
    """F = <Phi+|rho|Phi+> by test pairs, with its 95 % interval, how many were measured and how old the oldest is."""

    fidelity: float
    low: float
    high: float
    samples: int
    age_s: float


class FidelityWindow:
    """Compared outcomes of the latest test pairs: no more than so many, none older than so many seconds."""

    def __init__(self, *, samples: int = WINDOW_SAMPLES, seconds: float = WINDOW_S) -> None:
        self._samples = samples
        self._seconds = seconds
        self._compared: deque[tuple[float, int, int]] = deque()
        self._tried = [0, 0, 0]
        self._wrong = [0, 0, 0]
        self._known: Estimate | None = None

    def add(self, basis: int, wrong: int, now_s: float) -> None:
        """Take a comparison in X (0), Y (1) or Z (2), and whether it was not as Phi+ has it (1)."""
        self._compared.append((now_s, basis, wrong))
        self._tried[basis] += 1
        self._wrong[basis] += wrong
        self._known = None
        if len(self._compared) > self._samples:
            self._oldest_out()

    def estimate(self, now_s: float) -> Estimate | None:
        """Return what the window tells; None without a comparison."""
        while self._compared and self._compared[0][0] < now_s - self._seconds:
            self._oldest_out()
        if not self._compared:
            return None
        age_s = now_s - self._compared[0][0]
        if self._known is None:
            tried, wrong = self._tried, self._wrong
            low, fidelity, high = fidelity_interval((wrong[0], wrong[1], wrong[2]), (tried[0], tried[1], tried[2]))
            self._known = Estimate(fidelity, low, high, sum(tried), age_s)
        return self._known._replace(age_s=age_s)

    def _oldest_out(self) -> None:
        _, basis, wrong = self._compared.popleft()
        self._tried[basis] -= 1
        self._wrong[basis] -= wrong
        self._known = None


class TestPairs:
    """Compares the outcomes of both ends of a path; keeps no more than a bounded number of anything."""

    __test__ = False

    def __init__(self) -> None:
        self._mine: dict[int, Outcome] = {}
        self._theirs: dict[int, Outcome] = {}
        self.window = FidelityWindow()

    def measured(self, outcome: Outcome, now_s: float) -> None:
        """Take what this end measured."""
        self._match(outcome, self._mine, self._theirs, now_s)

    def told(self, outcome: Outcome, now_s: float) -> None:
        """Take what the other end measured."""
        self._match(outcome, self._theirs, self._mine, now_s)

    def estimate(self, now_s: float) -> Estimate | None:
        """Return what the window tells; None before the first pair that both ends measured."""
        return self.window.estimate(now_s)

    def _match(self, outcome: Outcome, own: dict[int, Outcome], other: dict[int, Outcome], now_s: float) -> None:
        theirs = other.pop(outcome.sequence, None)
        if theirs is None:
            own[outcome.sequence] = outcome
            if len(own) > _PENDING:
                del own[next(iter(own))]
        elif theirs.basis == outcome.basis and outcome.basis in _BASES:
            wrong = outcome.bit ^ theirs.bit ^ (outcome.basis == "Y")
            self.window.add(_BASES.index(outcome.basis), int(wrong), now_s)
