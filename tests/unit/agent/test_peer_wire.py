"""Messages of the key plane travel and arrive as they were."""

from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qinet.peer.v1 import peer_pb2 as pb
from southbound.agent.keyplane import messages
from southbound.agent.peer_wire import message_from_pb, message_to_pb

CLASSES = get_args(messages.Message)

PLAIN: dict[object, st.SearchStrategy[Any]] = {
    int: st.integers(0, 2**31 - 1),
    bool: st.booleans(),
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    bytes: st.binary(max_size=16),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=3).map(tuple)
    if is_dataclass(hint):
        return st.builds(hint, **{name: values(inner) for name, inner in get_type_hints(hint).items()})  # type: ignore[arg-type]
    return PLAIN[hint]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_kind_has_exactly_the_fields_of_the_protocol(cls: Any) -> None:
    there = getattr(pb, cls.__name__).DESCRIPTOR.fields_by_name
    assert set(there) == {field.name for field in fields(cls)}


@settings(max_examples=60, deadline=None)
@given(st.one_of([values(cls) for cls in CLASSES]))
def test_a_message_arrives_as_it_was_sent(message: messages.Message) -> None:
    travelled = pb.PeerMessage.FromString(message_to_pb(message).SerializeToString())
    assert message_from_pb(travelled) == message


def test_what_the_key_plane_does_not_know_is_left_out() -> None:
    assert message_from_pb(pb.PeerMessage()) is None
    assert message_from_pb(pb.PeerMessage(heartbeat=pb.PeerHeartbeat())) is None
