"""What nodes and links have for entanglement, as the store keeps it."""

from controller.domain.pair_link import PairHardware, PairModel, PairOption
from controller.wire.stored_enums import END_NODE_KIND, REGIME
from qinet.store.v1 import pairs_pb2 as pb


def hardware_to_pb(hardware: PairHardware) -> pb.PairHardware:
    """Return the stored form of what a node has for entanglement."""
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


def hardware_from_pb(stored: pb.PairHardware) -> PairHardware:
    """Return what a node has for entanglement, of its stored form."""
    return PairHardware(
        memories=stored.memories,
        coherence_s=stored.coherence_s if stored.HasField("coherence_s") else None,
        swap_success=stored.swap_success,
        gate_quality=stored.gate_quality,
        one_qubit_gate_quality=stored.one_qubit_gate_quality,
        readout_quality=stored.readout_quality,
        swap_duration_s=stored.swap_duration_s,
        can_purify=stored.can_purify,
        end_node=END_NODE_KIND.member(stored.end_node) if stored.end_node else None,
    )


def model_to_pb(model: PairModel) -> pb.PairModel:
    """Return the stored form of what a link does for entanglement."""
    return pb.PairModel(
        regime=REGIME.number(model.regime),
        attempt_period_s=model.attempt_period_s,
        memory_pairs=model.memory_pairs,
        options=[
            pb.PairOption(success_probability=option.success_probability, fidelity=option.fidelity, label=option.label)
            for option in model.options
        ],
    )


def model_from_pb(stored: pb.PairModel) -> PairModel:
    """Return what a link does for entanglement, of its stored form."""
    return PairModel(
        regime=REGIME.member(stored.regime),
        attempt_period_s=stored.attempt_period_s,
        memory_pairs=stored.memory_pairs,
        options=tuple(
            PairOption(success_probability=option.success_probability, fidelity=option.fidelity, label=option.label)
            for option in stored.options
        ),
    )
