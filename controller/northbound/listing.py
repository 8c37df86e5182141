"""Lists: filters of equalities, and pages that stay right while the list changes."""

import base64
import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

from controller.domain.refusals import InvalidValue

T = TypeVar("T")

DEFAULT_PAGE: Final = 100
LARGEST_PAGE: Final = 1000
_LONGEST_FILTER: Final = 1024
_TOKEN_MARK: Final = 8

_TERM: Final = re.compile(
    r"""\s*(?P<field>[a-z_]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s"=]+))(?=\s|$)\s*"""
)
_AND: Final = re.compile(r"AND(?=\s)")

Fields = Mapping[str, Callable[[T], Collection[str]]]
"""By name, the texts that a field of an item equals: an id and its resource name, say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Generic[T]):
    """A field that has one of few values; a filter by any other text is a mistake.

    Attributes:
        values: As a filter writes them.
        text: Which of them an item has.
    """

    values: tuple[str, ...]
    text: Callable[[T], str]

    def __call__(self, item: T) -> tuple[str, ...]:
        """Return the text that the field of an item equals."""
        return (self.text(item),)


def one_of(kind: type[Enum], value: Callable[[T], Enum]) -> Callable[[T], Collection[str]]:
    """Return the field whose values are the members of an enum, by their names."""
    field: Choice[T] = Choice(values=tuple(kind.__members__), text=lambda item: value(item).name)
    return field


def truth(value: Callable[[T], bool]) -> Callable[[T], Collection[str]]:
    """Return the field that is either true or false."""
    field: Choice[T] = Choice(values=("true", "false"), text=lambda item: "true" if value(item) else "false")
    return field


def parse_filter(text: str, known: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the equalities of a filter.

    >>> parse_filter('state = ACTIVE AND source = "nodes/a"', ["state", "source"])
    (('state', 'ACTIVE'), ('source', 'nodes/a'))

    Raises:
        InvalidValue: It has another form, or names a field that cannot be filtered by.
    """
    names = sorted(known)
    if len(text) > _LONGEST_FILTER:
        raise InvalidValue("", ("filter", f"has {len(text)} characters; at most {_LONGEST_FILTER} are taken"))
    equalities: list[tuple[str, str]] = []
    place = 0
    while text.strip():
        term = _TERM.match(text, place)
        if term is None:
            raise InvalidValue(
                "", ("filter", f"at character {place + 1}: expected FIELD = VALUE, as in state = ACTIVE AND source = a")
            )
        if term["field"] not in names:
            raise InvalidValue(
                "", ("filter", f"{term['field']!r} cannot be filtered by; these can: {', '.join(names)}")
            )
        bare = term["bare"]
        equalities.append((term["field"], bare if bare is not None else re.sub(r"\\(.)", r"\1", term["quoted"])))
        place = term.end()
        if place == len(text):
            break
        joint = _AND.match(text, place)
        if joint is None:
            raise InvalidValue("", ("filter", f"at character {place + 1}: expected AND or the end"))
        place = joint.end()
    return tuple(equalities)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list; `next_token` is empty at its end."""

    items: tuple[T, ...]
    next_token: str


def page_of(
    items: Mapping[str, T],
    fields: Fields[T],
    *,
    page_size: int,
    page_token: str,
    filter_text: str = "",
    descending: bool = False,
) -> Page[T]:
    """Return the page that a request asks for, in the order of the keys, or against it.

    A page goes on behind the last key of the one before, so that what is created or deleted in between moves nothing.

    Raises:
        InvalidValue: Page size, token or filter is malformed, the filter wants what a field never is, or the token
            belongs to another filter.
    """
    if page_size < 0:
        raise InvalidValue("", ("page_size", f"{page_size} is negative; 0 means {DEFAULT_PAGE}"))
    equalities = parse_filter(filter_text, fields)
    for name, value in equalities:
        field = fields[name]
        if isinstance(field, Choice) and value not in field.values:
            raise InvalidValue("", ("filter", f"{name} is never {value!r}; it is one of {', '.join(field.values)}"))
    size = min(page_size or DEFAULT_PAGE, LARGEST_PAGE)
    keys: Sequence[str] = sorted(items)
    seen = _key_of(page_token, filter_text) if page_token else None
    if descending:
        keys = keys[: None if seen is None else bisect_left(keys, seen)][::-1]
        place = 0
    else:
        place = 0 if seen is None else bisect_right(keys, seen)
    taken: list[str] = []
    more = False
    for key in keys[place:]:
        if all(value in fields[name](items[key]) for name, value in equalities):
            if len(taken) == size:
                more = True
                break
            taken.append(key)
    return Page(items=tuple(items[key] for key in taken), next_token=_token(taken[-1], filter_text) if more else "")


def _mark(filter_text: str) -> bytes:
    return hashlib.sha256(filter_text.encode()).digest()[:_TOKEN_MARK]


def _token(key: str, filter_text: str) -> str:
    return base64.urlsafe_b64encode(_mark(filter_text) + key.encode()).decode()


def _key_of(token: str, filter_text: str) -> str:
    try:
        content = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        mark, key = content[:_TOKEN_MARK], content[_TOKEN_MARK:].decode()
    except ValueError:
        raise InvalidValue("", ("page_token", "is none that a list gave: leave it out for the first page")) from None
    if mark != _mark(filter_text):
        raise InvalidValue("", ("page_token", "was given with another filter: leave it out for the first page"))
    return key


def either(collection: str, name: str) -> tuple[str, ...]:
    """Return the texts that name a resource in a filter: its id and its resource name.

    >>> either("nodes", "a"), either("nodes", "")
    (('a', 'nodes/a'), ('',))
    """
    return (name, f"{collection}/{name}") if name else ("",)
