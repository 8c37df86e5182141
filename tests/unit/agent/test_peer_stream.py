"""What waits for a stream travels in order, and what pair engines say travels together where it waited together."""

from contextlib import aclosing

from hypothesis import given
from hypothesis import strategies as st

from qinet.peer.v1 import pairs_pb2
from qinet.peer.v1 import peer_pb2 as pb
from southbound.agent.keyplane.messages import BlockGone
from southbound.agent.peers import OUTBOX_SIZE, PeerStream


def of_pairs(number: int) -> pairs_pb2.PairMessage:
    return pairs_pb2.PairMessage(resync=pairs_pb2.PathResync(path="p", route_version=number))


async def sent(kinds: list[bool]) -> list[pb.PeerMessage]:
    stream = PeerStream("b")
    for number, pair in enumerate(kinds):
        if pair:
            stream.send_pair(of_pairs(number))
        else:
            stream.send(BlockGone(link="l", block=number))
    found: list[pb.PeerMessage] = []
    count = 0
    async with aclosing(stream.outgoing()) as outgoing:
        while count < len(kinds):
            found.append(await anext(outgoing))
            count += max(1, len(found[-1].pairs.messages))
    return found


@given(st.lists(st.booleans(), max_size=30))
async def test_everything_travels_once_and_in_order(kinds: list[bool]) -> None:
    numbers: list[int] = []
    for message in await sent(kinds):
        match message.WhichOneof("kind"):
            case "block_gone":
                numbers.append(message.block_gone.block)
            case "pair":
                numbers.append(message.pair.resync.route_version)
            case "pairs":
                assert len(message.pairs.messages) > 1
                numbers += [one.resync.route_version for one in message.pairs.messages]
    assert numbers == list(range(len(kinds)))


async def test_no_more_than_so_many_travel_together() -> None:
    found = await sent([True] * 600)
    assert [len(message.pairs.messages) for message in found] == [256, 256, 88]


async def test_a_stream_that_nobody_reads_ends() -> None:
    stream = PeerStream("b")
    for number in range(OUTBOX_SIZE + 1):
        stream.send_pair(of_pairs(number))
    assert stream.ended.is_set()
    assert stream.fill == 1.0
