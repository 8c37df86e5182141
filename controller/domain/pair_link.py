"""What makes entangled pairs: the pair side of a link and of a node, as the topology states it.

Fidelity is F = <Phi+|rho|Phi+> everywhere, a ratio; pairs count as Werner pairs (routers twirl them).
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

from controller.domain.refusals import InvalidValue

MAX_PAIR_RATE_MILLIHERTZ: Final = (2**32 - 1) * 1000
MAX_MEMORIES: Final = 1_000_000
MAX_OPTIONS: Final = 16
LINK_TEST_SHARE: Final = 0.005
"""Share of the elementary pairs of a link in use that is measured, to know how good the others are."""
_LOWEST_FIDELITY: Final = 0.25
_SHORTEST_S: Final = 1e-9
_LONGEST_S: Final = 1e6


class Regime(Enum):
    """By which rules pairs of a link become end-to-end pairs. Formulas of different regimes never mix on one route.

    SLOT: everything happens within one slot, nothing is stored. MEMORY: memories with a cut-off. BUFFERED: deep,
    long-lived memories that are filled all the time, for swapped pairs too. AT_ONCE: link pairs are buffered, but
    swapped pairs cannot be stored, so that all swaps of a route are made at once.
    """

    SLOT = "slot"
    MEMORY = "memory"
    BUFFERED = "buffered"
    AT_ONCE = "at_once"


class EndNodeKind(Enum):
    """What an end node does with pairs (RFC 9340 end nodes; COMP, SNSR, STOR, MEAS)."""

    COMPUTER = "computer"
    SENSOR = "sensor"
    MEMORY = "memory"
    MEASURING = "measuring"


def _outside(name: str, value: float, low: float, high: float, *, above_low: bool = False) -> list[tuple[str, str]]:
    if math.isfinite(value) and (low < value if above_low else low <= value) and value <= high:
        return []
    bracket = "(" if above_low else "["
    return [(name, f"{value} is not in {bracket}{low:g}, {high:g}]")]


def usable_success(success_probability: float) -> float:
    """Return the probability that an attempt makes a pair to use, given that it makes one at all.

    Controller and agents both reckon with it, so that what tests a link is reserved, and not promised to anybody.

    >>> usable_success(0.1)
    0.0995
    """
    return success_probability * (1.0 - LINK_TEST_SHARE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOption:
    """One way to run a link: more pairs, or better ones (single-click links trade them by the bright-state population).

    Attributes:
        success_probability: Of one attempt; in (0, 1].
        fidelity: Of a pair when it is heralded; in (0.25, 1].
        label: For a person, as "bright state 0.05".
    """

    success_probability: float
    fidelity: float
    label: str = ""

    def __post_init__(self) -> None:
        problems = [
            *_outside("success_probability", self.success_probability, 0, 1, above_low=True),
            *_outside("fidelity", self.fidelity, _LOWEST_FIDELITY, 1, above_low=True),
        ]
        if problems:
            raise InvalidValue("", *problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairModel:
    """What a link does for entanglement.

    Attributes:
        regime: Its regime.
        attempt_period_s: Time from one attempt to the next, herald included; in [1e-9, 1e6]. SLOT: the slot.
        memory_pairs: Pairs that it can work on at the same time. SLOT: channels; MEMORY: memory pairs, each making its
            own attempts; BUFFERED and AT_ONCE: makes attempts one after the other, this is the depth of one buffer.
        options: At least one; a route takes one of them on each link.
    """

    regime: Regime
    attempt_period_s: float
    memory_pairs: int
    options: tuple[PairOption, ...]

    def __post_init__(self) -> None:
        problems = _outside("attempt_period_s", self.attempt_period_s, _SHORTEST_S, _LONGEST_S)
        if not 1 <= self.memory_pairs <= MAX_MEMORIES:
            problems.append(("memory_pairs", f"{self.memory_pairs} is not in 1..{MAX_MEMORIES}"))
        if not 1 <= len(self.options) <= MAX_OPTIONS:
            problems.append(("options", f"there are {len(self.options)}, not 1..{MAX_OPTIONS}"))
        if problems:
            raise InvalidValue("", *problems)

    def rate_millihertz(self, option: int) -> int:
        """Return the elementary pairs that an option makes per 1,000 s with all that the link has, rounded down."""
        parallel = self.memory_pairs if self.regime in (Regime.SLOT, Regime.MEMORY) else 1
        rate = 1000.0 * self.options[option].success_probability * parallel / self.attempt_period_s
        return min(int(rate * (1 + 1e-12)), MAX_PAIR_RATE_MILLIHERTZ)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairHardware:
    """What a node has for entanglement.

    Attributes:
        memories: Qubits that it can hold at the same time; 0 for a node that only measures.
        coherence_s: Time constant of its memories, depolarising: a stored half multiplies w by exp(-t/coherence_s);
            > 0; None for memories whose decay is negligible.
        swap_success: Of one Bell measurement; in [0, 1]; 0 for a node that cannot swap.
        gate_quality: Probability that the two-qubit gate keeps its qubits, else they are fully depolarised; in [0, 1].
        one_qubit_gate_quality: The same of a one-qubit gate; in [0, 1].
        readout_quality: Probability that a readout is right; in [0.5, 1].
        swap_duration_s: How long one swap keeps the node busy; >= 0.
        can_purify: Whether it can purify.
        end_node: What it does with pairs that end at it; None for a node at which none end.
    """

    memories: int
    coherence_s: float | None = None
    swap_success: float = 1.0
    gate_quality: float = 1.0
    one_qubit_gate_quality: float = 1.0
    readout_quality: float = 1.0
    swap_duration_s: float = 0.0
    can_purify: bool = False
    end_node: EndNodeKind | None = None

    def __post_init__(self) -> None:
        problems: list[tuple[str, str]] = []
        if not 0 <= self.memories <= MAX_MEMORIES:
            problems.append(("memories", f"{self.memories} is not in 0..{MAX_MEMORIES}"))
        if self.coherence_s is not None:
            problems += _outside("coherence_s", self.coherence_s, _SHORTEST_S, 1e12)
        problems += _outside("swap_success", self.swap_success, 0, 1)
        problems += _outside("gate_quality", self.gate_quality, 0, 1)
        problems += _outside("one_qubit_gate_quality", self.one_qubit_gate_quality, 0, 1)
        problems += _outside("readout_quality", self.readout_quality, 0.5, 1)
        problems += _outside("swap_duration_s", self.swap_duration_s, 0, _LONGEST_S)
        if problems:
            raise InvalidValue("", *problems)
