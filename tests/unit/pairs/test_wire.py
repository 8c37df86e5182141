"""Messages travel as they are; numbers that cannot be do not arrive."""

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qinet.peer.v1 import pairs_pb2 as pb
from southbound.agent.pairs import messages
from southbound.agent.pairs.messages import Message
from southbound.agent.pairs.states import Pair
from southbound.agent.pairs.wire import message_from_pb, message_to_pb

# Whole microseconds, which a float of this size holds as exactly as the wire does.
times = st.integers(0, 10**12).map(lambda microseconds: microseconds / 1e6)
numbers = st.integers(0, 2**63 - 1)
counts = st.integers(0, 2**62 - 1)
small = st.integers(0, 1000)
correlations = st.floats(-1.0, 1.0)
rates = st.floats(0.0, 1e9)
pairs = st.builds(
    Pair, numbers, correlations, correlations, correlations, times, rates, rates, st.integers(0, 1), st.integers(0, 1)
)
lanes = st.lists(st.none() | pairs, max_size=4).map(tuple)
rounds = st.lists(counts, min_size=1, max_size=5).map(tuple)
names = st.text(max_size=8)
conditions = st.builds(messages.LinkCondition, names, rates, st.floats(0.0, 1.0), st.booleans())
outcomes = st.builds(messages.Outcome, numbers, st.sampled_from("XYZ"), st.integers(0, 1))
of_all_kinds = st.one_of(
    st.builds(messages.PairHello, rates, st.lists(conditions, max_size=3).map(tuple)),
    conditions,
    st.builds(messages.Activate, names, numbers, counts, st.booleans(), times, numbers, rates),
    st.builds(messages.Activated, names, numbers, counts, rates),
    st.builds(messages.Resync, names, numbers),
    st.builds(messages.Herald, names, numbers, counts, small, small, rounds, times | st.just(math.inf), pairs),
    st.builds(
        messages.Swapped, names, numbers, counts, small, st.integers(0, 3), st.integers(4, 9), rounds,
        st.none() | pairs, numbers, numbers, rounds, times,
    ),
    st.builds(messages.Token, names, numbers, counts),
    st.builds(messages.Sweep, names, numbers, counts, times, small, lanes, st.booleans(), numbers),
    st.builds(messages.Swept, names, numbers, counts, lanes),
    st.builds(messages.Outcomes, names, numbers, st.lists(outcomes, max_size=4).map(tuple)),
    st.builds(messages.Recent, names, numbers, times, times, st.lists(numbers, max_size=4).map(tuple)),
    st.builds(messages.Confirm, names, numbers, st.booleans()),
)  # fmt: skip


@given(of_all_kinds)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    travelling = pb.PairMessage.FromString(message_to_pb(message).SerializeToString())
    assert message_from_pb(travelling) == message


def test_every_kind_of_message_travels() -> None:
    kinds = {field.name for field in pb.PairMessage.DESCRIPTOR.oneofs_by_name["kind"].fields}
    assert len(kinds) == len(set(get_args(Message)))


def test_the_times_of_two_clocks_are_moments_of_one_network() -> None:
    sent = messages.Activate("p", 1, 2, True, 12.5, 3)
    travelling = message_to_pb(sent, offset_ns=1_000_000_000_000)
    assert travelling.activate.at_ns == 1_012_500_000_000
    assert message_from_pb(travelling, offset_ns=1_010_000_000_000) == sent._replace(at_s=2.5)


@pytest.mark.parametrize(
    "wrong",
    [
        pb.PairMessage(),
        pb.PairMessage(hello=pb.PairHello(decay_rate=-1.0)),
        pb.PairMessage(hello=pb.PairHello(decay_rate=math.nan)),
        pb.PairMessage(condition=pb.LinkCondition(werner_factor=1.5)),
        pb.PairMessage(herald=pb.PairHerald(path="p")),
        pb.PairMessage(herald=pb.PairHerald(path="p", pair=pb.TrackedPair(zz=1.01))),
        pb.PairMessage(swapped=pb.PairSwapped(left=2, right=2)),
        pb.PairMessage(activate=pb.PathActivate(slot_s=math.inf)),
        pb.PairMessage(activated=pb.PathActivated(generation=1 << 62)),
        pb.PairMessage(swapped=pb.PairSwapped(left=0, right=2, rounds=[1] * 65)),
        pb.PairMessage(activate=pb.PathActivate(path="p", at_ns=2**63 - 1)),
        pb.PairMessage(recent=pb.PathRecent(path="p", since_ns=-(2**63))),
    ],
)
def test_what_cannot_be_does_not_arrive(wrong: pb.PairMessage) -> None:
    assert message_from_pb(wrong) is None
