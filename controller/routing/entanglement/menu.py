"""The choices of all links of a network as arrays, made once for a wiring; and one of them as a value."""

import math
from typing import Final

import numpy as np

from controller.domain.pair_link import Regime
from controller.routing.entanglement.network import PairWiring
from controller.routing.kernels.net import Flags, Floats, frozen
from controller.routing.kernels.pairs_menu import Menu

MAX_ROUNDS: Final = 2
"""Nested rounds of purification that are weighed on each hop."""
REGIMES: Final = tuple(Regime)
BUFFERING: Final = (Regime.BUFFERED, Regime.AT_ONCE)


def menu_of(wiring: PairWiring) -> Menu:
    """Return what the links and nodes of a wiring can do; remembered by the wiring. Cost: O(options)."""
    made: Menu | None = wiring.remembered.get("menu")
    if made is None:
        wiring.remembered["menu"] = made = _made(wiring)
    return made


def _made(wiring: PairWiring) -> Menu:
    edges, stations = wiring.edges, wiring.stations
    purifies = [each.hardware is not None and each.hardware.can_purify for each in stations]
    link_of: list[int] = []
    options: list[int] = []
    successes: list[float] = []
    raws: list[float] = []
    rates: list[float] = []
    paces: list[float] = []
    option_mhz: list[int] = []
    for link, edge in enumerate(edges):
        period_s = edge.model.attempt_period_s
        for option in edge.options:
            probability = option.success_probability
            of_model = edge.model.rate_millihertz(option.index)
            rate_hz = probability / period_s
            if edge.regime in BUFFERING:
                rate_hz = min(rate_hz, (edge.capacity * of_model // edge.fastest_millihertz) / 1000)
            if rate_hz > 0.0:
                link_of.append(link)
                options.append(option.index)
                successes.append(probability)
                raws.append((4 * option.fidelity - 1) / 3)
                rates.append(rate_hz)
                paces.append(-math.log1p(-probability) / period_s if probability < 1.0 else math.inf)
                option_mhz.append(of_model)
    of = np.array(link_of, np.int64)
    raw = np.array(raws)
    rounds_of_link = np.array(
        [
            MAX_ROUNDS if edge.regime is not Regime.SLOT and all(purifies[node] for node in edge.ends) else 0
            for edge in edges
        ],
        np.int64,
    )
    gain, cost, werner = _purified(raw)
    kept = (np.arange(MAX_ROUNDS + 1) <= rounds_of_link[of][:, None]) & gain
    row, rounds = np.nonzero(kept)
    regimes = np.array([REGIMES.index(edge.regime) for edge in edges], np.int32)
    buffering = np.isin(regimes, [REGIMES.index(regime) for regime in BUFFERING])[of[row]]
    werners, costs = werner[row, rounds], cost[row, rounds]
    first = np.zeros(len(edges) + 1, np.int64)
    np.cumsum(np.bincount(of[row], minlength=len(edges)), out=first[1:])
    rate = np.array(rates)[row]
    losses = np.array([-math.log(min(1.0, each)) for each in werners.tolist()], np.float64)
    slotted = (regimes == REGIMES.index(Regime.SLOT))[of[row]]
    option_index = np.array(options, np.int32)[row]
    success = np.array(successes)[row]
    rate = np.where(buffering, rate / costs, rate)
    menu = Menu(
        first=first,
        options=option_index,
        rounds=rounds.astype(np.int32),
        successes=success,
        raw_werners=raw[row],
        costs=costs,
        werners=werners,
        losses=losses,
        rates_hz=rate,
        paces_hz=np.array(paces)[row] * 2.0**rounds / costs,
        option_mhz=np.array(option_mhz, np.int64)[row],
        ordered=np.lexsort((option_index, rounds, losses, -np.where(slotted, success, rate), of[row])),
        regimes=regimes,
        periods_s=np.array([edge.model.attempt_period_s for edge in edges], np.float64),
        lengths_km=np.array([edge.length_km for edge in edges], np.float64),
        capacities=np.array([edge.capacity for edge in edges], np.int64),
        fastest_mhz=np.array([max(1, edge.fastest_millihertz) for edge in edges], np.int64),
        swap_successes=np.array([each.swap_success for each in stations], np.float64),
        swap_qualities=np.array([each.swap_quality for each in stations], np.float64),
        swap_losses=np.array(wiring.swap_losses, np.float64),
        decays_per_s=np.array([each.decay_per_s for each in stations], np.float64),
        durations_s=np.array(
            [0.0 if each.hardware is None else each.hardware.swap_duration_s for each in stations], np.float64
        ),
    )
    for array in menu:
        frozen(array)
    return menu


def _purified(raw: Floats) -> tuple[Flags, Floats, Floats]:
    """Return (worth it, raw pairs per pair, w) by raw pair and rounds; as `physics.purification.nested_rounds`."""
    fidelity = np.maximum(0.0, (1.0 + 3.0 * raw) / 4.0)
    gain, costs, werners = [np.ones(len(raw), np.bool_)], [np.ones(len(raw))], [(4 * fidelity - 1) / 3]
    for _ in range(MAX_ROUNDS):
        werner = (4.0 * fidelity - 1.0) / 3.0
        success = (1.0 + werner * werner) / 2.0
        joined = np.clip((werner + werner + 4.0 * werner * werner) / (6.0 * success), -1.0 / 3.0, 1.0)
        fidelity = np.maximum(0.0, (1.0 + 3.0 * joined) / 4.0)
        costs.append(2.0 * costs[-1] / success)
        werners.append((4 * fidelity - 1) / 3)
        gain.append(gain[-1] & (werners[-1] > raw))
    return np.stack(gain, 1), np.stack(costs, 1), np.stack(werners, 1)
