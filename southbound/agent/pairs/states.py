"""The state of one tracked pair: Bell-diagonal, kept as three correlations, so that a swap is three products.

A Bell-diagonal pair with weights (a, b, c, d) of (Phi+, Phi-, Psi+, Psi-) has zz = a + b - c - d, xx = a - b + c - d
and yy = a - b - c + d (minus <YY>): how much the outcomes of both ends agree as those of Phi+ do. Pauli errors add up
by multiplying these; a depolarised half multiplies all three alike; a Werner pair has three times w.
F = <Phi+|rho|Phi+>.
The formulas are those of `controller.physics`, written for speed; a test holds them together.
"""

import math
from typing import NamedTuple

from controller.domain.pair_link import PairHardware
from controller.physics.pair_states import BellDiagonal


class Pair(NamedTuple):
    """One pair between two nodes of a route, as it was at a time. The left end is the one nearer to the path's head.

    Attributes:
        sequence: With the names of its two nodes it identifies the pair.
        zz, xx, yy: Correlations at `at_s`; see the module.
        at_s: When.
        left_rate, right_rate: 1 / T of the memory at either end, per second.
        x, z: Pauli frame: which corrections an end owes; the state is as after them.
    """

    sequence: int
    zz: float
    xx: float
    yy: float
    at_s: float
    left_rate: float
    right_rate: float
    x: int = 0
    z: int = 0

    @property
    def fidelity(self) -> float:
        """F = <Phi+|rho|Phi+> at `at_s`."""
        return 0.25 * (1.0 + self.zz + self.xx + self.yy)

    @property
    def werner(self) -> float:
        """Werner parameter (4F - 1) / 3 of the pair as a twirl leaves it."""
        return (self.zz + self.xx + self.yy) / 3.0

    def aged(self, now_s: float) -> "Pair":
        """Return the pair at a later time, in the memories of its two ends."""
        kept = math.exp((self.left_rate + self.right_rate) * (self.at_s - now_s)) if now_s > self.at_s else 1.0
        return self._replace(zz=kept * self.zz, xx=kept * self.xx, yy=kept * self.yy, at_s=max(now_s, self.at_s))

    def state(self) -> BellDiagonal:
        """Return the state at `at_s`."""
        zz, xx, yy = self.zz, self.xx, self.yy
        weights = (1 + zz + xx + yy, 1 + zz - xx - yy, 1 - zz + xx - yy, 1 - zz - xx + yy)
        a, b, c, d = (min(1.0, max(0.0, 0.25 * weight)) for weight in weights)
        return BellDiagonal(phi_plus=a, phi_minus=b, psi_plus=c, psi_minus=d)


class SwapNoise(NamedTuple):
    """What the swaps of one node do to the three correlations."""

    zz: float
    xx: float
    yy: float


def swap_noise(hardware: PairHardware) -> SwapNoise:
    """Return the factors of a node's swap: wrong readouts leave X and Z errors, gates depolarise (`noisy_swap`)."""
    gates = hardware.gate_quality * hardware.one_qubit_gate_quality
    right = 2.0 * hardware.readout_quality - 1.0
    return SwapNoise(gates * right, gates * right, gates * right * right)


def swapped(left: Pair, right: Pair, noise: SwapNoise, now_s: float, *, sequence: int, outcome: int) -> Pair:
    """Return the outer pair of a swap at a time; `outcome` is what the Bell measurement announces, two bits x z."""
    waited = (left.left_rate + left.right_rate) * (left.at_s - now_s)
    waited += (right.left_rate + right.right_rate) * (right.at_s - now_s)
    kept = math.exp(waited) if waited < 0.0 else 1.0
    return Pair(
        sequence,
        kept * left.zz * right.zz * noise.zz,
        kept * left.xx * right.xx * noise.xx,
        kept * left.yy * right.yy * noise.yy,
        now_s,
        left.left_rate,
        right.right_rate,
        left.x ^ right.x ^ (outcome >> 1),
        left.z ^ right.z ^ (outcome & 1),
    )


def purified(kept: Pair, measured: Pair, now_s: float) -> tuple[float, Pair]:
    """Return the success probability of a BBPSSW round at a time, and the pair that a success leaves, twirled.

    Source: Bennett et al., PRL 76, 722 (1996).
    """
    one, two = kept.aged(now_s), measured.aged(now_s)
    w1, w2 = one.werner, two.werner
    success = 0.5 * (1.0 + w1 * w2)
    werner = (w1 + w2 + 4.0 * w1 * w2) / (6.0 * success)
    return success, one._replace(zz=werner, xx=werner, yy=werner)
