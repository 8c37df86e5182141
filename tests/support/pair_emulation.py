"""One path in virtual time, alone on its route: what the engines deliver, to be held against what was predicted."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from controller.domain.entries import PathEntry
from controller.domain.pair_link import PairHardware, PairModel, Regime
from southbound.agent.pairs.effects import Delivered
from tests.support.virtual_pairs import Fibre, VirtualNetwork

_LOOKS = 10
_LONGEST_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of a path.

    Attributes:
        pairs: Delivered pairs that were counted, test pairs included.
        rate_hz: Test pairs included.
        net_rate_hz: Test pairs taken off.
        mean_tracked_fidelity: Over all that were counted, at their last swap; the emulation's truth.
        looks: Times that the reported estimate was held against the tracked mean of the same window.
        covered: How often its 95 % interval held it.
        agreeing: Whether both ends had the same pairs with the same state, time and frame (those under way apart).
        swaps_failed: By failure or cut-off, at all nodes.
        cpu_s: What it took.
    """

    pairs: int
    rate_hz: float
    net_rate_hz: float
    mean_tracked_fidelity: float
    looks: int
    covered: int
    agreeing: bool
    swaps_failed: int
    cpu_s: float

    @property
    def coverage(self) -> float:
        """Covered looks over looks; 1 without any."""
        return self.covered / self.looks if self.looks else 1.0


def emulate(
    hardware: Mapping[str, PairHardware],
    models: Mapping[str, PairModel],
    entry: PathEntry,
    *,
    pairs: int = 4000,
    seed: int = 0,
    warm_up: int | None = None,
    longest_s: float = _LONGEST_S,
) -> Figures:
    """Run one path until so many pairs came.

    Args:
        hardware: Of the nodes, by name: the truth.
        models: Of the links, by name: the truth.
        entry: The path's; its hop lengths are those of the fibres.
        pairs: To count, test pairs included.
        seed: Of everything that is drawn.
        warm_up: Pairs before those that count; None: none, but where buffers have to fill, 2 K^2 and at most 4,000.
        longest_s: Virtual time after which fewer pairs have to do.
    """
    began_s = time.process_time()
    if warm_up is None:
        buffered = entry.regime in (Regime.BUFFERED, Regime.AT_ONCE)
        warm_up = min(4000, 2 * entry.buffer_pairs**2) if buffered else 0
    lengths = entry.hop_lengths_m or (0,) * len(entry.hops)
    fibres = [
        Fibre(name=hop.link, ends=(one, other), model=models[hop.link], length_m=length)
        for hop, one, other, length in zip(entry.hops, entry.nodes, entry.nodes[1:], lengths, strict=False)
    ]
    network = VirtualNetwork({node: hardware[node] for node in entry.nodes}, fibres, seed=seed)
    network.install(entry)
    head, far = network.sites[entry.head], network.sites[entry.far]
    end_s = network.now_s + longest_s
    network.run_until(lambda: len(head.effects) >= warm_up, longest_s)
    start_s = network.now_s
    head.effects.clear()
    far.effects.clear()
    delivered: list[Delivered] = []
    by_far: list[Delivered] = []
    looks = covered = 0
    for look in range(1, _LOOKS + 1):
        wanted = pairs * look // _LOOKS - len(delivered)
        network.run_until(lambda wanted=wanted: len(head.effects) >= wanted, end_s - network.now_s)  # type: ignore[misc]
        delivered += [effect for effect in head.effects if isinstance(effect, Delivered)]
        by_far += [effect for effect in far.effects if isinstance(effect, Delivered)]
        head.effects.clear()
        far.effects.clear()
        figures = head.engine.path_figures()[0]
        if (estimate := figures.estimate) is not None and warm_up == 0:
            window = [one for one in delivered if one.goodness_s >= network.now_s - estimate.age_s - 1e-9]
            if window:
                looks += 1
                tracked = sum(one.state.fidelity for one in window) / len(window)
                covered += estimate.low <= tracked <= estimate.high
    span_s = network.now_s - start_s
    tests = sum(one.test for one in delivered)
    return Figures(
        pairs=len(delivered),
        rate_hz=len(delivered) / span_s,
        net_rate_hz=(len(delivered) - tests) / span_s,
        mean_tracked_fidelity=sum(one.state.fidelity for one in delivered) / max(1, len(delivered)),
        looks=looks,
        covered=covered,
        agreeing=_agree(delivered, by_far),
        swaps_failed=sum(part.dropped_total for site in network.sites.values() for part in site.engine.parts()),
        cpu_s=time.process_time() - began_s,
    )


def _agree(one: list[Delivered], other: list[Delivered]) -> bool:
    """Tell whether two ends had the same pairs, the newest and, after a warm-up, the oldest apart."""
    by_pair = {effect.pair: effect for effect in other}
    common = [effect for effect in one if effect.pair in by_pair]
    same = all(effect._replace(kept=False) == by_pair[effect.pair]._replace(kept=False) for effect in common)
    return same and len(common) >= max(len(one), len(other)) - 64
