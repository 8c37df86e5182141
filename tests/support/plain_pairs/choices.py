"""What a link can do for a path: an option, rounds of purification, and the rate and purity that come of both."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from controller.domain.pair_link import Regime
from controller.physics.purification import nested_rounds
from controller.routing.entanglement.network import PairNetwork, PairWiring

MAX_ROUNDS: Final = 2
"""Nested rounds of purification that are weighed on each hop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to run a hop for the path: an option of its link, and rounds of purification.

    Attributes:
        option: Index of the link's option.
        rounds: Nested rounds of BBPSSW.
        success_probability: Of one attempt.
        raw_werner: w of a raw pair.
        cost: Raw pairs per purified pair, C_k.
        werner: Of a purified pair that never waited.
        loss: -ln werner; >= 0.
        rate_hz: BUFFERED, AT_ONCE: purified pairs per second with all that is free; else raw pairs of one memory pair.
        pace_hz: Of an exponential time that a purified pair of one lane is never there before, by chance.
    """

    option: int
    rounds: int
    success_probability: float
    raw_werner: float
    cost: float
    werner: float
    loss: float
    rate_hz: float
    pace_hz: float


def choices_of(network: PairNetwork, link: int, has_room: Callable[[int], bool], storeless: bool) -> tuple[Choice, ...]:
    """Return the choices of a link, fastest first; without those that are worse than another one in all respects.

    Args:
        network: What is free.
        link: By number.
        has_room: Whether the link and its nodes have room for so many rounds.
        storeless: Whether an end of the link has no memories, and so does not purify.
    """
    edge = network.wiring.edges[link]
    regime = edge.regime
    every, all_of = all_choices(network.wiring, link)
    rounds = 0
    if not storeless and regime is not Regime.SLOT:
        rounds = MAX_ROUNDS
    while rounds >= 0 and not has_room(rounds):
        rounds -= 1
    if rounds == MAX_ROUNDS or (regime is Regime.SLOT and rounds == 0):
        kept = all_of
    else:
        kept = tuple(choice for choice in every if choice.rounds <= rounds)
    if regime in (Regime.BUFFERED, Regime.AT_ONCE) and network.room[link] < edge.capacity:
        scaled = []
        for choice in kept if kept is not all_of else every:
            within_hz = stream_within(network, link, choice.option) / 1000 / choice.cost
            if within_hz > 0.0:
                scaled.append(replace(choice, rate_hz=min(choice.rate_hz, within_hz)))
        return _undominated(tuple(scaled), regime)
    return kept if regime is Regime.MEMORY or kept is all_of else _undominated(kept, regime)


def all_choices(wiring: PairWiring, link: int) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
    """Return (all choices, those to weigh) of a link of which all is free; remembered by the wiring.

    To weigh are, in the memory regime, where more rounds take more memories, all; else those not worse in all respects.
    """
    made: tuple[tuple[Choice, ...], tuple[Choice, ...]] | None = wiring.remembered.get(link)
    if made is None:
        every = _made_choices(wiring, link)
        regime = wiring.edges[link].regime
        wiring.remembered[link] = made = (every, every if regime is Regime.MEMORY else _undominated(every, regime))
    return made


def _made_choices(wiring: PairWiring, link: int) -> tuple[Choice, ...]:
    edge = wiring.edges[link]
    hardware = [wiring.stations[node].hardware for node in edge.ends]
    purifying = edge.regime is not Regime.SLOT and all(each is not None and each.can_purify for each in hardware)
    buffering = edge.regime in (Regime.BUFFERED, Regime.AT_ONCE)
    found = []
    for option in edge.options:
        probability = option.success_probability
        rate_hz = probability / edge.model.attempt_period_s
        pace_hz = -math.log1p(-probability) / edge.model.attempt_period_s if probability < 1.0 else math.inf
        if buffering:
            whole = edge.capacity * edge.model.rate_millihertz(option.index) // edge.fastest_millihertz
            rate_hz = min(rate_hz, whole / 1000)
        if rate_hz <= 0.0:
            continue
        werner = (4 * option.fidelity - 1) / 3
        for rounds in range(MAX_ROUNDS + 1 if purifying else 1):
            cost, fidelity = nested_rounds(option.fidelity, rounds)
            purified = (4 * fidelity - 1) / 3
            if rounds and purified <= werner:
                break
            found.append(
                Choice(
                    option=option.index,
                    rounds=rounds,
                    success_probability=probability,
                    raw_werner=werner,
                    cost=cost,
                    werner=purified,
                    loss=-math.log(min(1.0, purified)),
                    rate_hz=rate_hz / cost if buffering else rate_hz,
                    pace_hz=pace_hz * 2**rounds / cost,
                )
            )
    return tuple(found)


def _undominated(found: tuple[Choice, ...], regime: Regime) -> tuple[Choice, ...]:
    """Return the choices, fastest first, without those that are neither faster nor better than another."""

    def rank(choice: Choice) -> tuple[float, float, int, int]:
        pace = choice.success_probability if regime is Regime.SLOT else choice.rate_hz
        return -pace, choice.loss, choice.rounds, choice.option

    kept: list[Choice] = []
    for choice in sorted(found, key=rank):
        if not kept or choice.loss < kept[-1].loss:
            kept.append(choice)
    return tuple(kept)


def stream_within(network: PairNetwork, link: int, option: int) -> int:
    """Return the largest rate of elementary pairs, mHz, that an option may make within what is free of its link.

    Its charge (`domain.pair_capacity.stream_charge`) is then within the room.
    """
    edge = network.wiring.edges[link]
    return max(0, network.room[link]) * edge.model.rate_millihertz(option) // edge.fastest_millihertz
