"""Moves an entanglement path while pairs flow, beside a relay whose keys are fetched: tests.chaos.moves --kind path.

In turn the operator forbids a link that it takes, redeploys it, changes its rate, drains a link that it takes, and cuts
one and repairs it; every so often the next move comes before the last has come to rest. But for a cut, the new route
delivers before the old one is given up: neither end may be without a pair for long, at any time.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from google.protobuf.field_mask_pb2 import FieldMask

from qinet.northbound.v1 import entanglement_service_pb2, link_pb2, operations_service_pb2, topology_service_pb2
from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath
from tests.chaos.promises import left_behind, not_as_wanted, over_promised, settled
from tests.chaos.taped import PROGRAM, faults_of, longest_pause_s, tapes_of, whole_of
from tests.chaos.traffic import pairs_of
from tests.support.daemons import World
from tests.support.operator_calls import DEADLINE_S, WITHIN_S, wait_until

MIXED: Final = Path(__file__).parents[2] / "topologies" / "mixed.yaml"
ENDS: Final = ("city-west", "city-east")
_PATH: Final = "moved"
_RELAY: Final = "beside"
_RATES_HZ: Final = (100.0, 60.0)
_FIDELITY: Final = 0.8
_HURRIED: Final = 0.2
_PAUSE_S: Final = 3.0
"""Longest time without pairs that a planned move may cost on a busy machine; they come every 10 ms."""
_CUT_PAUSE_S: Final = 10.0
_PAIRS_AFTER: Final = 50
_KEYS_AFTER: Final = 2


@dataclass
class Mover:
    """The operator.

    Attributes:
        path: Which is moved; nothing else may be on its links.
        planned: Spans, on the monotonic clock, in which the path had two links to go on at any time.
        torn: Spans in which a link that it took was cut.
        done: Moves by kind.
        longest_s: The move that took longest to come to rest.
    """

    world: World
    chance: random.Random
    path: str = _PATH
    version: int = 0
    planned: list[tuple[float, float]] = field(default_factory=list)
    torn: list[tuple[float, float]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0

    def move(self, number: int) -> None:
        """Move it once; wait until it has come to rest, or not."""
        way = (self._avoid, self._redeploy, self._rate, self._drain, self._cut)[number % 5]
        if way == self._cut:
            self.settled()
        began = time.monotonic()
        way(number)
        self.done[way.__name__.removeprefix("_")] += 1
        if way == self._cut or self.chance.random() >= _HURRIED:
            self.settled()
            self.longest_s = max(self.longest_s, time.monotonic() - began)
        (self.torn if way == self._cut else self.planned).append((began, time.monotonic()))

    def settled(self) -> None:
        """Wait until it is at rest."""
        wait_until(lambda: settled(self._seen()), "the path to come to rest", 2 * WITHIN_S)
        self.version = self._seen().route_version

    def _seen(self) -> EntanglementPath:
        return self.world.path(self.path)

    def _links(self) -> list[str]:
        return [hop.link.removeprefix("links/") for hop in self._seen().route.hops]

    def _change(self, field_name: str, **values: Any) -> None:
        path = EntanglementPath(name=f"entanglementPaths/{self.path}", **values)
        self.world.paths.UpdateEntanglementPath(
            entanglement_service_pb2.UpdateEntanglementPathRequest(
                entanglement_path=path, update_mask=FieldMask(paths=[field_name])
            ),
            timeout=DEADLINE_S,
        )

    def _avoid(self, _number: int) -> None:
        self._change("avoid_links", avoid_links=[f"links/{self.chance.choice(self._links())}"])

    def _redeploy(self, _number: int) -> None:
        request = entanglement_service_pb2.RedeployEntanglementPathRequest(name=f"entanglementPaths/{self.path}")
        self.world.paths.RedeployEntanglementPath(request, timeout=DEADLINE_S)

    def _rate(self, number: int) -> None:
        self._change("service", rate_hz=_RATES_HZ[number // 5 % 2])

    def _drain(self, _number: int) -> None:
        self._change("avoid_links")
        link = self.chance.choice(self._links())
        self.world.operations.Drain(operations_service_pb2.DrainRequest(name=f"links/{link}"), timeout=DEADLINE_S)
        wait_until(lambda: link not in self._links(), f"{link} to be left")
        self.world.topologies.UpdateLink(
            topology_service_pb2.UpdateLinkRequest(
                link=link_pb2.Link(name=f"links/{link}", maintenance=False),
                update_mask=FieldMask(paths=["maintenance"]),
            ),
            timeout=DEADLINE_S,
        )

    def _cut(self, _number: int) -> None:
        link = self.chance.choice(self._links())
        self.world.cut(link)
        wait_until(lambda: link not in self._links(), f"the path to leave {link}, which is cut")
        self.settled()
        self.world.repair(link)
        wait_until(lambda: not self.world.links()[link].down_at, f"{link} to be up")


def run(
    directory: Path,
    *,
    times: int,
    seed: int,
    before_s: float,
    tell: Callable[[dict[str, Any]], None] = lambda _line: None,
) -> dict[str, Any]:
    """Move so many times, and return what was seen; `broken` is empty when every promise held."""
    directory.mkdir(parents=True, exist_ok=True)
    world = World(directory=directory, topology=MIXED, agent_program=PROGRAM)
    threads = []
    try:
        world.start_controller()
        fleet = world.start_fleet()
        world.all_connected()
        world.application(_RELAY, (f"{_RELAY}.m", ENDS[0]), (f"{_RELAY}.s", ENDS[1]))
        world.create(_RELAY, *ENDS, 100.0, application=f"applications/{_RELAY}")
        world.create_path(_PATH, *ENDS, rate_hz=_RATES_HZ[0], fidelity=_FIDELITY)
        world.active(_RELAY)
        mover = Mover(world, random.Random(seed))
        mover.settled()
        book = {node: agent.delivery_address for node, agent in world.agents().items()}
        threads += pairs_of(world.pki, {_RELAY: ENDS}, book, every_s=0.2)
        for thread in threads:
            thread.start()
        began = time.monotonic()
        time.sleep(before_s)  # what comes without moves, to measure against
        unmoved = (began, time.monotonic())
        for number in range(times):
            mover.move(number)
            tell({"move": number + 1, "version": mover.version, "at_s": round(time.monotonic() - began, 2)})
        mover.settled()
        broken = over_promised(world) + not_as_wanted(world)
        fleet_folder = directory / "fleet"
        enough = whole_of(tapes_of(fleet_folder, ENDS), _PATH)[0] + _PAIRS_AFTER
        wait_until(lambda: whole_of(tapes_of(fleet_folder, ENDS), _PATH)[0] >= enough, "pairs after the last move")
        keys = {thread: len(thread.seen.equal) + _KEYS_AFTER for thread in threads}
        wait_until(lambda: all(len(thread.seen.equal) >= least for thread, least in keys.items()), "keys at the end")
        reported = [end.rate_hz for end in world.path(_PATH).ends]
        moving_s = time.monotonic() - began
        seen = [thread.stop() for thread in threads]
        world.delete_path(_PATH)
        wait_until(lambda: not world.all_paths() and not left_behind(world), "nothing of the path to be left")
        if fleet.stop() != 0:
            broken.append(f"the fleet did not end well:\n{fleet.said()[-2000:]}")
        tapes = tapes_of(fleet_folder, (node.name for node in world.network.nodes))
        broken += faults_of(tapes)
        broken += [fault for each in seen for fault in each.faults]
        broken += [f"keys: {count} x {text}" for each in seen for text, count in (each.refused + each.failed).items()]
        pauses = {
            kind: max((longest_pause_s(tapes[end], _PATH, *span) for end in ENDS for span in spans), default=0.0)
            for kind, spans in {"unmoved": [unmoved], "planned": mover.planned, "cut": mover.torn}.items()
        }
        if pauses["planned"] > max(_PAUSE_S, 3 * pauses["unmoved"]):
            broken.append(f"{pauses['planned']:.1f} s without pairs while a route was there all the time")
        if pauses["cut"] > _CUT_PAUSE_S:
            broken.append(f"{pauses['cut']:.1f} s without pairs after a cut that leaves a detour")
        if any(rate_hz > 2 * max(_RATES_HZ) for rate_hz in reported):
            broken.append(f"the ends report {reported} Hz where {max(_RATES_HZ):g} were promised at most")
        whole, half = whole_of(tapes, _PATH)
        broken += asyncio.run(world.audit())
    finally:
        for thread in threads:
            thread.halt()
        world.close()
    return {
        "kind": "path",
        "moves": dict(mover.done),
        "pairs_at_both_ends": whole,
        "pairs_at_one_end": half,
        "longest_pause_s": {kind: round(pause, 2) for kind, pause in pauses.items()},
        "reported_hz": [round(rate_hz, 1) for rate_hz in reported],
        "keys_equal": sum(len(each.equal) for each in seen),
        "longest_move_s": round(mover.longest_s, 2),
        "elapsed_s": round(moving_s, 1),
        "seed": seed,
        "broken": broken,
    }
