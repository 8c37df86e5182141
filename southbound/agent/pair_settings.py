"""The `entanglement` section of an agent's configuration file: what node and links truly have where the topology errs.

The simulated hardware goes by this, never by what the controller counts with: a controller learns of the difference
as it would of a real one, by measuring.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from controller.config.pair_profiles import NODE_FIGURES, Range
from controller.config.section import Section
from controller.domain.link import Link
from controller.domain.pair_link import MAX_MEMORIES, EndNodeKind, PairHardware, PairModel, PairOption

_END_NODES: Final = {kind.value: kind for kind in EndNodeKind}
_OF_NODE: Final = {name: limits for name, limits in NODE_FIGURES.items() if name not in ("t1_s", "t2_s")}
_PROBABILITY: Final = Range(low=0, high=1, open_low=True)
_FIDELITY: Final = Range(low=0.25, high=1, open_low=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSettings:
    """What the file says.

    Attributes:
        hardware: The node's; None where neither the file nor the topology says that it has any.
        models: Of links that the file names, by link.
    """

    hardware: PairHardware | None = None
    models: Mapping[str, PairModel] = field(default_factory=lambda: MappingProxyType({}))


def read_pair_settings(
    section: Section, *, node: str, hardware: PairHardware | None, links: Collection[Link]
) -> PairSettings:
    """Read `entanglement` of an agent's file; what is absent is as in the topology.

    Args:
        section: It; may be empty.
        node: Whose file it is.
        hardware: The node's, as the topology has it.
        links: The node's, as the topology has them.
    """
    own = section.section("node", required=False)
    known = {link.name: link.pairs for link in links if link.pairs is not None}
    holder = section.section("links", required=False)
    models: dict[str, PairModel] = {}
    for name in holder.names():
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            holder.has(name)
            holder.mistake(name, f"is no link of {node} that makes pairs; its links that do are {names}")
            continue
        model = _model(holder.section(name), known[name])
        if model is not None:
            models[name] = model
    return PairSettings(hardware=_hardware(own, hardware) if own.names() else hardware, models=MappingProxyType(models))


def _hardware(section: Section, of_topology: PairHardware | None) -> PairHardware | None:
    if of_topology is None:
        memories = section.integer("memories", high=MAX_MEMORIES)
        base = PairHardware(memories=memories)
    else:
        memories = section.integer("memories", high=MAX_MEMORIES, default=of_topology.memories)
        base = of_topology
    figures = {
        name: value for name, limits in _OF_NODE.items() if (value := _number(section, name, limits)) is not None
    }
    can_purify = section.boolean("can_purify", default=base.can_purify)
    end_node = section.choice("end_node", _END_NODES) if section.has("end_node") else base.end_node
    return section.build(lambda: replace(base, memories=memories, can_purify=can_purify, end_node=end_node, **figures))


def _model(section: Section, of_topology: PairModel | None) -> PairModel | None:
    assert of_topology is not None
    period = _number(section, "attempt_period_s", Range(low=1e-9, high=1e6))
    memory_pairs = section.integer("memory_pairs", low=1, high=MAX_MEMORIES, default=of_topology.memory_pairs)
    options = list(of_topology.options)
    parts = section.sections("options", required=False)
    # Entries name an option by its place in the list: there must be as many as the controller knows of.
    if section.has("options") and len(parts) != len(options):
        section.mistake("options", f"there are {len(parts)}, and the topology has {len(options)}")
    for index, part in enumerate(parts):
        probability = _number(part, "success_probability", _PROBABILITY)
        fidelity = _number(part, "fidelity", _FIDELITY)
        if index < len(options):
            before = options[index]
            options[index] = PairOption(
                success_probability=before.success_probability if probability is None else probability,
                fidelity=before.fidelity if fidelity is None else fidelity,
                label=before.label,
            )
    return section.build(
        lambda: replace(
            of_topology,
            attempt_period_s=of_topology.attempt_period_s if period is None else period,
            memory_pairs=memory_pairs,
            options=tuple(options),
        )
    )


def _number(section: Section, name: str, limits: Range) -> float | None:
    """Return a number that is given, in its range; None where it is not given."""
    if not section.has(name):
        return None
    if limits.open_low:
        return section.number(name, above=limits.low, high=limits.high)
    return section.number(name, low=limits.low, high=limits.high)
