"""What a link can do for a path: an option, rounds of purification, and the rate and purity that come of both."""

from dataclasses import dataclass

from controller.routing.entanglement.menu import REGIMES, menu_of
from controller.routing.entanglement.network import PairNetwork, PairWiring
from controller.routing.kernels.pairs_survey import Site, picked


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


def choices_of(
    network: PairNetwork, link: int, site: Site, ends: tuple[int, int], bare_ends: int
) -> tuple[Choice, ...]:
    """Return the choices of a link, fastest first; without those that are worse than another one in all respects.

    In the memory regime, where more rounds take more memories, all.

    Args:
        network: What is free.
        link: By number.
        site: What is free, and what the demand leaves open.
        ends: The start and the goal.
        bare_ends: As of Ground.
    """
    wiring = network.wiring
    regime = REGIMES.index(wiring.edges[link].regime)
    rows, rates_hz = picked(wiring.net, menu_of(wiring), site, regime, *ends, bare_ends, link)
    return tuple(choice_at(wiring, row, rate_hz) for row, rate_hz in zip(rows.tolist(), rates_hz.tolist(), strict=True))


def choice_at(wiring: PairWiring, row: int, rate_hz: float) -> Choice:
    """Return the choice in a row of the wiring's menu, with the rate that what is free allows."""
    menu = menu_of(wiring)
    return Choice(
        option=int(menu.options[row]),
        rounds=int(menu.rounds[row]),
        success_probability=float(menu.successes[row]),
        raw_werner=float(menu.raw_werners[row]),
        cost=float(menu.costs[row]),
        werner=float(menu.werners[row]),
        loss=float(menu.losses[row]),
        rate_hz=rate_hz,
        pace_hz=float(menu.paces_hz[row]),
    )


def stream_within(network: PairNetwork, link: int, option: int) -> int:
    """Return the largest rate of elementary pairs, mHz, that an option may make within what is free of its link.

    Its charge (`domain.pair_capacity.stream_charge`) is then within the room.
    """
    edge = network.wiring.edges[link]
    return max(0, network.room[link]) * edge.model.rate_millihertz(option) // edge.fastest_millihertz
