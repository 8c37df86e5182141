"""The best route of the regimes that have compiled searches, by plain Python."""

import math
from dataclasses import replace

from controller.domain.pair_link import Regime
from tests.support.plain_pairs.buffered import best_buffered
from tests.support.plain_pairs.candidate import Candidate
from tests.support.plain_pairs.ground import Ground
from tests.support.plain_pairs.memory import MemorySearch


def best_candidate(ground: Ground, fidelity: float, steps: int) -> Candidate | None:
    """Return what `controller.routing.entanglement.regimes.best_candidate` returns, of BUFFERED and MEMORY."""
    if fidelity > 1.0 + 1e-12:
        return None
    ground = replace(ground, most_loss=-math.log(min(1.0, (4 * fidelity - 1) / 3)))
    if not ground.joined:
        return None
    if ground.regime is Regime.BUFFERED:
        return best_buffered(ground, steps)
    return MemorySearch(ground, fidelity * (1 - 1e-12)).best(steps)
