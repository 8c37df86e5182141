"""YAML text -> a tree that knows its lines; nothing is interpreted, so nothing can be executed or blown up."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from controller.config.mistakes import Mistake, Mistakes

MAX_FILE_BYTES: Final = 8 * 1024 * 1024
MAX_DEPTH: Final = 32

# libyaml is about ten times faster, and not in every build of PyYAML.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True, kw_only=True)
class Scalar:
    """One value as written; `plain` tells `5` from `"5"`."""

    line: int
    text: str
    plain: bool


@dataclass(slots=True, kw_only=True)
class Sequence:
    """A YAML list."""

    line: int
    items: list["Node"] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Mapping:
    """A YAML mapping: key -> (line of the key, value), in the order of the file."""

    line: int
    entries: dict[str, tuple[int, "Node"]] = field(default_factory=dict)


_QUOTES: Final = ("'", '"', "|", ">")

Node: TypeAlias = Scalar | Sequence | Mapping


def read(path: Path) -> tuple[Mapping, list[Mistake]]:
    """Return the file's mapping and the mistakes that do not hinder reading on (duplicate keys, aliases, tags).

    Raises:
        Mistakes: There is no such file, it cannot be read, is larger than 8 MiB, or is not a YAML mapping.
    """
    name = str(path)
    try:
        # Opening a FIFO might never return, reading a device never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise Mistakes([Mistake(file=name, line=0, field="", what="is not a regular file")])
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise Mistakes([Mistake(file=name, line=0, field="", what=what)]) from None
    if len(raw) > MAX_FILE_BYTES:
        raise Mistakes([Mistake(file=name, line=0, field="", what=f"is larger than {MAX_FILE_BYTES} bytes")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Mistakes([Mistake(file=name, line=line, field="", what="is not UTF-8 text")]) from None
    return parse(text, name)


def parse(text: str, name: str) -> tuple[Mapping, list[Mistake]]:
    """Return the text's mapping and the mistakes that do not hinder reading on; `name` stands in for the file.

    Raises:
        Mistakes: It is not YAML, is nested deeper than 32, holds several documents, or is not a mapping.
    """
    builder = _Builder(name)
    try:
        for event in _events(text):
            builder.take(event)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise builder.fatal(line, f"the character U+{_code_point(error):04X} is not allowed") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise builder.fatal(mark.line + 1 if mark else 1, f"is not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise builder.fatal(1, f"is not YAML: {' '.join(str(error).split())}") from None
    root = builder.root
    if root is None or (isinstance(root, Scalar) and root.plain and root.text in {"", "~", "null"}):
        raise builder.fatal(1, "is empty")
    if not isinstance(root, Mapping):
        raise builder.fatal(root.line, "must be a mapping of fields (`name: value`)")
    return root, builder.mistakes


def _events(text: str) -> Iterator[Any]:
    yield from yaml.parse(text, Loader=_Loader)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _code_point(error: yaml.reader.ReaderError) -> int:
    character = error.character
    return ord(character) if isinstance(character, str) else int(character)


class _Builder:
    """Builds the tree from parser events with a stack of its own, so that depth is a number and not a crash."""

    def __init__(self, name: str) -> None:
        self.root: Node | None = None
        self.mistakes: list[Mistake] = []
        self._name = name
        self._open: list[tuple[Sequence | Mapping, list[tuple[int, str]]]] = []
        self._documents = 0

    def fatal(self, line: int, what: str) -> Mistakes:
        return Mistakes([*self.mistakes, Mistake(file=self._name, line=line, field="", what=what)])

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self.fatal(_line(event), "holds a second document; one file is one document")
        elif isinstance(event, yaml.ScalarEvent):
            self._refuse_tag(event)
            self._add(Scalar(line=_line(event), text=event.value, plain=event.style not in _QUOTES))
        elif isinstance(event, yaml.SequenceStartEvent):
            self._refuse_tag(event)
            self._enter(Sequence(line=_line(event)))
        elif isinstance(event, yaml.MappingStartEvent):
            self._refuse_tag(event)
            self._enter(Mapping(line=_line(event)))
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            self._add(self._open.pop()[0])
        elif isinstance(event, yaml.AliasEvent):
            # An alias of aliases grows without bound when it is expanded; files for people do not need them.
            raise self.fatal(_line(event), f"the alias *{event.anchor} is not allowed; write the value out")

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None and event.tag != "!":
            self._note(_line(event), f"the tag {event.tag} is not allowed; write the plain value")

    def _enter(self, container: Sequence | Mapping) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise self.fatal(container.line, f"is nested deeper than {MAX_DEPTH} levels")
        self._open.append((container, []))

    def _add(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        container, key = self._open[-1]
        if isinstance(container, Sequence):
            container.items.append(node)
        elif not key:
            key.append((node.line, self._key(node)))
        else:
            line, name = key.pop()
            if name in container.entries:
                first = container.entries[name][0]
                self._note(line, f"is given twice, first in line {first}", name)
            else:
                container.entries[name] = (line, node)

    def _key(self, node: Node) -> str:
        if not isinstance(node, Scalar):
            raise self.fatal(node.line, "a field's name must be text")
        if node.plain and node.text == "<<":
            raise self.fatal(node.line, "merging with << is not allowed; write the fields out")
        return node.text

    def _note(self, line: int, what: str, key: str = "") -> None:
        path = ""
        for container, pending in self._open:
            if isinstance(container, Sequence):
                path += f"[{len(container.items)}]"
            elif pending:
                path += f".{pending[0][1]}"
        self.mistakes.append(Mistake(file=self._name, line=line, field=f"{path}.{key}".strip("."), what=what))
