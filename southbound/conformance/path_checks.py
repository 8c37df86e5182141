"""Checks of what an agent makes of entanglement paths: it does its part, or says by entry why it cannot."""

from controller.domain.pair_link import Regime
from controller.wire.southbound import code_name
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.conformance import samples
from southbound.conformance.bench import Bench, refusal
from southbound.conformance.verdict import Broken, Check


async def _served(bench: Bench) -> str:
    line = await bench.line()
    if not line.hello.inventory.HasField("entanglement"):
        answer = await bench.update(samples.path(line, Regime.MEMORY))
        _named(answer, {"UNIMPLEMENTED"})
        return "it has nothing for entanglement, and named the instruction with UNIMPLEMENTED"
    await bench.given(samples.pair_link(line))
    told = ""
    for regime in Regime:
        answer = await bench.update(samples.path(line, regime))
        if answer.HasField("ack"):
            return f"an instruction for its link of pairs was acknowledged, in the {regime.value} regime"
        told = refusal(answer.nack)
    raise Broken(f"an instruction of one hop over a link that it claims was refused in every regime, at last: {told}")


async def _beyond(bench: Bench) -> str:
    line = await bench.line()
    has_pairs = line.hello.inventory.HasField("entanglement")
    if has_pairs:
        await bench.given(samples.pair_link(line))
    before = bench.digest
    answer = await bench.update(samples.path(line, Regime.MEMORY, beyond=True))
    said = _named(answer, None if has_pairs else {"UNIMPLEMENTED"})
    if answer.nack.digest != before:
        raise Broken("an instruction that was refused changed what is in force")
    return f"refused by its entry: {said}"


def _named(answer: pb.SessionRequest, codes: set[str] | None) -> str:
    """Return what the status of the one refused entry says."""
    if answer.HasField("ack"):
        raise Broken("an instruction that it cannot follow was acknowledged")
    told = {one.id: one.status for one in answer.nack.entries}
    if set(told) != {samples.PATH_ID}:
        raise Broken(f"the entry to be named is {samples.PATH_ID}; told was: {refusal(answer.nack)}")
    status = told[samples.PATH_ID]
    code = code_name(status.code)
    if codes is not None and code not in codes:
        raise Broken(f"{samples.PATH_ID} was named with {code}, and not with {', '.join(sorted(codes))}")
    if code == "OK" or not status.message:
        raise Broken(f"{samples.PATH_ID} was named with {code} and no word of why")
    return f"{code}: {status.message}"


CHECKS = (
    Check(
        id="path.served",
        section="entries.proto PathInstruction; writing-an-agent.md, Entanglement",
        demand="A PathInstruction is done where entanglement is claimed, and elsewhere named with UNIMPLEMENTED.",
        remedy="Claim Inventory.entanglement where pairs are made, and refuse the entry by name where they are not.",
        work=_served,
    ),
    Check(
        id="path.beyond",
        section="agent.proto EntryStatus; writing-an-agent.md, Entanglement",
        demand="An instruction beyond the hardware is refused by its entry, with a text, and nothing is applied.",
        remedy="Check memories, options, swaps and purification against the hardware before anything is applied.",
        work=_beyond,
    ),
)
