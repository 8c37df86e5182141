"""Keys for applications at their origin: `enc_keys`, and how the keys come to be bound at every far end.

A key's record is ASSIGNING (origin, waits for the far ends), DELIVERED (origin, without key: so that its master is
told 401 and not 400 when it asks for it by id, and to know who has fetched it), VOID (origin, until every far end has
erased it), or BOUND (far end, waits for its slaves; see `far_keys.py`).

With slaves at one far node the bits cut from the relay's stock are the key. With slaves at several, the key is fresh
and goes to each of these nodes wrapped in that pair's stock: all of them have bound it, or it is void at all.
"""

import math
import uuid
from dataclasses import dataclass
from typing import Final, Protocol

from southbound.agent.keyplane.applications import Applications, Leg
from southbound.agent.keyplane.bandwidth import TokenBucket
from southbound.agent.keyplane.events import DeliveredKey, GetKeys, KeyStatus, Record
from southbound.agent.keyplane.far_keys import FarKeys
from southbound.agent.keyplane.key_records import KeyRecord, KeyRecords, KeyState, entry
from southbound.agent.keyplane.ledger import LedgerKind
from southbound.agent.keyplane.messages import Assign, Assigned, KeyCut, KeyFetched, KeyVoid, KeyVoided
from southbound.agent.keyplane.outbox import Outbox
from southbound.agent.keyplane.settings import Association
from southbound.agent.keyplane.stock import RelayStock
from southbound.agent.keyplane.wrapping import WRAP_TAG_BIT, wrap

ASSIGN_TIMEOUT_S: Final = 5.0
ID_BYTES: Final = 16
NOT_A_MULTIPLE: Final = "size shall be a multiple of 8"


@dataclass(slots=True)
class _Assignment:
    """Keys of one request on their way to be bound.

    Attributes:
        relays: Of all far nodes.
        waiting: Those of them that have not answered.
        cost_bit: What it took of its application's bandwidth.
    """

    request: int
    application: str
    relays: tuple[str, ...]
    waiting: set[str]
    key_ids: tuple[str, ...]
    cost_bit: int
    due_s: float


class Chance(Protocol):
    """The reservoir of random bytes."""

    def has(self, byte_count: int) -> bool:
        """Tell whether so many are there, and ask for more if not."""

    def take(self, byte_count: int) -> bytes:
        """Return bytes that are there; each is given once."""


class KeyDelivery:
    """Who may have which key, at one node. `far` is its half for keys whose slaves are here."""

    def __init__(self, node: str, stocks: dict[str, RelayStock], chance: Chance, connected: set[str]) -> None:
        """Start empty; stocks (by relay) and connected nodes are shared with the plane, which keeps them true."""
        self._node = node
        self._stocks = stocks
        self._chance = chance
        self._connected = connected
        self._applications = Applications()
        self._keys = KeyRecords()
        self.far = FarKeys(stocks, self._applications, self._keys)
        self._assignments: dict[int, _Assignment] = {}
        self._waiting: list[GetKeys] = []
        self._last_assignment = 0

    def configure(self, associations: tuple[Association, ...], now_s: float) -> None:
        """Serve these associations from now on; keys already bound stay until fetched or too old."""
        self._applications.configure(associations, now_s)

    def _stock(self, association: Association) -> RelayStock | None:
        stock = self._stocks.get(association.relay)
        return stock if stock is not None and stock.far_node == association.remote_node else None

    def _reaches(self, stock: RelayStock) -> bool:
        return stock.synchronised and stock.far_node in self._connected

    # ------------------------------------------------------------ enc_keys

    def get_keys(self, event: GetKeys, box: Outbox) -> None:
        """Refuse, or cut keys and bind them at the far ends; the answer follows theirs."""
        legs = self._applications.legs(event.master, (event.slave, *event.more_slaves))
        if not legs:
            self._refuse_unserved(event, box)
            return
        association = legs[0].association
        size_bit = association.key_size_bit if event.size_bit is None else event.size_bit
        chance_bytes = ID_BYTES + (size_bit // 8 if len(legs) > 1 else 0)
        bucket = self._applications.bucket(association.application)
        if size_bit % 8:
            box.refuse(event.request, 400, NOT_A_MULTIPLE)
        elif not association.key_size_min_bit <= size_bit <= association.key_size_max_bit:
            bounds = f"{association.key_size_min_bit} to {association.key_size_max_bit}"
            box.refuse(event.request, 400, f"size {size_bit} is not in {bounds} bit")
        elif not 1 <= event.number <= association.keys_per_request_max:
            limit = association.keys_per_request_max
            box.refuse(event.request, 400, f"number {event.number} is not in 1 to {limit}")
        elif bucket is not None and size_bit * event.number > bucket.depth_bit:
            limit_text = f"{bucket.depth_bit} bit at once ({_bound(association)}): ask for fewer"
            box.refuse(event.request, 400, f"{event.number} keys of {size_bit} bit are more than {limit_text}")
        elif not self._chance.has(chance_bytes * event.number):
            self._waiting.append(event)
        elif self._have(event, legs, size_bit, box):
            self._assign(event, legs, size_bit, box)

    def _refuse_unserved(self, event: GetKeys, box: Outbox) -> None:
        if not self._applications.legs(event.master, (event.slave,)):
            why = f"no application connects master {event.master} with slave {event.slave} at {self._node}: create one"
            box.refuse(event.request, 503, why)
            return
        for sae in event.more_slaves:
            if self._applications.is_local(sae):
                why = f"slave {sae} is served by {self._node}, as its master is: keys are for slaves at other nodes"
                box.refuse(event.request, 400, why)
                return
        missing = [
            sae for sae in event.more_slaves if not self._applications.legs(event.master, tuple({event.slave, sae}))
        ]
        who = " and ".join(dict.fromkeys([event.slave, *(missing or event.more_slaves)]))
        why = f"no application connects master {event.master} with all of {who} at {self._node}: add them to one"
        box.refuse(event.request, 400, why)

    def _have(self, event: GetKeys, legs: tuple[Leg, ...], size_bit: int, box: Outbox) -> bool:
        """Tell whether all that the request costs is there, and take it off the application's bandwidth; or refuse."""
        cost_bit = size_bit + (WRAP_TAG_BIT if len(legs) > 1 else 0)
        for leg in legs:
            stock = self._stock(leg.association)
            if stock is None:
                why = f"key relay {leg.association.relay} has no route at {self._node} now"
            elif not self._reaches(stock):
                why = f"the key management entity {stock.far_node} is not connected"
            elif stock.available_bit < cost_bit * event.number:
                have = stock.available_bit // cost_bit
                where = f" with {stock.far_node}" if len(legs) > 1 else ""
                why = f"not enough key: {event.number} asked for, {have} of that size in stock{where}"
            else:
                continue
            box.refuse(event.request, 503, why)
            return False
        association = legs[0].association
        bucket = self._applications.bucket(association.application)
        bit = size_bit * event.number
        if bucket is None or bucket.take(bit, box.now_s):
            return True
        have, wait_s = bucket.level(box.now_s) // size_bit, math.ceil(bucket.wait_s(bit, box.now_s))
        why = f"{_bound(association)}: {event.number} asked for, {have} of that size to be had now, all in {wait_s} s"
        box.refuse(event.request, 503, why, retry_after_s=max(1, wait_s))
        return False

    def _assign(self, event: GetKeys, legs: tuple[Leg, ...], size_bit: int, box: Outbox) -> None:
        association = legs[0].association
        relays = tuple(leg.association.relay for leg in legs)
        parts: dict[str, list[KeyCut]] = {relay: [] for relay in relays}
        ids = []
        for _ in range(event.number):
            key_id = str(uuid.UUID(bytes=self._chance.take(ID_BYTES), version=4))
            if len(relays) == 1:
                key, cuts = self._stocks[relays[0]].cut(size_bit, box, key_id)
                parts[relays[0]].append(KeyCut(key_id, cuts))
            else:
                key = self._chance.take(size_bit // 8)
                for relay in relays:
                    stocked, cuts = self._stocks[relay].cut(size_bit + WRAP_TAG_BIT, box, key_id)
                    parts[relay].append(KeyCut(key_id, cuts, *wrap(relay, key_id, key, stocked)))
            record = KeyRecord(
                key_id=key_id,
                state=KeyState.ASSIGNING,
                relays=relays,
                application=association.application,
                master=event.master,
                slaves=(event.slave, *event.more_slaves),
                expires_s=box.now_s + association.key_ttl_s,
                size_bit=size_bit,
                key=key,
            )
            self._keys.keep(record, box)
            ids.append(key_id)
        self._last_assignment += 1
        self._assignments[self._last_assignment] = _Assignment(
            request=event.request,
            application=association.application,
            relays=relays,
            waiting=set(relays),
            key_ids=tuple(ids),
            cost_bit=size_bit * event.number,
            due_s=box.now_s + ASSIGN_TIMEOUT_S,
        )
        box.wake(box.now_s + ASSIGN_TIMEOUT_S)
        for leg in legs:
            message = Assign(
                relay=leg.association.relay,
                application=association.application,
                assignment=self._last_assignment,
                master=event.master,
                slaves=leg.slaves,
                keys=tuple(parts[leg.association.relay]),
            )
            box.send(leg.association.remote_node, message)

    def entropy_came(self, box: Outbox) -> None:
        """Go on with requests that waited for random bytes."""
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self.get_keys(event, box)

    def on_assigned(self, node: str, message: Assigned, box: Outbox) -> None:
        """Hand out what every far end has bound."""
        assignment = self._assignments.get(message.assignment)
        stock = self._stocks.get(message.relay)
        if assignment is None or message.relay not in assignment.waiting or stock is None or stock.far_node != node:
            return
        if not message.accepted:
            self._fail(message.assignment, f"the key management entity {node} did not accept the keys", box)
            return
        assignment.waiting.discard(message.relay)
        if not assignment.waiting:
            del self._assignments[message.assignment]
            self._hand_out(assignment, box)

    def _hand_out(self, assignment: _Assignment, box: Outbox) -> None:
        delivered = []
        for key_id in assignment.key_ids:
            if (key := self._keys.get(key_id)) is None:
                continue
            delivered.append(DeliveredKey(key_id, key.key))
            self._keys.change(key, KeyState.DELIVERED, box)
            box.wake(key.expires_s)
            for relay in assignment.relays:
                if (stock := self._stocks.get(relay)) is not None:
                    stock.delivered_bit += key.size_bit
            box.note(entry(LedgerKind.KEY, key, box, sent=True, sae=key.master))
        box.deliver(assignment.request, tuple(delivered))

    def _fail(self, number: int, why: str, box: Outbox) -> None:
        assignment = self._assignments.pop(number)
        for key_id in assignment.key_ids:
            if (key := self._keys.get(key_id)) is not None:
                self._void(key, box)
        for relay in assignment.relays:
            self._tell_void(relay, assignment.key_ids, box)
        bucket: TokenBucket | None = self._applications.bucket(assignment.application)
        if bucket is not None:
            bucket.give_back(assignment.cost_bit)
        box.refuse(assignment.request, 503, why)

    def _void(self, key: KeyRecord, box: Outbox) -> None:
        self._keys.change(key, KeyState.VOID, box)
        box.note(entry(LedgerKind.VOID, key, box))

    def _tell_void(self, relay: str, key_ids: tuple[str, ...], box: Outbox) -> None:
        stock = self._stocks.get(relay)
        if stock is not None and key_ids:
            box.send(stock.far_node, KeyVoid(relay, key_ids))

    def connect(self, stock: RelayStock, box: Outbox) -> None:
        """Repeat what the far end must erase, and what its slaves have fetched: it may run on an old copy."""
        self._tell_void(stock.relay, tuple(self._keys.void(stock.relay)), box)
        for slave, key_ids in self._keys.fetched(stock.relay).items():
            box.send(stock.far_node, KeyFetched(stock.relay, slave, tuple(key_ids)))

    def disconnect(self, node: str, box: Outbox) -> None:
        """Answer what waits for a node that is gone: it may have bound the keys or not, so they are void."""
        for number, assignment in list(self._assignments.items()):
            for relay in assignment.waiting:
                stock = self._stocks.get(relay)
                if stock is None or stock.far_node == node:
                    self._fail(number, f"the connection to the key management entity {node} ended", box)
                    break

    def on_voided(self, node: str, message: KeyVoided, box: Outbox) -> None:
        """Forget void keys that every far end has erased."""
        stock = self._stocks.get(message.relay)
        if stock is None or stock.far_node != node:
            return
        for key_id in message.key_ids:
            key = self._keys.get(key_id)
            if key is not None and key.state is KeyState.VOID:
                self._keys.voided(key, message.relay, box)

    # ------------------------------------------------------------ status, time, restart

    def status(self, master: str, slave: str, now_s: float) -> KeyStatus | None:
        """Return the figures of 014's `status`: what `enc_keys` would find now."""
        legs = self._applications.legs(master, (slave,))
        if not legs:
            return None
        association = legs[0].association
        size_bit = association.key_size_bit
        stock = self._stock(association)
        available_bit = stock.available_bit if stock is not None else 0
        high_bit = stock.hop.stock_high_bit if stock is not None and stock.hop is not None else 0
        stored_bit, most_bit = available_bit, max(high_bit, available_bit)
        per_request = association.keys_per_request_max
        if (bucket := self._applications.bucket(association.application)) is not None:
            stored_bit = min(stored_bit, bucket.level(now_s))
            most_bit = min(most_bit, bucket.depth_bit)
            per_request = min(per_request, bucket.depth_bit // size_bit)
        return KeyStatus(
            source_kme=self._node,
            target_kme=association.remote_node,
            master=master,
            slave=slave,
            key_size_bit=size_bit,
            stored_key_count=stored_bit // size_bit if stock is not None and self._reaches(stock) else 0,
            max_key_count=most_bit // size_bit,
            max_key_per_request=per_request,
            max_key_size_bit=association.key_size_max_bit,
            min_key_size_bit=association.key_size_min_bit,
            max_sae_id_count=self._applications.slaves_beside(master, slave),
        )

    def expire(self, box: Outbox) -> None:
        """Give up assignments that are not answered, erase keys whose time has ended."""
        for number, assignment in list(self._assignments.items()):
            if box.now_s >= assignment.due_s:
                self._fail(number, "the other key management entity did not answer in time", box)
            else:
                box.wake(assignment.due_s)
        self._keys.expire(box)

    def restore(self, record: Record, box: Outbox) -> None:
        """Take up one persisted key. One that was being assigned is void: nobody waits for it any more."""
        key = self._keys.restore(record)
        if key.state is KeyState.ASSIGNING:
            self._void(key, box)


def _bound(association: Association) -> str:
    rate = association.max_bandwidth_bit_per_s
    return f"application {association.application} is bound to max_bandwidth {rate} bit/s here"
