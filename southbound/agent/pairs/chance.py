"""Numbers that both ends of a path draw alike, from a shared seed and a pair's number, without a word to each other."""

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def shared_uniform(seed: int, sequence: int, purpose: int) -> float:
    """Return a number in [0, 1) for one purpose of one pair.

    Source: the finaliser of splitmix64; Steele, Lea, Flood, OOPSLA 2014.

    >>> shared_uniform(1, 2, 3) == shared_uniform(1, 2, 3) != shared_uniform(1, 2, 4)
    True
    """
    mixed = (seed ^ ((sequence * _GOLDEN) & _MASK)) & _MASK
    for step in (purpose + 1, 0x632BE5AB):
        mixed = (mixed + step * _GOLDEN) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        mixed ^= mixed >> 31
    return (mixed >> 11) * 2.0**-53
