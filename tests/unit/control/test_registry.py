"""Whatever agents, operators and a busy writer do: what the writer hears of a node is a sensible story."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain import events
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.control.endings import Code, Ending, SessionRefused
from southbound.control.session import AgentSession
from tests.unit.control.model_agent import ELECTION, hello, said
from tests.unit.control.stage import Stage

CLOSED = Ending(code=Code.CANCELLED, reason="CLOSED", message="closed")

steps = st.lists(
    st.sampled_from(["open", "open other", "close", "down", "up", "full", "room", "wait", "out", "in", "push"]),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_connected_and_lost_alternate_and_words_come_only_in_between(steps: list[str]) -> None:
    stage = Stage()
    stage.push({})
    told: list[events.AgentEvent] = []
    sessions: list[AgentSession] = []
    words = 0
    for step in steps:
        living = stage.registry.sessions().get("a")
        match step:
            case "open" | "open other":
                with suppress(SessionRefused):
                    sessions.append(stage.open(hello(store_id=step)))
            case "close" if living is not None:
                living.end(CLOSED)
                stage.registry.collect(living)
            case "down" | "up" if living is not None and not stage.registry.blocked("a"):
                words += 1
                link = pb.LinkReport(link="l", down_reason=f"cut {words}" if step == "down" else "")
                stage.hear(living, said(report=pb.Report(links=[link])))
            case "full" | "room":
                stage.room = step == "room"
            case "wait":
                stage.now_ms += 1000
                if living is not None:
                    living.tick(stage.now_ms)
                    stage.registry.collect(living)
                stage.registry.tick(stage.now_ms)
            case "out" | "in":
                stage.version += 1
                wanted: dict[str, bytes] | None = None if step == "out" else {}
                stage.registry.push({"a": wanted}, stage.version, ELECTION, now_ms=stage.now_ms)
            case "push":
                stage.push({})
        told += stage.take()
        # at most one session of a node lives
        assert sum(session.ending is None for session in sessions) <= 1
    stage.room = True
    stage.registry.end_all(CLOSED)
    stage.registry.tick(stage.now_ms)
    told += stage.take()

    connected = False
    for event in told:
        match event:
            case events.AgentConnected():
                assert not connected
                connected = True
            case events.AgentLost():
                assert connected
                connected = False
            case events.LinkReport() | events.ConfigConfirmed():
                assert connected
    assert not connected
    assert sum(isinstance(event, events.AgentConnected) for event in told) == len(sessions)
