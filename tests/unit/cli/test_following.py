"""Whoever applies the changes of a follower has the network as it is, however often the watch was cut."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.cli.following import Change, Follower
from qinet.northbound.v1.key_relay_pb2 import KeyRelay, RelayEndMeasurement
from qinet.northbound.v1.key_relay_service_pb2 import WatchKeyRelaysResponse as Message
from qinet.northbound.v1.link_pb2 import Link, LinkMeasurement
from qinet.northbound.v1.topology_service_pb2 import WatchTopologyResponse

States = dict[str, int]
"""By relay, its priority: what changes in these tests."""


def put(name: str, priority: int, revision: int = 0) -> Message:
    relay = KeyRelay(name=name, priority=priority)
    return Message(kind=Message.KIND_PUT, resume_revision=revision, key_relay=relay)


def full_state(states: States, revision: int) -> Iterator[Message]:
    yield Message(kind=Message.KIND_SYNC_BEGIN)
    for name, priority in sorted(states.items()):
        yield put(name, priority)
    yield Message(kind=Message.KIND_SYNC_END, resume_revision=revision)


def applied(view: States, change: Change) -> None:
    if isinstance(change.resource, KeyRelay):
        view[change.name] = change.resource.priority
    else:
        assert view.pop(change.name, None) is not None, "told to drop what was never there"


names = st.sampled_from(["keyRelays/a", "keyRelays/b", "keyRelays/c"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), names, st.integers(0, 2)),
        st.tuples(st.just("delete"), names, st.just(0)),
        st.tuples(st.just("cut"), st.just(""), st.integers(0, 5)),
    ),
    max_size=25,
)


@settings(deadline=None)
@given(steps, st.booleans())
def test_the_changes_add_up_to_the_network_over_cuts_and_restarts(
    script: list[tuple[str, str, int]], tail_survives: bool
) -> None:
    """A cut comes after some messages of the resync; then either the tail resumes, or the full state comes."""
    truth: States = {}
    log: list[tuple[int, Message]] = []
    follower, view, revision = Follower(), States(), 1

    def hear(messages: list[Message]) -> None:
        for message in messages:
            for change in follower.take(message):
                applied(view, change)

    def missed() -> list[Message]:
        resume = follower.resume_revision
        if tail_survives and resume:
            return [message for at, message in log if at > resume]
        return list(full_state(truth, revision))

    hear(missed())
    for kind, name, number in script:
        if kind == "cut":
            follower.connection_lost()
            hear(missed()[:number])
            follower.connection_lost()
            continue
        revision += 1
        if kind == "put":
            truth[name] = number
            log.append((revision, put(name, number, revision)))
        elif truth.pop(name, None) is not None:
            log.append((revision, Message(kind=Message.KIND_DELETED, resume_revision=revision, deleted=name)))
    follower.connection_lost()
    hear(missed())
    assert view == truth


def test_a_full_state_repeats_nothing_that_is_known_and_names_what_is_gone() -> None:
    follower = Follower()
    before = {"keyRelays/a": 1, "keyRelays/b": 1, "keyRelays/c": 1}
    for message in full_state(before, 5):
        list(follower.take(message))
    follower.connection_lost()
    told = [
        (change.name, change.resource is None)
        for message in full_state({"keyRelays/a": 1, "keyRelays/b": 2}, 9)
        for change in follower.take(message)
    ]
    assert told == [("keyRelays/b", False), ("keyRelays/c", True)]
    assert follower.resume_revision == 9


def test_what_was_heard_of_a_commit_that_was_cut_short_is_not_told_again() -> None:
    follower = Follower(4)
    gone = Message(kind=Message.KIND_DELETED, resume_revision=4, deleted="keyRelays/a")
    first = [gone, put("keyRelays/b", 1, 4)]
    assert [change.name for message in first for change in follower.take(message)] == ["keyRelays/a", "keyRelays/b"]
    follower.connection_lost()
    again = [*first, put("keyRelays/c", 1, 5)]
    assert [change.name for message in again for change in follower.take(message)] == ["keyRelays/c"]
    assert follower.resume_revision == 5
    later = Message(kind=Message.KIND_DELETED, resume_revision=6, deleted="keyRelays/a")
    assert [change.name for change in follower.take(later)] == ["keyRelays/a"]


def test_measured_figures_alone_are_no_change_in_a_full_state() -> None:
    follower = Follower()
    told: list[Change] = []
    for stored in (1, 2):
        relay = KeyRelay(name="keyRelays/a", ends=[RelayEndMeasurement(stock_bit=stored)], revision=stored)
        told += follower.take(Message(kind=Message.KIND_SYNC_BEGIN))
        told += follower.take(Message(kind=Message.KIND_PUT, key_relay=relay))
        told += follower.take(Message(kind=Message.KIND_SYNC_END, resume_revision=stored))
        link = Link(name="links/a", measurement=LinkMeasurement(stored_key_bit=stored))
        other = Follower()
        told += other.take(WatchTopologyResponse(kind=WatchTopologyResponse.KIND_PUT, link=link, resume_revision=1))
    assert [change.name for change in told] == ["keyRelays/a", "links/a", "links/a"]


def test_a_heartbeat_moves_the_place_to_resume_from_and_tells_nothing() -> None:
    follower = Follower(3)
    assert list(follower.take(Message(kind=Message.KIND_HEARTBEAT, resume_revision=7))) == []
    assert follower.resume_revision == 7


def test_a_kind_of_a_later_version_is_passed_over() -> None:
    follower = Follower(3)
    assert list(follower.take(Message(kind=99, resume_revision=4))) == []  # type: ignore[arg-type]
