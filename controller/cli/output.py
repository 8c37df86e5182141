"""Printing: tables for people, JSON and YAML for programs, messages on stderr."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.console import RenderableType


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format, typer.Option("--output", "-o", help="How to print results.")]

_STYLES: Final = {
    "ACTIVE": "green",
    "yes": "green",
    "enabled": "green",
    "CREATE": "green",
    "PASSIVE": "yellow",
    "DEGRADED": "yellow",
    "RESTORING": "yellow",
    "PENDING": "cyan",
    "INSTALLING": "cyan",
    "maintenance": "yellow",
    "MINOR": "yellow",
    "UPDATE": "yellow",
    "REMOVING": "dim",
    "BLOCKED": "bold red",
    "FROZEN": "bold red",
    "MOVES": "green",
    "SWITCHES": "green",
    "STAYS": "yellow",
    "OFF": "red",
    "MAJOR": "bold red",
    "no": "red",
    "disabled": "red",
    "DELETE": "red",
}


_BETWEEN, _EDGES = 3, 2  # characters between columns of a coloured table, and at both its edges


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under column names.

    Attributes:
        title: Above it; may be empty.
        columns: Names, in lower case, with units.
        rows: One text per column.
        dispensable: Columns that a narrow terminal goes without, the first to go first.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    dispensable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Facts about one thing, name and value; empty values are not shown."""

    facts: tuple[tuple[str, str], ...]


Part = Table | Sheet
"""A part of what a person is shown."""


def now_if_watched() -> datetime | None:
    """Return the time if a person looks on: ages are for people only, so that what programs read stays the same."""
    return datetime.now(UTC) if sys.stdout.isatty() else None


def clean(text: str) -> str:
    r"""Return the text on one line, with nothing in it that a terminal would obey.

    >>> clean("fine – \x1b[31mred")
    'fine – \\x1b[31mred'
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def plain(parts: Iterable[Part]) -> str:
    r"""Return the parts as text that is the same for the same data.

    >>> print(plain([Table(columns=("name", "rate bit/s"), rows=(("links/a", "10"), ("links/long", "2000")))]), end="")
    NAME        RATE BIT/S
    links/a     10
    links/long  2000
    """
    blocks: list[str] = []
    for part in parts:
        if isinstance(part, Sheet):
            # As wide as it may ever be, so that a line is the same whatever else is known.
            width = max((len(name) for name, _ in part.facts), default=0) + 1
            lines = [f"{name + ':':{width}}  {clean(value)}" for name, value in part.facts if value]
        else:
            lines = [part.title + ":"] if part.title else []
            cells = [tuple(column.upper() for column in part.columns), *(tuple(map(clean, row)) for row in part.rows)]
            widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            lines += ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells]
        blocks.append("".join(line.rstrip() + "\n" for line in lines))
    return "\n".join(blocks)


def fitted(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return how wide each column is made, in characters: where there is room, not narrower than its longest word.

    Names stay whole, so that they can be copied, unless all the room is less than the longest words need: then the
    widest columns give way, and their words are broken.

    Args:
        rows: Cells, the heads included; each row as long.
        room: For all columns together, without what stands between them; >= the number of columns.

    >>> fitted([("NAME", "REMARKS"), ("a-long-name", "empty in 3s; stale")], 22)
    [11, 11]
    >>> fitted([("NAME", "REMARKS"), ("a-long-name", "empty in 3s; stale")], 9)
    [4, 5]
    """
    columns = list(zip(*rows, strict=True))
    widths = _least(columns)
    spare = room - sum(widths)
    while spare < 0 and max(widths) > 1:
        widest = widths.index(max(widths))
        widths[widest] -= 1
        spare += 1
    for number, column in enumerate(columns):
        more = min(max(map(len, column)) - widths[number], max(spare, 0))
        widths[number] += more
        spare -= more
    return widths


def _least(columns: Sequence[Sequence[str]]) -> list[int]:
    return [max((len(word) for cell in column for word in cell.split()), default=0) for column in columns]


def narrowed(table: Table, width: int) -> tuple[Table, tuple[str, ...]]:
    """Return what of a table fits into a width without a broken name, and the columns that it does without.

    Columns without any value go first, then the dispensable ones, then those on the right; the first one stays.
    """
    empty = [name for number, name in enumerate(table.columns) if not any(row[number] for row in table.rows)]
    order = dict.fromkeys([*(empty if table.rows else ()), *table.dispensable, *reversed(table.columns)])
    kept = list(table.columns)
    for name in order:
        cells = _heads_and_rows(_only(table, kept))
        if sum(_least(list(zip(*cells, strict=True)))) + _frame(len(kept)) <= width or len(kept) == 1:
            break
        if name != table.columns[0]:
            kept.remove(name)
    return _only(table, kept), tuple(name for name in table.columns if name not in kept)


def _only(table: Table, names: Sequence[str]) -> Table:
    places = [table.columns.index(name) for name in names]
    rows = tuple(tuple(row[place] for place in places) for row in table.rows)
    return Table(columns=tuple(names), rows=rows, title=table.title)


def _heads_and_rows(table: Table) -> list[list[str]]:
    return [[column.upper() for column in table.columns], *([clean(cell) for cell in row] for row in table.rows)]


def _frame(columns: int) -> int:
    return _BETWEEN * (columns - 1) + _EDGES


def show(parts: Sequence[Part]) -> None:
    """Print the parts: in colour where a person looks on, else plain."""
    if not sys.stdout.isatty():
        sys.stdout.write(plain(parts))
        return
    from rich.console import Console

    console = Console()
    for drawn in drawn_parts(parts, console.width):
        console.print(drawn)


def drawn_parts(parts: Sequence[Part], width: int) -> "list[RenderableType]":
    """Return the parts as rich draws them, none wider than the terminal; a line tells which columns it goes without."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn: list[RenderableType] = []
    for part in parts:
        if isinstance(part, Sheet):
            grid = RichTable.grid(padding=(0, 2))
            for name, value in part.facts:
                if value:
                    grid.add_row(Text(f"{name}:", style="bold"), Text(clean(value), style=_STYLES.get(value, "")))
            drawn.append(grid)
            continue
        fitting, without = narrowed(part, width)
        heads, *rows = _heads_and_rows(fitting)
        widths = fitted([heads, *rows], width - _frame(len(heads)))
        table = RichTable(box=SIMPLE_HEAD, title=part.title or None, title_justify="left", pad_edge=False)
        for head, column_width in zip(heads, widths, strict=True):
            table.add_column(head, width=column_width, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
        drawn.append(table)
        if without:
            drawn.append(Text(f"for want of room not shown: {', '.join(without)}", style="dim"))
    return drawn


def document(message: "Message") -> dict[str, Any]:
    """Return a message as JSON has it: field names as in the API, fields without a value included."""
    from google.protobuf.json_format import MessageToDict

    converted = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return _in_field_order(message, converted)


def _in_field_order(message: "Message", converted: dict[str, Any]) -> dict[str, Any]:
    # protobuf puts fields without a value last; the order should not depend on what has one.
    ordered: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.name not in converted:
            continue
        told = converted[field.name]
        if field.message_type is not None and isinstance(told, list):
            pairs = zip(getattr(message, field.name), told, strict=True)
            told = [_in_field_order(each, one) for each, one in pairs]
        elif field.message_type is not None and isinstance(told, dict):
            told = _in_field_order(getattr(message, field.name), told)
        ordered[field.name] = told
    return ordered


def as_text(value: object, fmt: Format) -> str:
    """Return a JSON value as JSON or YAML text."""
    if fmt is Format.JSON:
        import json

        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def emit(
    fmt: Format,
    parts: Callable[[], Sequence[Part]],
    messages: "Message | Sequence[Message] | Mapping[str, Sequence[Message]]",
) -> None:
    """Print a result.

    Args:
        fmt: As the user wants it.
        parts: Makes what a person is shown.
        messages: What a program is given: one message is an object, several are a list, named ones an object of lists.
    """
    if fmt is Format.TABLE:
        show(parts())
    elif isinstance(messages, Mapping):
        value = {name: [document(message) for message in each] for name, each in messages.items()}
        sys.stdout.write(as_text(value, fmt))
    elif isinstance(messages, Sequence):
        sys.stdout.write(as_text([document(message) for message in messages], fmt))
    else:
        sys.stdout.write(as_text(document(messages), fmt))


def emit_value(fmt: Format, parts: Callable[[], Sequence[Part]], value: object) -> None:
    """Print a result that is no message of the API: parts for a person, a JSON value for a program."""
    if fmt is Format.TABLE:
        show(parts())
    else:
        sys.stdout.write(as_text(value, fmt))


def tell(*lines: str) -> None:
    """Say something to the person at the terminal, on stderr; the first line is marked as ours."""
    for number, line in enumerate(lines):
        print(f"{'' if number else 'qinetctl: '}{clean(line)}", file=sys.stderr)
