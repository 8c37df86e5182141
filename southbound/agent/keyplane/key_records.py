"""The records of keys at one node, durable: what each is for, where it is in its life, and when it ends."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import heapify, heappop, heappush
from typing import Final

from southbound.agent.keyplane.events import Record
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind
from southbound.agent.keyplane.outbox import Outbox

DELIVERED_KEPT: Final = 1 << 14
"""Records without key that only tell 401 from 400: of more than that the oldest are dropped."""
BOUND_KEPT: Final = 1 << 16
"""Keys of one application that wait for their slaves; more are not bound, so that nobody's neglect fills a disk."""


class KeyState(StrEnum):
    """Where a key is in its life at this node."""

    ASSIGNING = "ASSIGNING"
    DELIVERED = "DELIVERED"
    VOID = "VOID"
    BOUND = "BOUND"


@dataclass(slots=True)
class KeyRecord:
    """One key.

    Attributes:
        relays: Whose stock it cost: one for each far node; of a void key those whose far end has not erased it yet.
        slaves: Who may fetch it: at the origin all of them, at a far end those there.
        expires_s: Service time at which it is erased, whatever it waits for but an assignment.
        fetched: Slaves that have fetched it.
    """

    key_id: str
    state: KeyState
    relays: tuple[str, ...]
    application: str
    master: str
    slaves: tuple[str, ...]
    expires_s: float
    size_bit: int
    key: bytes = field(repr=False)
    fetched: tuple[str, ...] = ()


class KeyRecords:
    """All records, by id. They are changed here alone, so that disk, ends and counts follow."""

    def __init__(self) -> None:
        self._keys: dict[str, KeyRecord] = {}
        # The oldest first: to see what is over must not cost a walk over all keys that wait to be fetched.
        self._ends: list[tuple[float, str]] = []
        self._bound: Counter[str] = Counter()
        self._delivered: dict[str, None] = {}
        # What a far end must hear on a new stream, by relay: to find it must not cost that walk, either.
        self._told: dict[str, dict[str, None]] = {}

    def get(self, key_id: str) -> KeyRecord | None:
        """Return a record, None if there is none."""
        return self._keys.get(key_id)

    def knows_any(self, key_ids: Iterable[str]) -> bool:
        """Tell whether there is a record of any of these."""
        return not self._keys.keys().isdisjoint(key_ids)

    def void(self, relay: str) -> Iterator[str]:
        """Yield the ids of a relay's keys that the far end has not erased yet."""
        return (key_id for key_id in self._told.get(relay, ()) if self._keys[key_id].state is KeyState.VOID)

    def fetched(self, relay: str) -> dict[str, list[str]]:
        """Return the ids of a relay's delivered keys that slaves are known to have fetched, by slave."""
        found: dict[str, list[str]] = {}
        for key_id in self._told.get(relay, ()):
            key = self._keys[key_id]
            for slave in key.fetched if key.state is KeyState.DELIVERED else ():
                found.setdefault(slave, []).append(key_id)
        return found

    def bound_count(self, application: str) -> int:
        """Return how many keys of an application wait here for their slaves."""
        return self._bound[application]

    def keep(self, key: KeyRecord, box: Outbox) -> None:
        """Begin a record."""
        self._enter(key)
        self._persist(key, box)

    def change(self, key: KeyRecord, state: KeyState, box: Outbox) -> None:
        """Go on to a state in which the record holds no key."""
        key.state, key.key = state, b""
        self._index(key)
        self._persist(key, box)
        if state is KeyState.DELIVERED:
            self._delivered[key.key_id] = None
            while len(self._delivered) > DELIVERED_KEPT:
                self.erase(self._keys[next(iter(self._delivered))], box)

    def voided(self, key: KeyRecord, relay: str, box: Outbox) -> None:
        """Note that a relay's far end has erased a void key; with the last of them the record ends."""
        left = tuple(each for each in key.relays if each != relay)
        if not left:
            self.erase(key, box)
        elif left != key.relays:
            self._unindex(key)
            key.relays = left
            self._index(key)
            self._persist(key, box)

    def fetch(self, key: KeyRecord, slave: str, box: Outbox) -> None:
        """Note that a slave has its key; of a bound key the last slave ends the record."""
        if slave in key.fetched:
            return
        key.fetched = (*key.fetched, slave)
        if key.state is KeyState.BOUND and set(key.slaves) <= set(key.fetched):
            self.erase(key, box)
        else:
            self._index(key)
            self._persist(key, box)

    def erase(self, key: KeyRecord, box: Outbox) -> None:
        """End a record, with its key."""
        del self._keys[key.key_id]
        self._delivered.pop(key.key_id, None)
        self._unindex(key)
        if key.state is KeyState.BOUND:
            self._bound[key.application] -= 1
        box.erase("key", key.key_id)
        box.note(entry(LedgerKind.WIPE, key, box))
        if len(self._ends) > 2 * len(self._keys) + 1024:
            self._ends = [(each.expires_s, each.key_id) for each in self._keys.values()]
            heapify(self._ends)

    def expire(self, box: Outbox) -> None:
        """Erase what is over, and ask to be woken for the next; what is being assigned has an end of its own."""
        assigning = []
        while self._ends and (self._ends[0][0] <= box.now_s or self._ends[0][1] not in self._keys):
            end = heappop(self._ends)
            key = self._keys.get(end[1])
            if key is not None and key.state is KeyState.ASSIGNING:
                assigning.append(end)
            elif key is not None:
                self.erase(key, box)
        if self._ends:
            box.wake(self._ends[0][0])
        for end in assigning:
            heappush(self._ends, end)

    def restore(self, record: Record) -> KeyRecord:
        """Take up one persisted record and return it."""
        meta = json.loads(record.meta)
        key = KeyRecord(
            key_id=meta["key_id"],
            state=KeyState(meta["state"]),
            relays=tuple(meta["relays"]) if "relays" in meta else (meta["relay"],),  # one: written by 0.1.0
            application=meta["application"],
            master=meta["master"],
            slaves=tuple(meta["slaves"]),
            expires_s=meta["expires_s"],
            size_bit=meta["size_bit"],
            key=record.secret,
            fetched=tuple(meta.get("fetched", ())),
        )
        self._enter(key)
        return key

    def _enter(self, key: KeyRecord) -> None:
        self._keys[key.key_id] = key
        heappush(self._ends, (key.expires_s, key.key_id))
        if key.state is KeyState.BOUND:
            self._bound[key.application] += 1
        elif key.state is KeyState.DELIVERED:
            self._delivered[key.key_id] = None
        self._index(key)

    def _index(self, key: KeyRecord) -> None:
        if key.state is KeyState.VOID or (key.state is KeyState.DELIVERED and key.fetched):
            for relay in key.relays:
                self._told.setdefault(relay, {})[key.key_id] = None

    def _unindex(self, key: KeyRecord) -> None:
        for relay in key.relays:
            if (told := self._told.get(relay)) is not None:
                told.pop(key.key_id, None)
                if not told:
                    del self._told[relay]

    def _persist(self, key: KeyRecord, box: Outbox) -> None:
        meta: dict[str, object] = {
            "key_id": key.key_id,
            "state": key.state.value,
            "relays": list(key.relays),
            "application": key.application,
            "master": key.master,
            "slaves": list(key.slaves),
            "expires_s": key.expires_s,
            "size_bit": key.size_bit,
        }
        if key.fetched:
            meta["fetched"] = list(key.fetched)
        box.persist("key", key.key_id, meta, key.key)


def entry(kind: LedgerKind, key: KeyRecord, box: Outbox, *, sent: bool = False, sae: str = "") -> LedgerEntry:
    """Return a key's line in the ledger; which stock a key of several relays cost, its cuts say."""
    return LedgerEntry(
        kind=kind,
        at_s=box.now_s,
        relay=key.relays[0] if len(key.relays) == 1 else "",
        key_id=key.key_id,
        application=key.application,
        length_bit=key.size_bit,
        sent=sent,
        sae=sae,
    )
