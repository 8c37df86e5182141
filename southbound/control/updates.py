"""Brings one agent's configuration to what is wanted: one update in flight, each on the digest before it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from controller.domain.entries import EMPTY_DIGEST, digest_of
from controller.planning.compile import owner_of
from controller.planning.diff import Difference, difference
from controller.wire.southbound import MAX_TEXT, code_name
from qinet.southbound.v1 import agent_pb2 as pb
from southbound.control.parts import HashParts, OutOfStep, cut
from southbound.control.settings import ControlSettings
from southbound.control.wish import RefusedEntries, Wish

Said = pb.ConfigUpdate | pb.EntryHashesRequest

_END_TOLERANCE_MS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What is in force is known, and nothing is on its way that would change it.

    Attributes:
        version: Of the wish that this answers to; entries that wait after a refusal may differ from it.
        push_to_ack_ms: From the writer's push to the agent's Ack; None when the agent was only asked.
    """

    version: int
    in_force: Mapping[str, bytes]
    push_to_ack_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The agent refused an update.

    Attributes:
        entries: (code name, message) by id, for those refused entries that are still wanted.
        whole: (code name, message) when the update as a whole was refused for another reason than its base.
    """

    version: int
    entries: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    whole: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _InFlight:
    nonce: int
    wish: Wish
    step: Difference


class Updates:
    """The configuration side of one session; it is told the time and does no I/O.

    Attributes:
        in_force: Hash by entry id; None while unknown.
        in_force_digest: Its digest; b"" while unknown.
        version: Revision of the update in force.
    """

    def __init__(self, *, wish: Wish, refused: RefusedEntries, settings: ControlSettings) -> None:
        self._wish = wish
        self._refused = refused
        self._settings = settings
        self.in_force: Mapping[str, bytes] | None = None
        self.in_force_digest = b""
        self.version = 0
        self._told_version = 0
        self._unchanged: Confirmed | None = None
        self._nonce = 0
        self._asked: HashParts | None = None
        self._told_end_ms = refused.told_end_ms
        self._flight: _InFlight | None = None
        self._parts: Iterator[pb.ConfigUpdate] = iter(())
        self._parts_left = 0
        self._answer_by_ms: int | None = None
        self._look_ms: int | None = 0  # when to look for a difference; None: when something changes
        self._writer_until_ms = 0
        self._failed_times = 0
        self._hold_until_ms = 0

    @property
    def wish(self) -> Wish:
        """Return what is wanted now."""
        return self._wish

    @property
    def in_flight(self) -> bool:
        """Tell whether an update is unanswered."""
        return self._flight is not None

    @property
    def waiting(self) -> int:
        """Return how many messages of an update are still to be sent."""
        return self._parts_left

    @property
    def answer_by_ms(self) -> int | None:
        """Return by when the agent must have answered; None when nothing is asked of it."""
        return self._answer_by_ms

    @property
    def look_ms(self) -> int | None:
        """Return when `next_message` may have something to say without being told anything new; None: never."""
        return None if self._flight is not None or self._asked is not None else self._look_ms

    def be_patient(self, now_ms: int) -> None:
        """Let the agent's time to answer begin anew: we did not listen."""
        if self._answer_by_ms is not None:
            self._answer_by_ms = now_ms + self._settings.answer_timeout_ms

    def begin(self, *, digest: bytes, version: int) -> bool:
        """Take what Hello says of the configuration in force; return whether that tells it entry by entry."""
        self.version = version
        if digest == self._wish.digest:
            self._known(self._wish.hashes)
        elif digest == EMPTY_DIGEST:
            self._known({})
        return self.in_force is not None

    def first_word(self) -> Confirmed:
        """Return what is in force at the start of the session, as an answer to the present wish."""
        assert self.in_force is not None
        self._told_version = self._wish.version
        return Confirmed(version=self._wish.version, in_force=self.in_force)

    def take_unchanged(self) -> Confirmed | None:
        """Return the confirmation of a newer wish that needed no update, once; else None."""
        unchanged, self._unchanged = self._unchanged, None
        return unchanged

    def want(self, wish: Wish, now_ms: int) -> None:
        """Take a newer wish: folded into the next update when one is in flight."""
        self._wish = wish
        self._refused.forget_old(wish, now_ms)
        self._writer_until_ms = 0
        self._look_ms = now_ms

    def next_message(self, now_ms: int) -> Said | None:
        """Return what is to be said now, or None; starts the next update when there is need and leave."""
        part = next(self._parts, None)
        if part is not None:
            self._parts_left -= 1
            self._answer_by_ms = now_ms + self._settings.answer_timeout_ms
            return part
        if self._flight is not None or self._asked is not None or self._look_ms is None or now_ms < self._look_ms:
            return None
        if now_ms < self._hold_until_ms:
            self._look_ms = self._hold_until_ms
            return None
        if self.in_force is None:
            self._asked = HashParts()
            self._answer_by_ms = now_ms + self._settings.answer_timeout_ms
            return pb.EntryHashesRequest()
        step, held = self._step(self.in_force, now_ms)
        if not step:
            if not held:
                self.version = max(self.version, self._wish.version)
            if self._told_version < self._wish.version:
                self._unchanged = self.first_word()
            return None
        self._nonce += 1
        self._flight = _InFlight(nonce=self._nonce, wish=self._wish, step=step)
        self._cut(self._flight, now_ms)
        return self.next_message(now_ms)

    def hashes(self, answer: pb.EntryHashes, now_ms: int) -> Confirmed | None:
        """Take the answer to the question what is in force, or one part of it; None before the last.

        Raises:
            OutOfStep: It was not asked, a hash is none, or a part is out of order.
        """
        if self._asked is None:
            raise OutOfStep("EntryHashes that nobody asked for")
        if not self._asked.take(answer):
            self._answer_by_ms = now_ms + self._settings.answer_timeout_ms
            return None
        in_force, self._asked = self._asked.hashes, None
        self._answered(now_ms)
        self._known(in_force)
        return self.first_word()

    def ack(self, answer: pb.Ack, now_ms: int) -> Confirmed | None:
        """Take an Ack; None when its digest is not the update's target: then what is in force is asked for.

        Raises:
            OutOfStep: No such update is in flight.
        """
        flight = self._landed(answer.nonce, now_ms)
        if answer.digest != flight.step.target_digest:
            self._lose_track(now_ms)
            return None
        self._known(flight.step.after)
        self.version = self._told_version = flight.wish.version
        self._failed_times = 0
        self._refused.applied(flight.step.after)
        self._told_end_ms |= {name: flight.wish.end_ms(name) for name in flight.step.upserts}
        for name in flight.step.deletes:
            self._told_end_ms.pop(name, None)
        return Confirmed(
            version=self.version, in_force=flight.step.after, push_to_ack_ms=max(0, now_ms - flight.wish.pushed_ms)
        )

    def nack(self, answer: pb.Nack, now_ms: int) -> Refused:
        """Take a Nack: refused entries wait for their back-off, others of their services for the writer, others not.

        Raises:
            OutOfStep: No such update is in flight.
        """
        if self._flight is not None and self._flight.nonce == answer.nonce:
            # It need not wait for the last part: it has seen enough.
            self._parts, self._parts_left = iter(()), 0
        flight = self._landed(answer.nonce, now_ms)
        refused = {
            status.id: (code_name(status.status.code), status.status.message[:MAX_TEXT])
            for status in answer.entries
            if status.id in flight.step.upserts
        }
        if refused:
            for name, (code, message) in refused.items():
                self._refused.add(name, flight.step.upserts[name], code, message, now_ms)
            self._writer_until_ms = now_ms + self._settings.writer_patience_ms
            wanted = self._wish.hashes
            still = {name: why for name, why in refused.items() if wanted.get(name) == flight.step.after[name]}
            return Refused(version=flight.wish.version, entries=still)
        code, message = code_name(answer.status.code), answer.status.message[:MAX_TEXT]
        self._lose_track(now_ms)
        if code == "ABORTED":
            return Refused(version=flight.wish.version)
        self._hold_until_ms = now_ms + self._refused.delay_ms(self._failed_times)
        return Refused(version=flight.wish.version, whole=(code, message))

    def _known(self, in_force: Mapping[str, bytes]) -> None:
        self.in_force = in_force
        self.in_force_digest = digest_of(in_force)

    def _lose_track(self, now_ms: int) -> None:
        # The first time it is asked at once; an agent that never agrees is asked ever more rarely.
        self._failed_times += 1
        if self._failed_times > 1:
            self._hold_until_ms = now_ms + self._refused.delay_ms(self._failed_times - 1)
        self.in_force = None
        self.in_force_digest = b""

    def _answered(self, now_ms: int) -> None:
        self._answer_by_ms = None
        self._look_ms = now_ms

    def _landed(self, nonce: int, now_ms: int) -> _InFlight:
        flight = self._flight
        if flight is None or flight.nonce != nonce or self._parts_left:
            raise OutOfStep(f"an answer to update {nonce}, which is not in flight")
        self._flight = None
        self._answered(now_ms)
        return flight

    def _step(self, in_force: Mapping[str, bytes], now_ms: int) -> tuple[Difference, set[str]]:
        """Return the next step, and what is held back of the wish now; notes when to look again."""
        wish = self._wish
        held, self._look_ms = self._refused.held(wish, now_ms)
        refused = set(self._refused.current(wish))
        waiting: set[str] = set()
        if refused and now_ms < self._writer_until_ms:
            # The writer takes their services out: what else belongs to these would be told for nothing.
            owners = {owner_of(name) for name in refused}
            waiting = {name for name in wish.entries if owner_of(name) in owners} - refused
            self._look_ms = min(self._look_ms or self._writer_until_ms, self._writer_until_ms)
        # What was refused goes last and alone, so that a second refusal delays nothing else.
        step = difference(wish.entries, in_force, held=refused | waiting, hashes=wish.hashes)
        step = self._with_new_ends(step, refused | waiting)
        if not step and refused != held and not waiting:
            step = difference(wish.entries, in_force, held=held, hashes=wish.hashes)
        return step, held | waiting

    def _with_new_ends(self, step: Difference, held: set[str]) -> Difference:
        """Add entries whose bytes are in force, but that shall end at another time than the agent was told."""
        wish = self._wish
        renewed = {
            name: wish.entries[name]
            for name, told_ms in self._told_end_ms.items()
            if name not in step.upserts
            and name not in held
            and step.after.get(name) == wish.hashes.get(name)
            and name in wish.entries
            and _moved(told_ms, wish.end_ms(name))
        }
        return replace(step, upserts={**step.upserts, **renewed}) if renewed else step

    def _cut(self, flight: _InFlight, now_ms: int) -> None:
        cuts = cut(flight.step, self._settings.part_bytes)
        self._parts_left = len(cuts)
        self._parts = (
            pb.ConfigUpdate(
                nonce=flight.nonce,
                version=flight.wish.version,
                base_digest=flight.step.base_digest,
                target_digest=flight.step.target_digest,
                upserts=[
                    pb.ConfigEntry(
                        id=name, content=flight.step.upserts[name], remaining_s=flight.wish.remaining(name, now_ms)
                    )
                    for name in upserts
                ],
                deletes=deletes,
                part=index,
                parts=len(cuts),
            )
            for index, (upserts, deletes) in enumerate(cuts)
        )


def _moved(told_ms: int | None, wanted_ms: int | None) -> bool:
    if told_ms is None or wanted_ms is None:
        return told_ms is not wanted_ms
    # The writer counts whole seconds, anew with every push.
    return abs(wanted_ms - told_ms) > _END_TOLERANCE_MS
