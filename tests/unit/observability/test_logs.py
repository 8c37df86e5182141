"""Log lines: one JSON object each, whatever is logged."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.observability.logs import JsonLines, TextLines


def record(message: str, *arguments: object, level: int = logging.INFO, failed: bool = False) -> logging.LogRecord:
    problem = sys.exc_info() if failed else None
    made = logging.LogRecord("qinet.test", level, __file__, 1, message, arguments, problem)
    made.created = 1_700_000_000.1234
    return made


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonLines().format(made)
    assert "\n" not in line
    told: dict[str, Any] = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return told


def test_a_line_has_time_level_logger_message_and_its_fields_with_numbers_as_numbers() -> None:
    told = as_json(record("path moved path=%s hops=%d fidelity=%.2f done=%s 100%%", "a/b", 3, 0.98765, True))
    assert told == {
        "time": "2023-11-14T22:13:20.123Z",
        "level": "INFO",
        "logger": "qinet.test",
        "message": "path moved path=a/b hops=3 fidelity=0.99 done=True 100%",
        "fields": {"path": "a/b", "hops": 3, "fidelity": 0.98765, "done": True},
    }
    assert datetime.fromisoformat(told["time"]).tzinfo is UTC


def test_a_value_without_a_name_is_in_the_message_only() -> None:
    told = as_json(record("refused: %s node=%s", "why", "alice"))
    assert told["message"] == "refused: why node=alice"
    assert told["fields"] == {"node": "alice"}


def test_what_is_no_number_of_json_becomes_text() -> None:
    told = as_json(record("x rate=%s where=%s width=%5d", float("inf"), ("a", 1), 7))
    assert told["fields"] == {"rate": "inf", "where": "('a', 1)", "width": 7}


def test_a_line_without_fields_has_none() -> None:
    assert "fields" not in as_json(record("stopping"))
    assert "fields" not in as_json(record("padded=%*d", 5, 7))


def test_an_exception_is_told_with_type_message_and_traceback() -> None:
    try:
        dict[str, int]()["gone"]
    except KeyError:
        told = as_json(record("app failed app=%s", "Mine", level=logging.ERROR, failed=True))
    assert told["exception"]["type"] == "builtins.KeyError"
    assert told["exception"]["message"] == "'gone'"
    assert "Traceback" in told["exception"]["traceback"]
    assert told["fields"] == {"app": "Mine"}


@settings(max_examples=60)
@given(st.lists(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.binary()), max_size=4))
def test_any_values_make_one_line_of_json_whose_message_is_that_of_the_text(values: list[Any]) -> None:
    made = record("said " + " ".join(f"k{place}=%s" for place in range(len(values))), *values)
    told = as_json(made)
    assert told["message"] == made.getMessage()
    assert set(told.get("fields", {})) == {f"k{place}" for place in range(len(values))}


def test_text_tells_the_same_time() -> None:
    assert TextLines().format(record("ready name=%s", "x")) == "2023-11-14T22:13:20.123Z INFO qinet.test: ready name=x"


def test_a_value_cannot_forge_a_line_of_text_or_steer_a_terminal() -> None:
    line = TextLines().format(
        record("refused why=%s", "x\n2023-11-14T22:13:20.123Z INFO qinet: all is well\x1b[2J\u2028")
    )
    assert line.endswith("why=x\\n2023-11-14T22:13:20.123Z INFO qinet: all is well\\x1b[2J\\u2028")
    try:
        dict[str, int]()["gone"]
    except KeyError:
        assert TextLines().format(record("failed", failed=True)).count("\n") > 2
