"""A network as kernels walk it: nodes and links by number, in compressed rows (CSR)."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.compiled import INT32S

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MOST_NODES: Final = 1_000_000
MOST_LINKS: Final = 4_000_000
"""More is refused before any work: about 100 bytes for each node and link, and searches of seconds."""


class Net(NamedTuple):
    """Who is joined with whom; parallel links are distinct, isolated nodes have an empty row. All arrays are frozen.

    At each node links stand in the order of their numbers, so that the first of several equally good choices is the
    one with the smallest number.

    Attributes:
        first: Where each node's row begins; shape (n_nodes + 1,).
        links: The links at each node, row after row; shape (2 n_links,).
        fars: The node at the far end of each; shape (2 n_links,).
        tails, heads: The two ends of each link; shape (n_links,).
    """

    first: Int32s
    links: Int32s
    fars: Int32s
    tails: Int32s
    heads: Int32s


NET: Final = numba.types.NamedUniTuple(INT32S, 5, Net)  # type: ignore[no-untyped-call]
"""The type of a net in the signature of a kernel."""


def frozen(array: npt.NDArray[np.generic]) -> None:
    """Make an array one that nobody writes to."""
    array.flags.writeable = False


def net_of(n_nodes: int, ends: Sequence[tuple[int, int]] | Int32s) -> Net:
    """Return the net of links between nodes 0 to n_nodes - 1; links are numbered as they come. Cost: O(n + m log m).

    Args:
        n_nodes: >= 0.
        ends: The two nodes of each link; shape (n_links, 2).

    Raises:
        InvalidValue: Too many nodes or links, an end that is no node, or a link from a node to itself.
    """
    n_links = len(ends)
    if not 0 <= n_nodes <= MOST_NODES or n_links > MOST_LINKS:
        raise InvalidValue(
            "",
            ("nodes", f"{n_nodes} nodes and {n_links} links are more than {MOST_NODES} and {MOST_LINKS}; divide them"),
        )
    pairs = np.asarray(ends, dtype=np.int64).reshape(n_links, 2)
    if n_links and (pairs.min() < 0 or pairs.max() >= n_nodes):
        raise InvalidValue("", ("links", f"an end is none of the {n_nodes} nodes"))
    if bool((pairs[:, 0] == pairs[:, 1]).any()):
        raise InvalidValue("", ("links", f"link {int((pairs[:, 0] == pairs[:, 1]).argmax())} joins a node with itself"))
    near = np.concatenate([pairs[:, 0], pairs[:, 1]])
    far = np.concatenate([pairs[:, 1], pairs[:, 0]])
    number = np.concatenate([np.arange(n_links)] * 2) if n_links else np.zeros(0, np.int64)
    order = np.lexsort((number, near))
    first = np.zeros(n_nodes + 1, np.int32)
    np.cumsum(np.bincount(near, minlength=n_nodes), out=first[1:])
    net = Net(
        first=first,
        links=number[order].astype(np.int32),
        fars=far[order].astype(np.int32),
        tails=pairs[:, 0].astype(np.int32),
        heads=pairs[:, 1].astype(np.int32),
    )
    for array in net:
        frozen(array)
    return net
