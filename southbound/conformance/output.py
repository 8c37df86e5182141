"""What came of a run, for people and for programs."""

import json
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from xml.etree import ElementTree as Xml

from southbound.conformance.verdict import Check, Status, Verdict


class Output(StrEnum):
    """The forms that there are."""

    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"


def row(verdict: Verdict) -> str:
    """Return a verdict as lines of the table: what a failed one demands and what helps follows it."""
    check = verdict.check
    told = f"{verdict.status.upper():4}  {check.id:22}  {verdict.observed}"
    if verdict.status is Status.FAIL:
        told += f"\n      demanded: {check.demand} ({check.section})\n      remedy: {check.remedy}"
    return told


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return the last line of the table."""
    counts = Counter(one.status for one in verdicts)
    skipped = f", {counts[Status.SKIP]} skipped" if counts[Status.SKIP] else ""
    return f"{counts[Status.PASS]} passed, {counts[Status.FAIL]} failed{skipped}"


def listing(checks: Sequence[Check]) -> str:
    """Return the checks with what they demand."""
    return "\n".join(f"{check.id:22}  {check.demand} ({check.section})" for check in checks)


def as_json(verdicts: Sequence[Verdict]) -> str:
    """Return the run as one JSON object: `checks` in order, and their number by status."""
    counts = Counter(one.status for one in verdicts)
    return json.dumps(
        {
            "passed": counts[Status.PASS],
            "failed": counts[Status.FAIL],
            "skipped": counts[Status.SKIP],
            "checks": [
                {
                    "id": one.check.id,
                    "status": one.status,
                    "section": one.check.section,
                    "demand": one.check.demand,
                    "observed": one.observed,
                    "remedy": one.check.remedy,
                    "took_s": round(one.took_s, 3),
                }
                for one in verdicts
            ],
        },
        indent=2,
    )


def as_junit(verdicts: Sequence[Verdict]) -> str:
    """Return the run as a JUnit test suite, as build servers read it."""
    counts = Counter(one.status for one in verdicts)
    suite = Xml.Element(
        "testsuite",
        name="qinet.southbound.v1",
        tests=str(len(verdicts)),
        failures=str(counts[Status.FAIL]),
        skipped=str(counts[Status.SKIP]),
        errors="0",
        time=f"{sum(one.took_s for one in verdicts):.3f}",
    )
    for one in verdicts:
        group, _, name = one.check.id.partition(".")
        case = Xml.SubElement(suite, "testcase", classname=group, name=name, time=f"{one.took_s:.3f}")
        match one.status:
            case Status.FAIL:
                told = Xml.SubElement(case, "failure", message=one.observed)
                told.text = f"demanded: {one.check.demand} ({one.check.section})\nremedy: {one.check.remedy}"
            case Status.SKIP:
                Xml.SubElement(case, "skipped", message=one.observed)
            case Status.PASS:
                Xml.SubElement(case, "system-out").text = one.observed
    Xml.indent(suite)
    return Xml.tostring(suite, encoding="unicode", xml_declaration=True)
