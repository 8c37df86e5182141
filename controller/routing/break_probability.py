"""How sure a key is that goes in shares over several routes: who must be owned to know it, and how likely that is."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from controller.domain.refusals import InvalidValue

Relays = Collection[str]
"""The nodes that a route passes between its ends: each of them knows the share that goes over it."""


def break_probability(
    routes: Sequence[Relays], compromise: Mapping[str, float], *, threshold: int | None = None
) -> float:
    """Return the probability that at least `threshold` routes pass a compromised node, nodes falling independently.

    Routes may overlap: nodes are taken one after the other, each turning every set of routes touched so far into
    another, and nothing is multiplied that is not independent. Only sums of products of what is positive, so exact to
    rounding however small. Cost: O(nodes x 2^routes).

    Args:
        routes: The relays of each; a route without relays can't be touched.
        compromise: Of each relay, in [0, 1].
        threshold: Shares that give the key away; None wants all (XOR).

    Raises:
        InvalidValue: A probability is missing or out of its range, or the threshold is not in 1..routes.

    Source: models.md section 10.

    >>> break_probability([["a"], ["b"]], {"a": 0.1, "b": 0.2})
    0.020000000000000004
    >>> break_probability([["a", "b"], ["a", "c"]], {"a": 0.5, "b": 0.0, "c": 0.0})
    0.5
    """
    threshold = _threshold(routes, threshold)
    touching: dict[str, int] = {}
    for number, relays in enumerate(routes):
        for node in relays:
            touching[node] = touching.get(node, 0) | 1 << number
    check_probabilities(compromise, touching)
    # Nodes on the same routes do the same: each such set of routes is touched or not.
    touched: dict[int, float] = {}
    for node in sorted(touching):
        before, here = touched.get(touching[node], 0.0), compromise[node]
        touched[touching[node]] = before + (1.0 - before) * here
    of_sets = {0: 1.0}
    for routes_here, here in sorted(touched.items()):
        after: dict[int, float] = {}
        for known, chance in sorted(of_sets.items()):
            after[known] = after.get(known, 0.0) + chance * (1.0 - here)
            after[known | routes_here] = after.get(known | routes_here, 0.0) + chance * here
        of_sets = after
    return min(1.0, sum(chance for known, chance in sorted(of_sets.items()) if known.bit_count() >= threshold))


def fewest_curious(routes: Sequence[Relays], *, threshold: int | None = None) -> int | None:
    """Return the least number of relays that together touch `threshold` routes, or None when all relays don't.

    Who touches several routes counts once, so routes need not be disjoint: over {a,b}, {b,c} and {a,c} it takes two.
    Exact. Cost: O(2^routes x nodes).

    Raises:
        InvalidValue: The threshold is not in 1..routes.

    >>> fewest_curious([{"a", "b"}, {"b", "c"}, {"a", "c"}])
    2
    """
    threshold = _threshold(routes, threshold)
    touching: dict[str, int] = {}
    for number, relays in enumerate(routes):
        for node in relays:
            touching[node] = touching.get(node, 0) | 1 << number
    kinds = {mask for mask in touching.values() if not any(mask & more == mask != more for more in touching.values())}
    reached = {0}
    for count in range(1, len(routes) + 1):
        reached = {known | mask for known in reached for mask in kinds}
        if any(known.bit_count() >= threshold for known in reached):
            return count
    return None


def is_confidential(routes: Sequence[Relays], curious: int, *, threshold: int | None = None) -> bool:
    """Tell whether no `curious` relays together learn the key, whichever they are; errors as of `fewest_curious`.

    Source: models.md section 10: just when the least set of relays that meets enough routes is larger than that.
    """
    if curious < 0:
        raise InvalidValue("", ("curious", f"{curious} is negative"))
    fewest = fewest_curious(routes, threshold=threshold)
    return fewest is None or fewest > curious


def check_probabilities(compromise: Mapping[str, float], nodes: Iterable[str]) -> None:
    """Check that these nodes have a probability.

    Raises:
        InvalidValue: One has none, or one that is not in [0, 1].
    """
    for node in sorted(nodes):
        if node not in compromise:
            raise InvalidValue("", (f"compromise.{node}", "has no probability; each node that may be passed needs one"))
        # Written so that NaN is refused too.
        if not 0.0 <= compromise[node] <= 1.0:
            raise InvalidValue("", (f"compromise.{node}", f"{compromise[node]} is not in [0, 1]"))


def _threshold(routes: Sequence[Relays], threshold: int | None) -> int:
    if threshold is None and routes:
        return len(routes)
    if threshold is None or not 1 <= threshold <= len(routes):
        raise InvalidValue("", ("threshold", f"{threshold} is not in 1..{len(routes)}, the number of routes"))
    return threshold


def chance_of_any(chances: Iterable[float]) -> float:
    """Return the probability that something independent happens at all; exact to rounding however small.

    >>> chance_of_any([1e-20, 1e-20])
    2e-20
    """
    any_of_them = 0.0
    for chance in chances:
        any_of_them += (1.0 - any_of_them) * chance
    return any_of_them
