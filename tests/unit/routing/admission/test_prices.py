import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.link import MAX_RATE_MILLIBIT_PER_S
from controller.routing.admission.guarantee import competitive_ratio, largest_small
from controller.routing.admission.prices import ONE, balancing_costs, exponential_prices, load_costs, price_base

rates = st.integers(min_value=1, max_value=MAX_RATE_MILLIBIT_PER_S)


def price(capacity: int, room: int, base: int) -> int:
    return int(exponential_prices(np.array([capacity]), np.array([room]), base)[0])


@given(rates, st.floats(0, 1), st.sampled_from([2, 6, 102, 1000, 2**19]))
def test_a_price_is_the_base_to_the_power_of_the_load(capacity: int, part: float, base: int) -> None:
    room = int(capacity * part)
    exact = ONE * math.expm1(math.log(base) * (capacity - room) / capacity)
    assert price(capacity, room, base) == pytest.approx(exact, rel=2e-6, abs=3)


@given(rates, st.integers(0, 2**40), st.integers(0, 2**40), st.sampled_from([2, 6, 1000, 2**19]))
def test_less_room_is_never_cheaper(capacity: int, one: int, other: int, base: int) -> None:
    less, more = sorted((one % (capacity + 1), other % (capacity + 1)))
    assert price(capacity, less, base) >= price(capacity, more, base)
    assert load_costs(np.array([capacity]), np.array([less])) >= load_costs(np.array([capacity]), np.array([more]))


@pytest.mark.parametrize("base", [2, 6, 102, 1000, 2**19])
def test_an_idle_link_is_free_and_a_full_one_costs_the_base_less_one(base: int) -> None:
    assert price(1000, 1000, base) == 0
    assert price(1000, 0, base) == (base - 1) * ONE
    assert price(1000, -5, base) == price(0, 0, base) == price(0, 7, base) == (base - 1) * ONE


def test_prices_are_these_on_every_machine() -> None:
    capacities = np.array([7, 1000, 10**9, MAX_RATE_MILLIBIT_PER_S])
    rooms = np.array([2, 613, 10**9 // 3, 1])
    assert exponential_prices(capacities, rooms, 102).tolist() == GOLDEN_102
    assert exponential_prices(capacities, rooms, 1000).tolist() == GOLDEN_1000


def test_a_link_that_balances_costs_three_more_than_its_price() -> None:
    capacities, rooms = np.array([7, 7]), np.array([7, 0])
    assert balancing_costs(capacities, rooms).tolist() == [3 * ONE, (3 + 9999) * ONE]


def test_costs_of_load_are_in_what_searches_take() -> None:
    costs = load_costs(np.array([MAX_RATE_MILLIBIT_PER_S, 0, 10, 10]), np.array([-3, 0, 10, 5]))
    assert costs.tolist() == [2**40, 1, 1000, 2000]


@given(st.integers(1, 10_000), rates)
def test_a_link_without_room_for_a_small_relay_costs_more_than_it_is_worth(longest: int, capacity: int) -> None:
    small = largest_small(capacity, longest)
    if small:
        assert price(capacity, small - 1, price_base(longest)) > longest * ONE


def test_the_ratio_grows_with_the_logarithm_of_the_longest_route() -> None:
    assert competitive_ratio(1) < competitive_ratio(10) < competitive_ratio(1000) < 23


GOLDEN_102 = [27482251, 5230969, 21842528, 105906175]
GOLDEN_1000 = [144650628, 14142900, 103809056, 1047527422]
