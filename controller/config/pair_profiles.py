"""profiles.yaml, its `hardware`: what memories, gates and photons of each kind of repeater can do.

Also which figures of hardware there are, and in which range: nodes, links and agents' files give the same ones.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from controller.config.figure import Figure, figure
from controller.config.section import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Where a figure may lie: in [low, high], or in (low, high] where its low end is open."""

    low: float
    high: float
    open_low: bool = False


RATIO: Final = Range(low=0, high=1)
POSITIVE_RATIO: Final = Range(low=0, high=1, open_low=True)
TIME_CONSTANT: Final = Range(low=1e-9, high=1e12)

NODE_FIGURES: Final[Mapping[str, Range]] = MappingProxyType(
    {
        "coherence_s": TIME_CONSTANT,
        "t1_s": TIME_CONSTANT,
        "t2_s": TIME_CONSTANT,
        "swap_success": RATIO,
        "gate_quality": RATIO,
        "one_qubit_gate_quality": RATIO,
        "readout_quality": Range(low=0.5, high=1),
        "swap_duration_s": Range(low=0, high=1e6),
    }
)
"""Of memories and gates; what they mean stands at PairHardware. `t1_s` and `t2_s` take the place of `coherence_s`."""

MEMORY_FIGURES: Final = ("coherence_s", "t1_s", "t2_s")

PHOTON_FIGURES: Final[Mapping[str, Range]] = MappingProxyType(
    {
        "emission_efficiency": POSITIVE_RATIO,
        "detection_efficiency": POSITIVE_RATIO,
        "repetition_hz": Range(low=0, high=1e12, open_low=True),
        "visibility": RATIO,
        "phase_coherence": RATIO,
    }
)
"""Of heralding: a photon that is in the fibre per attempt; one that is counted once it leaves the fibre; attempts of
one memory; interference of two photons (double click); mean cosine of the optical phase error (single click)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairProfile:
    """A kind of repeater hardware.

    Attributes:
        name: As topologies refer to it.
        title: For people.
        figures: Those that it gives, by name; each of NODE_FIGURES or PHOTON_FIGURES.
        can_purify: Whether its nodes can purify.
        number_resolving: Whether its detectors tell two photons from one.
    """

    name: str
    title: str
    figures: Mapping[str, Figure]
    can_purify: bool = False
    number_resolving: bool = False

    @property
    def scheme(self) -> str:
        """Return how its photons herald pairs best: `double-click` where it says how well they interfere."""
        return "double-click" if "visibility" in self.figures else "single-click"


def pair_profile(name: str, section: Section, known: Mapping[str, str]) -> PairProfile | None:
    """Read one entry of `hardware`; None where it has mistakes."""
    title = section.text("title")
    figures = read_figures(section, {**NODE_FIGURES, **PHOTON_FIGURES}, known)
    note_memory_mistakes(section, figures)
    can_purify = section.boolean("can_purify", default=False)
    number_resolving = section.boolean("number_resolving", default=False)
    if not section.sound:
        return None
    return PairProfile(
        name=name,
        title=title,
        figures=MappingProxyType(figures),
        can_purify=can_purify,
        number_resolving=number_resolving,
    )


def read_figures(section: Section, ranges: Mapping[str, Range], known: Mapping[str, str]) -> dict[str, Figure]:
    """Read those figures that the section gives."""
    found: dict[str, Figure] = {}
    for name, limits in ranges.items():
        if section.has(name):
            above = limits.low if limits.open_low else -math.inf
            low = -math.inf if limits.open_low else limits.low
            found[name] = figure(section, name, known, low=low, high=limits.high, above=above)
    return found


def note_memory_mistakes(section: Section, figures: Mapping[str, Figure]) -> None:
    """Note where a memory's time constants contradict each other."""
    if "coherence_s" in figures and ("t1_s" in figures or "t2_s" in figures):
        section.mistake("coherence_s", "give either coherence_s, or t2_s with or without t1_s")
    elif "t1_s" in figures and "t2_s" not in figures:
        section.mistake("t1_s", "needs t2_s beside it: relaxation alone does not say how long a qubit is coherent")
    elif "t1_s" in figures and section.sound and figures["t2_s"].value > 2 * figures["t1_s"].value:
        section.mistake(
            "t2_s", f"{figures['t2_s'].value:g} s is more than twice t1_s: relaxation alone dephases faster"
        )
