"""The frames of `qinetctl top`: links as rows, from what was measured and what is reserved. It prints nothing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from controller.cli.output import clean
from controller.cli.quantities import shown_span

LEAST_WIDTH: Final = 40
_TEN: Final = 9.95  # what is shown as 10 or more needs no decimals
_LONG_S: Final = 10 * 365 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """A link as it stands.

    Attributes:
        name: Short.
        status: Word of its status, as ACTIVE.
        skr_bit_per_s: Secret key rate that is measured; None before the first report.
        consumed_bit_total: Key ever used; None before the first report.
        stored_bit: Key that is stored; None before the first report.
        empty_in_s: When stored key comes to its floor; None if it does not fall.
        reserved_bit_per_s: What relays hold of it; of a link that makes pairs, what paths hold, in the unit of its
            regime.
        capacity_bit_per_s: What it can carry, in the same unit.
        pair_rate_hz: Pairs made per second; None of a link that makes key, and before the first report.
        alarms: How many are active about it.
    """

    name: str
    status: str
    skr_bit_per_s: float | None
    consumed_bit_total: int | None
    stored_bit: int | None
    empty_in_s: float | None
    reserved_bit_per_s: float
    capacity_bit_per_s: float
    alarms: int
    pair_rate_hz: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A link with what two samples tell together.

    Attributes:
        used_bit_per_s: Consumption between the samples; None while there is only one.
    """

    link: LinkView
    used_bit_per_s: float | None

    @property
    def load(self) -> float:
        """Part of the capacity that is reserved; 0 without any, above 1 where less is promised than is reserved."""
        if self.link.capacity_bit_per_s <= 0:
            return float("inf") if self.link.reserved_bit_per_s > 0 else 0.0
        return self.link.reserved_bit_per_s / self.link.capacity_bit_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How rows are sorted: by a column of COLUMNS, its natural way round or the other."""

    key: str = "n"
    backwards: bool = False

    def pressed(self, key: str) -> "Order":
        """Return the order after a key: that of another column, or the same the other way round."""
        if key not in COLUMNS:
            return self
        return Order(key=key, backwards=key == self.key and not self.backwards)


COLUMNS: Final[Mapping[str, str]] = {
    "n": "link",
    "s": "skr",
    "u": "used",
    "k": "stored",
    "e": "empty",
    "r": "reserved",
    "a": "alarms",
    "p": "pairs/s",
}
"""By key, the column that it sorts by."""


def rows_of(links: Sequence[LinkView], before: Mapping[str, int], between_s: float) -> list[Row]:
    """Return rows with the consumption since an earlier sample.

    Args:
        links: As they are now.
        before: By name, `consumed_bit_total` of the earlier sample.
        between_s: Time between the two; 0: there was none.
    """
    return [Row(link=link, used_bit_per_s=_used(link, before.get(link.name), between_s)) for link in links]


def _used(link: LinkView, before: int | None, between_s: float) -> float | None:
    if before is None or link.consumed_bit_total is None or between_s <= 0:
        return None
    return max(0, link.consumed_bit_total - before) / between_s


def ordered(rows: Sequence[Row], order: Order) -> list[Row]:
    """Return the rows as they are sorted: what needs an eye first, names where that is equal."""
    found = sorted(rows, key=lambda row: (_need(row, order.key), row.link.name))
    return found[::-1] if order.backwards else found


def _need(row: Row, key: str) -> float:
    """Return what rows are sorted by in a column, the smallest first."""
    link = row.link
    needs = {
        "s": -(link.skr_bit_per_s or 0.0),
        "u": -(row.used_bit_per_s or 0.0),
        "k": math.inf if link.stored_bit is None else float(link.stored_bit),  # the emptiest store first
        "e": math.inf if link.empty_in_s is None else link.empty_in_s,  # the soonest first
        "r": -row.load,
        "a": -float(link.alarms),
        "p": -(link.pair_rate_hz or 0.0),
    }
    return needs.get(key, 0.0)


def frame(
    title: str, rows: Sequence[Row], *, order: Order, width: int, height: int | None, first: int = 0, colour: bool
) -> list[str]:
    """Return the lines of a frame, none longer than the width.

    Args:
        title: Above the table.
        rows: In the order in which they are shown.
        order: How they were sorted, for the heads.
        width: Characters; at least LEAST_WIDTH counts.
        height: Lines; None: as many as there are rows.
        first: The first row to show.
        colour: Whether to mark what is wrong in colour.
    """
    wide = max(width, LEAST_WIDTH)
    # Key of a column, its width; a narrow screen goes without those on the right first, the name takes what is left.
    columns = [("status", 7), ("s", 6), ("u", 6), ("k", 6), ("e", 7), ("r", 11), ("a", 6)]
    if any(row.link.pair_rate_hz is not None for row in rows):
        columns.insert(1, ("p", 7))
    while len(columns) > 1 and wide - sum(each + 1 for _, each in columns) < min(24, wide // 3):
        columns.pop(_least_needed(columns))
    name_width = wide - sum(each + 1 for _, each in columns)
    lines = [clean(title)[:wide]]
    heads = [_head("n", name_width, order)] + [_head(key, each, order) for key, each in columns]
    lines.append(_coloured(" ".join(heads), "1", colour=colour))
    room = len(rows) if height is None else max(1, height - 3)
    for row in rows[first : first + room]:
        name = row.link.name
        shown = name if len(name) <= name_width else name[: name_width - 1] + "…"
        cells = [f"{clean(shown):{name_width}}"] + [_cell(key, row, each) for key, each in columns]
        lines.append(_coloured(" ".join(cells).rstrip(), _mark(row), colour=colour))
    if height is not None:
        lines.append(_foot(len(rows), first, room)[:wide])
    return lines


def _least_needed(columns: Sequence[tuple[str, int]]) -> int:
    keys = [key for key, _ in columns]
    return next(keys.index(key) for key in ("u", "s", "a", "k", "p", "r", "e", "status") if key in keys)


def _head(key: str, width: int, order: Order) -> str:
    text = "STATUS" if key == "status" else COLUMNS[key].upper()
    if key == order.key:
        text = f"{text}{'^' if order.backwards else 'v'}" if len(text) < width else text
    return f"{text[:width]:{width}}" if key in ("n", "status") else f"{text[-width:]:>{width}}"


def _cell(key: str, row: Row, width: int) -> str:
    link = row.link
    match key:
        case "status":
            return f"{link.status[:width]:{width}}"
        case "s":
            text = short_number(link.skr_bit_per_s)
        case "p":
            text = short_number(link.pair_rate_hz)
        case "u":
            text = short_number(row.used_bit_per_s)
        case "k":
            text = short_number(link.stored_bit)
        case "e":
            text = _left(link.empty_in_s)
        case "r":
            text = f"{short_number(link.reserved_bit_per_s)}/{short_number(link.capacity_bit_per_s)}"
        case _:
            text = str(link.alarms) if link.alarms else "-"
    return f"{text:>{width}}"


def _left(empty_in_s: float | None) -> str:
    if empty_in_s is None:
        return "-"
    return shown_span(empty_in_s) if empty_in_s < _LONG_S else "years"


def _mark(row: Row) -> str:
    """Return the colour of a row, as a terminal takes it."""
    if row.link.status == "OFF":
        return "31"
    return "33" if row.link.alarms or row.link.status == "PASSIVE" else ""


def _coloured(text: str, code: str, *, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text


def _foot(rows: int, first: int, room: int) -> str:
    place = f"{first + 1}-{min(rows, first + room)} of {rows}  " if rows > room else ""
    return f"{place}q leave; sort: n link, s skr, u used, k stored, e empty, r reserved, a alarms, p pairs"


def short_number(value: float | None) -> str:
    """Return a number >= 0 in at most five characters, with three digits or fewer; - for None.

    >>> [short_number(each) for each in (None, 0.0, 0.854, 9.99, 12.34, 999.6, 219568.5, 8_347_104.0, 3e12, 2e20)]
    ['-', '0', '0.85', '10', '12', '1k', '220k', '8.3M', '3T', '2e+20']
    """
    if value is None:
        return "-"
    if value < 1:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    for factor, unit in ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T")):
        scaled = value / factor
        digits = f"{scaled:.1f}".removesuffix(".0") if scaled < _TEN else f"{scaled:.0f}"
        if len(digits) <= len("999"):
            return digits + unit
    return f"{value:.0e}"
