"""An agent is brought to what is wanted, one update at a time, whatever comes between."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain import events
from controller.domain.entries import digest_of, entry_hash
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.control.session import AgentSession
from southbound.control.settings import ControlSettings
from tests.unit.control.model_agent import ModelAgent, hello, said
from tests.unit.control.stage import Stage


def started(stage: Stage, agent: ModelAgent) -> AgentSession:
    session = stage.open(agent.hello())
    stage.settle(session, agent)
    return session


def test_an_agent_that_has_what_is_wanted_is_told_nothing() -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1"})
    agent.entries = {"links/l": b"1"}

    session = started(stage, agent)

    assert agent.updates == 0
    (connected,) = stage.take(events.AgentConnected, events.ConfigConfirmed)
    assert isinstance(connected, events.AgentConnected)
    assert connected.in_force == agent.hashes
    assert connected.version == 1
    assert session.connected


def test_an_agent_with_something_else_is_asked_and_gets_the_difference_alone() -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1", "links/m": b"2"})
    agent.entries = {"links/l": b"1", "links/gone": b"3"}

    session = stage.open(agent.hello())
    stage.tell(session, agent)
    assert agent.asked
    assert stage.take(events.AgentConnected) == []
    answer = agent.answer()
    assert answer is not None
    before = agent.hashes
    stage.hear(session, answer)
    stage.tell(session, agent)

    (update,) = agent.pending
    assert [entry.id for entry in update.upserts] == ["links/m"]
    assert list(update.deletes) == ["links/gone"]
    (connected,) = stage.take(events.AgentConnected)
    assert isinstance(connected, events.AgentConnected)
    assert connected.in_force == before


def test_an_ack_tells_what_is_in_force_and_how_long_it_took() -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({})
    session = started(stage, agent)
    stage.push({"links/l": b"1"})
    stage.now_ms += 7
    stage.settle(session, agent)

    assert stage.take(events.ConfigConfirmed) == [
        events.ConfigConfirmed(node="a", version=2, in_force={"links/l": entry_hash("links/l", b"1")})
    ]
    assert stage.latencies == [7]
    seen = stage.observations.agent("a")
    assert seen is not None
    assert (seen.confirmed_version, seen.in_force_digest) == (2, seen.desired_digest)


def test_a_newer_wish_that_needs_no_update_is_confirmed_all_the_same() -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1"})
    session = started(stage, agent)
    stage.take()
    stage.push({"links/l": b"1"})
    stage.settle(session, agent)
    stage.settle(session, agent)

    assert agent.updates == 1
    assert stage.take() == [events.ConfigConfirmed(node="a", version=2, in_force=agent.hashes)]


def test_wishes_that_come_while_an_update_is_in_flight_fold_into_one() -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1"})
    session = stage.open(agent.hello())
    stage.tell(session, agent)
    for content in (b"2", b"3", b"4"):
        stage.push({"links/l": content})
        assert stage.tell(session, agent) == 0
    stage.settle(session, agent)

    assert agent.entries == {"links/l": b"4"}
    assert agent.updates == 2


def test_a_wish_that_returns_while_its_opposite_is_in_flight_is_confirmed_only_afterwards() -> None:
    # given an update that removes an entry, on its way
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1"})
    session = started(stage, agent)
    stage.push({})
    stage.tell(session, agent)
    stage.take()

    # when the entry is wanted again
    stage.push({"links/l": b"1"})
    stage.tell(session, agent)

    # then nothing confirms the last wish before the removal was answered and undone
    assert stage.take() == []
    stage.settle(session, agent)
    assert [(e.version, dict(e.in_force)) for e in stage.take() if isinstance(e, events.ConfigConfirmed)] == [
        (2, {}),
        (3, agent.hashes),
    ]
    assert agent.entries == {"links/l": b"1"}


def test_refused_entries_are_named_and_the_rest_goes_out_at_once_but_for_what_serves_the_same() -> None:
    stage, agent = Stage(), ModelAgent()
    agent.refuses = {b"bad"}
    stage.push({"links/l": b"1", "keyRelays/r/shares/0": b"bad", "keyRelays/r/shares/1": b"2"})
    session = stage.open(agent.hello())
    stage.settle(session, agent)
    assert agent.entries == {"links/l": b"1"}
    assert stage.take(events.ConfigRefused) == [
        events.ConfigRefused(node="a", version=1, refused={"keyRelays/r/shares/0": ("UNIMPLEMENTED", "not served")})
    ]
    seen = stage.observations.agent("a")
    assert seen is not None
    assert seen.refused == {"keyRelays/r/shares/0": ("UNIMPLEMENTED", "not served")}

    stage.push({"links/l": b"1"})
    stage.settle(session, agent)
    assert agent.entries == {"links/l": b"1"}


def test_not_even_what_serves_the_same_waits_for_a_writer_that_says_nothing() -> None:
    stage, agent = Stage(), ModelAgent()
    agent.refuses = {b"bad"}
    stage.push({"keyRelays/r/shares/0": b"bad", "keyRelays/r/shares/1": b"2"})
    session = stage.open(agent.hello())
    stage.settle(session, agent)
    assert agent.entries == {}

    stage.now_ms += stage.settings.writer_patience_ms
    stage.settle(session, agent)
    assert agent.entries == {"keyRelays/r/shares/1": b"2"}


def test_refused_bytes_are_not_sent_again_before_their_back_off_even_to_a_new_session() -> None:
    stage, agent = Stage(ControlSettings(retry_first_ms=10_000)), ModelAgent()
    agent.refuses = {b"bad"}
    stage.push({"links/m": b"bad"})
    session = stage.open(agent.hello())
    stage.settle(session, agent)
    assert agent.updates == 1

    # neither by a new wish with the same bytes, nor to a new session
    stage.push({"links/m": b"bad"})
    stage.settle(session, agent)
    session = stage.open(agent.hello())
    stage.settle(session, agent)
    assert agent.updates == 1

    # only after the back-off, which then doubles
    stage.now_ms += 10_000
    stage.settle(session, agent)
    assert agent.updates == 2
    stage.now_ms += 10_000
    stage.settle(session, agent)
    assert agent.updates == 2
    stage.now_ms += 10_000
    agent.refuses = set()
    stage.settle(session, agent)
    assert agent.entries == {"links/m": b"bad"}
    seen = stage.observations.agent("a")
    assert seen is not None
    assert not seen.refused


def test_other_bytes_under_a_refused_id_go_out_at_once() -> None:
    stage, agent = Stage(), ModelAgent()
    agent.refuses = {b"bad"}
    stage.push({"links/m": b"bad"})
    session = stage.open(agent.hello())
    stage.settle(session, agent)
    stage.push({"links/m": b"good"})
    stage.settle(session, agent)
    assert agent.entries == {"links/m": b"good"}


def test_an_entry_refused_in_its_new_form_stays_in_force_in_its_old() -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/m": b"old"})
    session = started(stage, agent)
    agent.refuses = {b"new"}
    stage.push({"links/m": b"new"})
    stage.settle(session, agent)
    stage.push({"links/m": b"new", "links/n": b"1"})
    stage.settle(session, agent)
    assert agent.entries == {"links/m": b"old", "links/n": b"1"}


def test_another_base_makes_the_controller_ask_what_is_in_force() -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1"})
    session = started(stage, agent)
    stage.push({"links/l": b"2"})
    stage.tell(session, agent)
    # when the agent has lost its entries behind our back
    aborted = agent.refuse_whole(10)
    agent.entries = {"links/x": b"?"}
    stage.hear(session, aborted)
    stage.settle(session, agent)
    assert agent.entries == {"links/l": b"2"}


def test_an_agent_that_refuses_everything_is_tried_ever_more_rarely_and_the_writer_is_told() -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1"})
    session = stage.open(agent.hello())
    stage.take()
    tried = []
    for second in range(40):
        stage.now_ms += 1000
        stage.tell(session, agent)
        if agent.asked:
            answer = agent.answer()
            assert answer is not None
            stage.hear(session, answer)
            stage.tell(session, agent)
        if agent.pending:
            tried.append(second)
            stage.hear(session, agent.refuse_whole(8))
        stage.hear(session, said(heartbeat=pb.Heartbeat()))
    assert tried == [0, 1, 3, 7, 15, 31]
    told = [event for event in stage.take(events.ConfigRefused) if isinstance(event, events.ConfigRefused)]
    assert len(told) == len(tried)
    assert {(event.whole, len(event.refused)) for event in told} == {(("RESOURCE_EXHAUSTED", "no"), 0)}


def test_an_ack_with_another_digest_is_not_believed() -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1"})
    session = stage.open(agent.hello())
    stage.tell(session, agent)
    stage.take()
    agent.pending = []
    stage.hear(session, said(ack=pb.Ack(nonce=1, version=1, digest=bytes(32))))
    assert stage.take() == []
    stage.settle(session, agent)
    assert agent.entries == {"links/l": b"1"}


def test_a_large_update_goes_in_parts_of_bounded_size() -> None:
    stage, agent = Stage(ControlSettings(part_bytes=1000)), ModelAgent()
    agent.entries = {f"links/old-{n}": b"1" for n in range(100)}
    stage.push({f"links/l{n}": bytes(n % 90) for n in range(200)})
    session = started(stage, agent)
    assert agent.largest_part <= 1000
    assert agent.updates == 1
    assert len(agent.entries) == 200
    assert session.waiting == 0


def test_a_nack_of_a_part_stops_the_others() -> None:
    stage, agent = Stage(ControlSettings(part_bytes=100)), ModelAgent()
    stage.push({f"links/l{n}": b"1" for n in range(20)})
    session = stage.open(agent.hello())
    while not agent.pending:
        message = session.next_message(stage.now_ms)
        assert message is not None
        agent.take(message)
    assert session.waiting > 0
    stage.hear(session, agent.refuse_whole(8))
    assert session.waiting == 0
    stage.now_ms += 1000
    stage.settle(session, agent)
    assert len(agent.entries) == 20


def test_entries_with_a_lifetime_carry_what_is_left_of_it_when_they_are_sent() -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1", "links/m": b"2"}, remaining_s={"links/l": 60})
    stage.now_ms += 15_000
    session = stage.open(agent.hello())
    stage.tell(session, agent)
    left = {entry.id: entry.remaining_s for entry in agent.pending[0].upserts if entry.HasField("remaining_s")}
    assert left == {"links/l": 45}


@pytest.mark.parametrize(
    "nonsense",
    [
        said(ack=pb.Ack(nonce=9)),
        said(nack=pb.Nack(nonce=9)),
        said(entry_hashes=pb.EntryHashes()),
        said(),
        hello(),
    ],
)
def test_an_answer_to_what_was_not_asked_ends_the_session(nonsense: pb.SessionRequest) -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({})
    session = started(stage, agent)
    stage.hear(session, nonsense)
    assert session.ending is not None
    assert session.ending.code == "INVALID_ARGUMENT"
    assert stage.registry.sessions() == {}


@pytest.mark.parametrize("hashes", [[("l", bytes(32))] * 2, [("l", b"short")]])
def test_hashes_that_are_none_end_the_session(hashes: list[tuple[str, bytes]]) -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1"})
    agent.entries = {"links/x": b"?"}
    session = stage.open(agent.hello())
    stage.tell(session, agent)
    stage.hear(
        session, said(entry_hashes=pb.EntryHashes(hashes=[pb.EntryHash(id=name, hash=value) for name, value in hashes]))
    )
    assert session.ending is not None


def test_hashes_come_in_parts_and_count_once_they_are_complete() -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1"})
    agent.entries = {"links/l": b"1", "links/gone": b"2"}
    session = stage.open(agent.hello())
    stage.tell(session, agent)
    for part, (name, value) in enumerate(agent.hashes.items()):
        assert not session.connected
        hashes = [pb.EntryHash(id=name, hash=value)]
        stage.hear(session, said(entry_hashes=pb.EntryHashes(hashes=hashes, part=part, parts=2)))
    assert session.connected
    agent.asked = False
    stage.settle(session, agent)
    assert agent.entries == {"links/l": b"1"}


@pytest.mark.parametrize("parts", [[(1, 2)], [(0, 2), (0, 2)], [(0, 2), (1, 3)], [(2, 2)]])
def test_parts_of_hashes_that_are_out_of_order_end_the_session(parts: list[tuple[int, int]]) -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1"})
    agent.entries = {"links/x": b"?"}
    session = stage.open(agent.hello())
    stage.tell(session, agent)
    for part, count in parts:
        assert session.ending is None
        stage.hear(session, said(entry_hashes=pb.EntryHashes(part=part, parts=count)))
    assert session.ending is not None


def test_an_entry_that_shall_end_at_another_time_is_told_again_and_only_then() -> None:
    stage, agent = Stage(), ModelAgent()
    stage.push({"links/l": b"1"}, remaining_s={"links/l": 100})
    session = started(stage, agent)
    assert agent.updates == 1

    # time goes on, and what is left with it
    stage.now_ms += 40_000
    stage.push({"links/l": b"1"}, remaining_s={"links/l": 60})
    stage.settle(session, agent)
    assert agent.updates == 1

    # when it shall live longer, or for ever
    stage.push({"links/l": b"1"}, remaining_s={"links/l": 600})
    stage.tell(session, agent)
    (update,) = agent.pending
    assert [(entry.id, entry.remaining_s) for entry in update.upserts] == [("links/l", 600)]
    stage.settle(session, agent)
    stage.push({"links/l": b"1"})
    stage.tell(session, agent)
    (update,) = agent.pending
    assert not update.upserts[0].HasField("remaining_s")
    stage.settle(session, agent)
    assert agent.updates == 3

    # when it was changed while the agent was away
    stage.push({"links/l": b"1"}, remaining_s={"links/l": 30})
    session = stage.open(agent.hello())
    stage.settle(session, agent)
    assert agent.updates == 4


# Two of one service, and two that stand alone.
IDS = {"a": "links/a", "b": "links/b", "c": "keyRelays/r/routes/1/shares/0", "d": "keyRelays/r/routes/1/shares/1"}

steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("push"),
            st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from([b"1", b"2", b"bad"])),
        ),
        st.tuples(st.sampled_from(["tell", "one", "answer", "abort", "whole", "drop", "lose"]), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([1, 500, 3000])),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_whatever_comes_between_what_is_wanted_is_in_force_once_it_is_quiet(steps: list[tuple[str, object]]) -> None:
    # the model agent checks: one update in flight, the right base, parts in order
    stage, agent = Stage(ControlSettings(part_bytes=200)), ModelAgent()
    agent.refuses = {b"bad"}
    wanted: dict[str, bytes] = {}
    stage.push(wanted)
    session = stage.open(agent.hello())
    for step, argument in steps:
        match step:
            case "push":
                wanted = {IDS[n]: c for n, c in argument.items()}  # type: ignore[attr-defined]
                stage.push(wanted)
            case "tell":
                stage.tell(session, agent)
            case "one":
                if (message := session.next_message(stage.now_ms)) is not None:
                    agent.take(message)
                stage.registry.collect(session)
            case "answer":
                if (answer := agent.answer()) is not None:
                    stage.hear(session, answer)
            case "abort" | "whole" if agent.pending:
                stage.hear(session, agent.refuse_whole(10 if step == "abort" else 8))
            case "drop":
                session = stage.open(agent.hello())
            case "lose":
                agent.entries.pop("links/a", None)
                session = stage.open(agent.hello())
            case "wait":
                stage.now_ms += int(str(argument))
                stage.hear(session, said(heartbeat=pb.Heartbeat()))
        assert session.ending is None
    # when the writer takes out what was refused, as it does, and all is quiet
    wanted = {name: content for name, content in wanted.items() if content != b"bad"}
    stage.push(wanted)
    for _ in range(3):
        stage.settle(session, agent)
        stage.now_ms += 200_000
        stage.hear(session, said(heartbeat=pb.Heartbeat()))
    # then
    assert agent.entries == wanted
    last = [e for e in stage.events if isinstance(e, (events.ConfigConfirmed, events.AgentConnected))][-1]
    assert last.in_force == agent.hashes
    assert last.version == stage.version
    seen = stage.observations.agent("a")
    assert seen is not None
    assert seen.in_force_digest == seen.desired_digest == digest_of(agent.hashes)
