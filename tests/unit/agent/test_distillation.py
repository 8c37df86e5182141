"""Two ends make blocks of key of what they measured, however much of what they tell each other is lost."""

import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.physics.pair_keys import distilled_bits, expected_leak_bits
from southbound.agent.keyplane.messages import SiftBatch, SiftKept
from southbound.agent.pairs.distillation import (
    FLUSH_S,
    KEPT_RECORDS,
    PATIENCE_S,
    REPEAT_S,
    Counts,
    Distilled,
    Follower,
    Leader,
    Measured,
    packed,
    unpacked,
)

BLOCK_BIT = 200


@dataclass
class Ends:
    """Both ends, and a world that measures pairs for them; `told` counts the pairs that both measured alike."""

    chance: random.Random
    error: float = 0.0
    now_s: float = 0.0
    sequence: int = 0
    epochs: int = 0
    sifted: list[bool] = field(default_factory=list)
    stored: dict[str, dict[int, Distilled]] = field(default_factory=lambda: {"follower": {}, "leader": {}})

    def __post_init__(self) -> None:
        self.follower = Follower("k", 0, None)
        self.leader = Leader("k", None)

    def restart(self, end: str) -> None:
        last = max(self.stored[end], default=None)
        self.epochs += 1
        if end == "follower":
            self.follower = Follower("k", self.epochs, last)
        else:
            self.leader = Leader("k", last)

    def measure(self, count: int) -> None:
        for _ in range(count):
            self.sequence += 1
            bit, bases = self.chance.randrange(2), (self.chance.random() < 0.5, self.chance.random() < 0.5)
            wrong = self.chance.random() < self.error
            self.follower.measured([Measured(1, self.sequence, bases[0], bit)])
            self.leader.measured([Measured(1, self.sequence, bases[1], bit ^ wrong)])
            if bases[0] is bases[1]:
                self.sifted.append(wrong)

    def talk(self, *, lost: tuple[bool, bool] = (False, False), block_bit: int = BLOCK_BIT) -> None:
        self.now_s += REPEAT_S
        batch = self.follower.due(self.now_s)
        if batch is None or lost[0]:
            return
        if done := self.leader.heard(batch, self.now_s):
            self.stored["leader"][done.block] = done
        answer = self.leader.due(self.now_s, block_bit)
        if answer is None or lost[1]:
            return
        self.epochs += 1
        if done := self.follower.heard(answer, self.epochs):
            self.stored["follower"][done.block] = done


def test_both_ends_make_the_same_blocks_of_what_really_differed() -> None:
    ends = Ends(random.Random(5), error=0.03)
    for _ in range(30):
        ends.measure(50)
        ends.talk()
    ends.talk()

    follower, leader = ends.stored["follower"], ends.stored["leader"]
    assert follower == leader
    assert sorted(leader) == list(range(len(leader)))
    sifted = sum(one.counts.sifted for one in leader.values())
    assert sifted > 500
    errors = sum(one.counts.x_errors + one.counts.z_errors for one in leader.values())
    assert errors == sum(ends.sifted[:sifted])


def test_the_length_is_that_of_the_finite_key_bound_on_what_was_observed() -> None:
    counts = Counts(x_bits=10_000, x_errors=150, z_bits=10_400, z_errors=260)
    bound = distilled_bits(
        sifted_bits=10_400, sample_bits=10_000, sample_error=0.015, leaked_bits=expected_leak_bits(10_400, 0.025)
    )
    assert counts.secret_bit() == bound // 8 * 8 > 0
    assert counts.error == pytest.approx(410 / 20_400)


@pytest.mark.parametrize(
    "counts",
    [
        Counts(x_bits=10_000, x_errors=1_100, z_bits=10_000, z_errors=1_100),
        Counts(x_bits=50, z_bits=50),
        Counts(z_bits=10_000),
        Counts(x_bits=10_000, x_errors=10_000, z_bits=10_000, z_errors=10_000),
    ],
)
def test_a_block_with_too_many_errors_or_too_few_bits_yields_no_key_and_says_so(counts: Counts) -> None:
    block = Distilled(7, counts)
    assert counts.secret_bit() == 0
    assert f"block 7 yields no key: {counts.error:.1%} of {counts.sifted} sifted bits differ" in block.refused


losses = st.tuples(st.booleans(), st.booleans())


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.one_of(losses, st.sampled_from(["follower", "leader"])),
        min_size=5,
        max_size=40,
    ),
    st.integers(0, 2**16),
)
def test_no_loss_or_restart_gives_the_ends_different_blocks(
    happenings: list[tuple[bool, bool] | str], seed: int
) -> None:
    ends = Ends(random.Random(seed), error=0.02)
    for happening in happenings:
        ends.measure(100)
        if isinstance(happening, str):
            ends.restart(happening)
            ends.talk()
        else:
            ends.talk(lost=happening)
    for _ in range(6):  # and in the end they go on
        ends.measure(BLOCK_BIT)
        ends.talk()

    follower, leader = ends.stored["follower"], ends.stored["leader"]
    both = follower.keys() & leader.keys()
    assert {block: follower[block] for block in both} == {block: leader[block] for block in both}
    assert leader.keys() <= follower.keys()
    assert max(both) >= max(follower) - 1


def test_the_leader_waits_for_an_outcome_of_its_own_but_not_for_ever() -> None:
    follower, leader = Follower("k", 1, None), Leader("k", None)
    follower.measured([Measured(1, 1, True, 0), Measured(1, 2, True, 1)])
    leader.measured([Measured(1, 2, True, 1)])
    batch = follower.due(0.0)
    assert batch is not None

    assert leader.heard(batch, 0.0) is None
    assert leader.due(PATIENCE_S / 2, BLOCK_BIT) is None
    answer = leader.due(PATIENCE_S, BLOCK_BIT)

    assert answer is not None
    assert unpacked(answer.kept, 2) == [False, True]


def test_an_end_that_hears_nothing_keeps_no_more_than_so_many_outcomes() -> None:
    follower = Follower("k", 1, None)
    follower.measured(Measured(1, number, True, 0) for number in range(KEPT_RECORDS + 10))
    batch = follower.due(FLUSH_S)
    assert batch is not None
    assert batch.sequences[0] == 10


@pytest.mark.parametrize(
    ("word", "lies"),
    [
        ("batch", {"x_bases": b""}),
        ("batch", {"route_versions": ()}),
        ("kept", {"kept": b""}),
        ("kept", {"bits": b"\x00\x00"}),
        ("kept", {"epoch": 9}),
    ],
)
def test_a_word_that_contradicts_itself_is_not_followed(word: str, lies: dict[str, object]) -> None:
    follower, leader = Follower("k", 1, None), Leader("k", None)
    for end in (follower, leader):
        end.measured([Measured(1, 1, True, 1)])
    batch = follower.due(1.0)
    assert batch is not None
    if word == "batch":
        leader.heard(SiftBatch(**{name: getattr(batch, name) for name in batch.__slots__} | lies), 1.0)
        assert leader.due(9.0, BLOCK_BIT) is None
    else:
        leader.heard(batch, 1.0)
        kept = leader.due(1.0, 1)
        assert kept is not None
        assert kept.full
        lie = SiftKept(**{name: getattr(kept, name) for name in kept.__slots__} | lies)
        assert follower.heard(lie, 2) is None
        assert follower.heard(kept, 2) is not None


def test_a_block_of_which_the_other_end_tells_other_numbers_is_never_made() -> None:
    follower, leader = Follower("k", 1, None), Leader("k", None)
    for end in (follower, leader):
        end.measured(Measured(1, number, True, 1) for number in range(8))
    batch = follower.due(1.0)
    assert batch is not None
    leader.heard(batch, 1.0)
    kept = leader.due(1.0, 8)
    assert kept is not None
    assert follower.heard(kept, 2) is not None
    told = follower.due(9.0)
    assert told is not None
    assert leader.heard(replace(told, x_bits=2**60), 9.0) is None
    assert leader.heard(told, 9.0) is None


@given(st.lists(st.booleans(), max_size=70))
def test_bits_come_back_as_they_were_packed(bits: list[bool]) -> None:
    assert unpacked(packed(bits), len(bits)) == bits
