"""What a link says of its success: no more than chance leaves certain."""

import random

import pytest

from southbound.agent.pairs.links import AttemptMeter, binomial


@pytest.mark.parametrize(("truth", "at_least", "at_most"), [(1.0, 1.0, 1.0), (0.3, 0.3, 0.4), (0.0, 0.0, 0.05)])
def test_a_link_that_works_says_so_and_one_that_does_not_nearly_as_it_is(
    truth: float, at_least: float, at_most: float
) -> None:
    told = []
    for seed in range(200):
        meter, chance = AttemptMeter(), random.Random(seed)
        for second in range(20):
            meter.add(float(second), 1000, binomial(chance, 1000, 0.05 * truth), 50.0)
        told.append(meter.certain_success_factor(20.0))
    known = [factor for factor in told if factor is not None]
    assert len(known) == len(told)
    inside = sum(at_least - 1e-9 <= factor <= at_most + 1e-9 for factor in known)
    assert inside >= 0.99 * len(known)


def test_of_few_attempts_nothing_is_said() -> None:
    meter = AttemptMeter()
    meter.add(0.0, 10, 0, 0.5)
    assert meter.certain_success_factor(1.0) is None
