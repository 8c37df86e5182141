"""What a node has for entanglement, of a topology file: its own figures, else those of its hardware's profile."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from controller.config.figure import Figure
from controller.config.pair_profiles import (
    MEMORY_FIGURES,
    NODE_FIGURES,
    PairProfile,
    note_memory_mistakes,
    read_figures,
)
from controller.config.section import Section
from controller.domain.link import Basis, Provenance
from controller.domain.pair_link import MAX_MEMORIES, EndNodeKind, PairHardware
from controller.physics.decoherence import equivalent_depolarising_time_s

_END_NODES: Final = {kind.value: kind for kind in EndNodeKind}
_IDEAL: Final = Provenance(basis=Basis.ASSUMED, source="ideal, since neither the file nor a profile says")


def read_node_pairs(
    section: Section, known: Mapping[str, str], profiles: Mapping[str, PairProfile] | None
) -> tuple[PairHardware | None, Mapping[str, Provenance]]:
    """Read `entanglement` of a node; return also what its figures rest on, by field name as `pairs.swap_success`.

    Args:
        section: Its `entanglement`.
        known: The file's sources.
        profiles: Kinds of hardware, by name; None when their file has mistakes, which are told already.
    """
    profile = read_profile(section, profiles)
    memories = section.integer("memories", high=MAX_MEMORIES)
    given = read_figures(section, NODE_FIGURES, known)
    note_memory_mistakes(section, given)
    can_purify = section.boolean("can_purify", default=profile.can_purify if profile else False)
    end_node = section.choice("end_node", _END_NODES) if section.has("end_node") else None
    if section.has("profile") and profile is None:
        return None, MappingProxyType({})
    figures = {name: figure for name, figure in (profile.figures if profile else {}).items() if name in NODE_FIGURES}
    if given.keys() & set(MEMORY_FIGURES):
        figures = {name: figure for name, figure in figures.items() if name not in MEMORY_FIGURES}
    figures |= given
    coherence = _coherence(section, figures)
    origins = {"pairs.coherence_s": coherence.provenance if coherence else _IDEAL}

    def figure(name: str, ideal: float) -> float:
        found = figures.get(name)
        origins[f"pairs.{name}"] = found.provenance if found else _IDEAL
        return found.value if found else ideal

    hardware = section.build(
        lambda: PairHardware(
            memories=memories,
            coherence_s=coherence.value if coherence else None,
            swap_success=figure("swap_success", 1.0),
            gate_quality=figure("gate_quality", 1.0),
            one_qubit_gate_quality=figure("one_qubit_gate_quality", 1.0),
            readout_quality=figure("readout_quality", 1.0),
            swap_duration_s=figure("swap_duration_s", 0.0),
            can_purify=can_purify,
            end_node=end_node,
        )
    )
    return hardware, MappingProxyType(origins)


def read_profile(section: Section, profiles: Mapping[str, PairProfile] | None) -> PairProfile | None:
    """Read `profile` of a section; None where there is none, or none that could be read."""
    if not section.has("profile"):
        return None
    name = section.label("profile")
    if profiles is None or not section.sound:
        return None
    found = profiles.get(name)
    if found is None:
        known = ", ".join(sorted(profiles)) or "none; the file names no profiles with hardware"
        section.mistake("profile", f"there is no hardware {name!r}; known: {known}")
    return found


def _coherence(section: Section, figures: Mapping[str, Figure]) -> Figure | None:
    """Return the depolarising time constant, given or out of T1 and T2; None for a memory that does not decay."""
    if "coherence_s" in figures:
        return figures["coherence_s"]
    if "t2_s" not in figures or not section.sound:
        return None
    relaxation, total = figures.get("t1_s"), figures["t2_s"]
    told = [f"t2_s {total.value:g}: {total.provenance.source}"]
    if relaxation is not None:
        told.append(f"t1_s {relaxation.value:g}: {relaxation.provenance.source}")
    value = equivalent_depolarising_time_s(relaxation.value if relaxation else math.inf, total.value)
    return Figure(
        value=value,
        provenance=Provenance(basis=Basis.DERIVED, source=f"1/T = (1/T1 + 2/T2)/3, first order ({'; '.join(told)})"),
    )
