"""Checks of messages: the hashes of what is in force, how large a message may be, and those that nobody knows yet."""

import asyncio
from contextlib import suppress

from controller.domain.entries import entry_hash
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.conformance import samples
from southbound.conformance.bench import Bench, digest, refusal
from southbound.conformance.line import UNKNOWN_FIELD
from southbound.conformance.verdict import Broken, Check, Skipped


async def _hashes(bench: Bench) -> str:
    line = await bench.line()
    await bench.given(samples.link(line))
    with suppress(Skipped):  # one entry must do for an agent that relays nothing
        await bench.given(samples.hops(line, 2))
    found = await bench.in_force(line)
    wanted = {name: entry_hash(name, content) for name, content in bench.entries.items()}
    if missing := wanted.keys() - found.keys():
        raise Broken(f"EntryHashes leaves out {', '.join(sorted(missing))}, of {len(wanted)} entries in force")
    if more := found.keys() - wanted.keys():
        raise Broken(f"EntryHashes names {', '.join(sorted(more))}, which nobody sent")
    if wrong := [name for name in sorted(wanted) if wanted[name] != found[name]]:
        raise Broken(f"EntryHashes has another hash of {', '.join(wrong)} than SHA-256(uint32 length, id, content)")
    return f"all {len(wanted)} entries with their hashes"


async def _most_bytes(bench: Bench) -> str:
    most_bytes, number = 16_384, 400
    line = await bench.line()
    await bench.given(samples.link(line))
    await bench.given(samples.hops(line, number))
    line = await bench.open(welcome=False)
    line.welcome(max_message_bytes=most_bytes)
    found = await bench.in_force(line)
    await asyncio.sleep(2 * bench.settings.report_s)
    sizes = [one.request.ByteSize() for one in line.said[1:]]
    # Hello was sent before the agent could know.
    if max(sizes) > most_bytes:
        raise Broken(f"a message of {max(sizes)} bytes, after a Welcome with max_message_bytes {most_bytes}")
    if len(found) != number + 1:
        raise Broken(f"EntryHashes in parts name {len(found)} of {number + 1} entries")
    return f"{len(found)} hashes in messages of at most {max(sizes)} bytes"


async def _unknown(bench: Bench) -> str:
    line = await bench.open(welcome=False)
    line.welcome(unknown=UNKNOWN_FIELD)
    line.say(unknown=UNKNOWN_FIELD)
    (part,) = bench.parts([samples.link(line)])
    known = pb.ConfigUpdate.FromString(part.SerializeToString() + UNKNOWN_FIELD)
    line.say(config_update=known)
    answer = await bench.answer(line, part.nonce)
    if answer is None:
        raise Broken(
            "a message of a kind that it does not know " + ("was not passed over" if line.alive else "ended it")
        )
    if answer.HasField("nack"):
        raise Skipped(f"the agent did not take what this needs: {refusal(answer.nack)}")
    bench.took(samples.link(line), (), part.version)
    if digest(bench.entries) != answer.ack.digest:
        raise Broken("an unknown field of an update changed the digest")
    return "an unknown message and unknown fields were passed over"


CHECKS = (
    Check(
        id="hashes.complete",
        section="agent.proto EntryHashes",
        demand="EntryHashes names every entry in force, all parts together, with its hash.",
        remedy="Answer from what is in force, in parts that count up from 0.",
        work=_hashes,
    ),
    Check(
        id="limits.message",
        section="agent.proto Welcome.max_message_bytes",
        demand="No message after the Welcome is larger than it allows: EntryHashes comes in parts.",
        remedy="Cut EntryHashes into parts by size.",
        work=_most_bytes,
    ),
    Check(
        id="unknown.passed-over",
        section="agent.proto; protobuf: unknown fields",
        demand="Messages of a kind, and fields, that the agent does not know are passed over.",
        remedy="Ignore a SessionResponse whose oneof is not set to a case that you know.",
        work=_unknown,
    ),
)
