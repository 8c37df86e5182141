"""What nodes and links have for entanglement, as clients write and read it."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings

from controller.domain.link import Basis, Link, LinkCondition, LinkEnd, LinkKind, Provenance
from controller.domain.node import Interface, Node, Technology
from controller.domain.pair_link import PairHardware, PairModel, PairOption, Regime
from controller.domain.refusals import InvalidValue
from controller.wire.northbound_link import link_from_pb, link_to_pb
from controller.wire.northbound_node import node_from_pb, node_to_pb
from qinet.northbound.v1 import link_pb2, node_pb2
from qinet.types.v1 import pairs_pb2
from tests.unit.wire.document_strategies import pair_hardware, pair_models

MODEL = PairModel(
    regime=Regime.MEMORY,
    attempt_period_s=0.0005,
    memory_pairs=8,
    options=(
        PairOption(success_probability=0.02, fidelity=0.9, label="bright state 0.1"),
        PairOption(success_probability=0.01, fidelity=0.95, label="bright state 0.05"),
    ),
)
LINK = Link(
    name="a-b",
    kind=LinkKind.ENTANGLEMENT,
    ends=(LinkEnd(node="a", interface=1), LinkEnd(node="b", interface=1)),
    model_skr_millibit_per_s=0,
    pairs=MODEL,
)


@given(pair_hardware)
@settings(max_examples=50, deadline=None)
def test_what_a_node_has_comes_back_as_it_was_set(hardware: PairHardware) -> None:
    node = Node(name="a", interfaces=(Interface(number=1, technology=Technology.ENTANGLEMENT),), pairs=hardware)
    assert node_from_pb("a", node_to_pb(node)) == node


@given(pair_models)
@settings(max_examples=50, deadline=None)
def test_what_a_link_does_comes_back_as_it_was_set(model: PairModel) -> None:
    printing = tuple(replace(option, label="".join(filter(str.isprintable, option.label))) for option in model.options)
    origin = {"pairs.options[0].fidelity": Provenance(basis=Basis.MEASURED, source="a bench of May")}
    link = replace(LINK, pairs=replace(model, options=printing), provenance=origin)
    assert link_from_pb("a-b", link_to_pb(link)) == link


def test_what_is_left_out_of_hardware_is_ideal() -> None:
    node = node_from_pb("a", node_pb2.Node(pairs=pairs_pb2.PairHardware(memories=2)))
    assert node.pairs == PairHardware(memories=2)


def test_a_link_tells_its_path_and_what_of_it_is_in_use() -> None:
    told = link_to_pb(
        LINK,
        LinkCondition(pair_rate_permille=812, pair_fidelity_loss_permille=15),
        reserved_pairs=3,
    )
    assert (told.reserved_pairs, told.pair_capacity) == (3, 8)
    assert (told.pair_rate_factor, told.pair_fidelity_loss) == (0.812, 0.015)
    assert not link_to_pb(LINK).HasField("pair_rate_factor")
    made = replace(LINK, kind=LinkKind.QKD, pairs=None, path="p1")
    assert link_to_pb(made).entanglement_path == "entanglementPaths/p1"
    assert link_from_pb("a-b", link_to_pb(made)).path == ""


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda link: link.ClearField("pairs"), "link.pairs"),
        (lambda link: setattr(link, "kind", link_pb2.LINK_KIND_QKD), "link.pairs"),
        (lambda link: setattr(link.pairs, "regime", 0), "link.pairs.regime"),
        (lambda link: setattr(link.pairs, "regime", 99), "link.pairs.regime"),
        (lambda link: setattr(link.pairs, "attempt_period_s", math.nan), "link.pairs.attempt_period_s"),
        (lambda link: setattr(link.pairs, "memory_pairs", 0), "link.pairs.memory_pairs"),
        (lambda link: link.pairs.ClearField("options"), "link.pairs.options"),
        (lambda link: setattr(link.pairs.options[1], "fidelity", 0.25), "link.pairs.options[1].fidelity"),
        (
            lambda link: setattr(link.pairs.options[0], "success_probability", -1.0),
            "link.pairs.options[0].success_probability",
        ),
        (lambda link: setattr(link.pairs.options[0], "label", "a\x1b[0m"), "link.pairs.options[0].label"),
        (lambda link: setattr(link, "model_skr_bit_per_s", 5.0), "link.model_skr_bit_per_s"),
        (
            lambda link: link.provenance.add(field="pairs.colour", basis=link_pb2.BASIS_ASSUMED),
            "link.provenance[0].field",
        ),
    ],
)
def test_a_mistake_in_what_a_link_does_is_named(change: object, field: str) -> None:
    told = link_to_pb(LINK)
    assert callable(change)
    change(told)
    with pytest.raises(InvalidValue) as refusal:
        link_from_pb("a-b", told)
    assert [found for found, _ in refusal.value.fields] == [field]


@pytest.mark.parametrize(
    ("hardware", "field"),
    [
        (pairs_pb2.PairHardware(memories=2_000_000), "node.pairs.memories"),
        (pairs_pb2.PairHardware(coherence_s=0), "node.pairs.coherence_s"),
        (pairs_pb2.PairHardware(swap_success=1.5), "node.pairs.swap_success"),
        (pairs_pb2.PairHardware(readout_quality=0.4), "node.pairs.readout_quality"),
        (pairs_pb2.PairHardware(swap_duration_s=-1), "node.pairs.swap_duration_s"),
        (pairs_pb2.PairHardware(end_node=77), "node.pairs.end_node"),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_in_what_a_node_has_is_named(hardware: pairs_pb2.PairHardware, field: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        node_from_pb("a", node_pb2.Node(pairs=hardware))
    assert [found for found, _ in refusal.value.fields] == [field]
