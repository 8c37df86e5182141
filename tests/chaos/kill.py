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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qinet.northbound.v1 import operations_service_pb2
from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath
from qinet.types.v1 import pairs_pb2
from tests.chaos.interrupt import closes_on_signals
from tests.chaos.load import Asked, Load, Paths
from tests.chaos.promises import left_behind, not_as_wanted, over_promised, settled
from tests.chaos.taped import PROGRAM, Taped, faults_of, tapes_of, whole_of
from tests.chaos.traffic import Pair, pairs_of
from tests.support.daemons import Daemon, World
from tests.support.operator_calls import DEADLINE_S, Relay, State, wait_until
from tests.support.topology_text import topology_yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What is killed, and what runs there all the time.

    Attributes:
        topology: The topology file, or its text.
        relays: Ends of relays whose keys are fetched, and what else they are created with; by name.
        paths: The same of entanglement paths. The operator moves, makes and deletes those that carry no key link.
        rate_bit_per_s: Of the relays.
        rate_hz: Of paths that the operator makes.
        ends: Nodes that can have paths.
        enough_keys: How many more keys everybody must get when all is quiet.
        most_relays: How many more relays the operator makes; key of pairs is scarce.
    """

    topology: Path | str
    relays: Mapping[str, tuple[tuple[str, str], dict[str, Any]]]
    paths: Mapping[str, tuple[tuple[str, str], dict[str, Any]]]
    rate_bit_per_s: float
    rate_hz: float
    ends: Sequence[str]
    enough_keys: int
    most_relays: int


LINKS: Final = [("ab", "a", "b"), ("bc", "b", "c"), ("cd", "c", "d"), ("ad", "a", "d"), ("ac", "a", "c")]
ENTANGLED: Final = [("eab", "a", "b"), ("ebc", "b", "c"), ("ecd", "c", "d"), ("ead", "a", "d")]
KITE: Final = Ground(
    topology=topology_yaml("kite", LINKS, pairs=ENTANGLED),
    relays={
        "plain": (("a", "c"), {}),
        "split": (("b", "d"), {"shares": 2}),
        "spare": (("a", "b"), {"protection": Relay.PROTECTION_ONE_FOR_ONE}),
        "twice": (("c", "d"), {"protection": Relay.PROTECTION_ONE_PLUS_ONE}),
    },
    paths={"pairs-ac": (("a", "c"), {}), "pairs-bd": (("b", "d"), {}), "pairs-ad": (("a", "d"), {})},
    rate_bit_per_s=400.0,
    rate_hz=0.5,
    ends="abcd",
    enough_keys=3,
    most_relays=24,
)
"""All kinds of relays, and paths of the memory regime."""
MIXED: Final = Ground(
    topology=Path(__file__).parents[2] / "topologies" / "mixed.yaml",
    relays={
        "plain": (("access-west", "access-east"), {}),
        "proof": (("city-west", "city-east"), {}),
        "direct": (("city-west", "city-east"), {"no_trusted_transit": True}),
    },
    paths={
        "pairs": (("city-west", "city-east"), {"rate_hz": 50.0}),
        "keyed": (
            ("city-west", "city-east"),
            {
                "rate_hz": 600.0,
                "fidelity": 0.95,
                "use": pairs_pb2.PAIR_USE_MEASURE,
                "key_link": "links/key-of-pairs",
                "authentication": "keyRelays/proof",
                "distillation_block_bit": 10240,
            },
        ),
    },
    rate_bit_per_s=4.0,
    rate_hz=20.0,
    ends=["city-west", "repeater-1", "repeater-2", "repeater-3", "repeater-4", "city-east"],
    enough_keys=1,
    most_relays=2,
)
"""Paths of the slot regime; of the pairs of one comes key, which a relay passes on."""
GROUNDS: Final = {"kite": KITE, "mixed": MIXED}
_SETTLE_S: Final = 180.0
_TELL_EVERY_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 1.5
_TWO_AT_ONCE: Final = 0.2
_KEY_EVERY_S: Final = 0.15
_REQUEST_EVERY_S: Final = 0.1
_MOST_PATHS: Final = 3
_PAIRS_AFTER: Final = 10
_WRITTEN: Final = "configuration in force"


class Chaos(World):
    """A network whose every agent is a process of its own; a restarted one listens at new addresses."""

    def begin(self, ground: Ground) -> None:
        """Start everything, and the associations whose keys are fetched."""
        self.ground = ground
        self.book: dict[str, str] = {}
        self.daemons: dict[str, Daemon] = {"controller": self.start_controller()}
        nodes = [node.name for node in self.network.nodes]
        for node in nodes:
            self._spawn(node)
        for node in nodes:
            self._listens(node)
        self.all_connected()
        # A path whose pairs become key needs a relay that authenticates it; the relay over that key needs the path.
        later = {name: each for name, each in ground.relays.items() if "no_trusted_transit" in each[1]}
        sooner = {name: each for name, each in ground.relays.items() if name not in later}
        self._begin_relays(sooner)
        for name, ((source, target), more) in ground.paths.items():
            self.create_path(name, source, target, **more)
        wait_until(lambda: all(settled(path) for path in self.all_paths().values()), "paths", _SETTLE_S)
        self._begin_relays(later)

    def _begin_relays(self, relays: Mapping[str, tuple[tuple[str, str], dict[str, Any]]]) -> None:
        for name, ((source, target), more) in relays.items():
            self.application(name, (f"{name}.m", source), (f"{name}.s", target))
            self.create(name, source, target, self.ground.rate_bit_per_s, application=f"applications/{name}", **more)
        wait_until(
            lambda: all(self.all_relays()[name].state == State.STATE_ACTIVE for name in relays), "relays", _SETTLE_S
        )

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
        wanted = {**{name: {self.ground.rate_bit_per_s} for name in self.ground.relays}, **asked.standing}
        kinds = {**{name: kind for name, (_, kind) in self.ground.relays.items()}, **asked.kinds}
        wanted_paths = self.ground.paths.keys() | asked.paths
        told_s = time.monotonic()
        while True:
            relays = self.all_relays()
            wrong = [f"{name} was acknowledged, and is gone" for name in wanted.keys() - relays.keys()]
            wrong += [f"{name} was deleted, or never made, and is there" for name in relays.keys() - wanted.keys()]
            for name in sorted(wanted.keys() & relays.keys()):
                wrong += [f"{name}: {what}" for what in _amiss(relays[name], kinds[name], wanted[name])]
            paths = self.all_paths()
            wrong += [f"path {name} was acknowledged, and is gone" for name in wanted_paths - paths.keys()]
            wrong += [f"path {name} was deleted, or never made, and is there" for name in paths.keys() - wanted_paths]
            wrong += [
                f"path {name}: {State.Name(path.state)} {Relay.Phase.Name(path.phase)} {path.state_reason}"
                for name, path in paths.items()
                if not settled(path)
            ]
            wrong = wrong or over_promised(self) + not_as_wanted(self)
            if not wrong or time.monotonic() > began + _SETTLE_S:
                tell({"quiet_after_s": round(time.monotonic() - began, 1)})
                return wrong
            if time.monotonic() > told_s + _TELL_EVERY_S:
                told_s = time.monotonic()
                tell({"waiting_for": wrong, "since_s": round(told_s - began, 1)})
            time.sleep(0.1)  # relays come to rest one after another

    def more_pairs(self) -> list[str]:
        """Wait until both ends of every path have had more pairs together; return the paths where that is not so."""
        nodes = self.daemons.keys() - {"controller"}
        whole = {path: whole_of(self.tapes(), path)[0] for path in self.all_paths()}

        def missing() -> list[str]:
            tapes = tapes_of(self.directory / "fleet", nodes)
            return [path for path, before in whole.items() if whole_of(tapes, path)[0] < before + _PAIRS_AFTER]

        try:
            wait_until(lambda: not missing(), "pairs", _SETTLE_S)
        except AssertionError:
            return [f"path {path} is ACTIVE, and brings no pairs" for path in missing()]
        return []

    def tapes(self) -> dict[str, list[Taped]]:
        """Return what pairs every node was given."""
        return tapes_of(self.directory / "fleet", self.daemons.keys() - {"controller"})

    def clear_paths(self) -> list[str]:
        """Delete all paths, and the relays that rest on them; return what is left behind."""
        for name, (_, kind) in self.ground.relays.items():
            if "no_trusted_transit" in kind:
                self.delete(name)
                self.gone(name)
        for name in self.all_paths():
            self.delete_path(name)
        try:
            wait_until(lambda: not left_behind(self), "the end of all paths", _SETTLE_S)
        except AssertionError:
            return left_behind(self)
        return []

    def nobody_is_told_twice(self) -> list[str]:
        """Restart the controller, then an agent; return who was pushed what it had already.

        An agent that was away for so long that its services were moved, or blocked, has news to be told.
        """
        agents = {name: daemon for name, daemon in self.daemons.items() if name != "controller"}
        before, stood = {name: daemon.said().count(_WRITTEN) for name, daemon in agents.items()}, self._versions()
        self.kill("controller")
        self.up_to_date()
        told = [
            f"{name} was pushed what it had, by a restarted controller"
            for name, daemon in agents.items()
            if daemon.said().count(_WRITTEN) != before[name] and self._versions() == stood
        ]
        again, stood = min(agents), self._versions()
        self.kill(again)
        self.up_to_date()
        if _WRITTEN in self.daemons[again].said() and self._versions() == stood:
            told.append(f"{again} was pushed what it had, after its own restart")
        return told

    def _versions(self) -> dict[str, int]:
        """Return which version of its routes every service is on, and 0 where it is blocked."""
        services: list[Relay | EntanglementPath] = [*self.all_relays().values(), *self.all_paths().values()]
        return {each.name: each.route_version * (each.state != State.STATE_BLOCKED) for each in services}


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


def run(
    directory: Path, *, times: int, seed: int, ground: Ground = KITE, tell: Callable[[dict[str, Any]], None] = _silent
) -> dict[str, Any]:
    """Kill so many times, and return what was seen; `broken` is empty when every promise held."""
    chance = random.Random(seed)
    chaos = Chaos(directory=directory, topology=_topology(directory, ground), agent_program=PROGRAM)
    threads: list[Pair | Load] = []
    killed: Counter[str] = Counter()
    try:
        chaos.begin(ground)
        nodes = [node.name for node in chaos.network.nodes]
        ends = {name: ends for name, (ends, _) in ground.relays.items()}
        pairs = pairs_of(chaos.pki, ends, chaos.book, every_s=_KEY_EVERY_S)
        load = Load(
            chaos.on(chaos.channel()),
            nodes,
            random.Random(seed + 1),
            every_s=_REQUEST_EVERY_S,
            most=ground.most_relays,
            paths=Paths(standing=sorted(_movable(ground)), ends=ground.ends, rate_hz=ground.rate_hz, most=_MOST_PATHS),
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
        enough = {pair: len(pair.seen.equal) + ground.enough_keys for pair in pairs}
        try:
            wait_until(
                lambda: all(len(pair.seen.equal) >= least for pair, least in enough.items()), "more keys", _SETTLE_S
            )
        except AssertionError as problem:
            broken.append(f"{problem}: {[pair.name for pair, least in enough.items() if len(pair.seen.equal) < least]}")
        broken += chaos.more_pairs()
        seen = [pair.stop() for pair in pairs]
        elapsed_s = time.monotonic() - began
        broken += asked.faults + [fault for each in seen for fault in each.faults]
        broken += [f"enc_keys: {text}" for each in seen for text in each.failed]
        broken += chaos.nobody_is_told_twice()
        tapes = chaos.tapes()
        broken += faults_of(tapes)
        delivered = {path: whole_of(tapes, path) for path in ground.paths}
        broken += chaos.clear_paths()
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
        "paths_standing": len(ground.paths.keys() | asked.paths),
        "pairs_at_both_ends": {path: whole for path, (whole, _) in delivered.items()},
        "pairs_at_one_end": {path: half for path, (_, half) in delivered.items()},
        "key_requests_in_flight": sum(each.in_flight for each in seen),
        "key_requests_unreached": sum(each.unreached for each in seen),
        "key_requests_503": sum(sum(each.refused.values()) for each in seen),
        "elapsed_s": round(elapsed_s, 1),
        "seed": seed,
        "broken": broken,
    }


def _movable(ground: Ground) -> list[str]:
    return [name for name, (_, more) in ground.paths.items() if "key_link" not in more]


def _topology(directory: Path, ground: Ground) -> Path:
    if isinstance(ground.topology, Path):
        return ground.topology
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "topology.yaml"
    path.write_text(ground.topology)
    return path


def main() -> int:
    """Run, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--ground", choices=[*GROUNDS], default="kite", help="the network")
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
            ground=GROUNDS[asked.ground],
            tell=lambda line: print(json.dumps(line), flush=True),
        )
    print(json.dumps(seen), flush=True)
    return 1 if seen["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
