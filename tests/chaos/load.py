"""An operator that creates, changes, moves and deletes relays and paths without pause, and repeats what was cut off."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from qinet.northbound.v1 import entanglement_service_pb2
from qinet.northbound.v1 import key_relay_service_pb2 as pb
from qinet.northbound.v1.entanglement_path_pb2 import EntanglementPath
from tests.support.operator_calls import Operator, Relay, refused_with

CAPACITY: Final = frozenset({"NO_ROUTE", "NO_CAPACITY", "NO_DISJOINT_ROUTES"})
"""Refusals that a network may give while a node of it is away."""
_AGAIN_S: Final = 0.1
_ANSWER_WITHIN_S: Final = 90.0
_CUT_OFF: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_SHARE_OF_CREATES: Final = 0.6
_SHARE_OF_PATHS: Final = 0.3
_RATES: Final = (2.0, 3.0, 5.0)
_KINDS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {},
    {"shares": 2},
    {"protection": Relay.PROTECTION_ONE_FOR_ONE},
    {"protection": Relay.PROTECTION_ONE_PLUS_ONE},
)


@dataclass
class Asked:
    """What an operator asked for, and was told.

    Attributes:
        standing: Relays that were acknowledged and not deleted: each rate that it may have (two where an answer left
            it open), by name.
        kinds: What each was created with, by name.
        paths: Entanglement paths that were acknowledged and not deleted.
        deleted: Names whose deletion was acknowledged.
        done: Requests that were answered with success, by verb.
        cut_off: Requests whose first try got no answer; each was repeated until it was answered.
        refused: Requests that the network could not meet at that moment, by reason.
        faults: Answers that nobody should get.
    """

    standing: dict[str, set[float]] = field(default_factory=dict)
    kinds: dict[str, dict[str, Any]] = field(default_factory=dict)
    paths: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    done: Counter[str] = field(default_factory=Counter)
    cut_off: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """What to do with entanglement paths.

    Attributes:
        standing: Paths that are moved, and changed.
        ends: Nodes between which more are made, and deleted.
        rate_hz: At most.
        most: At most so many of them stand at a time.
    """

    standing: Sequence[str]
    ends: Sequence[str]
    rate_hz: float
    most: int


class Load(threading.Thread):
    """The operator."""

    def __init__(
        self,
        hands: Operator,
        nodes: Sequence[str],
        chance: random.Random,
        *,
        every_s: float,
        most: int,
        paths: Paths,
    ) -> None:
        """Begin on hands of its own; at most so many relays of its stand at a time."""
        super().__init__(name="load", daemon=True)
        self.asked = Asked()
        self._hands, self._nodes, self._chance = hands, nodes, chance
        self._every_s, self._most, self._paths = every_s, most, paths
        self._made_paths = 0
        self._stopping = threading.Event()

    def halt(self) -> None:
        """Begin no further request."""
        self._stopping.set()

    def stop(self) -> Asked:
        """Stop after the request that is under way has been answered; return what came of all."""
        self.halt()
        self.join()
        return self.asked

    def run(self) -> None:
        """Ask for one thing after another."""
        while not self._stopping.wait(self._every_s):
            if self._chance.random() < _SHARE_OF_PATHS:
                self._chance.choice((self._make_path, self._move_path, self._change_path, self._remove_path))()
                continue
            standing = sorted(self.asked.standing)
            if len(standing) < self._most and (not standing or self._chance.random() < _SHARE_OF_CREATES):
                self._make(f"load-{len(self.asked.kinds) + self.asked.refused.total():04}")
            else:
                self._chance.choice((self._change, self._move, self._remove))(self._chance.choice(standing))

    def _make(self, name: str) -> None:
        source, target = self._chance.sample(list(self._nodes), 2)
        kind, rate = self._chance.choice(_KINDS), self._chance.choice(_RATES)
        if self._ask("create", lambda: self._hands.create(name, source, target, rate, **kind))[0]:
            self.asked.standing[name] = {rate}
            self.asked.kinds[name] = kind

    def _change(self, name: str) -> None:
        rate = self._chance.choice(_RATES)
        request = pb.UpdateKeyRelayRequest(
            key_relay=Relay(name=f"keyRelays/{name}", rate_bit_per_s=rate), update_mask=FieldMask(paths=["rate"])
        )
        answered, cut_off = self._ask("update", lambda: self._hands.relays.UpdateKeyRelay(request, timeout=20.0))
        if answered:
            self.asked.standing[name] = {rate}
        elif cut_off:
            self.asked.standing[name].add(rate)

    def _move(self, name: str) -> None:
        request = pb.RedeployKeyRelayRequest(name=f"keyRelays/{name}")
        self._ask("redeploy", lambda: self._hands.relays.RedeployKeyRelay(request, timeout=20.0))

    def _make_path(self) -> None:
        if len(self.asked.paths) >= self._paths.most:
            return self._remove_path()
        self._made_paths += 1
        name = f"load-path-{self._made_paths:04}"
        source, target = self._chance.sample(list(self._paths.ends), 2)
        rate_hz = self._rate_hz()
        if self._ask("create path", lambda: self._hands.create_path(name, source, target, rate_hz))[0]:
            self.asked.paths.add(name)
        return None

    def _move_path(self) -> None:
        name = self._chance.choice([*self._paths.standing, *sorted(self.asked.paths)])
        request = entanglement_service_pb2.RedeployEntanglementPathRequest(name=f"entanglementPaths/{name}")
        self._ask("redeploy path", lambda: self._hands.paths.RedeployEntanglementPath(request, timeout=20.0))

    def _change_path(self) -> None:
        name = self._chance.choice([*self._paths.standing, *sorted(self.asked.paths)])
        request = entanglement_service_pb2.UpdateEntanglementPathRequest(
            entanglement_path=EntanglementPath(name=f"entanglementPaths/{name}", rate_hz=self._rate_hz()),
            update_mask=FieldMask(paths=["service"]),
        )
        self._ask("update path", lambda: self._hands.paths.UpdateEntanglementPath(request, timeout=20.0))

    def _remove_path(self) -> None:
        if not self.asked.paths:
            return
        name = self._chance.choice(sorted(self.asked.paths))
        if self._ask("delete path", lambda: self._hands.delete_path(name), also=grpc.StatusCode.NOT_FOUND)[0]:
            self.asked.paths.discard(name)

    def _rate_hz(self) -> float:
        return self._chance.choice((0.6, 0.8, 1.0)) * self._paths.rate_hz

    def _remove(self, name: str) -> None:
        if self._ask("delete", lambda: self._hands.delete(name), also=grpc.StatusCode.NOT_FOUND)[0]:
            del self.asked.standing[name]
            self.asked.deleted.add(name)

    def _ask(self, verb: str, call: Callable[[], object], *, also: grpc.StatusCode | None = None) -> tuple[bool, bool]:
        """Repeat a call until it is answered; return whether it succeeded, and whether a try of it was cut off.

        Args:
            verb: What it is, for the count.
            call: The call, safe to repeat.
            also: A code that is success for a repeat, since the try before may have done it.
        """
        cut_off, give_up = False, time.monotonic() + _ANSWER_WITHIN_S
        while True:
            try:
                call()
            except grpc.RpcError as error:
                refusal = refused_with(error)
                if refusal.code in _CUT_OFF:
                    self.asked.cut_off += not cut_off
                    cut_off = True
                    if time.monotonic() < give_up:
                        time.sleep(_AGAIN_S)  # the controller is being started again
                        continue
                    self.asked.faults.append(
                        f"{verb} was not answered within {_ANSWER_WITHIN_S:g} s: {refusal.message}"
                    )
                    return False, True
                if cut_off and refusal.code is also:
                    self.asked.done[verb] += 1
                    return True, True
                if refusal.reason in CAPACITY:
                    self.asked.refused[refusal.reason] += 1
                else:
                    self.asked.faults.append(f"{verb}: {refusal.code.name} {refusal.reason}: {refusal.message}")
                return False, cut_off
            self.asked.done[verb] += 1
            return True, cut_off
