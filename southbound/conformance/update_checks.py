"""Checks of how the configuration is changed: all or nothing, on the right base, durably."""

import asyncio
import time
from collections.abc import Mapping
from hashlib import sha256

from controller.wire.southbound import code_name
from southbound.conformance import samples
from southbound.conformance.bench import Bench, refusal
from southbound.conformance.line import Line
from southbound.conformance.verdict import Broken, Check

_OTHER = sha256(b"a configuration that nobody has").digest()
_LIFETIME_S = 1
_ENDED_WITHIN_S = 6.0


async def _applied(bench: Bench) -> str:
    line = await bench.line()
    answer = await bench.update(samples.link(line))
    if answer.HasField("nack"):
        raise Broken(f"the setting of a link that it claims was refused: {refusal(answer.nack)}")
    if answer.ack.digest != bench.digest:
        raise Broken(f"Ack's digest is {answer.ack.digest.hex()}, and that of what is in force {bench.digest.hex()}")
    if answer.ack.version != bench.version:
        raise Broken(f"Ack says version {answer.ack.version}, and the update said {bench.version}")
    answer = await bench.update({}, samples.link(line))
    if not answer.HasField("ack") or any(answer.ack.digest):
        raise Broken("after the only entry was deleted, the digest is not 32 bytes of zero")
    return "an entry was added and removed, and Ack told the right digest each time"


async def _wrong_base(bench: Bench) -> str:
    line = await bench.line()
    await bench.given(samples.link(line))
    answer = await bench.update(samples.other_link(line), base=_OTHER)
    if answer.HasField("ack"):
        raise Broken("an update for another base was acknowledged")
    if code_name(answer.nack.status.code) != "ABORTED":
        raise Broken(f"an update for another base was refused, but not with ABORTED: {refusal(answer.nack)}")
    if answer.nack.digest != bench.digest:
        raise Broken(f"Nack's digest is {answer.nack.digest.hex()}, and that of what is in force {bench.digest.hex()}")
    await _unchanged(bench)
    return "refused with ABORTED and the digest in force; nothing was applied"


async def _wrong_target(bench: Bench) -> str:
    line = await bench.line()
    await bench.given(samples.link(line))
    answer = await bench.update(samples.other_link(line), target=_OTHER)
    if answer.HasField("ack"):
        raise Broken("an update that does not lead to its target_digest was acknowledged")
    if not answer.nack.status.code:
        raise Broken("an update that does not lead to its target_digest was refused without a status")
    await _unchanged(bench)
    return f"refused ({refusal(answer.nack)}); nothing was applied"


async def _unknown_kind(bench: Bench) -> str:
    return await _refused_entry(bench, {"conformance/unknown": samples.UNKNOWN_KIND}, "UNIMPLEMENTED")


async def _invalid_entry(bench: Bench) -> str:
    return await _refused_entry(bench, {"links/conformance-garbage": b"\xff"}, "INVALID_ARGUMENT")


async def _refused_entry(bench: Bench, bad: Mapping[str, bytes], code: str) -> str:
    line = await bench.line()
    await bench.given(samples.link(line))
    # Beside it a change that is in order: of that nothing may come either.
    answer = await bench.update({**bad, **samples.other_link(line)})
    (name,) = bad
    if answer.HasField("ack"):
        raise Broken(f"an update with {name} in it was acknowledged")
    told = {one.id: code_name(one.status.code) for one in answer.nack.entries}
    if told != {name: code}:
        raise Broken(f"the entry to be named is {name} with {code}; told was: {refusal(answer.nack)}")
    await _unchanged(bench)
    return f"{name} was named with {code}; nothing was applied"


async def _unchanged(bench: Bench) -> None:
    """See that what was refused left nothing behind: an update on the old base holds."""
    line = await bench.line()
    name, content = next(iter(samples.link(line).items()))
    answer = await bench.update({name: content})
    if answer.HasField("nack"):
        raise Broken(
            f"the refused update was applied in part: on the base before it, the next is {refusal(answer.nack)}"
        )


async def _parts(bench: Bench) -> str:
    line = await bench.line()
    link, hops = samples.link(line), samples.hops(line, 2)
    first, second = ({name: content} for name, content in hops.items())
    # The hops need the link, which comes last: only together do they make sense.
    parts = bench.parts([first, second, link])
    begin = len(line.said)
    for part in parts[:-1]:
        line.say(config_update=part)
    if (answer := await bench.answer(line, parts[0].nonce, 2 * bench.settings.heartbeat_s)) is not None:
        raise Broken(f"it answered {answer.WhichOneof('message')} before the last part")
    line.say(config_update=parts[-1])
    answer = await bench.answer(line, parts[0].nonce)
    if answer is None:
        raise Broken("it did not answer the last part")
    if answer.HasField("nack"):
        raise Broken(f"the parts together are in order, and were refused: {refusal(answer.nack)}")
    bench.took({**hops, **link}, (), parts[0].version)
    await asyncio.sleep(bench.settings.heartbeat_s)
    answers = sum(one.request.WhichOneof("message") in ("ack", "nack") for one in line.said[begin:])
    if answers != 1:
        raise Broken(f"it answered an update in three parts {answers} times")
    return "three parts, one Ack after the last"


async def _parts_order(bench: Bench) -> str:
    line = await bench.line()
    await bench.given(samples.link(line))
    before = dict(bench.entries)
    first, second = bench.parts([samples.other_link(line), samples.hops(line)])
    line.say(config_update=second)
    answer = await bench.answer(line, second.nonce, max(0.5, 2 * bench.settings.heartbeat_s))
    if answer is None:
        line.say(config_update=first)
        answer = await bench.answer(line, second.nonce)
    if answer is None:
        raise Broken("parts that came out of order were not answered")
    if answer.HasField("ack"):
        raise Broken("parts that came out of order were applied")
    assert bench.entries == before
    await _unchanged(bench)
    return f"refused ({refusal(answer.nack)}); nothing was applied"


async def _parts_abandoned(bench: Bench) -> str:
    line = await bench.line()
    await bench.given(samples.link(line))
    first, second = bench.parts([samples.other_link(line), samples.hops(line)])
    line.say(config_update=first)
    await asyncio.sleep(bench.settings.heartbeat_s)
    line = await bench.open()
    if line.hello.base_digest != bench.digest:
        raise Broken("a part whose successors never came changed what is in force")
    line.say(config_update=second)
    answer = await bench.answer(line, second.nonce, max(0.5, 2 * bench.settings.heartbeat_s))
    if answer is not None and answer.HasField("ack"):
        raise Broken("a part of the stream before was completed by one of this stream")
    await _unchanged(bench)
    return "a new stream begins without the parts of the old one"


async def _repeated(bench: Bench) -> str:
    line = await bench.line()
    await bench.given(samples.link(line))
    answer = await bench.update(samples.link(line), ["links/conformance-absent"])
    if answer.HasField("nack"):
        raise Broken(
            f"what is in force already, and a delete of what is not there, was refused: {refusal(answer.nack)}"
        )
    if answer.ack.digest != bench.digest:
        raise Broken("what is in force already was sent again, and the digest changed")
    return "acknowledged, with the same digest"


async def _kept(bench: Bench) -> str:
    line = await bench.line()
    await bench.given(samples.link(line))
    line = await bench.open()
    _same(bench, line, "on the next stream")
    if line.hello.version != bench.version:
        raise Broken(f"the next Hello says version {line.hello.version}; the update in force said {bench.version}")
    return "the next Hello states the digest and version in force"


async def _durable(bench: Bench) -> str:
    if bench.settings.restart is None:
        await bench.restart()
    await bench.given(samples.link(await bench.line()))
    _same(bench, await bench.restart(), "it was killed right after its Ack:")
    return "killed right after its Ack, it has what it acknowledged"


def _same(bench: Bench, line: Line, when: str) -> None:
    if line.hello.base_digest != bench.digest:
        raise Broken(f"{when} base_digest is {line.hello.base_digest.hex()}, and acknowledged was {bench.digest.hex()}")


async def _lifetime(bench: Bench) -> str:
    line = await bench.line()
    await bench.given(samples.link(line))
    stays = bench.digest
    await bench.given(samples.hops(line), remaining_s=_LIFETIME_S)
    both, told_s = bench.digest, time.monotonic()
    bench.unsure = True
    while True:
        bench.admitting = False
        await bench.hang_up("the controller goes away")
        await asyncio.sleep(_LIFETIME_S + 0.5)
        line = await bench.open()
        passed_s = time.monotonic() - told_s
        if line.hello.base_digest == stays:
            return (
                f"{passed_s:.1f} s after it was told to live {_LIFETIME_S} s, the entry is gone and the other is there"
            )
        if line.hello.base_digest != both:
            raise Broken("while no controller was there, other entries changed than the one whose time ran out")
        if passed_s > _LIFETIME_S + _ENDED_WITHIN_S:
            raise Broken(f"{passed_s:.1f} s after it was told to live {_LIFETIME_S} s, the entry is still in force")


_UPDATES = "agent.proto ConfigUpdate; writing-an-agent.md, The session, 3"

CHECKS = (
    Check(
        id="update.applied",
        section=_UPDATES,
        demand="An update on the right base is applied, and Ack tells nonce, version and the digest then in force.",
        remedy="Hash the entries' bytes as they came; see The digest in writing-an-agent.md.",
        work=_applied,
    ),
    Check(
        id="update.wrong-base",
        section="agent.proto ConfigUpdate.base_digest",
        demand="An update for another base is refused as a whole with ABORTED and the digest in force.",
        remedy="Compare base_digest with your own digest before anything is applied.",
        work=_wrong_base,
    ),
    Check(
        id="update.wrong-target",
        section="agent.proto ConfigUpdate.target_digest",
        demand="An update that does not lead to its target_digest is refused, and nothing of it applied.",
        remedy="Reckon the digest after the update, and compare, before anything is applied.",
        work=_wrong_target,
    ),
    Check(
        id="update.unknown-kind",
        section="agent.proto Nack, EntryStatus; entries.proto Entry",
        demand="An entry of an unknown kind is named with UNIMPLEMENTED, it alone, and nothing is applied.",
        remedy="Check every entry before the first is applied.",
        work=_unknown_kind,
    ),
    Check(
        id="update.invalid-entry",
        section="agent.proto Nack, EntryStatus",
        demand="An entry that cannot be read is named with INVALID_ARGUMENT, it alone, and nothing is applied.",
        remedy="Check every entry before the first is applied.",
        work=_invalid_entry,
    ),
    Check(
        id="update.parts",
        section="agent.proto ConfigUpdate.parts",
        demand="The parts of an update are applied together at the last, and answered once.",
        remedy="Collect the parts of a nonce, and treat them as one update when the last has come.",
        work=_parts,
    ),
    Check(
        id="update.parts-order",
        section="agent.proto ConfigUpdate.part",
        demand="Parts come in order: others are refused, and nothing of them applied.",
        remedy="Answer a part that is not the next one with a Nack, and forget the parts before it.",
        work=_parts_order,
    ),
    Check(
        id="update.parts-abandoned",
        section="agent.proto ConfigUpdate.nonce",
        demand="Parts belong to their stream: the next one begins without them.",
        remedy="Drop the collected parts when the stream ends.",
        work=_parts_abandoned,
    ),
    Check(
        id="update.repeated",
        section="agent.proto ConfigUpdate.upserts, .deletes",
        demand="What is in force already may be sent again, and what is not there deleted: neither is an error.",
        remedy="Treat upserts as add or replace, and pass over deletes of absent ids.",
        work=_repeated,
    ),
    Check(
        id="update.kept",
        section="agent.proto Hello.base_digest, .version",
        demand="Entries stay in force when the stream ends, and the next Hello states their digest and version.",
        remedy="Go on with the last configuration; see The session, 7.",
        work=_kept,
    ),
    Check(
        id="update.durable",
        section="agent.proto Ack",
        demand="What is acknowledged is persisted: an agent killed right after its Ack has it.",
        remedy="Write and flush before Ack goes out.",
        work=_durable,
    ),
    Check(
        id="update.lifetime",
        section="agent.proto ConfigEntry.remaining_s",
        demand="An agent without a controller ends an entry by itself when its time has run out, and keeps the rest.",
        remedy="Keep the time at which it ends, on a clock that runs on, beside the entry.",
        work=_lifetime,
    ),
)
