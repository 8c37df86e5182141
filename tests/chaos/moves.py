"""Moves a relay while both applications fetch keys without pause: python -m tests.chaos.moves --times 100 [--seed N].

With `--kind path` it is an entanglement path that moves: see `path_moves`. Of relays:

In turn the operator forbids a link that it takes, redeploys it, changes its rate, and drains a link that it takes;
every so often the next move comes before the last has come to rest. Not one request may fail, no key may differ,
in either direction, and as many keys must have come before the first move as make that a claim. Prints one JSON
object a line, and ends with exit code 1 when a promise was broken.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from google.protobuf.field_mask_pb2 import FieldMask

from qinet.northbound.v1 import key_relay_service_pb2, link_pb2, operations_service_pb2, topology_service_pb2
from tests.chaos import path_moves
from tests.chaos.interrupt import closes_on_signals
from tests.chaos.traffic import Pair, Seen, pairs_of
from tests.support.daemons import World
from tests.support.operator_calls import DEADLINE_S, WITHIN_S, Relay, State, wait_until
from tests.support.topology_text import topology_yaml

LINKS: Final = [(f"{end}{number}", end, f"m{number}") for number in (1, 2, 3) for end in ("a", "z")]
KINDS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "shares": {"shares": 2},
    "one-for-one": {"protection": Relay.PROTECTION_ONE_FOR_ONE},
    "one-plus-one": {"protection": Relay.PROTECTION_ONE_PLUS_ONE},
}
"""What the relay that is moved may be created with; the network has three disjoint routes for it."""
_RATES: Final = (40_000.0, 50_000.0)
_SKR_BIT_PER_S: Final = 400_000.0
_HURRIED: Final = 0.2
_STOCK_KEYS: Final = 64
_BEFORE_KEYS: Final = 4
_RELAY: Final = "moved"


@dataclass
class Window:
    """What all applications together had seen at a moment."""

    keys: int
    refused: int

    @classmethod
    def of(cls, pairs: list[Pair]) -> "Window":
        """Look now."""
        seen = [pair.seen for pair in pairs]
        return cls(sum(len(each.equal) for each in seen), sum(each.refused.total() for each in seen))


class Mover:
    """The operator."""

    def __init__(self, world: World, chance: random.Random) -> None:
        """Begin with a relay that is ACTIVE."""
        self._world, self._chance = world, chance
        self.version = world.relay(_RELAY).route_version
        self.done: Counter[str] = Counter()
        self.longest_s = 0.0

    def move(self, number: int) -> None:
        """Move it once; wait until it has come to rest, or not."""
        way = (self._avoid, self._redeploy, self._rate, self._drain)[number % 4]
        began = time.monotonic()
        way(number)
        self.done[way.__name__.removeprefix("_")] += 1
        if self._chance.random() < _HURRIED:
            return
        self.settled()
        self.longest_s = max(self.longest_s, time.monotonic() - began)

    def settled(self) -> None:
        """Wait until it is at rest on other routes than at the last rest, or on those told anew."""

        def at_rest() -> bool:
            relay = self._world.relay(_RELAY)
            rests = relay.phase == Relay.PHASE_SETTLED and relay.state == State.STATE_ACTIVE
            if not rests or relay.route_version <= self.version:
                return False
            self.version = relay.route_version
            return True

        wait_until(at_rest, f"the relay to move on from version {self.version}", 2 * WITHIN_S)

    def _taken(self) -> str:
        return self._chance.choice([hop.link for hop in self._world.relay(_RELAY).routes[0].hops])

    def _change(self, path: str, relay: Relay) -> None:
        relay.name = f"keyRelays/{_RELAY}"
        self._world.relays.UpdateKeyRelay(
            key_relay_service_pb2.UpdateKeyRelayRequest(key_relay=relay, update_mask=FieldMask(paths=[path])),
            timeout=DEADLINE_S,
        )

    def _avoid(self, number: int) -> None:
        """Forbid a link that it takes; its routes and its backup need two of the three ways at most."""
        self._change("avoid_links", Relay(avoid_links=[self._taken()]))

    def _redeploy(self, number: int) -> None:
        request = key_relay_service_pb2.RedeployKeyRelayRequest(name=f"keyRelays/{_RELAY}")
        self._world.relays.RedeployKeyRelay(request, timeout=DEADLINE_S)

    def _rate(self, number: int) -> None:
        self._change("rate", Relay(rate_bit_per_s=_RATES[number // 4 % 2]))

    def _drain(self, number: int) -> None:
        self._change("avoid_links", Relay())
        link = self._taken()
        self._world.operations.Drain(operations_service_pb2.DrainRequest(name=link), timeout=DEADLINE_S)
        wait_until(lambda: link not in self._links(), f"{link} to be left")
        self._world.topologies.UpdateLink(
            topology_service_pb2.UpdateLinkRequest(
                link=link_pb2.Link(name=link, maintenance=False), update_mask=FieldMask(paths=["maintenance"])
            ),
            timeout=DEADLINE_S,
        )

    def _links(self) -> set[str]:
        return {hop.link for route in self._world.relay(_RELAY).routes for hop in route.hops}


def _silent(_line: dict[str, Any]) -> None:
    pass


def run(
    directory: Path,
    *,
    times: int,
    seed: int,
    kind: str,
    before_s: float,
    tell: Callable[[dict[str, Any]], None] = _silent,
) -> dict[str, Any]:
    """Move so many times, and return what was seen; `broken` is empty when every promise held."""
    directory.mkdir(parents=True, exist_ok=True)
    topology = directory / "topology.yaml"
    topology.write_text(topology_yaml("three-ways", LINKS, skr_bit_per_s=_SKR_BIT_PER_S))
    world = World(directory=directory, topology=topology)
    pairs: list[Pair] = []
    try:
        world.start_controller()
        fleet = world.start_fleet()
        world.all_connected()
        world.application(_RELAY, (f"{_RELAY}.m", "a"), (f"{_RELAY}.s", "z"))
        world.create(_RELAY, "a", "z", _RATES[1], application=f"applications/{_RELAY}", **KINDS[kind])
        world.active(_RELAY)
        ends = [(f"{_RELAY}.m", f"{_RELAY}.s"), (f"{_RELAY}.s", f"{_RELAY}.m")]
        for master, slave in ends:
            asks = world.client(master)
            wait_until(lambda: asks.status(slave)["stored_key_count"] >= _STOCK_KEYS, f"{_STOCK_KEYS} keys")  # noqa: B023
        book = {node: agent.delivery_address for node, agent in world.agents().items()}
        pairs += pairs_of(world.pki, {_RELAY: ("a", "z")}, book, every_s=0.0)
        for pair in pairs:
            pair.start()
        unmoved = time.monotonic()
        time.sleep(before_s)  # what the applications see without moves, to measure against
        wait_until(lambda: all(len(pair.seen.equal) >= _BEFORE_KEYS for pair in pairs), "keys before the first move")
        before, before_s = Window.of(pairs), time.monotonic() - unmoved
        mover = Mover(world, random.Random(seed))
        began = time.monotonic()
        for number in range(times):
            mover.move(number)
            tell({"move": number + 1, "version": mover.version, "at_s": round(time.monotonic() - began, 2)})
        enough = Window.of(pairs).keys + 2 * len(pairs)
        wait_until(lambda: Window.of(pairs).keys >= enough, "keys after the last move")
        moving_s = time.monotonic() - began
        seen = [pair.stop() for pair in pairs]
        after = Window.of(pairs)
        broken = [fault for each in seen for fault in _failures(each)]
        if after.keys - before.keys < times:
            broken.append("hardly a key was fetched: nothing was shown")
        if fleet.stop() != 0:
            broken.append(f"the fleet did not end well:\n{fleet.said()[-2000:]}")
        broken += asyncio.run(world.audit())
    finally:
        for pair in pairs:
            pair.halt()
        world.close()
    return {
        "kind": kind,
        "moves": dict(mover.done),
        "keys_equal": after.keys,
        "keys_per_s_before": round(before.keys / before_s, 1),
        "keys_per_s_moving": round((after.keys - before.keys) / moving_s, 1),
        "longest_request_s": round(max(each.longest_s for each in seen), 3),
        "longest_move_s": round(mover.longest_s, 2),
        "elapsed_s": round(moving_s, 1),
        "seed": seed,
        "broken": broken,
    }


def _failures(seen: Seen) -> list[str]:
    """Return every request that failed: nothing was killed here, so none may."""
    failed = [*seen.faults, *(f"{count} x {text}" for text, count in (seen.refused + seen.failed).items())]
    if seen.in_flight or seen.unreached:
        failed.append(f"{seen.in_flight + seen.unreached} requests without an answer")
    return failed


def main() -> int:
    """Run, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--kind", choices=[*KINDS, "path"], default="plain")
    parser.add_argument("--before-s", type=float, default=10.0, help="seconds of traffic before the first move")
    parser.add_argument(
        "--keep", type=Path, help="where to leave stores and logs; a folder that is removed if left out"
    )
    asked = parser.parse_args()
    closes_on_signals()
    work = path_moves.run if asked.kind == "path" else partial(run, kind=asked.kind)
    with tempfile.TemporaryDirectory() as folder:
        seen = work(
            asked.keep or Path(folder),
            times=asked.times,
            seed=asked.seed,
            before_s=asked.before_s,
            tell=lambda line: print(json.dumps(line), flush=True),
        )
    print(json.dumps(seen), flush=True)
    return 1 if seen["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
