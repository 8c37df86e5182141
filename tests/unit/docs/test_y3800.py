"""The page on the ITU-T functions names code and tests that exist."""

import re

from tests.support.pages import ROOT

PAGE = (ROOT / "docs" / "itu-t-y3800.md").read_text()


def test_every_function_has_a_place_and_a_test_that_exist() -> None:
    rows = [line.split("|") for line in PAGE.splitlines() if line.count("|") == 5 and "`" in line]
    assert len(rows) > 20
    for _, function, _, where, test, _ in rows:
        places, tests = re.findall(r"`([^`]+)`", where), re.findall(r"`(tests/[^`]+)`", test)
        assert places, function
        assert tests, function
        assert [path for path in (*places, *tests) if not (ROOT / path).exists()] == [], function
