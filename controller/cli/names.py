"""Resource names as people type them: with or without their collection."""

from collections.abc import Iterable


def full(collection: str, text: str) -> str:
    """Return the full name of a resource.

    >>> full("nodes", "a"), full("nodes", "nodes/a")
    ('nodes/a', 'nodes/a')
    """
    return text if text.startswith(f"{collection}/") else f"{collection}/{text}"


def short(name: str) -> str:
    """Return a name without its collection.

    >>> short("links/a-b"), short("a-b")
    ('a-b', 'a-b')
    """
    return name.rpartition("/")[2]


def shorts(names: Iterable[str]) -> str:
    """Return several names without their collections, as one text."""
    return ", ".join(map(short, names))
