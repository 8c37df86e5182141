"""Typed reading of a configuration file that collects every mistake with its line and field."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from controller.config import document
from controller.config.mistakes import Mistake, Mistakes
from controller.domain.names import LABEL_RULE, is_label
from controller.domain.refusals import InvalidValue

UINT32_MAX: Final = 2**32 - 1

_FORM: Final = "a section of fields (`name: value`)"

_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER: Final = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?(\.?(inf|infinity)|\.?nan)", re.IGNORECASE)
_LOOKS_TYPED: Final = re.compile(r"(true|false|yes|no|on|off|null|~)?", re.IGNORECASE)

T = TypeVar("T")


def load(path: Path | str, reader: Callable[["Section"], T]) -> T:
    """Return what the reader makes of the file.

    The reader never has to stop at a mistake: getters note it and return a value in range. It is called once, and
    what it returns is dropped if there was any mistake.

    Raises:
        Mistakes: Every mistake of the file, unknown fields included.
    """
    root, mistakes = document.read(Path(path))
    return _read(root, mistakes, Path(path), str(path), reader)


def loads(text: str, reader: Callable[["Section"], T], *, name: str = "<text>") -> T:
    """Do the same for a text; relative paths in it are relative to the working directory.

    >>> loads("stale_after_s: soon", lambda section: section.number("stale_after_s"), name="lab.yaml")
    Traceback (most recent call last):
    ...
    controller.config.mistakes.Mistakes: lab.yaml:1: stale_after_s: 'soon' is not a number
    """
    root, mistakes = document.parse(text, name)
    return _read(root, mistakes, Path(name), name, reader)


def _read(
    root: document.Mapping, mistakes: list[Mistake], path: Path, name: str, reader: Callable[["Section"], T]
) -> T:
    section = Section(root, file=name, folder=path.parent, field="", line=root.line, mistakes=mistakes)
    value = reader(section)
    section.finish()
    if mistakes:
        raise Mistakes(mistakes)
    return value


class Section:
    """One mapping of a file. A getter notes a mistake and returns a value in range, so that reading goes on.

    Every getter takes the field's name; a field without `default` is required. `load` finishes the whole tree; a reader
    may call `finish` earlier.
    """

    def __init__(
        self,
        node: document.Mapping | None,
        *,
        file: str,
        folder: Path,
        field: str,
        line: int,
        mistakes: list[Mistake],
    ) -> None:
        self.line = line
        self.field = field
        self.file = file
        self._node = node
        self._folder = folder
        self._mistakes = mistakes
        self._known: set[str] = set()
        self._children: list[Section] = []
        self._sections: dict[str, Section] = {}
        self._finished = node is None
        self._noted = 0

    # -- what is there

    def has(self, key: str) -> bool:
        """Tell whether the field is given; from then on it is a known field."""
        self._known.add(key)
        return self._node is not None and key in self._node.entries

    def names(self) -> tuple[str, ...]:
        """Return the names of the fields given, in the order of the file."""
        return tuple(self._node.entries) if self._node else ()

    @property
    def sound(self) -> bool:
        """Whether no mistake was noted yet in this section or below it."""
        return self._node is not None and not self._noted and all(child.sound for child in self._children)

    # -- noting

    def mistake(self, key: str, what: str) -> None:
        """Note a mistake at a field (at the section itself if the field is absent or empty)."""
        entry = self._node.entries.get(key) if self._node else None
        self._note(entry[0] if entry else self.line, self._path(key), what)

    def build(self, make: Callable[[], T]) -> T | None:
        """Return what `make` returns; None if this section has mistakes, or if a domain rule refuses its values."""
        if not self.sound:
            return None
        try:
            return make()
        except InvalidValue as refusal:
            for field, what in refusal.fields:
                self.mistake(field, what)
            return None

    def include(self, key: str, reader: Callable[["Section"], T], *, default: str | None = None) -> T | None:
        """Return what the reader makes of the file named at a field; None if it has mistakes, which join ours."""
        noted = self._noted
        path = self.path(key, default=default)
        if self._node is None or self._noted > noted or not (self.has(key) or default is not None):
            return None
        try:
            return load(path, reader)
        except Mistakes as refused:
            for mistake in refused.mistakes:
                if mistake.line:
                    self._mistakes.append(mistake)
                    self._noted += 1
                else:
                    self.mistake(key, f"{path} {mistake.what}")
            return None

    def finish(self) -> None:
        """Note every field that nobody asked for, here and below."""
        if not self._finished and self._node is not None:
            self._finished = True
            for key in self._node.entries:
                if key not in self._known:
                    self.mistake(key, f"unknown; known here: {', '.join(sorted(self._known)) or 'no fields'}")
        for child in self._children:
            child.finish()

    # -- values

    def text(self, key: str, *, default: str | None = None, max_length: int = 1024, ascii_only: bool = False) -> str:
        """Return a text of 1..max_length characters on one line."""
        value = self._scalar(key, "text", optional=default is not None)
        if value is not None:
            problem = _text_problem(value, max_length=max_length, ascii_only=ascii_only)
            if problem is None:
                return value.text
            self.mistake(key, problem)
        return default if default is not None else "none"

    def label(self, key: str, *, default: str | None = None) -> str:
        """Return a DNS label in lower case (names of nodes, links, controllers, users)."""
        value = self._scalar(key, "a name", optional=default is not None)
        if value is not None:
            if is_label(value.text):
                return value.text
            self.mistake(key, f"{_shown(value.text)} is not {LABEL_RULE}")
        return default if default is not None else "none"

    def number(
        self,
        key: str,
        *,
        low: float = -math.inf,
        high: float = math.inf,
        above: float = -math.inf,
        default: float | None = None,
    ) -> float:
        """Return a finite number in [low, high] and, where given, greater than `above`."""
        value = self._scalar(key, "a number", optional=default is not None)
        if value is not None:
            if not value.plain or not _NUMBER.fullmatch(value.text):
                finite = " finite" if value.plain and _NOT_FINITE.fullmatch(value.text) else ""
                self.mistake(key, f"{_shown(value.text)} is not a{finite} number")
            elif not math.isfinite(number := float(value.text)):
                self.mistake(key, f"{_shown(value.text)} is not a finite number")
            elif not (low <= number <= high and number > above):
                self.mistake(key, f"{value.text} is not {_range(low, high, above)}")
            else:
                return number
        if default is not None:
            return default
        if above > low:
            return high if math.isfinite(high) else above + 1.0
        return low if math.isfinite(low) else min(0.0, high)

    def integer(self, key: str, *, low: int = 0, high: int = UINT32_MAX, default: int | None = None) -> int:
        """Return a whole number in [low, high]; the limits default to those of uint32."""
        value = self._scalar(key, "a whole number", optional=default is not None)
        if value is not None:
            if not value.plain or not _INTEGER.fullmatch(value.text):
                self.mistake(key, f"{_shown(value.text)} is not a whole number")
            # A number of more digits than any limit is not even converted: that takes quadratic time.
            elif len(value.text) > 40 or not low <= int(value.text) <= high:
                self.mistake(key, f"{_shown(value.text, quoted=False)} is not {_range(low, high)}")
            else:
                return int(value.text)
        return default if default is not None else low

    def boolean(self, key: str, *, default: bool | None = None) -> bool:
        """Return true or false (written so: YAML's yes, no, on and off are not taken)."""
        value = self._scalar(key, "true or false", optional=default is not None)
        if value is not None:
            if value.plain and value.text in {"true", "false"}:
                return value.text == "true"
            self.mistake(key, f"{_shown(value.text)} is not true or false")
        return bool(default)

    def choice(self, key: str, options: Mapping[str, T], *, default: T | None = None) -> T:
        """Return what the word given stands for; `options` is not empty."""
        value = self._scalar(key, "one of " + ", ".join(options), optional=default is not None)
        if value is not None:
            if value.text in options:
                return options[value.text]
            self.mistake(key, f"{_shown(value.text)} is not one of {', '.join(options)}")
        return default if default is not None else next(iter(options.values()))

    def path(self, key: str, *, default: str | None = None) -> Path:
        """Return a path; a relative one is relative to the file's folder. Nothing is opened."""
        return self._folder / Path(self.text(key, default=default, max_length=4096)).expanduser()

    def endpoint(self, key: str, *, default: tuple[str, int] | None = None) -> tuple[str, int]:
        """Return (host, port) from `host:port` or `[ipv6]:port`; port in 0..65535, 0 lets the system choose."""
        value = self._scalar(key, "host:port", optional=default is not None)
        if value is not None:
            host, _, port = value.text.rpartition(":")
            bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
            known_host = re.fullmatch(r"[A-Za-z0-9.:_-]+", bare) and (":" not in bare or host.startswith("["))
            if known_host and re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= 65535:
                return bare, int(port)
            self.mistake(key, f"{_shown(value.text)} is not host:port")
        return default if default is not None else ("localhost", 0)

    # -- what holds several

    def texts(self, key: str, *, default: Iterable[str] | None = None, max_length: int = 1024) -> tuple[str, ...]:
        """Return a list of texts, each as in `text`."""
        found: list[str] = []
        items = self._items(key, optional=default is not None)
        for index, item in enumerate(items or ()):
            problem = (
                _text_problem(item, max_length=max_length, ascii_only=False)
                if isinstance(item, document.Scalar)
                else "must be text"
            )
            if problem is None and isinstance(item, document.Scalar):
                found.append(item.text)
            else:
                self._note(item.line, f"{self._path(key)}[{index}]", problem or "must be text")
        return tuple(found) if items is not None else tuple(default or ())

    def labels(self, key: str, *, default: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return a list of distinct DNS labels."""
        found: list[str] = []
        items = self._items(key, optional=default is not None)
        for index, item in enumerate(items or ()):
            place = f"{self._path(key)}[{index}]"
            if not isinstance(item, document.Scalar) or not is_label(item.text):
                shown = _shown(item.text) if isinstance(item, document.Scalar) else "this"
                self._note(item.line, place, f"{shown} is not {LABEL_RULE}")
            elif item.text in found:
                self._note(item.line, place, f"{item.text!r} is given twice")
            else:
                found.append(item.text)
        return tuple(found) if items is not None else tuple(default or ())

    def choices(self, key: str, options: Mapping[str, T], *, default: Iterable[T] | None = None) -> tuple[T, ...]:
        """Return what the distinct words of a list stand for."""
        found: dict[str, T] = {}
        items = self._items(key, optional=default is not None)
        for index, item in enumerate(items or ()):
            place = f"{self._path(key)}[{index}]"
            if not isinstance(item, document.Scalar) or item.text not in options:
                shown = _shown(item.text) if isinstance(item, document.Scalar) else "this"
                self._note(item.line, place, f"{shown} is not one of {', '.join(options)}")
            elif item.text in found:
                self._note(item.line, place, f"{item.text!r} is given twice")
            else:
                found[item.text] = options[item.text]
        return tuple(found.values()) if items is not None else tuple(default or ())

    def section(self, key: str, *, required: bool = True, form: str = _FORM) -> "Section":
        """Return the section under a field, the same one each time; one absent and not required reads as empty.

        `form` says what is expected where something else than a section is found.
        """
        if key not in self._sections:
            self._sections[key] = self._section(key, required, form)
        return self._sections[key]

    def _section(self, key: str, required: bool, form: str) -> "Section":
        self._known.add(key)
        entry = self._node.entries.get(key) if self._node else None
        if entry is None:
            if required:
                self._missing(key)
            absent = None if required or self._node is None else document.Mapping(line=self.line)
            return self._child(absent, self._path(key), self.line)
        line, node = entry
        if not isinstance(node, document.Mapping):
            self.mistake(key, f"must be {form}")
            return self._child(None, self._path(key), line)
        return self._child(node, self._path(key), line)

    def sections(self, key: str, *, required: bool = True) -> list["Section"]:
        """Return a list of sections; an absent one that is not required is empty."""
        found: list[Section] = []
        for index, item in enumerate(self._items(key, optional=not required) or ()):
            place = f"{self._path(key)}[{index}]"
            if isinstance(item, document.Mapping):
                found.append(self._child(item, place, item.line))
            else:
                self._note(item.line, place, f"must be {_FORM}")
        return found

    def named_sections(self, key: str, *, required: bool = True) -> dict[str, "Section"]:
        """Return a mapping of names (DNS labels) to sections; an absent one that is not required is empty."""
        holder = self.section(key, required=required)
        found: dict[str, Section] = {}
        for name in holder.names():
            if is_label(name):
                found[name] = holder.section(name)
            else:
                holder.has(name)
                holder.mistake(name, f"{_shown(name)} is not {LABEL_RULE}")
        return found

    # -- inside

    def _path(self, key: str) -> str:
        return ".".join(part for part in (self.field, key) if part)

    def _note(self, line: int, field: str, what: str) -> None:
        if self._node is None:  # the section is missing or no section: that is noted, its fields are not
            return
        self._noted += 1
        self._mistakes.append(Mistake(file=self.file, line=line, field=field, what=what))

    def _missing(self, key: str) -> None:
        self.mistake(key, "is missing")

    def _child(self, node: document.Mapping | None, field: str, line: int) -> "Section":
        child = Section(node, file=self.file, folder=self._folder, field=field, line=line, mistakes=self._mistakes)
        self._children.append(child)
        return child

    def _scalar(self, key: str, kind: str, *, optional: bool) -> document.Scalar | None:
        self._known.add(key)
        entry = self._node.entries.get(key) if self._node else None
        if entry is None:
            if not optional:
                self._missing(key)
            return None
        node = entry[1]
        if not isinstance(node, document.Scalar):
            self.mistake(key, f"must be {kind}")
            return None
        if node.plain and node.text in {"", "~", "null"}:
            self.mistake(key, f"is empty; it must be {kind}")
            return None
        return node

    def _items(self, key: str, *, optional: bool) -> list[document.Node] | None:
        self._known.add(key)
        entry = self._node.entries.get(key) if self._node else None
        if entry is None:
            if not optional:
                self._missing(key)
            return None
        if not isinstance(entry[1], document.Sequence):
            self.mistake(key, "must be a list (`- item`)")
            return None
        return entry[1].items


def _text_problem(value: document.Scalar, *, max_length: int, ascii_only: bool) -> str | None:
    typed = _LOOKS_TYPED.fullmatch(value.text) or _NUMBER.fullmatch(value.text) or _NOT_FINITE.fullmatch(value.text)
    if value.plain and typed:
        return f"{value.text} is not text; in quotes it would be" if value.text else "is empty; it must be text"
    text = value.text.strip()
    if not text:
        return "must not be blank"
    if len(value.text) > max_length:
        return f"is longer than {max_length} characters"
    if not value.text.isprintable():
        return f"{_shown(value.text)} has characters that cannot be printed on one line"
    if ascii_only and not value.text.isascii():
        return f"{_shown(value.text)} has characters that are not ASCII"
    return None


def _shown(text: str, *, quoted: bool = True) -> str:
    short = text if len(text) <= 60 else text[:57] + "..."
    return repr(short) if quoted else short


def _range(low: float, high: float, above: float = -math.inf) -> str:
    if above >= low:
        left, least = f"({above:g}", f"greater than {above:g}"
    else:
        left, least = f"[{low:.12g}", f"at least {low:.12g}"
    if math.isinf(high):
        return least
    if math.isinf(max(low, above)):
        return f"at most {high:.12g}"
    return f"in {left}, {high:.12g}]"
