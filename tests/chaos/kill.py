"""Kills controller and agents at random moments under load: python -m tests.chaos.kill --times 50 [--seed N].

Every program is a process of its own; key relays and entanglement paths run beside each other. What was acknowledged
must be there and ACTIVE afterwards (or gone, if its deletion was), keys equal at both ends, no key id given twice,
none lost; requests that were in flight at a kill are counted apart. Then nobody is told what he knows: neither a
restarted agent nor, by a restarted controller, any.
Prints one JSON object a line, and ends with exit code 1 when a promise was broken.
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
from pathlib import Path
from typing import Any, Final

from qinet.northbound.v1 import operations_service_pb2
from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath
from tests.chaos.interrupt import closes_on_signals
from tests.chaos.load import Asked, Load
from tests.chaos.traffic import Pair, pairs_of
from tests.support.daemons import Daemon, World
from tests.support.operator_calls import DEADLINE_S, Relay, State, wait_until
from tests.support.topology_text import topology_yaml

LINKS: Final = [("ab", "a", "b"), ("bc", "b", "c"), ("cd", "c", "d"), ("ad", "a", "d"), ("ac", "a", "c")]
PAIRS: Final[dict[str, tuple[tuple[str, str], dict[str, Any]]]] = {
    "plain": (("a", "c"), {}),
    "split": (("b", "d"), {"shares": 2}),
    "spare": (("a", "b"), {"protection": Relay.PROTECTION_ONE_FOR_ONE}),
    "twice": (("c", "d"), {"protection": Relay.PROTECTION_ONE_PLUS_ONE}),
}
ENTANGLED: Final = [("eab", "a", "b"), ("ebc", "b", "c"), ("ecd", "c", "d"), ("ead", "a", "d")]
PATHS: Final = {"pairs-ac": ("a", "c"), "pairs-bd": ("b", "d"), "pairs-ad": ("a", "d")}
_RATE_BIT_PER_S: Final = 400.0
_SETTLE_S: Final = 120.0
_TELL_EVERY_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 1.5
_TWO_AT_ONCE: Final = 0.2
_KEY_EVERY_S: Final = 0.15
_REQUEST_EVERY_S: Final = 0.1
_MOST_RELAYS: Final = 24
_WRITTEN: Final = "configuration in force"


class Chaos(World):
    """A network whose every agent is a process of its own; a restarted one listens at new addresses."""

    def begin(self) -> None:
        """Start everything, and the associations whose keys are fetched."""
        self.book: dict[str, str] = {}
        self.daemons: dict[str, Daemon] = {"controller": self.start_controller()}
        nodes = [node.name for node in self.network.nodes]
        for node in nodes:
            self._spawn(node)
        for node in nodes:
            self._listens(node)
        self.all_connected()
        for name, ((source, target), more) in PAIRS.items():
            self.application(name, (f"{name}.m", source), (f"{name}.s", target))
            self.create(name, source, target, _RATE_BIT_PER_S, application=f"applications/{name}", **more)
        self.active(*PAIRS)
        for name, (source, target) in PATHS.items():
            self.create_path(name, source, target)
        wait_until(lambda: all(_settled(path) for path in self.all_paths().values()), "paths", _SETTLE_S)

    def _spawn(self, node: str) -> None:
        state = self.directory / "fleet" / node
        state.mkdir(parents=True, exist_ok=True)
        (state / "agent.json").unlink(missing_ok=True)
        self.daemons[node] = self.spawn_agent(node, state)

    def _listens(self, node: str) -> None:
        self.book[node] = str(
            self._told(self.daemons[node], self.directory / "fleet" / node / "agent.json")["delivery"]
        )

    def kill(self, *names: str) -> None:
        """End processes as `kill -9` does, and start them again."""
        for name in names:
            self.daemons[name].kill()
        if "controller" in names:
            self.daemons["controller"] = self.start_controller()
        agents = [name for name in names if name != "controller"]
        for name in agents:
            self._spawn(name)
        for name in agents:
            self._listens(name)

    def up_to_date(self) -> None:
        """Wait until every agent holds a session and has confirmed all that it shall know."""
        wait_until(lambda: all(one.connected and one.up_to_date for one in self.agents().values()), "agents", _SETTLE_S)

    def quiet(self, asked: Asked, tell: Callable[[dict[str, Any]], None]) -> list[str]:
        """Wait until the network is at rest, as it was acknowledged; return what is not so after a long time."""
        began = time.monotonic()
        self.operations.Freeze(operations_service_pb2.FreezeRequest(frozen=False), timeout=DEADLINE_S)
        self.up_to_date()
        wanted = {**{name: {_RATE_BIT_PER_S} for name in PAIRS}, **asked.standing}
        kinds = {**{name: kind for name, (_, kind) in PAIRS.items()}, **asked.kinds}
        told_s = time.monotonic()
        while True:
            relays = self.all_relays()
            wrong = [f"{name} was acknowledged, and is gone" for name in wanted.keys() - relays.keys()]
            wrong += [f"{name} was deleted, or never made, and is there" for name in relays.keys() - wanted.keys()]
            for name in sorted(wanted.keys() & relays.keys()):
                wrong += [f"{name}: {what}" for what in _amiss(relays[name], kinds[name], wanted[name])]
            paths = self.all_paths()
            wrong += [f"{name} was acknowledged, and is gone" for name in PATHS.keys() - paths.keys()]
            wrong += [
                f"{name}: {State.Name(path.state)} {path.state_reason}"
                for name, path in paths.items()
                if not _settled(path)
            ]
            if not wrong or time.monotonic() > began + _SETTLE_S:
                tell({"quiet_after_s": round(time.monotonic() - began, 1)})
                return wrong
            if time.monotonic() > told_s + _TELL_EVERY_S:
                told_s = time.monotonic()
                tell({"waiting_for": wrong, "since_s": round(told_s - began, 1)})
            time.sleep(0.1)  # relays come to rest one after another

    def nobody_is_told_twice(self) -> list[str]:
        """Restart the controller, then an agent; return who was pushed what it had already."""
        agents = {name: daemon for name, daemon in self.daemons.items() if name != "controller"}
        before = {name: daemon.said().count(_WRITTEN) for name, daemon in agents.items()}
        self.kill("controller")
        self.up_to_date()
        told = [
            f"{name} was pushed what it had, by a restarted controller"
            for name, daemon in agents.items()
            if daemon.said().count(_WRITTEN) != before[name]
        ]
        again = min(agents)
        self.kill(again)
        self.up_to_date()
        if _WRITTEN in self.daemons[again].said():
            told.append(f"{again} was pushed what it had, after its own restart")
        return told


def _settled(path: EntanglementPath) -> bool:
    """Tell whether a path is at rest, delivers, and holds nothing that it left."""
    rest = path.phase == Relay.PHASE_SETTLED and not path.unconfirmed_nodes and not path.retiring_routes
    return path.state == State.STATE_ACTIVE and rest and not any(each.releasing for each in path.reservations)


def _amiss(relay: Relay, kind: dict[str, Any], rates: set[float]) -> list[str]:
    """Return what a relay at rest has other than it was acknowledged."""
    wrong = []
    if relay.state != State.STATE_ACTIVE or relay.phase != Relay.PHASE_SETTLED or relay.unconfirmed_nodes:
        wrong.append(f"{State.Name(relay.state)} {Relay.Phase.Name(relay.phase)} {relay.state_reason}")
    if relay.retiring_routes or any(each.releasing for each in relay.reservations):
        wrong.append("holds what it left")
    if relay.rate_bit_per_s not in rates:
        wrong.append(f"has {relay.rate_bit_per_s:g} bit/s, and {rates} were acknowledged")
    if len(relay.routes) != kind.get("shares", 1):
        wrong.append(f"{len(relay.routes)} shares")
    if "protection" in kind and not relay.backup_ready:
        wrong.append("has no backup")
    return wrong


def _silent(_line: dict[str, Any]) -> None:
    pass


def run(directory: Path, *, times: int, seed: int, tell: Callable[[dict[str, Any]], None] = _silent) -> dict[str, Any]:
    """Kill so many times, and return what was seen; `broken` is empty when every promise held."""
    chance = random.Random(seed)
    chaos = Chaos(directory=directory, topology=_topology(directory))
    threads: list[Pair | Load] = []
    killed: Counter[str] = Counter()
    try:
        chaos.begin()
        nodes = [node.name for node in chaos.network.nodes]
        ends = {name: ends for name, (ends, _) in PAIRS.items()}
        pairs = pairs_of(chaos.pki, ends, chaos.book, every_s=_KEY_EVERY_S)
        load = Load(
            chaos.on(chaos.channel()),
            nodes,
            random.Random(seed + 1),
            every_s=_REQUEST_EVERY_S,
            most=_MOST_RELAYS,
            paths=sorted(PATHS),
        )
        threads += [*pairs, load]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        for number in range(times):
            time.sleep(chance.uniform(0.0, _LONGEST_PAUSE_S))  # the moment of the kill is what chance decides
            victims = chance.sample(["controller", *nodes], 2 if chance.random() < _TWO_AT_ONCE else 1)
            tell({"kill": number + 1, "of": victims, "at_s": round(time.monotonic() - began, 2)})
            killed.update(victims)
            chaos.kill(*victims)
        asked = load.stop()
        broken = chaos.quiet(asked, tell)
        enough = {pair: len(pair.seen.equal) + 3 for pair in pairs}
        try:
            wait_until(
                lambda: all(len(pair.seen.equal) >= least for pair, least in enough.items()), "more keys", _SETTLE_S
            )
        except AssertionError as problem:
            broken.append(f"{problem}: {[pair.name for pair, least in enough.items() if len(pair.seen.equal) < least]}")
        seen = [pair.stop() for pair in pairs]
        elapsed_s = time.monotonic() - began
        broken += asked.faults + [fault for each in seen for fault in each.faults]
        broken += [f"enc_keys: {text}" for each in seen for text in each.failed]
        broken += chaos.nobody_is_told_twice()
        for daemon in chaos.daemons.values():
            if daemon.stop() != 0:
                broken.append(f"{daemon.name} did not end well:\n{daemon.said()[-2000:]}")
        broken += asyncio.run(chaos.audit())
    finally:
        for thread in threads:
            thread.halt()
        chaos.close()
    return {
        "kills": dict(killed),
        "requests_done": dict(asked.done),
        "requests_in_flight": asked.cut_off,
        "requests_refused": dict(asked.refused),
        "relays_standing": len(asked.standing),
        "keys_equal": sum(len(each.equal) for each in seen),
        "key_requests_in_flight": sum(each.in_flight for each in seen),
        "key_requests_unreached": sum(each.unreached for each in seen),
        "key_requests_503": sum(sum(each.refused.values()) for each in seen),
        "elapsed_s": round(elapsed_s, 1),
        "seed": seed,
        "broken": broken,
    }


def _topology(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "topology.yaml"
    path.write_text(topology_yaml("kite", LINKS, pairs=ENTANGLED))
    return path


def main() -> int:
    """Run, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument(
        "--keep", type=Path, help="where to leave stores and logs; a folder that is removed if left out"
    )
    asked = parser.parse_args()
    closes_on_signals()
    with tempfile.TemporaryDirectory() as folder:
        seen = run(
            asked.keep or Path(folder),
            times=asked.times,
            seed=asked.seed,
            tell=lambda line: print(json.dumps(line), flush=True),
        )
    print(json.dumps(seen), flush=True)
    return 1 if seen["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
