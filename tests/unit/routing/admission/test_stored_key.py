from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.refusals import InvalidValue
from controller.routing.admission.stored_key import (
    Burst,
    KeyStock,
    largest_burst_millibit_per_s,
    least_left_millibit,
)

bursts = st.lists(
    st.builds(Burst, rate_millibit_per_s=st.integers(1, 20_000), remaining_s=st.integers(1, 30)), max_size=4
)
stocks = st.builds(
    KeyStock,
    made_millibit_per_s=st.integers(0, 10_000),
    stored_bit=st.integers(0, 300),
    floor_bit=st.integers(0, 100),
)


def second_by_second(stock: KeyStock, lasting: int, running: Sequence[Burst], most_bit: int, extra: int) -> int:
    """Return the least above the floor of a store that is run for 40 s: all take their rates, `extra` is made too."""
    store = stock.stored_bit * 1000
    least = store
    for second in range(40):
        taken = sum(burst.rate_millibit_per_s for burst in running if second < burst.remaining_s)
        store = min(store + stock.made_millibit_per_s + extra - lasting - taken, most_bit * 1000)
        least = min(least, store)
    return least - stock.floor_bit * 1000


@settings(max_examples=150)
@given(stocks, st.integers(0, 10_000), bursts)
def test_the_least_that_is_left_is_that_of_a_store_that_is_run(
    stock: KeyStock, rate: int, running: list[Burst]
) -> None:
    lasting = rate % (stock.made_millibit_per_s + 1)
    endless = 10**9
    assert least_left_millibit(stock, lasting, running) == second_by_second(stock, lasting, running, endless, 0)


@settings(max_examples=150)
@given(stocks, st.integers(0, 10_000), bursts, st.integers(1, 30))
def test_the_largest_burst_fits_and_no_larger_one(stock: KeyStock, rate: int, running: list[Burst], lasts: int) -> None:
    lasting = rate % (stock.made_millibit_per_s + 1)
    largest = largest_burst_millibit_per_s(stock, lasting, running, lasts)
    if least_left_millibit(stock, lasting, running) < 0:
        assert largest == 0 or least_left_millibit(stock, lasting, running) >= 0
        return
    if largest:
        with_it = Burst(rate_millibit_per_s=largest, remaining_s=lasts)
        assert least_left_millibit(stock, lasting, [*running, with_it]) >= 0
    larger = Burst(rate_millibit_per_s=largest + 1, remaining_s=lasts)
    assert least_left_millibit(stock, lasting, [*running, larger]) < 0


@settings(max_examples=150)
@given(stocks, st.integers(0, 10_000), bursts, st.integers(0, 50), st.integers(0, 5_000))
def test_what_was_admitted_is_served_though_a_full_store_loses_key(
    stock: KeyStock, rate: int, running: list[Burst], beyond_bit: int, extra: int
) -> None:
    lasting = rate % (stock.made_millibit_per_s + 1)
    if least_left_millibit(stock, lasting, running) >= 0:
        most_bit = stock.stored_bit + beyond_bit
        assert second_by_second(stock, lasting, running, most_bit, extra) >= 0


@settings(max_examples=100)
@given(stocks, st.integers(0, 10_000), st.lists(st.tuples(st.integers(1, 30), st.integers(1, 10))))
def test_bursts_admitted_one_by_one_leave_those_before_them_whole(
    stock: KeyStock, rate: int, asked: list[tuple[int, int]]
) -> None:
    lasting = rate % (stock.made_millibit_per_s + 1)
    running: list[Burst] = []
    for lasts, share in asked:
        largest = largest_burst_millibit_per_s(stock, lasting, running, lasts)
        if largest // share:
            running.append(Burst(rate_millibit_per_s=largest // share, remaining_s=lasts))
    if stock.stored_bit >= stock.floor_bit:
        assert second_by_second(stock, lasting, running, 10**9, 0) >= 0


def test_a_burst_above_the_rate_of_the_link_lives_on_its_store() -> None:
    stock = KeyStock(made_millibit_per_s=1_000, stored_bit=500, floor_bit=100)
    assert largest_burst_millibit_per_s(stock, 1_000, (), 10) == 40_000
    assert largest_burst_millibit_per_s(stock, 1_000, (), 10**9) == 0


def test_what_lasts_is_never_promised_out_of_the_store() -> None:
    stock = KeyStock(made_millibit_per_s=1_000, stored_bit=10**9)
    with pytest.raises(InvalidValue, match="serves nobody for ever"):
        least_left_millibit(stock, 1_001, ())


def test_below_the_floor_nothing_is_left_for_bursts() -> None:
    stock = KeyStock(made_millibit_per_s=1_000, stored_bit=50, floor_bit=100)
    assert largest_burst_millibit_per_s(stock, 0, (), 10) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: KeyStock(made_millibit_per_s=-1, stored_bit=0),
        lambda: Burst(rate_millibit_per_s=0, remaining_s=1),
        lambda: Burst(rate_millibit_per_s=1, remaining_s=0),
        lambda: largest_burst_millibit_per_s(KeyStock(made_millibit_per_s=1, stored_bit=0), 0, (), 0),
    ],
)
def test_figures_out_of_range_are_refused(wrong: object) -> None:
    with pytest.raises(InvalidValue):
        wrong()  # type: ignore[operator]
