"""Checks of heartbeats, of silence, and of how an agent comes back."""

import asyncio
from itertools import pairwise
from typing import Final

from southbound.conformance.bench import Bench
from southbound.conformance.verdict import Broken, Check

_INTERVALS: Final = 8
_MISSED: Final = 3
_RETURNS: Final = 6
_LEAST_SPREAD: Final = 0.1
_AWAY_S: Final = 1.5
_MOST_DIALS: Final = 15


async def _sent(bench: Bench) -> str:
    line = await bench.open()
    beat_s = bench.settings.heartbeat_s
    await line.over(_INTERVALS * beat_s)
    times = [one.at_s for one in line.said if one.request.HasField("heartbeat")]
    if len(times) < _INTERVALS // 2:
        raise Broken(f"{len(times)} heartbeats in {_INTERVALS} intervals of {bench.settings.heartbeat_ms} ms")
    longest_s = max(after - before for before, after in pairwise(times))
    if longest_s > _MISSED * beat_s:
        raise Broken(
            f"{longest_s * 1000:.0f} ms between two heartbeats, at an interval of {bench.settings.heartbeat_ms} ms"
        )
    return f"{len(times)} in {_INTERVALS} intervals, at most {longest_s * 1000:.0f} ms apart"


async def _silence(bench: Bench) -> str:
    line = await bench.open()
    beat_s = bench.settings.heartbeat_s
    await line.until(lambda said: said.HasField("heartbeat"), _INTERVALS * beat_s)
    line.acknowledging = line.beating = False
    silent_s = asyncio.get_running_loop().time()
    within_s = _MISSED * beat_s + max(2.0, beat_s)
    if not await line.over(within_s):
        raise Broken(
            f"it stayed for {within_s:g} s with a controller that said nothing, at an interval of {beat_s:g} s"
        )
    passed_s = asyncio.get_running_loop().time() - silent_s
    # The last thing that it heard may be one interval old.
    if passed_s < (_MISSED - 1.5) * beat_s:
        raise Broken(
            f"it left after {passed_s * 1000:.0f} ms of silence, at an interval of {bench.settings.heartbeat_ms} ms"
        )
    await bench.open()
    return f"it left after {passed_s * 1000:.0f} ms of silence, and dialled again"


async def _returns(bench: Bench) -> str:
    bench.admitting = False
    before = len(bench.refused_s)
    await bench.hang_up("the controller goes away")
    await asyncio.sleep(_AWAY_S)
    dials = len(bench.refused_s) - before
    if dials > _MOST_DIALS:
        raise Broken(f"while it was refused, it dialled {dials} times within {_AWAY_S:g} s")
    waits_s: list[float] = []
    await bench.open()
    # Chance may draw alike a few times: only if it does so twice is it none.
    for _ in range(2):
        for _ in range(_RETURNS):
            ended = bench.lines[-1]
            # It has taken us for its controller once it speaks.
            await ended.until(lambda said: not said.HasField("hello"), bench.settings.answer_s)
            line = await bench.open()
            waits_s.append(line.began_s - (ended.ended_s or line.began_s))
        mean_s = sum(waits_s) / len(waits_s)
        if max(waits_s) - min(waits_s) > _LEAST_SPREAD * mean_s:
            shown = ", ".join(f"{1000 * wait_s:.0f}" for wait_s in waits_s)
            return f"{dials} dials in {_AWAY_S:g} s while refused; back after {shown} ms"
    raise Broken(f"it comes back after {mean_s * 1000:.0f} ms each time, so that a whole network would at one moment")


CHECKS = (
    Check(
        id="heartbeat.sent",
        section="agent.proto Welcome.heartbeat_interval_ms",
        demand="The agent sends a heartbeat every interval that the Welcome says.",
        remedy="Send them from a timer that nothing else can hold up.",
        work=_sent,
    ),
    Check(
        id="heartbeat.missed",
        section="agent.proto Welcome.heartbeat_interval_ms; architecture: liveness",
        demand="Three missed heartbeats of the controller end the stream, and the agent dials again.",
        remedy="End the stream when nothing was heard for three intervals; any message counts.",
        work=_silence,
    ),
    Check(
        id="return.jitter",
        section="writing-an-agent.md, The session, 1",
        demand="The agent comes back with a growing delay, part of which is drawn by chance.",
        remedy="Wait a random part of a delay that doubles with each refusal, up to some seconds.",
        work=_returns,
    ),
)
