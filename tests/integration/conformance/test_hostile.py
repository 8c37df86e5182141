"""Agents that mean harm to the suite itself: it ends in time, tells of it, and shows what they said harmlessly."""

from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from qinet.southbound.v1 import agent_pb2 as pb
from southbound.conformance import bench
from southbound.conformance.output import as_junit, row
from southbound.conformance.verdict import Status
from tests.integration.conformance.between import Stream, Vice
from tests.integration.conformance.test_conformance import Trial


class Flood(Vice):
    """Talks on and on."""

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        if not request.HasField("heartbeat"):
            return [request]
        report = pb.SessionRequest(report=pb.Report(alarms=[pb.Alarm(message="x" * 10_000)]))
        report.election_id.CopyFrom(request.election_id)
        return [request, *[report] * 400]


class LastElection(Vice):
    """Says that it has seen the highest election id that there can be."""

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        if request.HasField("hello"):
            request.hello.highest_election_id.term = 2**64 - 1
        return [request]


class Steering(Vice):
    """Has a name for its store that clears the screen, and that XML cannot hold."""

    def up(self, stream: Stream, request: pb.SessionRequest) -> list[pb.SessionRequest]:
        if request.HasField("hello"):
            request.hello.store_id = "\x1b[2J\x00\nPASS"
        return [request]


@pytest.mark.timeout(60)
async def test_an_agent_that_floods_is_hung_up_on_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "MOST_HEARD_BYTES", 2 << 20)
    verdicts = await Trial(tmp_path, Flood(), ("heartbeat", "report")).run()
    first, *rest = verdicts.values()
    assert first.status is Status.FAIL
    assert "said more than 2 MiB" in first.observed
    assert {one.status for one in rest} == {Status.SKIP}


@pytest.mark.timeout(60)
async def test_an_agent_that_no_controller_can_follow_is_told_so_at_once(tmp_path: Path) -> None:
    verdicts = await Trial(tmp_path, LastElection(), ("hello.first", "update.applied")).run()
    assert [one.status for one in verdicts.values()] == [Status.FAIL, Status.SKIP]
    assert "no controller follows" in verdicts["hello.first"].observed


@pytest.mark.timeout(60)
async def test_what_an_agent_says_neither_breaks_lines_nor_steers_the_terminal_nor_spoils_the_xml(
    tmp_path: Path,
) -> None:
    verdicts = await Trial(tmp_path, Steering(), ("hello.store-id",)).run()
    (one,) = verdicts.values()
    assert row(one).splitlines() == [f"PASS  hello.store-id          {one.observed}"]
    assert row(one).isprintable()
    (told,) = Xml.fromstring(as_junit([one])).iter("system-out")
    assert told.text == one.observed
