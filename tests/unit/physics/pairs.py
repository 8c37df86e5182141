"""Pairs and ratios for property tests."""

from hypothesis import strategies as st

from controller.physics.pair_states import BellDiagonal


def _normalised(shares: tuple[float, float, float, float]) -> BellDiagonal:
    total = sum(shares)
    a, b, c, d = (share / total for share in shares)
    return BellDiagonal(phi_plus=a, phi_minus=b, psi_plus=c, psi_minus=d)


ratios = st.floats(0.0, 1.0)
fidelities = st.floats(0.0, 1.0)
useful_fidelities = st.floats(0.501, 0.999)
_share = st.floats(0.0, 1.0)
pairs = st.tuples(_share, _share, _share, _share).filter(lambda shares: sum(shares) > 1e-3).map(_normalised)
"""Any Bell-diagonal pair."""
useful_pairs = st.builds(
    lambda fidelity, rest: BellDiagonal.werner(fidelity).mixed(rest, 0.05), st.floats(0.6, 1.0), pairs
)
"""Bell-diagonal pairs that are closer to Phi+ than to anything else."""
