"""The frames of `qinetctl top`: never wider than the screen, sorted as asked, consumption from two samples."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cli.top_view import COLUMNS, LEAST_WIDTH, LinkView, Order, Row, frame, ordered, rows_of, short_number

names = st.text("abcdefghij-0123456789", min_size=1, max_size=63)
amounts = st.floats(0, 1e12)
views = st.builds(
    LinkView,
    name=names,
    status=st.sampled_from(["ACTIVE", "PASSIVE", "OFF", "PENDING"]),
    skr_bit_per_s=st.none() | amounts,
    consumed_bit_total=st.none() | st.integers(0, 2**63),
    stored_bit=st.none() | st.integers(0, 2**63),
    empty_in_s=st.none() | st.floats(0, 1e12),
    reserved_bit_per_s=amounts,
    capacity_bit_per_s=amounts,
    alarms=st.integers(0, 99),
)
rows = st.builds(Row, link=views, used_bit_per_s=st.none() | amounts)
LINK = LinkView(
    name="a-b",
    status="ACTIVE",
    skr_bit_per_s=1000.0,
    consumed_bit_total=5000,
    stored_bit=100,
    empty_in_s=None,
    reserved_bit_per_s=500.0,
    capacity_bit_per_s=1000.0,
    alarms=0,
)


@settings(deadline=None, max_examples=60)
@given(
    shown=st.lists(rows, max_size=8),
    width=st.integers(LEAST_WIDTH, 140),
    height=st.none() | st.integers(1, 12),
    key=st.sampled_from(sorted(COLUMNS)),
)
def test_no_line_is_wider_than_the_screen_and_no_frame_higher(
    shown: list[Row], width: int, height: int | None, key: str
) -> None:
    order = Order(key=key)
    lines = frame("title" * 40, ordered(shown, order), order=order, width=width, height=height, colour=False)
    assert all(len(line) <= width and line.isprintable() for line in lines)
    assert len(lines) <= max(4, height) if height is not None else len(lines) == len(shown) + 2


@settings(deadline=None, max_examples=40)
@given(shown=st.lists(rows, max_size=8, unique_by=lambda row: row.link.name), key=st.sampled_from(sorted(COLUMNS)))
def test_the_same_key_again_turns_the_order_round(shown: list[Row], key: str) -> None:
    order = Order(key="none").pressed(key)
    assert not order.backwards
    assert ordered(shown, order.pressed(key)) == ordered(shown, order)[::-1]
    assert order.pressed(key).pressed(key) == order
    assert order.pressed("z") == order


@pytest.mark.parametrize(
    ("key", "worst"),
    [
        ("s", {"skr_bit_per_s": 9999.0}),
        ("k", {"stored_bit": 1}),
        ("e", {"empty_in_s": 3.0}),
        ("r", {"reserved_bit_per_s": 999.0}),
        ("a", {"alarms": 1}),
    ],
)
def test_what_needs_an_eye_comes_first(key: str, worst: dict[str, float]) -> None:
    usual = [Row(link=replace(LINK, name=name), used_bit_per_s=None) for name in "ab"]
    special = Row(link=replace(LINK, name="z", **worst), used_bit_per_s=None)  # type: ignore[arg-type]
    assert [row.link.name for row in ordered([*usual, special], Order(key=key))] == ["z", "a", "b"]


def test_consumption_is_what_was_used_between_two_samples() -> None:
    (row,) = rows_of([LINK], {"a-b": 4000}, 2.0)
    assert row.used_bit_per_s == 500.0
    for before, between_s in (({}, 2.0), ({"a-b": 4000}, 0.0)):
        (row,) = rows_of([LINK], before, between_s)
        assert row.used_bit_per_s is None
    (row,) = rows_of([LINK], {"a-b": 6000}, 1.0)  # another agent, which counts from its own beginning
    assert row.used_bit_per_s == 0


def test_a_link_without_capacity_that_has_reservations_is_the_fullest() -> None:
    full = Row(link=replace(LINK, capacity_bit_per_s=0.0), used_bit_per_s=None)
    empty = Row(link=replace(LINK, capacity_bit_per_s=0.0, reserved_bit_per_s=0.0), used_bit_per_s=None)
    assert (full.load, empty.load) == (float("inf"), 0.0)


@settings(deadline=None)
@given(st.floats(0, 1e99))
def test_a_number_takes_five_characters_at_most(value: float) -> None:
    assert len(short_number(value)) <= 5
