"""What blocks tell of a link's rate, and what may be promised of it."""

from hypothesis import given
from hypothesis import strategies as st

from southbound.agent.link_meter import MIN_BLOCKS, WINDOW_MS, LinkMeter


def metered(rates_bit_per_s: list[int], block_ms: int = 1000) -> LinkMeter:
    meter = LinkMeter()
    for number, rate in enumerate(rates_bit_per_s, 1):
        meter.add(end_time_ms=number * block_ms, duration_ms=block_ms, secret_bit=rate * block_ms // 1000)
    return meter


def test_nothing_is_promised_before_20_blocks() -> None:
    assert metered([1000] * (MIN_BLOCKS - 1)).promised_skr_millibit_per_s() is None
    assert metered([1000] * MIN_BLOCKS).promised_skr_millibit_per_s() == 950_000


@given(st.lists(st.integers(0, 10_000), min_size=MIN_BLOCKS, max_size=60))
def test_nine_blocks_of_ten_make_what_is_promised(rates: list[int]) -> None:
    promised = metered(rates).promised_skr_millibit_per_s()
    assert promised is not None
    assert sum(rate * 1000 >= promised for rate in rates) >= 0.9 * len(rates) - 1


def test_blocks_older_than_a_day_are_forgotten() -> None:
    meter = metered([1] * MIN_BLOCKS)
    for number in range(MIN_BLOCKS):
        meter.add(end_time_ms=WINDOW_MS + 60_000 + number * 1000, duration_ms=1000, secret_bit=5000)
    assert meter.promised_skr_millibit_per_s() == 4_750_000


def test_the_rate_is_that_of_the_last_blocks_and_falls_when_none_come() -> None:
    meter = metered([1000] * 5 + [2000] * 12)
    assert meter.skr_millibit_per_s(17_000) == 2_000_000
    assert meter.skr_millibit_per_s(17_000 + 2_000 + 12_000) == 1_000_000
    assert LinkMeter().skr_millibit_per_s(0) == 0


def test_blocks_refused_for_their_error_ratio_take_nothing_off_the_promise() -> None:
    meter = metered([1000] * MIN_BLOCKS)
    for number in range(MIN_BLOCKS, 4 * MIN_BLOCKS):
        meter.add(end_time_ms=1000 * (number + 1), duration_ms=1000, secret_bit=0, refused=True)
    assert meter.promised_skr_millibit_per_s() == 950_000
    assert meter.skr_millibit_per_s(4 * MIN_BLOCKS * 1000) == 0
    meter.add(end_time_ms=WINDOW_MS + 200_000, duration_ms=1000, secret_bit=1000)
    assert meter.promised_skr_millibit_per_s() is None
