"""A node's part in an entanglement path travels unchanged, and one that makes no sense is refused by its field."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.entanglement_path import PairUse
from controller.domain.entries import LinkEntry, PathEntry
from controller.domain.pair_link import Regime
from controller.domain.path_plan import HopPlan, SwapStep
from controller.domain.refusals import InvalidValue
from controller.wire.entries import entry_from_bytes, entry_to_bytes
from qinet.southbound.v1 import entries_pb2 as pb

NODES = ("a", "b", "c", "d")
PATH = PathEntry(
    path="p1",
    route_version=3,
    nodes=NODES,
    hops=tuple(HopPlan(link=f"l{index}", option=0, memory_pairs=2) for index in range(3)),
    hop_lengths_m=(10_000, 0, 25_000),
    swaps=(SwapStep(node="c", left="b", right="d", cutoff_ns=5_000_000), SwapStep(node="b", left="a", right="d")),
    regime=Regime.MEMORY,
    lanes=2,
    use=PairUse.MEASURE,
    purpose=7,
    priority=3,
    test_share=0.05,
    rate_millihertz=12_000,
    fidelity=0.9,
    minimum_fidelity=0.8,
    packet_pairs=2,
    packet_window_ms=100,
    key_link="qkd-a-d",
    distillation_block_bit=20_000,
    passive=True,
)
ENTANGLED = LinkEntry(
    link="l0",
    local_interface=1,
    remote_interface=1,
    neighbour="b",
    neighbour_address="127.0.0.1:7",
    enabled=True,
    authentication_floor_bit=0,
    authentication_rate_millibit_per_s=0,
    qber_limit=0.0,
    key_ttl_s=0,
    entanglement=True,
)


def hop(**changed: Any) -> tuple[HopPlan, ...]:
    return (replace(PATH.hops[0], **changed), *PATH.hops[1:])


@given(
    st.sampled_from(Regime),
    st.integers(1, 2**64 - 1),
    st.integers(1, 2**32 - 1),
    st.floats(0, 0.5),
    st.one_of(st.none(), st.integers(0, 2**64 - 1)),
)
def test_an_instruction_comes_back_as_it_went(
    regime: Regime, number: int, count: int, share: float, cutoff_ns: int | None
) -> None:
    swaps = (replace(PATH.swaps[0], cutoff_ns=cutoff_ns), PATH.swaps[1])
    entry = replace(
        PATH,
        regime=regime,
        swaps=swaps,
        route_version=number,
        lanes=min(count, 10**6),
        buffer_pairs=count,
        test_share=share,
        hops=hop(rate_millihertz=number, memory_pairs=count)[:1]
        + tuple(replace(one, rate_millihertz=1) for one in PATH.hops[1:]),
    )
    assert entry_from_bytes(entry.id, entry_to_bytes(entry)) == entry


def test_a_link_of_pairs_needs_no_figures_about_key() -> None:
    assert entry_from_bytes(ENTANGLED.id, entry_to_bytes(ENTANGLED)) == ENTANGLED


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (replace(PATH, path="no label"), "path"),
        (replace(PATH, route_version=0), "route_version"),
        (replace(PATH, nodes=("a",), hops=(), swaps=(), hop_lengths_m=()), "nodes"),
        (replace(PATH, nodes=("a", "b", "c", "a")), "nodes"),
        (replace(PATH, hops=PATH.hops[:2]), "hops"),
        (replace(PATH, hops=(PATH.hops[0], PATH.hops[0], PATH.hops[1])), "hops.link"),
        (replace(PATH, hops=hop(option=16)), "hops[0].option"),
        (replace(PATH, hops=hop(purification_rounds=9)), "hops[0].purification_rounds"),
        (replace(PATH, hops=hop(memory_pairs=0)), "hops[0].memory_pairs"),
        (replace(PATH, regime=Regime.BUFFERED, buffer_pairs=4), "hops[0].rate_millihertz"),
        (replace(PATH, regime=Regime.BUFFERED), "buffer_pairs"),
        (replace(PATH, hop_lengths_m=(1,)), "hop_lengths_m"),
        (replace(PATH, swaps=PATH.swaps[::-1]), "swaps[0]"),
        (replace(PATH, swaps=PATH.swaps[:1]), "swaps"),
        (replace(PATH, swaps=(*PATH.swaps, PATH.swaps[1])), "swaps[2]"),
        (replace(PATH, swaps=(SwapStep(node="a", left="d", right="b"),)), "swaps[0]"),
        (replace(PATH, lanes=0), "lanes"),
        (replace(PATH, lanes=2**32 - 1), "lanes"),
        (replace(PATH, purpose=65536), "purpose"),
        (replace(PATH, test_share=0.51), "test_share"),
        (replace(PATH, test_share=math.nan), "test_share"),
        (replace(PATH, rate_millihertz=0), "rate_millihertz"),
        (replace(PATH, fidelity=0.25), "fidelity"),
        (replace(PATH, minimum_fidelity=math.nan), "minimum_fidelity"),
        (replace(PATH, packet_window_ms=0), "packet_window_ms"),
        (replace(PATH, key_link="No"), "key_link"),
        (replace(PATH, use=PairUse.KEEP), "use"),
        (replace(PATH, distillation_block_bit=1), "distillation_block_bit"),
        (replace(ENTANGLED, path="p1"), "path"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(entry: PathEntry | LinkEntry, field: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        entry_from_bytes(entry.id, entry_to_bytes(entry))
    assert field in dict(refusal.value.fields)


@pytest.mark.parametrize("field", ["regime", "use"])
def test_an_enumeration_of_a_later_version_is_refused(field: str) -> None:
    message = pb.Entry.FromString(entry_to_bytes(PATH))
    setattr(message.path_instruction, field, 99)
    with pytest.raises(InvalidValue, match=f"{field}: 99 is none that is known here"):
        entry_from_bytes(PATH.id, message.SerializeToString())
