"""Swap trees: in which order the pairs of a chain of hops are joined.

A tree is a hop's number (0 first), or a pair of trees whose hops follow one another. Transit node v lies
between the hops v - 1 and v; it swaps where the right branch begins at hop v.
"""

from collections.abc import Iterator
from typing import TypeAlias

from controller.physics.ranges import checked_count

SwapTree: TypeAlias = int | tuple["SwapTree", "SwapTree"]


def first_hop(tree: SwapTree) -> int:
    """Return the number of the leftmost hop.

    >>> first_hop(((2, 3), 4))
    2
    """
    while not isinstance(tree, int):
        tree = tree[0]
    return tree


def last_hop(tree: SwapTree) -> int:
    """Return the number of the rightmost hop.

    >>> last_hop(((2, 3), 4))
    4
    """
    while not isinstance(tree, int):
        tree = tree[1]
    return tree


def segment_ends(tree: SwapTree) -> tuple[int, int]:
    """Return the numbers of the two nodes that the tree's pair joins.

    >>> segment_ends(((2, 3), 4))
    (2, 5)
    """
    return first_hop(tree), last_hop(tree) + 1


def nested_halving(hops: int, first: int = 0) -> SwapTree:
    """Return the canonical tree: n hops split at n // 2.

    Raises:
        ValueError: hops < 1.

    >>> nested_halving(5)
    ((0, 1), (2, (3, 4)))
    """
    checked_count("hops", hops, 1)
    if hops == 1:
        return first
    half = hops // 2
    return nested_halving(half, first), nested_halving(hops - half, first + half)


def check_tree(tree: SwapTree, hops: int) -> None:
    """Refuse a tree whose leaves are not the hops 0 .. hops - 1 in their order.

    Raises:
        ValueError: names the tree.
    """
    if [hop for hop, _ in leaf_depths(tree)] != list(range(hops)):
        raise ValueError(f"tree: {tree} does not join hops 0 to {hops - 1} in their order")


def leaf_depths(tree: SwapTree, depth: int = 0) -> Iterator[tuple[int, int]]:
    """Yield each hop, from the left, with the number of swaps above it.

    >>> list(leaf_depths((0, (1, 2))))
    [(0, 1), (1, 2), (2, 2)]
    """
    if isinstance(tree, int):
        yield tree, depth
        return
    for branch in tree:
        yield from leaf_depths(branch, depth + 1)


def splits(tree: SwapTree) -> Iterator[tuple[int, int, int]]:
    """Yield (left end, swapping node, right end) of every swap, inner swaps before those that need them.

    >>> list(splits(nested_halving(4)))
    [(0, 1, 2), (2, 3, 4), (0, 2, 4)]
    """
    if isinstance(tree, int):
        return
    left, right = tree
    yield from splits(left)
    yield from splits(right)
    yield first_hop(left), first_hop(right), last_hop(right) + 1


def swap_nodes_above(tree: SwapTree) -> dict[int, tuple[int, ...]]:
    """Return for each hop the nodes whose swaps its pair goes through, the last swap first.

    >>> swap_nodes_above((0, (1, 2)))
    {0: (1,), 1: (1, 2), 2: (1, 2)}
    """
    found: dict[int, tuple[int, ...]] = {}

    def walk(branch: SwapTree, above: tuple[int, ...]) -> None:
        if isinstance(branch, int):
            found[branch] = above
            return
        node = first_hop(branch[1])
        walk(branch[0], (*above, node))
        walk(branch[1], (*above, node))

    walk(tree, ())
    return found
