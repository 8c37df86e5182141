"""Rates, durations and moments between a person's notation and numbers with a unit."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

_RATE: Final = re.compile(r"(?P<number>.+?)\s*(?P<prefix>[kMG]?)(bit/s|bps)?")
_HERTZ: Final = re.compile(r"(?P<number>.+?)\s*(?P<prefix>[kMG]?)\s*(Hz|pairs/s)?")
_PREFIX: Final = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST_S: Final = 315_576_000_000  # of google.protobuf.Duration


def rate_bit_per_s(text: str) -> float:
    """Read a rate in bit/s, with k, M or G for more. Whether it is in range is the controller's to judge.

    >>> rate_bit_per_s("1000"), rate_bit_per_s("2k"), rate_bit_per_s("1.5Mbit/s"), rate_bit_per_s("-1")
    (1000.0, 2000.0, 1500000.0, -1.0)

    Raises:
        typer.BadParameter: It is no number.
    """
    if match := _RATE.fullmatch(text.strip()):
        with suppress(ValueError):
            return float(match["number"]) * _PREFIX[match["prefix"]]
    raise typer.BadParameter(f"{text!r} is not a rate: write 1000, 2k or 1.5M (bit/s)")


def rate_hz(text: str) -> float:
    """Read a rate of pairs in Hz, with k, M or G for more. Whether it is in range is the controller's to judge.

    >>> rate_hz("10"), rate_hz("2k"), rate_hz("0.5Hz"), rate_hz("3 pairs/s")
    (10.0, 2000.0, 0.5, 3.0)

    Raises:
        typer.BadParameter: It is no number.
    """
    if match := _HERTZ.fullmatch(text.strip()):
        with suppress(ValueError):
            return float(match["number"]) * _PREFIX[match["prefix"]]
    raise typer.BadParameter(f"{text!r} is not a rate: write 10, 2k or 0.5 (pairs per second)")


def duration_ms(text: str) -> float:
    """Read a duration; a bare number is in seconds.

    >>> duration_ms("5m"), duration_ms("1h30m"), duration_ms("250ms"), duration_ms("2.5")
    (300000.0, 5400000.0, 250.0, 2500.0)

    Raises:
        typer.BadParameter: It is no duration, or longer than 10,000 years.
    """
    stripped = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        total = float(stripped) * 1000
    elif _DURATION.fullmatch(stripped):
        total = sum(float(number) * _UNIT_MS[unit] for number, unit in _PART.findall(stripped))
    else:
        raise typer.BadParameter(f"{text!r} is not a duration: write 30s, 5m, 1h30m, 7d or 250ms")
    if total > _LONGEST_S * 1000:
        raise typer.BadParameter(f"{text!r} is longer than any network lives")
    return total


def duration_pb(text: str) -> "Duration":
    """Read a duration into protobuf's form; as `duration_ms`."""
    from google.protobuf.duration_pb2 import Duration

    seconds, rest_ms = divmod(duration_ms(text), 1000)
    return Duration(seconds=int(seconds), nanos=round(rest_ms * 1_000_000))


def shown_number(value: float) -> str:
    """Return a number with at most three decimals.

    >>> shown_number(304000.0), shown_number(0.8540), shown_number(0.0)
    ('304000', '0.854', '0')
    """
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def shown_rate(bit_per_s: float) -> str:
    """Return a rate with four digits, as people say it.

    >>> shown_rate(219568.564), shown_rate(999.96), shown_rate(0.854), shown_rate(2e6)
    ('219.6 kbit/s', '1 kbit/s', '0.854 bit/s', '2 Mbit/s')
    """
    rounded = float(f"{bit_per_s:.4g}")
    for factor, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if rounded >= factor:
            return f"{rounded / factor:.4g} {unit}"
    return f"{rounded:.4g} bit/s"


def shown_hz(rate: float) -> str:
    """Return a rate of pairs with four digits, as people say it.

    >>> shown_hz(12.345), shown_hz(2500.0), shown_hz(0.001)
    ('12.35 Hz', '2.5 kHz', '0.001 Hz')
    """
    rounded = float(f"{rate:.4g}")
    for factor, unit in ((1e9, "GHz"), (1e6, "MHz"), (1e3, "kHz")):
        if rounded >= factor:
            return f"{rounded / factor:.4g} {unit}"
    return f"{rounded:.4g} Hz"


def shown_fidelity(fidelity: float) -> str:
    """Return a fidelity with four decimals, rounded down: what is shown as reached is reached.

    >>> shown_fidelity(0.97), shown_fidelity(0.89996), shown_fidelity(1.0)
    ('0.9700', '0.8999', '1.0000')
    """
    return f"{int(fidelity * 10_000 * (1 + 1e-12)) / 10_000:.4f}"


def shown_span(span_s: float) -> str:
    """Return a time span in its two largest units.

    >>> shown_span(0.25), shown_span(75), shown_span(7200), shown_span(90000)
    ('250ms', '1m15s', '2h', '1d1h')
    """
    if span_s < 1:
        return f"{max(0, round(span_s * 1000))}ms"
    left = round(span_s)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount}{unit}")
        if len(parts) == 2 or (parts and not amount):
            break
    return "".join(parts)


def shown_duration(duration: "Duration") -> str:
    """Return protobuf's duration in its two largest units."""
    return shown_span(duration.seconds + duration.nanos / 1e9)


def shown_moment(moment: "Timestamp", now: datetime | None) -> str:
    """Return a moment: relative to `now` if that is given, else in UTC; empty if it is not set."""
    if not moment.seconds:
        return ""
    at = datetime.fromtimestamp(moment.seconds, UTC)
    if now is None:
        return f"{at:%Y-%m-%dT%H:%M:%SZ}"
    age = now - at
    return f"in {shown_span(-age.total_seconds())}" if age < timedelta(0) else f"{shown_span(age.total_seconds())} ago"
