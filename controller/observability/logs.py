"""Logging of all daemons: a fixed phrase, then key=value; as text, or one JSON object a line."""

import json
import logging
import math
import re
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
"""What can be asked for, the most talkative first."""

# `phrase key=%s other=%.4f`: a conversion behind a name and an equals sign is a field of the line.
_CONVERSION: Final = re.compile(
    r"(?:(?P<key>[A-Za-z_]\w*)=)?"
    r"(?P<spec>%[-+ #0]*(?P<width>\*|\d+)?(?:\.(?P<digits>\*|\d+))?[hlL]?(?P<kind>[a-zA-Z%]))"
)


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class JsonLines(logging.Formatter):
    """One JSON object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`; `fields`, `exception` if there are.

    `message` is the line as text has it. `fields` holds its key=value pairs, numbers as numbers, so that nobody has to
    take the message apart. `exception` holds `type`, `message` and `traceback`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON, in ASCII: a value never breaks the line."""
        line: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if fields := _fields(record):
            line["fields"] = fields
        if record.exc_info and record.exc_info[0] is not None:
            kind, problem, _ = record.exc_info
            line["exception"] = {
                "type": f"{kind.__module__}.{kind.__qualname__}",
                "message": str(problem),
                "traceback": self.formatException(record.exc_info),
            }
        return json.dumps(line)


class TextLines(logging.Formatter):
    """One line for people: time (UTC, as JSON has it), level, logger, message; a traceback below.

    What would break the line, or move a terminal's cursor, stands as Python writes it: nobody forges a line.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the time of the record."""
        return _time(record.created)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return _CONTROL.sub(lambda found: repr(found[0])[1:-1], super().formatMessage(record))


def configure_logging(level: str, *, as_json: bool) -> None:
    """Send the log, and Python's warnings with it, to standard error. Again, with other values, to change it.

    Args:
        level: One of `LEVELS`.
        as_json: Whether a line is a JSON object.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    logging.captureWarnings(True)
    root = logging.getLogger()
    former, root.handlers = root.handlers, [handler]  # at once: no line that another thread writes now is lost
    root.setLevel(level)
    for each in former:
        each.close()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    if not isinstance(record.args, tuple) or not isinstance(record.msg, str):
        return {}
    named = _named(record.msg)
    if named is None:
        return {}
    return {key: _value(spec, record.args[place]) for key, spec, place in named if place < len(record.args)}


@lru_cache(maxsize=512)
def _named(template: str) -> tuple[tuple[str, str, int], ...] | None:
    """Return (key, conversion, place among the arguments) of every field; None where places cannot be counted."""
    found = []
    place = 0
    for match in _CONVERSION.finditer(template):
        if "*" in (match["width"], match["digits"]):
            return None
        if match["kind"] == "%":
            continue
        if match["key"]:
            found.append((match["key"], match["spec"], place))
        place += 1
    return tuple(found)


def _value(spec: str, value: object) -> object:
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return spec % (value,)
