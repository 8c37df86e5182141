"""The story of a network of repeaters: pairs at both ends, what was promised of them, a cut fibre, and key of pairs.

Fidelity is F = <Phi+|rho|Phi+>. What is called delivered is the estimate from measured test pairs; what the emulation
tracks of the states themselves, which nobody knows of real hardware, is told beside it under its own name.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

from controller.cli.demo_network import RELAY, Network, State
from controller.cli.demo_paths import PATH, links_of, wanted_path
from controller.cli.demo_processes import MASTER, SLAVE, Daemons, wait_for
from controller.cli.demo_relay import clients, fetch_and_compare, refused
from controller.cli.demo_screen import Screen, Step
from controller.cli.tables_of_paths import proven_best
from controller.config.topology_file import TopologyFile
from controller.domain.pair_link import EndNodeKind
from controller.domain.refusals import Precondition
from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath, PathEndMeasurement
from qinet.types.v1 import pairs_pb2

KEY_LINK: Final = "key-of-pairs"
AUTHENTICATION: Final = "authentication"
_BLOCK_BIT: Final = 10240
_KEYED_FLOORS: Final = (0.97, 0.95, 0.9)
_FLOORS: Final = (0.9, 0.8, 0.7, 0.6, 0.5)
_TOO_MUCH: Final = 10
_LOWEST_RATE_HZ: Final = 0.001
_MOST_IN_SLOTS_HZ: Final = 2000.0
_MOST_SWAPPED_HZ: Final = 600.0
"""Most pairs a second, of all hops together but in slots, where one message tells of many: agents share one process."""

_PART_ASKED: Final = 0.7
_TEST_SHARE: Final = 0.2
_KEYED_TEST_SHARE: Final = 0.05
_SAMPLES: Final = 100
_LEAST_S: Final = 8.0
_MOST_S: Final = 40.0
_DIRECT_RATE_BIT_PER_S: Final = 4.0
_LOOK_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What an end reported over some seconds.

    Attributes:
        rate_hz: Pairs per second, test pairs not counted.
        end: Its last report.
    """

    rate_hz: float
    end: PathEndMeasurement

    def __str__(self) -> str:
        estimate = self.end.fidelity
        return (
            f"{self.rate_hz:.1f} Hz; F {estimate.fidelity:.3f} [{estimate.low:.3f}, {estimate.high:.3f}] estimated from"
            f" {estimate.samples} test pairs; {self.end.tracked_fidelity:.3f} as emulated"
        )


class PairStory:
    """Delivers pairs between two nodes, cuts a link in use, and makes key of pairs where key links join them too."""

    def __init__(self, topology: TopologyFile, source: str, target: str) -> None:
        self.source = source
        self.target = target
        self.makes_key = _joined_by_key(topology, source, target)
        hardware = [node.pairs for node in topology.nodes if node.name in (source, target) and node.pairs is not None]
        self.measured = self.makes_key or any(
            has.end_node is EndNodeKind.MEASURING or not has.memories for has in hardware
        )

    def tell(self, daemons: Daemons, network: Network, screen: Screen) -> dict[str, Any]:
        """Do everything; return the outcome.

        Raises:
            Precondition: TIMED_OUT: something did not come about.
        """
        if self.makes_key:
            with screen.step("key relay over trusted nodes") as step:
                step.note(self._authentication(network))
        with screen.step("best route for pairs") as step:
            wanted = self._demand(network, step)
        with screen.step(f"{_TOO_MUCH} times that rate") as step:
            step.note(self._too_much(network, wanted))
        with screen.step("a link to cut") as step:
            cut, detour = _link_to_cut(network, wanted)
            step.note(f"{cut}, {'with a detour' if detour else 'as none has a detour'}")
        with screen.step("entanglement path") as step:
            network.paths.create(wanted)
            path, _ = network.paths.follow(_active, network.within_s, "the path to become ACTIVE")
            step.note(
                f"over {', '.join(links_of(path))}; promises {path.plan.rate_hz:.1f} Hz of F {path.plan.fidelity:.3f}"
            )
        if self.makes_key:
            with screen.step("relay without trusted nodes") as step:
                network.register((MASTER, self.source), (SLAVE, self.target))
                network.create(self.source, self.target, _DIRECT_RATE_BIT_PER_S, no_trusted_transit=True)
                step.note(f"over {KEY_LINK} alone; the first block takes some {path.time_to_first_key_s:.0f} s")
        with screen.step("pairs at both ends") as step:
            delivered = _measured(network)
            step.note(str(delivered))
        with screen.step(f"cut of {cut}") as step:
            after_cut = _cut(network, cut, path.route_version, detour=detour)
            step.note(_told(after_cut))
        with screen.step("pairs after the cut") as step:
            step.note(f"{_more_pairs(network)} more")
        estimate = delivered.end.fidelity
        outcome = {
            "paths_active": int(_delivers(network.paths.path())),
            "promised_rate_hz": round(path.plan.rate_hz, 3),
            "delivered_rate_hz": round(delivered.rate_hz, 3),
            "promised_fidelity": round(path.plan.fidelity, 4),
            "delivered_fidelity": round(estimate.fidelity, 4),
            "delivered_fidelity_interval": [round(estimate.low, 4), round(estimate.high, 4)],
            "samples": estimate.samples,
            "tracked_fidelity": round(delivered.end.tracked_fidelity, 4),
            **after_cut,
        }
        if self.makes_key:
            with screen.step("key made of pairs") as step:
                outcome |= self._key(daemons, network, path, step)
        return outcome

    @staticmethod
    def held(outcome: dict[str, Any]) -> bool:
        """Tell whether an outcome is as it should be; rates and fidelities come by chance, and are told, not judged."""
        return bool(
            outcome["paths_active"] == 1 and outcome["delivered_rate_hz"] > 0 and outcome.get("keys_equal", True)
        )

    def to_try(self) -> list[str]:
        """Return commands with which to look around afterwards."""
        return [
            f"qinetctl entangle show {PATH}",
            f"qinetctl entangle route {self.source} {self.target} --fidelity 0.8",
            *([f"qinetctl relay show {RELAY}"] if self.makes_key else []),
            "qinetctl watch paths",
        ]

    def _authentication(self, network: Network) -> str:
        """Create the relay whose keys authenticate what the ends tell each other while they make key of pairs."""
        network.create(self.source, self.target, 100.0, name=AUTHENTICATION)
        relay, _ = network.follow(
            lambda seen: seen.state == State.STATE_ACTIVE,
            network.within_s,
            "the relay to be ACTIVE",
            name=AUTHENTICATION,
        )
        between = [hop.end_node.removeprefix("nodes/") for hop in relay.routes[0].hops[:-1]]
        known = f"{', '.join(between)} could know its keys" if between else "nobody is between"
        return f"authenticates the ends; {known}"

    def _demand(self, network: Network, step: Step) -> EntanglementPath:
        """Return what to ask: the best of a few fidelities, and a good part of the rate that is possible with it."""
        share = _KEYED_TEST_SHARE if self.makes_key else _TEST_SHARE
        for floor in _KEYED_FLOORS + _FLOORS if self.makes_key else _FLOORS:
            wanted = wanted_path(
                self.source,
                self.target,
                fidelity=floor,
                rate_hz=_LOWEST_RATE_HZ,
                test_share=share,
                measured=self.measured,
            )
            why = refused(lambda: network.paths.route(wanted))  # noqa: B023 (called at once)
            if not why:
                break
        else:
            raise Precondition("NO_ROUTE", why, {"source": self.source, "target": self.target})
        found = network.paths.route(wanted)
        plan = found.plan
        best_hz = plan.objective_value
        proven = "proven best" if proven_best(plan) else f"none more than {100 * plan.gap:.2g} % above"
        step.note(f"{best_hz:.1f} Hz of F {floor} or more, {proven}")
        in_slots = plan.regime == pairs_pb2.REGIME_SLOT
        most_hz = _MOST_IN_SLOTS_HZ if in_slots else _MOST_SWAPPED_HZ / max(1, len(found.route.hops))
        wanted.rate_hz = float(f"{min(most_hz, _PART_ASKED * best_hz * (1 - share)):.2g}")
        if self.makes_key:
            wanted.key_link = f"links/{KEY_LINK}"
            wanted.authentication = f"keyRelays/{AUTHENTICATION}"
            wanted.distillation_block_bit = _BLOCK_BIT
        return wanted

    @staticmethod
    def _too_much(network: Network, wanted: EntanglementPath) -> str:
        """Return what the controller says to a demand that nothing can meet."""
        asked = EntanglementPath()
        asked.CopyFrom(wanted)
        asked.rate_hz *= _TOO_MUCH
        why = refused(lambda: network.paths.route(asked))
        return f"refused: {why}" if why else "possible here"

    def _key(self, daemons: Daemons, network: Network, path: EntanglementPath, step: Step) -> dict[str, Any]:
        """Wait for the first key of the relay that rests on pairs alone, and fetch it at both ends."""
        within_s = network.within_s + 10 * path.time_to_first_key_s
        relay, _ = network.follow(
            lambda seen: seen.state == State.STATE_ACTIVE and all(end.confirmed for end in seen.ends),
            within_s,
            "the first key of pairs",
        )
        alice, bob = clients(daemons, self.source, self.target)
        wait_for(lambda: alice.status(SLAVE)["stored_key_count"] > 0, within_s, "a whole key")
        equal = fetch_and_compare(alice, bob, 1)
        links = [hop.link.removeprefix("links/") for hop in relay.routes[0].hops]
        step.note(f"{'equal' if equal else 'NOT EQUAL'} at both ends over GS QKD 014; relayed over {', '.join(links)}")
        return {
            "relays_active": 1,
            "keys_equal": equal,
            "key_link": KEY_LINK,
            "trusted_between": len(links) - 1,
            "distillation": "simulated-distillation",
        }


def _joined_by_key(topology: TopologyFile, source: str, target: str) -> bool:
    """Tell whether links that make key join two nodes."""
    reached, ring = {source}, {source}
    while ring:
        links = [link.nodes for link in topology.links if link.pairs is None]
        ring = {node for ends in links if not ring.isdisjoint(ends) for node in ends} - reached
        reached |= ring
    return target in reached


def _active(path: EntanglementPath) -> bool:
    return path.state == State.STATE_ACTIVE


def _delivers(path: EntanglementPath) -> bool:
    """Tell whether pairs come; fewer than promised where a busy machine emulates them late."""
    return path.state in (State.STATE_ACTIVE, State.STATE_DEGRADED)


def _target_end(path: EntanglementPath) -> PathEndMeasurement | None:
    return next((end for end in path.ends if end.node == path.target), None)


def _reported(
    network: Network, within_s: float, until: Callable[[PathEndMeasurement], bool], what: str
) -> PathEndMeasurement:
    """Return the first report of the path's far end for which the condition holds."""
    end_s = time.monotonic() + within_s
    while True:
        reported = _target_end(network.paths.path())
        if reported is not None and until(reported):
            return reported
        if time.monotonic() > end_s:
            raise Precondition("TIMED_OUT", f"waited {within_s:.0f} s in vain for {what}", {"what": what})
        time.sleep(_LOOK_EVERY_S)


def _measured(network: Network) -> Delivered:
    """Count pairs for some seconds, until enough test pairs were measured to say something of their fidelity."""
    first = _reported(network, network.within_s, lambda end: end.delivered_total > 0, "the first pairs")
    began = first.report_time.ToDatetime(UTC)

    def lasted_s(end: PathEndMeasurement) -> float:
        return (end.report_time.ToDatetime(UTC) - began).total_seconds()

    def enough(end: PathEndMeasurement) -> bool:
        if not end.HasField("fidelity"):
            return False
        return lasted_s(end) >= _MOST_S or (lasted_s(end) >= _LEAST_S and end.fidelity.samples >= _SAMPLES)

    last = _reported(network, network.within_s + _MOST_S, enough, "test pairs")
    return Delivered(rate_hz=(last.delivered_total - first.delivered_total) / lasted_s(last), end=last)


def _more_pairs(network: Network) -> int:
    """Wait until more pairs are reported than before; return how many more."""
    path = network.paths.path()
    before = max((end.delivered_total for end in path.ends), default=0)
    end = _reported(network, network.within_s, lambda end: end.delivered_total > before, "more pairs")
    return int(end.delivered_total - before)


def _link_to_cut(network: Network, wanted: EntanglementPath) -> tuple[str, bool]:
    """Return a link of the best route, from the far end, that has a detour, and True; else its last link and False.

    To be asked before the path is created: when it moves, all that it holds itself is free again.
    """
    links = links_of(network.paths.route(wanted))
    for link in reversed(links):
        if not refused(lambda: network.paths.route(wanted, avoid_link=link)):  # noqa: B023 (called at once)
            return link, True
    return links[-1], False


def _cut(network: Network, link: str, version: int, *, detour: bool) -> dict[str, Any]:
    """Cut a link and see what becomes of the path.

    Returns:
        `after_cut`: "rerouted", with `restore_s` from the order to the first pair on the new route; or, where there is
        no detour, "blocked_and_back", with `blocked_s` from the order to word that it is BLOCKED, and `restore_s` from
        the order of the repair to the first pair after it.
    """
    ordered = network.cut(link)
    if detour:
        _, told = network.paths.follow(
            lambda seen: _delivers(seen) and seen.route_version > version, network.within_s, "the new route"
        )
        return {"after_cut": "rerouted", "restore_s": round(told - ordered, 3)}
    _, blocked = network.paths.follow(
        lambda seen: seen.state == State.STATE_BLOCKED, network.within_s, "word of the cut"
    )
    repaired = time.monotonic()
    network.repair(link)
    _, told = network.paths.follow(_delivers, network.within_s, "the path to come back")
    return {
        "after_cut": "blocked_and_back",
        "blocked_s": round(blocked - ordered, 3),
        "restore_s": round(told - repaired, 3),
    }


def _told(after_cut: dict[str, Any]) -> str:
    if after_cut["after_cut"] == "rerouted":
        return f"first pair on a new route after {after_cut['restore_s']:.2f} s"
    return (
        f"no detour: BLOCKED after {after_cut['blocked_s']:.2f} s,"
        f" first pair {after_cut['restore_s']:.2f} s after the repair"
    )
