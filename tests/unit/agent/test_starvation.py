"""Which relays an agent calls starved."""

import pytest

from controller.domain.capacity import chunk_bits
from controller.domain.entries import HopRole, RelayHopEntry
from controller.domain.route import Hop
from southbound.agent.keyplane.events import RelayFigures
from southbound.agent.reports import StarvationWatch

LOW_BIT = 65536


def hop_of(rate_millibit_per_s: int) -> RelayHopEntry:
    return RelayHopEntry(
        relay="r",
        share=0,
        shares=1,
        route_version=1,
        role=HopRole.HEAD,
        previous=None,
        next=Hop(link="l", start="a", end="b"),
        head="a",
        far="b",
        rate_millibit_per_s=rate_millibit_per_s,
        forward_share=0.5,
        chunk_bit=chunk_bits(rate_millibit_per_s),
        stock_low_bit=LOW_BIT,
        stock_high_bit=2 * LOW_BIT,
    )


def words(rate_bit_per_s: float, *, of_the_promise: float, seconds: int, available_bit: int = 0) -> list[bool]:
    """Return what is said every second of a relay that gets whole chunks at a part of the promised rate."""
    watch, hop = StarvationWatch(), hop_of(round(1000 * rate_bit_per_s))
    got_bit_per_s = of_the_promise * hop.rate_millibit_per_s / 2000
    return [
        watch.starved(
            RelayFigures(
                relay="r",
                route_version=1,
                versions=(1,),
                confirmed_versions=(1,),
                undrained_versions=(),
                far_node="b",
                available_bit=available_bit,
                unconfirmed_bit=0,
                held_bit=0,
                confirmed_bit=int(got_bit_per_s * at_s / hop.chunk_bit) * hop.chunk_bit,
                delivered_bit=0,
                voided_bit=0,
            ),
            hop,
            "a",
            float(at_s),
        )
        for at_s in range(seconds)
    ]


@pytest.mark.parametrize("rate_bit_per_s", [1, 10, 100, 500, 1000, 20_000])
def test_a_relay_that_gets_what_it_was_promised_never_starves_between_two_chunks(rate_bit_per_s: int) -> None:
    assert not any(words(rate_bit_per_s, of_the_promise=1.0, seconds=4000))


@pytest.mark.parametrize("rate_bit_per_s", [1, 10, 100, 500, 1000, 20_000])
@pytest.mark.parametrize("part", [0.0, 0.4])
def test_a_relay_that_gets_far_less_starves_until_its_stock_is_filled(rate_bit_per_s: int, part: float) -> None:
    assert all(words(rate_bit_per_s, of_the_promise=part, seconds=4000)[2100:])
    assert not any(words(rate_bit_per_s, of_the_promise=part, seconds=200, available_bit=LOW_BIT))
