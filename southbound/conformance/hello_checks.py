"""Checks of how a session begins, and of the election id."""

import asyncio
import re
from typing import Final

from controller.domain.entries import DIGEST_BYTES
from controller.domain.snapshot import ElectionId
from controller.wire.southbound import election_from_pb
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.conformance.bench import Bench
from southbound.conformance.verdict import Broken, Check, Skipped

_ADDRESS: Final = re.compile(r".+:[1-9][0-9]{0,4}")


async def _first(bench: Bench) -> str:
    line = await bench.open(welcome=False)
    hello = line.hello
    problems = []
    if line.said[0].request.HasField("election_id"):
        problems.append("it carries an election id, and no controller has given it one")
    if not 1 <= len(hello.store_id) <= 128:
        problems.append(f"store_id has {len(hello.store_id)} characters, not 1-128")
    if not _ADDRESS.fullmatch(hello.peer_address):
        problems.append(f"peer_address {hello.peer_address!r} is not host:port")
    if hello.delivery_address and not _ADDRESS.fullmatch(hello.delivery_address):
        problems.append(f"delivery_address {hello.delivery_address!r} is not host:port")
    if not hello.HasField("inventory"):
        problems.append("inventory is missing")
    if len(hello.base_digest) != DIGEST_BYTES:
        problems.append(f"base_digest has {len(hello.base_digest)} bytes, not {DIGEST_BYTES}")
    if problems:
        raise Broken("; ".join(problems))
    # What comes before the Welcome has no election id to go under.
    await asyncio.sleep(max(3 * bench.settings.heartbeat_s, 0.3))
    if len(line.said) > 1:
        raise Broken(f"it sent {line.said[1].request.WhichOneof('message')} before Hello was answered")
    line.welcome()
    return f"Hello of nodes/{hello.node}, {len(hello.inventory.links)} links claimed, version {hello.agent_version!r}"


async def _identity(bench: Bench) -> str:
    line = await bench.line()
    if line.hello.node != line.certificate_node:
        raise Broken(f"Hello names {line.hello.node!r}, the certificate qinet://node/{line.certificate_node}")
    return f"both name {line.certificate_node}"


async def _store_id(bench: Bench) -> str:
    before = (await bench.line()).hello.store_id
    after = (await bench.open()).hello.store_id
    if before != after:
        raise Broken(f"store_id was {before!r} on one stream and {after!r} on the next")
    return f"{before} on both streams"


async def _remembered(bench: Bench) -> str:
    await _raise(bench)
    line = await bench.open()
    await _settled(bench)
    line = await bench.open()
    highest = election_from_pb(line.hello.highest_election_id)
    if highest != bench.election:
        raise Broken(f"Hello says {_shown(highest)} was the highest ever seen; it was {_shown(bench.election)}")
    return f"the next Hello says {_shown(highest)}"


async def _lower_refused(bench: Bench) -> str:
    await _raise(bench)
    await bench.open()
    await _settled(bench)
    line = await bench.open(welcome=False)
    line.election = _lower(bench.election)
    line.welcome()
    begin = len(line.said)
    if not await line.over(_soon_s(bench)):
        raise Broken(f"it stayed with a controller that says {_shown(line.election)} after {_shown(bench.election)}")
    if len(line.said) > begin:
        raise Broken(f"it answered {line.said[begin].request.WhichOneof('message')} before it ended the stream")
    return "the stream was ended at once"


async def _lower_later(bench: Bench) -> str:
    line = await bench.open()
    await _settled(bench)
    line.say(election=_lower(bench.election), heartbeat=pb.Heartbeat())
    if not await line.over(_soon_s(bench)):
        raise Broken(
            f"a message under {_shown(_lower(bench.election))} was taken on a stream of {_shown(line.election)}"
        )
    return "the stream was ended at once"


async def _durable(bench: Bench) -> str:
    if bench.settings.restart is None:
        await bench.restart()
    await _raise(bench)
    line = await bench.open()
    # Its first words under the new id mean that the id is durable.
    if await line.until(lambda said: not said.HasField("hello"), bench.settings.answer_s) is None:
        raise Broken("it said nothing after the Welcome")
    line = await bench.restart()
    highest = election_from_pb(line.hello.highest_election_id)
    if highest < bench.election:
        raise Broken(f"it was killed after it had answered under {_shown(bench.election)}, and knows {_shown(highest)}")
    return f"after the restart it still says {_shown(highest)}"


async def _once(bench: Bench) -> str:
    return _in_every_session(bench, "a second Hello", "Hello came once")


async def _echoed(bench: Bench) -> str:
    return _in_every_session(
        bench, "a ", "every message carried the Welcome's election id", other_than="a second Hello"
    )


def _in_every_session(bench: Bench, begins: str, well: str, *, other_than: str = "-") -> str:
    found = [
        one
        for line in bench.lines
        for one in line.out_of_order()
        if one.startswith(begins) and not one.startswith(other_than)
    ]
    if found:
        raise Broken(f"{found[0]}, and {len(found) - 1} more such messages in {len(bench.lines)} sessions")
    if not any(len(line.said) > 1 for line in bench.lines):
        raise Skipped("no session was watched: run more checks than this one")
    return f"{well} in {len(bench.lines)} sessions"


async def _raise(bench: Bench) -> None:
    await bench.hang_up("the next controller leads")
    bench.election = ElectionId(epoch=bench.election.epoch, term=bench.election.term + 2)


async def _settled(bench: Bench) -> None:
    line = bench.lines[-1]
    await line.until(lambda said: not said.HasField("hello"), bench.settings.answer_s)


def _lower(election: ElectionId) -> ElectionId:
    return ElectionId(epoch=election.epoch, term=election.term - 1)


def _soon_s(bench: Bench) -> float:
    return 2.0 + 3 * bench.settings.heartbeat_s


def _shown(election: ElectionId) -> str:
    return f"({election.epoch}, {election.term})"


CHECKS = (
    Check(
        id="hello.first",
        section="agent.proto Hello; writing-an-agent.md, The session, 1",
        demand="The first message is a complete Hello without election id, and nothing follows before the Welcome.",
        remedy="Send Hello as soon as the stream is open, and wait for the Welcome.",
        work=_first,
    ),
    Check(
        id="hello.identity",
        section="agent.proto Hello.node",
        demand="Hello names the node of the certificate.",
        remedy="Take the name from the URI SAN of the certificate.",
        work=_identity,
    ),
    Check(
        id="hello.store-id",
        section="agent.proto Hello.store_id",
        demand="store_id stays the same for as long as the agent's store does.",
        remedy="Draw it once, when the store is made, and keep it there.",
        work=_store_id,
    ),
    Check(
        id="election.remembered",
        section="writing-an-agent.md, The session, 2",
        demand="The highest election id ever seen is stated by the next Hello.",
        remedy="Keep the id of each Welcome that is higher than all before.",
        work=_remembered,
    ),
    Check(
        id="election.lower-refused",
        section="agent.proto SessionResponse.election_id",
        demand="A Welcome under a lower election id ends the stream, and nothing is answered under it.",
        remedy="Compare epoch first, then term, before anything else is done with a message.",
        work=_lower_refused,
    ),
    Check(
        id="election.lower-later",
        section="agent.proto SessionResponse.election_id",
        demand="Any message under a lower election id ends the stream.",
        remedy="Compare the id of every message, not of the Welcome alone.",
        work=_lower_later,
    ),
    Check(
        id="election.durable",
        section="writing-an-agent.md, The session, 2",
        demand="The highest election id is durable before anything else is done under it.",
        remedy="Write it to the disk, and flush, before the first message under it goes out.",
        work=_durable,
    ),
)

LAST_CHECKS = (
    Check(
        id="hello.once",
        section="agent.proto Hello",
        demand="Hello is said once on a stream.",
        remedy="Begin a new stream to say Hello again.",
        work=_once,
        looks_back=True,
    ),
    Check(
        id="election.echoed",
        section="agent.proto SessionRequest.election_id",
        demand="Every message after Hello carries the election id of the Welcome.",
        remedy="Send back the id that the Welcome carried.",
        work=_echoed,
        looks_back=True,
    ),
)
