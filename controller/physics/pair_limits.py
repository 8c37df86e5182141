"""What no protocol can exceed: two-way assisted capacities of lossy channels, alone, in chains and along a path.

In ebits (ideal pairs, F = <Phi+|rho|Phi+> = 1) per use of each channel, which is also secret bits per use. Per use,
not per second: multiply by the channel uses per second.
"""

import heapq
import math
from collections.abc import Iterable, Sequence

from controller.physics.ranges import checked, checked_count


def plob_ebits_per_use(transmittance: float) -> float:
    """Return C = -log2(1 - eta), what a lossy channel carries at most; about 1.44 eta where eta is small.

    Args:
        transmittance: eta in [0, 1]; infinite at 1.

    Source: Pirandola et al., Nat. Commun. 8, 15043 (2017).

    >>> plob_ebits_per_use(0.5), plob_ebits_per_use(1.0)
    (1.0, inf)

    Raises:
        ValueError: The transmittance is not in [0, 1].
    """
    lost = -checked("transmittance", transmittance, 0.0, 1.0)
    return -math.log1p(lost) / math.log(2.0) if lost > -1.0 else math.inf


def chain_ebits_per_use(transmittance: float, spans: int) -> float:
    """Return -log2(1 - eta^(1/n)): a line of total transmittance eta cut into n equal spans by ideal repeaters.

    Args:
        transmittance: eta of the whole line, in [0, 1].
        spans: n >= 1.

    Source: Pirandola, Commun. Phys. 2, 51 (2019).

    >>> round(chain_ebits_per_use(0.01, 2), 6), round(chain_ebits_per_use(0.01, 1), 6)
    (0.152003, 0.0145)

    Raises:
        ValueError: An argument is out of range.
    """
    checked("transmittance", transmittance, 0.0, 1.0)
    return plob_ebits_per_use(transmittance ** (1.0 / checked_count("spans", spans, 1)))


def path_ebits_per_use(transmittances: Sequence[float]) -> float:
    """Return min C(eta): a path with ideal repeaters between its channels, each used once.

    Args:
        transmittances: eta of each channel, shape (n,), n >= 1, each in [0, 1].

    Source: Pirandola, Commun. Phys. 2, 51 (2019).

    >>> path_ebits_per_use([0.75, 0.5])
    1.0

    Raises:
        ValueError: One is not in [0, 1], or there are none.
    """
    if not transmittances:
        raise ValueError("transmittances: a path has at least one channel")
    return min(map(plob_ebits_per_use, transmittances))


def widest_path(
    channels: Iterable[tuple[str, str, float]], source: str, target: str
) -> tuple[float, tuple[str, ...]] | None:
    """Return (ebits per use, nodes) of the path that bounds single-path routing; None if no light gets through.

    Among paths of the same capacity: any, but always the same for the same channels in the same order.

    Args:
        channels: (one end, other end, eta in [0, 1]) of each, usable both ways.
        source: One end of the path.
        target: The other end, a different node.

    Source: Pirandola, Commun. Phys. 2, 51 (2019).

    >>> widest_path([("a", "b", 0.75), ("b", "c", 0.5), ("a", "c", 0.25)], "a", "c")
    (1.0, ('a', 'b', 'c'))

    Raises:
        ValueError: A transmittance is not in [0, 1], or source and target are the same.
    """
    if source == target:
        raise ValueError(f"target: {target} is the source")
    beside: dict[str, list[tuple[str, float]]] = {}
    for one, other, transmittance in channels:
        capacity = plob_ebits_per_use(transmittance)
        beside.setdefault(one, []).append((other, capacity))
        beside.setdefault(other, []).append((one, capacity))
    done: set[str] = set()
    open_ends: list[tuple[float, tuple[str, ...]]] = [(-math.inf, (source,))]
    while open_ends:
        width, nodes = heapq.heappop(open_ends)
        if nodes[-1] == target:
            return -width, nodes
        if nodes[-1] in done:
            continue
        done.add(nodes[-1])
        for far, capacity in beside.get(nodes[-1], ()):
            if far not in done and capacity > 0.0:
                heapq.heappush(open_ends, (max(width, -capacity), (*nodes, far)))
    return None
