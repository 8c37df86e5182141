"""What nodes and links have for entanglement, in the northbound API <-> the domain."""

import re
from collections.abc import Callable
from typing import Final, TypeVar

from controller.domain.pair_link import EndNodeKind, PairHardware, PairModel, PairOption, Regime
from controller.wire.northbound_values import Mistakes, WireEnum
from qinet.types.v1 import pairs_pb2 as pb

T = TypeVar("T")

REGIME = WireEnum(Regime, pb.Regime, "REGIME")
END_NODE_KIND = WireEnum(EndNodeKind, pb.EndNodeKind, "END_NODE_KIND")

PAIR_FIGURE: Final = re.compile(
    r"pairs\.(attempt_period_s|memory_pairs|options\[[0-9]{1,2}\]\.(success_probability|fidelity))"
)
"""Figures of a link's pair model whose origin may be told: named alike in the API and inside."""


def hardware_from_pb(hardware: pb.PairHardware, field: str, mistakes: Mistakes) -> PairHardware | None:
    """Return what a client says that a node has for entanglement; None once a mistake in it was noted.

    Args:
        hardware: What it says; what is absent is ideal.
        field: Where it stands in the request, for messages.
        mistakes: Collects what is wrong.
    """

    def ideal(name: str) -> float:
        value: float = getattr(hardware, name)
        return value if hardware.HasField(name) else 1.0  # type: ignore[arg-type]  # one of the four below

    end_node = None
    if hardware.end_node:
        end_node = END_NODE_KIND.member(hardware.end_node, f"{field}.end_node", mistakes)
        if end_node is None:
            return None
    return _sound(
        lambda: PairHardware(
            memories=hardware.memories,
            coherence_s=hardware.coherence_s if hardware.HasField("coherence_s") else None,
            swap_success=ideal("swap_success"),
            gate_quality=ideal("gate_quality"),
            one_qubit_gate_quality=ideal("one_qubit_gate_quality"),
            readout_quality=ideal("readout_quality"),
            swap_duration_s=hardware.swap_duration_s,
            can_purify=hardware.can_purify,
            end_node=end_node,
        ),
        field,
        mistakes,
    )


def hardware_to_pb(hardware: PairHardware) -> pb.PairHardware:
    """Return what a node has for entanglement as the API tells it: every figure, also where it is ideal."""
    return pb.PairHardware(
        memories=hardware.memories,
        coherence_s=hardware.coherence_s,
        swap_success=hardware.swap_success,
        gate_quality=hardware.gate_quality,
        one_qubit_gate_quality=hardware.one_qubit_gate_quality,
        readout_quality=hardware.readout_quality,
        swap_duration_s=hardware.swap_duration_s,
        can_purify=hardware.can_purify,
        end_node=END_NODE_KIND.number(hardware.end_node) if hardware.end_node else pb.END_NODE_KIND_UNSPECIFIED,
    )


def model_from_pb(model: pb.PairModel, field: str, mistakes: Mistakes) -> PairModel | None:
    """Return what a client says that a link does for entanglement; None once a mistake in it was noted."""
    regime = REGIME.member(model.regime, f"{field}.regime", mistakes)
    options = [_option(option, f"{field}.options[{index}]", mistakes) for index, option in enumerate(model.options)]
    sound = tuple(option for option in options if option is not None)
    if regime is None or len(sound) < len(options):
        return None
    return _sound(
        lambda: PairModel(
            regime=regime,
            attempt_period_s=model.attempt_period_s,
            memory_pairs=model.memory_pairs,
            options=sound,
        ),
        field,
        mistakes,
    )


def _option(option: pb.PairOption, field: str, mistakes: Mistakes) -> PairOption | None:
    label = mistakes.text(option.label, f"{field}.label")
    return _sound(
        lambda: PairOption(success_probability=option.success_probability, fidelity=option.fidelity, label=label),
        field,
        mistakes,
    )


def model_to_pb(model: PairModel) -> pb.PairModel:
    """Return what a link does for entanglement as the API tells it."""
    return pb.PairModel(
        regime=REGIME.number(model.regime),
        attempt_period_s=model.attempt_period_s,
        memory_pairs=model.memory_pairs,
        options=[
            pb.PairOption(success_probability=option.success_probability, fidelity=option.fidelity, label=option.label)
            for option in model.options
        ],
    )


def _sound(make: Callable[[], T], field: str, mistakes: Mistakes) -> T | None:
    """Return what is made; None once the domain's refusal of it was noted."""
    with mistakes.under(field):
        return make()
    return None
