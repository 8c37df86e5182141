"""What the northbound's resources share: names, rates, durations, times, enumerations, and their mistakes."""

import hashlib
import math
import uuid
from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, Final, Generic, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from controller.domain.link import MAX_RATE_MILLIBIT_PER_S
from controller.domain.names import LABEL_RULE, is_label, resource_id, resource_uuid
from controller.domain.refusals import InvalidValue

E = TypeVar("E", bound=Enum)
T = TypeVar("T")

MAX_TEXT: Final = 256
"""Longest free text that a client may set; characters."""
MAX_REQUEST_ID: Final = 64
_MAX_RATE_BIT_PER_S: Final = MAX_RATE_MILLIBIT_PER_S // 1000
_LEAST_RATE_BIT_PER_S: Final = 0.001
"""Rates are whole millibit/s."""
_NANOS: Final = 1_000_000_000


class _Under:
    """Notes an InvalidValue instead of letting it pass."""

    def __init__(self, mistakes: "Mistakes", prefix: str) -> None:
        self._mistakes = mistakes
        self._prefix = prefix

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, raised: object, trace: object) -> bool:
        if not isinstance(raised, InvalidValue):
            return False
        for field, problem in raised.fields:
            self._mistakes.add(f"{self._prefix}.{field}" if self._prefix else field, problem)
        return True


class Mistakes:
    """Collects what is wrong with a request, so that it is told all at once.

    Attributes:
        resource: Name of what the request is about, for messages; may be empty.
    """

    def __init__(self, resource: str = "") -> None:
        self.resource = resource
        self._found: list[tuple[str, str]] = []

    def add(self, field: str, problem: str) -> None:
        """Note one mistake."""
        self._found.append((field, problem))

    def under(self, prefix: str) -> "_Under":
        """Note what the domain refuses inside a with block, its fields below the prefix."""
        return _Under(self, prefix)

    def settle(self) -> None:
        """Raise what was noted, if anything was.

        Raises:
            InvalidValue: With every mistake.
        """
        if self._found:
            raise InvalidValue(self.resource, *dict.fromkeys(self._found))

    def built(self, value: T | None) -> T:
        """Return the value that the domain accepted.

        Raises:
            InvalidValue: With every mistake, of which there is at least one when the value is None.
        """
        self.settle()
        assert value is not None
        return value

    def id(self, collection: str, name: str, field: str) -> str:
        """Return the id inside a required resource name; "" once noted as a mistake."""
        if not name:
            self.add(field, f"is required, as {collection}/{{id}}")
            return ""
        with self.under(""):
            return resource_id(collection, name, field=field)
        return ""

    def ids(self, collection: str, names: Iterable[str], field: str) -> frozenset[str]:
        """Return the ids inside resource names, but for those noted as mistakes."""
        found = {self.id(collection, name, f"{field}[{index}]") for index, name in enumerate(names)}
        return frozenset(found - {""})

    def new_label(self, text: str, field: str) -> str:
        """Return the id of something new, if it is a DNS label; "" once noted as a mistake."""
        if is_label(text):
            return text
        self.add(field, f"{text[:80]!r} is not {LABEL_RULE}" if text else f"is required: {LABEL_RULE}")
        return ""

    def text(self, text: str, field: str, *, at_most: int = MAX_TEXT) -> str:
        """Return a free text, if it is not too long and prints."""
        if len(text) > at_most:
            self.add(field, f"has {len(text)} characters; at most {at_most} are taken")
        elif not text.isprintable():
            self.add(field, "holds characters that do not print")
        return text

    def number(self, value: float, field: str, *, low: float, high: float) -> float:
        """Return the number, if it is one in [low, high]."""
        if not (math.isfinite(value) and low <= value <= high):
            self.add(field, f"{value!r} is not in [{low:g}, {high:g}]")
        return value

    def millibit_per_s(self, bit_per_s: float, field: str, *, up: bool, positive: bool) -> int:
        """Return a rate in integers, rounded up or down; 1 once noted as a mistake.

        Args:
            bit_per_s: As it came.
            field: Where it came.
            up: Which way to round: up what is asked, down what is promised.
            positive: Whether 0, and what is above it but less than the resolution of rates, is a mistake.
        """
        least = _LEAST_RATE_BIT_PER_S if positive else 0
        bounds = f"from {least:g} up to {_MAX_RATE_BIT_PER_S} bit/s"
        if math.isnan(bit_per_s):
            self.add(field, f"NaN is no rate: give a number {bounds}")
            return 1
        if not least <= bit_per_s <= _MAX_RATE_BIT_PER_S:
            self.add(field, f"{bit_per_s!r} is not {bounds}")
            return 1
        return millibit(bit_per_s, up=up)

    def duration_ns(self, duration: Duration, field: str) -> int:
        """Return a duration; 0 once noted as malformed."""
        if not (-315_576_000_000 <= duration.seconds <= 315_576_000_000 and abs(duration.nanos) < _NANOS):
            self.add(field, "is no valid google.protobuf.Duration")
            return 0
        if duration.seconds * duration.nanos < 0:
            self.add(field, "has seconds and nanos of different signs")
            return 0
        return duration.seconds * _NANOS + duration.nanos


def millibit(bit_per_s: float, *, up: bool) -> int:
    """Return a finite rate in millibit/s, rounded up or down.

    The shortest decimal that stands for the double is what was meant: 0.1 bit/s are 100 millibit/s, although the
    double is a little more.

    >>> millibit(0.1, up=True), millibit(0.8533334, up=True), millibit(0.8539, up=False)
    (100, 854, 853)
    """
    rounding = ROUND_CEILING if up else ROUND_FLOOR
    return int((Decimal(repr(float(bit_per_s))) * 1000).to_integral_value(rounding))


def key_rate_millibit(key_size_bit: int, keys: int, interval_ns: int) -> int:
    """Return the rate of so many keys in each interval, rounded up; all arguments > 0.

    >>> key_rate_millibit(256, 1, 300 * 10**9)
    854
    """
    return math.ceil(Fraction(key_size_bit * keys * 1000 * _NANOS, interval_ns))


def bit_per_s(millibit_per_s: int) -> float:
    """Return a rate as the API tells it.

    >>> bit_per_s(854)
    0.854
    """
    return millibit_per_s / 1000


def ceil_to(amount_ns: int, unit_ns: int) -> int:
    """Return a duration in whole units, rounded up."""
    return -(-amount_ns // unit_ns)


def duration_ms(milliseconds: int) -> Duration:
    """Return a duration."""
    seconds, rest = divmod(milliseconds, 1000)
    return Duration(seconds=seconds, nanos=rest * 1_000_000)


def timestamp_ms(milliseconds: int) -> Timestamp:
    """Return a moment, given in ms since 1970; what a Timestamp cannot hold becomes the nearest that it can."""
    seconds, rest = divmod(min(max(milliseconds, 0), 253_402_300_799_999), 1000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000_000)


def network_uuid(network: uuid.UUID, resource: str) -> str:
    """Return the UUID of a resource as text."""
    return str(resource_uuid(network, resource))


def body_sha256(request: Message) -> str:
    """Return the hash of a request without its request_id, in hexadecimal digits."""
    body = type(request)()
    body.CopyFrom(request)
    body.ClearField("request_id")
    return hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest()


class WireEnum(Generic[E]):
    """One enumeration of the domain and that of the API: the same names, told apart by a prefix."""

    def __init__(self, members: type[E], wrapper: Any, prefix: str, *, unspecified: E | None = None) -> None:
        self._numbers: dict[E, int] = {
            member: 0 if member is unspecified and f"{prefix}_{member.name}" not in wrapper.keys()  # noqa: SIM118
            else wrapper.Value(f"{prefix}_{member.name}")
            for member in members
        }  # fmt: skip
        self._members = {number: member for member, number in self._numbers.items()}
        if unspecified is not None:
            self._members[0] = unspecified

    def number(self, member: E) -> Any:
        """Return the API's number of a member; typed Any, since each generated enum is a type of its own."""
        return self._numbers[member]

    def member(self, number: int, field: str, mistakes: Mistakes) -> E | None:
        """Return the member; None once noted as a mistake."""
        found = self._members.get(number)
        if found is None:
            known = ", ".join(member.name for member in self._numbers)
            mistakes.add(field, f"is required: one of {known}" if number == 0 else f"{number} is none of {known}")
        return found


def optional(message: Message, field: str, read: Callable[[Any], T], default: T) -> T:
    """Return what `read` makes of a field, or the default where it is not set."""
    return read(getattr(message, field)) if message.HasField(field) else default
