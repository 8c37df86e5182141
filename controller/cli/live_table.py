"""Tables that are kept up to date: in place on a terminal, as lines of what changed elsewhere."""

import json
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc

from controller.cli.output import Format, Table, as_text, clean, document, tell

_BACK: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
"""Ends of a look after which the next one may succeed."""


class _Patience:
    """Looks again and again, also over a controller that is restarted; the first look must succeed."""

    def __init__(self, find: Callable[[], list[Any]], interval_s: float, count: int | None) -> None:
        self._find = find
        self._interval_s = interval_s
        self._left = count
        self._seen = self._lost = False

    def next(self) -> list[Any] | None:
        """Return what is there now; None when enough was seen."""
        while self._left is None or self._left > 0:
            if self._seen:
                threading.Event().wait(self._interval_s)
            try:
                found = self._find()
            except grpc.RpcError as error:
                if not self._seen or error.code() not in _BACK:
                    raise
                if not self._lost:
                    tell("the connection is lost: looking again until it is back")
                self._lost = True
                continue
            if self._lost:
                tell("connected again")
            self._seen, self._lost = True, False
            if self._left is not None:
                self._left -= 1
            return found
        return None


def follow(
    find: Callable[[], list[Any]],
    table: Callable[[list[Any]], Table],
    name_of: Callable[[Any], str],
    *,
    interval_s: float,
    count: int | None,
    fmt: Format,
) -> None:
    """Show what is found for as long as somebody looks.

    Args:
        find: Finds it now.
        table: Shows it; row i is of resource i. Which columns there are may rest on all of them.
        name_of: Names a resource.
        interval_s: Between two looks.
        count: End after so many looks; None: never.
        fmt: TABLE on a terminal is refreshed in place; everything else is printed below what was there.

    Raises:
        grpc.RpcError: The first look failed, or the controller refused a later one.
    """
    looks = _Patience(find, interval_s, count)
    if fmt is Format.TABLE and sys.stdout.isatty():
        _refresh(looks, table)
        return
    known: dict[str, Any] = {}
    printer = _Lines(table) if fmt is Format.TABLE else _Documents(name_of, fmt)
    while (found := looks.next()) is not None:
        present = {name_of(one): one for one in found}
        printer.print([one for name, one in present.items() if known.get(name) != one], list(present.values()))
        for name in sorted(known.keys() - present.keys()):
            printer.gone(name)
        known = present
        sys.stdout.flush()


def _refresh(looks: _Patience, table: Callable[[list[Any]], Table]) -> None:
    from rich.console import Console, Group
    from rich.live import Live

    from controller.cli.output import drawn_parts

    console = Console()
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        while (found := looks.next()) is not None:
            live.update(Group(*drawn_parts([table(found)], console.width)), refresh=True)


class _Lines:
    """Rows of a table, as wide as the first ones made them, so that lines stand below each other."""

    def __init__(self, table: Callable[[list[Any]], Table]) -> None:
        self._table = table
        self._heads: tuple[str, ...] = ()
        self._widths: list[int] = []
        self._shown: set[tuple[str, ...]] = set()

    def print(self, changed: Sequence[Any], everything: Sequence[Any]) -> None:
        """Print the rows of what changed, if they look different; before the first ones, the heads."""
        whole = self._table(list(everything))
        every = [tuple(map(clean, row)) for row in whole.rows]
        heads = tuple(column.upper() for column in whole.columns)
        if heads != self._heads:
            self._heads = heads
            self._widths = [max(map(len, column)) for column in zip(heads, *every, strict=True)]
            self._line(heads)
        fresh = {id(one) for one in changed}
        rows = [row for one, row in zip(everything, every, strict=True) if id(one) in fresh]
        for row in rows:
            if row not in self._shown:
                self._line(row)
        names = {row[0] for row in rows}
        self._shown = {row for row in self._shown if row[0] not in names} | set(rows)

    def gone(self, name: str) -> None:
        """Print that something is there no more."""
        sys.stdout.write(f"{clean(name)}  gone\n")
        bare = name.rpartition("/")[2]
        self._shown = {row for row in self._shown if row[0] != bare}

    def _line(self, cells: Sequence[str]) -> None:
        padded = (f"{cell:{width}}" for cell, width in zip(cells, self._widths, strict=True))
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


class _Documents:
    """One JSON object a line, or one YAML document, for each resource that changed; as `watch` prints them."""

    def __init__(self, name_of: Callable[[Any], str], fmt: Format) -> None:
        self._name_of = name_of
        self._fmt = fmt

    def print(self, changed: Sequence[Any], everything: Sequence[Any]) -> None:
        """Print what changed, whole."""
        for one in changed:
            self._write({"kind": "PUT", "name": self._name_of(one), "resource": document(one)})

    def gone(self, name: str) -> None:
        """Print that something is there no more."""
        self._write({"kind": "DELETED", "name": name})

    def _write(self, value: object) -> None:
        if self._fmt is Format.JSON:
            sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        else:
            sys.stdout.write("---\n" + as_text(value, self._fmt))
