"""qinetctl top: a live view of the links, for as long as somebody looks."""

import queue
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, Final

import typer

from controller.cli.connection import Network, connected
from controller.cli.quantities import duration_ms

_LEAVE: Final = frozenset({"q", "Q", "\x1b", "\x03"})
_DOWN: Final = {"j": 1, "\x1b[B": 1, " ": 10, "\x1b[6~": 10, "\x1b[A": -1, "\x1b[5~": -10, "b": -10}
"""By key, how many rows the screen moves."""


class Column(StrEnum):
    """What the rows can be sorted by; the value is the name of the column."""

    LINK = "link"
    SKR = "skr"
    USED = "used"
    STORED = "stored"
    EMPTY = "empty"
    RESERVED = "reserved"
    ALARMS = "alarms"
    PAIRS = "pairs"


_KEY_OF: Final = dict(zip(Column, "nsukerap", strict=True))


def top(
    context: typer.Context,
    sort: Annotated[Column, typer.Option("--sort", help="Sort by that column first.")] = Column.LINK,
    interval: Annotated[str, typer.Option("--interval", metavar="TIME", help="Between two samples.")] = "1s",
    once: Annotated[bool, typer.Option("--once", help="Print one frame, of two samples, and exit.")] = False,
) -> None:
    """Show every link live: key rate, use, stored key, time to empty, reserved of capacity, alarms; pairs made.

    Rates are in bit/s, of pairs in Hz. q leaves; n s u k e r a p sort by a column, again the other way round; arrows,
    space and b scroll.
    """
    from controller.cli.top_view import Order

    state = _State(order=Order(key=_KEY_OF[sort]))
    with connected(context) as network:
        samples = _samples(network, duration_ms(interval))
        if once or not sys.stdout.isatty():
            for sample in islice(samples, 2 if once else None):
                state.take(network, sample)
                if not once:
                    _print(state)
            if once:
                _print(state)
            return
        _live(state, network, samples)


@dataclass(slots=True, kw_only=True)
class _State:
    """What is shown, and how."""

    order: Any
    rows: list[Any] = field(default_factory=list)
    first: int = 0
    title: str = ""
    _consumed: dict[str, int] = field(default_factory=dict)
    _at_s: float = 0.0

    def take(self, network: Network, sample: Any) -> None:
        """Take a sample of what is measured, with what is reserved and wrong now."""
        from controller.cli.top_view import rows_of

        links = _views(network, sample)
        at_s = sample.sample_time.seconds + sample.sample_time.nanos / 1e9
        self.rows = rows_of(links, self._consumed, at_s - self._at_s if self._at_s else 0.0)
        self._consumed = {link.name: link.consumed_bit_total for link in links if link.consumed_bit_total is not None}
        self._at_s = at_s
        moment = sample.sample_time.ToDatetime()
        alarms = sum(row.link.alarms for row in self.rows)
        active = sum(row.link.status == "ACTIVE" for row in self.rows)
        self.title = (
            f"{network.address}  {moment:%H:%M:%S} UTC  {active} of {len(self.rows)} links active, "
            f"{alarms} alarms about links"
        )

    def press(self, key: str, room: int) -> None:
        """Sort or scroll."""
        self.order = self.order.pressed(key)
        self.first = max(0, min(self.first + _DOWN.get(key, 0), len(self.rows) - room))

    def lines(self, width: int, height: int | None, *, colour: bool) -> list[str]:
        """Return the frame."""
        from controller.cli.top_view import frame, ordered

        return frame(
            self.title, ordered(self.rows, self.order), order=self.order, width=width, height=height, first=self.first,
            colour=colour,
        )  # fmt: skip


def _samples(network: Network, interval_ms: float) -> Iterator[Any]:
    from qinet.northbound.v1.operations_service_pb2 import StreamMeasurementsRequest

    request = StreamMeasurementsRequest()
    request.interval.FromMilliseconds(round(interval_ms))
    return iter(network.operations.StreamMeasurements(request))


def _views(network: Network, sample: Any) -> list[Any]:
    from controller.cli.get import active_alarms, pages
    from controller.cli.names import short
    from controller.cli.tables import link_status
    from controller.cli.top_view import LinkView
    from qinet.northbound.v1.topology_service_pb2 import ListLinksRequest

    measured = {one.link: one for one in sample.links}
    about: dict[str, int] = {}
    for alarm in active_alarms(network):
        about[alarm.object] = about.get(alarm.object, 0) + 1
    found = []
    for link in pages(network, network.topology.ListLinks, ListLinksRequest(), "links"):
        one = measured.get(link.name)
        if link.HasField("pairs"):
            found.append(_pair_view(link, one, about.get(link.name, 0)))
            continue
        falling = one is not None and one.HasField("time_to_empty")
        found.append(
            LinkView(
                name=short(link.name),
                status=link_status(link),
                skr_bit_per_s=one.skr_bit_per_s if one is not None else None,
                consumed_bit_total=one.consumed_bit_total if one is not None else None,
                stored_bit=one.stored_key_bit if one is not None else None,
                empty_in_s=one.time_to_empty.ToNanoseconds() / 1e9 if one is not None and falling else None,
                reserved_bit_per_s=link.reserved_bit_per_s,
                capacity_bit_per_s=link.capacity_bit_per_s,
                alarms=about.get(link.name, 0),
            )
        )
    return found


def _pair_view(link: Any, measured: Any, alarms: int) -> Any:
    """Return a link that makes pairs: it has no key, and what is held of it is in the unit of its regime."""
    from controller.cli.names import short
    from controller.cli.tables import link_status
    from controller.cli.top_view import LinkView

    told = measured is not None and measured.HasField("pair_rate_hz")
    return LinkView(
        name=short(link.name),
        status=link_status(link),
        skr_bit_per_s=None,
        consumed_bit_total=None,
        stored_bit=None,
        empty_in_s=None,
        reserved_bit_per_s=link.reserved_pairs,
        capacity_bit_per_s=link.pair_capacity,
        alarms=alarms,
        pair_rate_hz=measured.pair_rate_hz if told else None,
    )


def _print(state: _State) -> None:
    width = shutil.get_terminal_size().columns
    sys.stdout.write("\n".join(state.lines(width, None, colour=sys.stdout.isatty())) + "\n")
    sys.stdout.flush()


def _live(state: _State, network: Network, samples: Iterator[Any]) -> None:
    """Show frames and take keys until one of them leaves."""
    from controller.cli.keyboard import keys

    inbox: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
    threading.Thread(target=_measure, args=(state, network, samples, inbox), name="samples", daemon=True).start()
    with _screen(), keys(inbox.put):
        while True:
            told = inbox.get()
            if isinstance(told, Exception):
                raise told
            if told in _LEAVE:
                return
            width, height = shutil.get_terminal_size()
            state.press(told or "", max(1, height - 3))
            lines = state.lines(width, height, colour=True)
            sys.stdout.write("\x1b[H" + "\x1b[K\r\n".join(lines) + "\x1b[J")
            sys.stdout.flush()


def _measure(
    state: _State, network: Network, samples: Iterator[Any], inbox: "queue.SimpleQueue[str | Exception | None]"
) -> None:
    try:
        for sample in samples:
            state.take(network, sample)
            inbox.put(None)
    except Exception as problem:
        # It must not end with this thread: whoever looks at the screen is told, with the words for it.
        inbox.put(problem)


@contextmanager
def _screen() -> Iterator[None]:
    """Take the whole screen, and give back what was there."""
    sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[2J")
    sys.stdout.flush()
    try:
        yield
    finally:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
