"""Names of other people's nodes as DNS labels: readable, unique, and the same at every import."""

import hashlib
import re
import unicodedata
from typing import Final

_LONGEST: Final = 63
_SPELT: Final = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d",
     "ð": "d", "Ð": "d", "þ": "th", "Þ": "th", "ı": "i", "&": " and "}
)  # fmt: skip


def label_of(text: str, *, otherwise: str, longest: int = _LONGEST) -> str:
    """Return the text as a DNS label: accents dropped, lower case, one hyphen for anything else.

    Args:
        text: Any.
        otherwise: A label for a text of which nothing is left.
        longest: Characters, >= 16; what is longer is cut and ends in a hash of the whole.

    >>> label_of("Zürich (Süd)", otherwise="n1"), label_of("北京", otherwise="n1")
    ('zurich-sud', 'n1')
    """
    plain = unicodedata.normalize("NFKD", text.translate(_SPELT)).encode("ascii", "ignore").decode().lower()
    label = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return shortened(label or otherwise, longest)


def shortened(label: str, longest: int = _LONGEST) -> str:
    """Return the label if it is short enough, else its beginning and 8 digits of a hash of the whole.

    >>> shortened("a" * 30, 20)
    'aaaaaaaaaaa-3a54fc0c'
    """
    if len(label) <= longest:
        return label
    digest = hashlib.sha256(label.encode()).hexdigest()[:8]
    return f"{label[: longest - 9].rstrip('-')}-{digest}"


class Names:
    """Names given so far; a second one of the same spelling gets a number behind it: -2, -3, ..."""

    def __init__(self, reserved: frozenset[str] = frozenset()) -> None:
        """Start; `reserved` are given only to who asks for them without a number."""
        self._taken: set[str] = set()
        self._reserved = reserved

    def give(self, label: str) -> str:
        """Return the label, or the first free one with a number.

        >>> names = Names(frozenset({"a", "a-2"}))
        >>> [names.give(label) for label in ("a", "a", "a-2", "a")]
        ['a', 'a-3', 'a-2', 'a-4']
        """
        label = shortened(label)
        name, number = label, 1
        while name in self._taken or (number > 1 and name in self._reserved):
            number += 1
            name = shortened(f"{label}-{number}")
        self._taken.add(name)
        return name
