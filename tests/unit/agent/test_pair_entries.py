"""A node takes the part in a path of pairs that its hardware can do, and refuses the others by name."""

from dataclasses import replace
from typing import Any

import pytest

from controller.domain.entanglement_path import PairUse
from controller.domain.entries import Entry, LinkEntry, PathEntry, digest_of, entry_hash
from controller.domain.pair_link import PairHardware, PairModel, PairOption, Regime
from controller.domain.path_plan import HopPlan, SwapStep
from controller.wire.entries import entry_to_bytes
from southbound.agent import configuration as rules
from southbound.agent.configuration import Accepted, Code, Configuration, Refused, Status, Update, Upsert, decide
from southbound.agent.pair_entries import PairMeans, memories_needed

MODEL = PairModel(
    regime=Regime.MEMORY,
    attempt_period_s=0.001,
    memory_pairs=8,
    options=(PairOption(success_probability=0.1, fidelity=0.95), PairOption(success_probability=0.01, fidelity=0.99)),
)
HARDWARE = PairHardware(memories=8, can_purify=True)
MEANS = PairMeans(HARDWARE, lambda link: MODEL if link in {"l0", "l1", "l2"} else None)


def link(name: str, neighbour: str, *, entanglement: bool = True) -> LinkEntry:
    return LinkEntry(
        link=name,
        local_interface=1,
        remote_interface=1,
        neighbour=neighbour,
        neighbour_address=f"{neighbour}:1",
        enabled=True,
        authentication_floor_bit=0,
        authentication_rate_millibit_per_s=0,
        qber_limit=0.11,
        key_ttl_s=60,
        entanglement=entanglement,
    )


LINKS = (link("l0", "a"), link("l1", "c"))
PATH = PathEntry(
    path="p",
    route_version=1,
    nodes=("a", "b", "c", "d"),
    hops=tuple(HopPlan(link=f"l{index}", option=1, memory_pairs=2) for index in range(3)),
    hop_lengths_m=(),
    swaps=(SwapStep(node="b", left="a", right="c"), SwapStep(node="c", left="a", right="d")),
    regime=Regime.MEMORY,
    lanes=2,
    rate_millihertz=1,
    fidelity=0.9,
    minimum_fidelity=0.8,
)


def hop(index: int, **changed: Any) -> tuple[HopPlan, ...]:
    return tuple(replace(one, **changed) if place == index else one for place, one in enumerate(PATH.hops))


def decided(*entries: Entry, node: str = "b", means: PairMeans | None = MEANS) -> Accepted | Refused:
    contents = {entry.id: entry_to_bytes(entry) for entry in entries}
    update = Update(
        nonce=1,
        version=1,
        base_digest=Configuration().digest,
        target_digest=digest_of({name: entry_hash(name, content) for name, content in contents.items()}),
        upserts=tuple(Upsert(entry_id=name, content=content) for name, content in contents.items()),
    )
    return decide(Configuration(), update, node, 0.0, means)


def problem(*entries: Entry, node: str = "b", means: PairMeans | None = MEANS) -> Status:
    refused = decided(*entries, node=node, means=means)
    assert isinstance(refused, Refused)
    return refused.entries[PATH.id]


def test_what_the_hardware_carries_is_taken_and_links_of_pairs_get_no_key_store() -> None:
    taken = decided(*LINKS, link("k", "z", entanglement=False), PATH)
    assert isinstance(taken, Accepted)
    assert rules.path_entries(taken.configuration) == [PATH]
    assert [one.link for one in rules.settings(taken.configuration).links] == ["k"]
    assert rules.peer_addresses(taken.configuration) == {"a": "a:1", "c": "c:1", "z": "z:1"}


def test_a_node_with_nothing_for_pairs_serves_no_entry_about_them() -> None:
    refused = decided(*LINKS, PATH, means=None)
    assert isinstance(refused, Refused)
    assert refused.entries.keys() == {"links/l0", "links/l1", PATH.id}
    assert {status.code for status in refused.entries.values()} == {Code.UNIMPLEMENTED}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (replace(PATH, hops=hop(0, memory_pairs=7)), "memory_pairs: take 9 memories of b, which has 8"),
        (replace(PATH, hops=hop(1, option=2)), "option: 2 of link l1, whose hardware has options 0 to 1"),
        (replace(PATH, hops=hop(1, link="l9")), "hops: takes link l9 to c, and no such link of pairs is set here"),
        (replace(PATH, regime=Regime.SLOT), "regime: slot, and link l0 works in the memory regime"),
    ],
)
def test_what_the_hardware_cannot_carry_is_refused_by_name(path: PathEntry, said: str) -> None:
    status = problem(*LINKS, path)
    assert status.code is Code.FAILED_PRECONDITION
    assert f"{PATH.id}: {said}" in status.message


def test_a_link_that_makes_key_carries_no_pairs_and_one_that_makes_pairs_no_key() -> None:
    status = problem(link("l0", "a", entanglement=False), LINKS[1], PATH)
    assert "no such link of pairs is set here" in status.message


def test_a_link_without_hardware_is_refused_by_the_path_that_takes_it() -> None:
    status = problem(link("x", "a"), LINKS[1], replace(PATH, hops=hop(0, link="x")))
    assert "link x has no hardware here: is it in the agent's topology file?" in status.message


def test_a_node_that_cannot_swap_or_purify_says_so() -> None:
    no_swap = PairMeans(replace(HARDWARE, swap_success=0.0), MEANS.model)
    assert "b cannot swap" in problem(*LINKS, PATH, means=no_swap).message
    no_rounds = PairMeans(replace(HARDWARE, can_purify=False), MEANS.model)
    path = replace(PATH, hops=hop(1, purification_rounds=1))
    assert "this node cannot purify" in problem(*LINKS, path, means=no_rounds).message


def test_an_end_that_only_measures_needs_no_memories() -> None:
    means = PairMeans(PairHardware(memories=0), MEANS.model)
    measured = replace(PATH, use=PairUse.MEASURE)
    assert isinstance(decided(link("l0", "b"), measured, node="a", means=means), Accepted)
    assert "take 2 memories of a, which has 0" in problem(link("l0", "b"), PATH, node="a", means=means).message


@pytest.mark.parametrize(
    ("path", "node", "field"),
    [(PATH, "z", "nodes"), (replace(PATH, passive=True), "b", "passive")],
)
def test_an_instruction_of_another_node_is_refused(path: PathEntry, node: str, field: str) -> None:
    status = problem(path, node=node)
    assert status.code is Code.INVALID_ARGUMENT
    assert field in status.message


def test_buffers_count_for_each_segment_that_waits_at_the_node() -> None:
    buffered = replace(
        PATH,
        regime=Regime.BUFFERED,
        buffer_pairs=10,
        hops=tuple(replace(one, rate_millihertz=5, memory_pairs=10) for one in PATH.hops),
    )
    # a: its hop, and segment (a, c); b: two hops; c: two hops, and (a, c); d: its hop
    assert [memories_needed(buffered, node) for node in PATH.nodes] == [20, 20, 30, 10]
