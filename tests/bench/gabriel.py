"""Gabriel graphs for benchmarks and tests: points joined where no third lies within the circle over their distance.

What road, fibre and power networks look like most; about 2 links a node.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import Delaunay, cKDTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Gabriel:
    """A connected graph.

    Attributes:
        ends: The two nodes of each link; shape (n_links, 2).
        lengths_m: Of each link, >= 1; shape (n_links,).
    """

    n_nodes: int
    ends: npt.NDArray[np.int64]
    lengths_m: npt.NDArray[np.int64]


def gabriel(n_nodes: int, seed: int) -> Gabriel:
    """Return a graph of nodes thrown at random on a square of 1,000 km; the same for the same seed.

    Args:
        n_nodes: >= 4.
        seed: >= 0.
    """
    at = np.random.default_rng(seed).random((n_nodes, 2)) * 1e6
    row, near = Delaunay(at).vertex_neighbor_vertices
    tails = np.repeat(np.arange(n_nodes), np.diff(row))
    once = tails < near
    tails, heads = tails[once], near[once]
    radii = np.linalg.norm(at[tails] - at[heads], axis=1) / 2
    nearest, _ = cKDTree(at).query((at[tails] + at[heads]) / 2)
    kept = nearest >= radii * (1 - 1e-9)
    ends = np.stack([tails[kept], heads[kept]], axis=1).astype(np.int64)
    ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
    lengths = np.linalg.norm(at[ends[:, 0]] - at[ends[:, 1]], axis=1)
    return Gabriel(n_nodes=n_nodes, ends=ends, lengths_m=np.maximum(1, lengths).astype(np.int64))
