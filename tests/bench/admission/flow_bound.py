"""What no admission can beat: linear programmes over flows on links, in which relays may be split at will."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog
from scipy.sparse import coo_matrix, csr_matrix, hstack

Pair = tuple[int, int]
Floats = npt.NDArray[np.float64]


def most_carried(n_nodes: int, ends: Sequence[Pair], wanted: Mapping[Pair, float], capacities: Floats) -> float:
    """Return the largest sum of what pairs get; arguments as of `most_and_prices`."""
    return most_and_prices(n_nodes, ends, wanted, capacities)[0]


def most_and_prices(
    n_nodes: int, ends: Sequence[Pair], wanted: Mapping[Pair, float], capacities: Floats
) -> tuple[float, Floats]:
    """Return the largest sum of what pairs get, none more than it wants, and what more capacity of each link gives.

    Links are used in both directions together.

    Args:
        n_nodes: Nodes are 0 to n_nodes - 1.
        ends: Of each link.
        wanted: By pair, the smaller node first; > 0.
        capacities: Of each link, in the unit of `wanted`; shape (n_links,).
    """
    pairs = sorted(wanted)
    conserve, share = _flows(n_nodes, ends, pairs)
    n_flows = share.shape[1]
    rows = [conserve.row_of[pair] for pair in pairs]
    got = csr_matrix((-np.ones(len(pairs)), (rows, range(len(pairs)))), shape=(conserve.matrix.shape[0], len(pairs)))
    upper = np.concatenate([np.full(n_flows, np.inf), [wanted[pair] for pair in pairs]])
    worth = np.concatenate([np.zeros(n_flows), -np.ones(len(pairs))])
    most, prices = _solved(worth, conserve.matrix, got, share, capacities, upper)
    return -most, prices


def most_scale(n_nodes: int, ends: Sequence[Pair], wanted: Mapping[Pair, float]) -> float:
    """Return the largest factor by which all that is wanted can be carried at once by links of capacity 1."""
    pairs = sorted(wanted)
    conserve, share = _flows(n_nodes, ends, pairs)
    n_flows = share.shape[1]
    rows = [conserve.row_of[pair] for pair in pairs]
    got = csr_matrix(([-wanted[pair] for pair in pairs], (rows, [0] * len(pairs))), shape=(conserve.matrix.shape[0], 1))
    worth = np.concatenate([np.zeros(n_flows), [-1.0]])
    return -_solved(worth, conserve.matrix, got, share, np.ones(len(ends)), np.full(n_flows + 1, np.inf))[0]


class _Conserved:
    """What flows into a node and not out of it, for flows of each source. Attributes: row_of: of a pair."""

    def __init__(self, matrix: csr_matrix, row_of: Mapping[Pair, int]) -> None:
        self.matrix = matrix
        self.row_of = row_of


def _flows(n_nodes: int, ends: Sequence[Pair], pairs: Sequence[Pair]) -> tuple[_Conserved, csr_matrix]:
    """Return conservation at nodes and use of links; for each source, flows up and then down the links."""
    sources = sorted({source for source, _ in pairs})
    n_links = len(ends)
    rows, columns, values = list[int](), list[int](), list[float]()
    row_of: dict[Pair, int] = {}
    for begin, source in enumerate(sources):
        base = 2 * n_links * begin
        for node in range(n_nodes):
            if node != source:
                row_of[source, node] = len(row_of)
        for link, (a, b) in enumerate(ends):
            for node, sign in ((b, 1.0), (a, -1.0)):
                if node != source:
                    rows += [row_of[source, node]] * 2
                    columns += [base + link, base + n_links + link]
                    values += [sign, -sign]
    n_flows = 2 * n_links * len(sources)
    matrix = coo_matrix((values, (rows, columns)), shape=(len(row_of), n_flows)).tocsr()
    used = np.tile(np.arange(n_links), 2 * len(sources))
    share = coo_matrix((np.ones(n_flows), (used, np.arange(n_flows))), shape=(n_links, n_flows)).tocsr()
    return _Conserved(matrix, row_of), share


def _solved(
    worth: Floats, conserve: csr_matrix, got: csr_matrix, share: csr_matrix, capacities: Floats, upper: Floats
) -> tuple[float, Floats]:
    unused = csr_matrix((share.shape[0], got.shape[1]))
    answer = linprog(
        worth,
        A_ub=hstack([share, unused]),
        b_ub=capacities,
        A_eq=hstack([conserve, got]),
        b_eq=np.zeros(conserve.shape[0]),
        bounds=np.stack([np.zeros(len(upper)), upper], axis=1),
        method="highs-ipm",
    )
    if answer.status != 0:
        raise RuntimeError(f"no optimum: {answer.message}")
    return float(answer.fun), np.maximum(0.0, -answer.ineqlin.marginals)
