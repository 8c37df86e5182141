"""Keys for applications: `enc_keys` at the origin, its binding at the far end, `dec_keys` there.

A key's record is ASSIGNING (origin, waits for the far end), DELIVERED (origin, without key: so that its
master is told 401 and not 400 when it asks for it by id), VOID (origin, until the far end has erased it),
or BOUND (far end, waits for its slave).
"""

import uuid
from dataclasses import dataclass
from typing import Final, Protocol

from southbound.agent.keyplane.events import DeliveredKey, GetKeys, GetKeysById, KeyStatus, Record
from southbound.agent.keyplane.key_records import BOUND_KEPT, KeyRecord, KeyRecords, KeyState, entry
from southbound.agent.keyplane.ledger import LedgerKind
from southbound.agent.keyplane.messages import Assign, Assigned, KeyCut, KeyVoid, KeyVoided
from southbound.agent.keyplane.outbox import Outbox
from southbound.agent.keyplane.settings import Association
from southbound.agent.keyplane.stock import RelayStock

ASSIGN_TIMEOUT_S: Final = 5.0
ID_BYTES: Final = 16
NOT_A_MULTIPLE: Final = "size shall be a multiple of 8"
NOT_FOUND: Final = "one or more keys specified are not found on KME"


@dataclass(frozen=True, slots=True)
class _Assignment:
    request: int
    relay: str
    key_ids: tuple[str, ...]
    due_s: float


class Chance(Protocol):
    """The reservoir of random bytes."""

    def has(self, byte_count: int) -> bool:
        """Tell whether so many are there, and ask for more if not."""

    def take(self, byte_count: int) -> bytes:
        """Return bytes that are there; each is given once."""


class KeyDelivery:
    """Who may have which key, at one node."""

    def __init__(self, node: str, stocks: dict[str, RelayStock], chance: Chance, connected: set[str]) -> None:
        """Start empty; stocks (by relay) and connected nodes are shared with the plane, which keeps them true."""
        self._node = node
        self._stocks = stocks
        self._chance = chance
        self._connected = connected
        self._associations: tuple[Association, ...] = ()
        self._keys = KeyRecords()
        self._assignments: dict[int, _Assignment] = {}
        self._waiting: list[GetKeys] = []
        self._last_assignment = 0

    def configure(self, associations: tuple[Association, ...]) -> None:
        """Serve these associations from now on; keys already bound stay until fetched or too old."""
        self._associations = associations

    def _find(self, master: str, slave: str) -> Association | None:
        for association in self._associations:
            if master in association.local_saes and slave in association.remote_saes:
                return association
        return None

    def _stock(self, association: Association) -> RelayStock | None:
        stock = self._stocks.get(association.relay)
        return stock if stock is not None and stock.far_node == association.remote_node else None

    # ------------------------------------------------------------ enc_keys

    def get_keys(self, event: GetKeys, box: Outbox) -> None:
        """Refuse, or cut keys and bind them at the far end; the answer follows its answer."""
        association = self._find(event.master, event.slave)
        if association is None:
            box.refuse(
                event.request,
                503,
                f"no application connects master {event.master} with slave {event.slave} at {self._node}: create one",
            )
            return
        size_bit = association.key_size_bit if event.size_bit is None else event.size_bit
        if size_bit % 8:
            box.refuse(event.request, 400, NOT_A_MULTIPLE)
        elif not association.key_size_min_bit <= size_bit <= association.key_size_max_bit:
            bounds = f"{association.key_size_min_bit} to {association.key_size_max_bit}"
            box.refuse(event.request, 400, f"size {size_bit} is not in {bounds} bit")
        elif not 1 <= event.number <= association.keys_per_request_max:
            limit = association.keys_per_request_max
            box.refuse(event.request, 400, f"number {event.number} is not in 1 to {limit}")
        elif not self._chance.has(ID_BYTES * event.number):
            self._waiting.append(event)
        else:
            self._assign(event, association, size_bit, box)

    def _assign(self, event: GetKeys, association: Association, size_bit: int, box: Outbox) -> None:
        stock = self._stock(association)
        if stock is None:
            box.refuse(event.request, 503, f"key relay {association.relay} has no route at {self._node} now")
            return
        if not self._reaches(stock):
            box.refuse(event.request, 503, f"the key management entity {stock.far_node} is not connected")
            return
        if stock.available_bit < size_bit * event.number:
            have = stock.available_bit // size_bit
            box.refuse(event.request, 503, f"not enough key: {event.number} asked for, {have} of that size in stock")
            return
        cut_keys = []
        for _ in range(event.number):
            key_id = str(uuid.UUID(bytes=self._chance.take(ID_BYTES), version=4))
            key, cuts = stock.cut(size_bit, box, key_id)
            record = KeyRecord(
                key_id=key_id,
                state=KeyState.ASSIGNING,
                relay=association.relay,
                application=association.application,
                master=event.master,
                slaves=(event.slave,),
                expires_s=box.now_s + association.key_ttl_s,
                size_bit=size_bit,
                key=key,
            )
            self._keys.keep(record, box)
            cut_keys.append(KeyCut(key_id, cuts))
        self._last_assignment += 1
        due_s = box.now_s + ASSIGN_TIMEOUT_S
        ids = tuple(each.key_id for each in cut_keys)
        self._assignments[self._last_assignment] = _Assignment(event.request, association.relay, ids, due_s)
        box.wake(due_s)
        message = Assign(
            relay=association.relay,
            application=association.application,
            assignment=self._last_assignment,
            master=event.master,
            slaves=(event.slave,),
            keys=tuple(cut_keys),
        )
        box.send(stock.far_node, message)

    def _reaches(self, stock: RelayStock) -> bool:
        return stock.synchronised and stock.far_node in self._connected

    def entropy_came(self, box: Outbox) -> None:
        """Go on with requests that waited for random bytes."""
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self.get_keys(event, box)

    def on_assigned(self, node: str, message: Assigned, box: Outbox) -> None:
        """Hand out what the far end has bound."""
        assignment = self._assignments.get(message.assignment)
        stock = self._stocks.get(message.relay)
        if assignment is None or assignment.relay != message.relay or stock is None or stock.far_node != node:
            return
        if not message.accepted:
            self._fail(message.assignment, f"the key management entity {node} did not accept the keys", box)
            return
        del self._assignments[message.assignment]
        delivered = []
        for key_id in assignment.key_ids:
            if (key := self._keys.get(key_id)) is None:
                continue
            delivered.append(DeliveredKey(key_id, key.key))
            self._keys.change(key, KeyState.DELIVERED, box)
            box.wake(key.expires_s)
            stock.delivered_bit += key.size_bit
            box.note(entry(LedgerKind.KEY, key, box, sent=True))
        box.deliver(assignment.request, tuple(delivered))

    def _fail(self, number: int, why: str, box: Outbox) -> None:
        assignment = self._assignments.pop(number)
        for key_id in assignment.key_ids:
            if (key := self._keys.get(key_id)) is not None:
                self._void(key, box)
        self._tell_void(assignment.relay, assignment.key_ids, box)
        box.refuse(assignment.request, 503, why)

    def _void(self, key: KeyRecord, box: Outbox) -> None:
        self._keys.change(key, KeyState.VOID, box)
        box.note(entry(LedgerKind.VOID, key, box))

    def _tell_void(self, relay: str, key_ids: tuple[str, ...], box: Outbox) -> None:
        stock = self._stocks.get(relay)
        if stock is not None and key_ids:
            box.send(stock.far_node, KeyVoid(relay, key_ids))

    def connect(self, stock: RelayStock, box: Outbox) -> None:
        """Repeat what the far end must erase."""
        self._tell_void(stock.relay, tuple(self._keys.void(stock.relay)), box)

    def disconnect(self, node: str, box: Outbox) -> None:
        """Answer what waits for a node that is gone: it may have bound the keys or not, so they are void."""
        for number, assignment in list(self._assignments.items()):
            stock = self._stocks.get(assignment.relay)
            if stock is None or stock.far_node == node:
                self._fail(number, f"the connection to the key management entity {node} ended", box)

    def on_voided(self, node: str, message: KeyVoided, box: Outbox) -> None:
        """Forget void keys that the far end has erased."""
        stock = self._stocks.get(message.relay)
        if stock is None or stock.far_node != node:
            return
        for key_id in message.key_ids:
            key = self._keys.get(key_id)
            if key is not None and key.state is KeyState.VOID and key.relay == message.relay:
                self._keys.erase(key, box)

    # ------------------------------------------------------------ the far end

    def on_assign(self, node: str, message: Assign, box: Outbox) -> None:
        """Bind keys to the slaves here, durably, or refuse all of them."""
        stock = self._stocks.get(message.relay)
        association = self._bindable(node, message)
        accepted = association is not None and stock is not None
        if association is not None and stock is not None:
            for each in message.keys:
                key = stock.take_cuts(each.cuts, box, each.key_id)
                record = KeyRecord(
                    key_id=each.key_id,
                    state=KeyState.BOUND,
                    relay=message.relay,
                    application=message.application,
                    master=message.master,
                    slaves=message.slaves,
                    expires_s=box.now_s + association.key_ttl_s,
                    size_bit=8 * len(key),
                    key=key,
                )
                self._keys.keep(record, box)
                box.wake(record.expires_s)
        box.send(node, Assigned(message.relay, message.assignment, accepted))

    def _bindable(self, node: str, message: Assign) -> Association | None:
        """Return the association that an Assign is for, or None if any part of it is not in order."""
        stock = self._stocks.get(message.relay)
        if stock is None or stock.far_node != node or not message.keys or not message.slaves:
            return None
        ids = {each.key_id for each in message.keys}
        cuts = tuple(cut for each in message.keys for cut in each.cuts)
        if not all(each.cuts for each in message.keys):
            return None
        if self._keys.bound_count(message.application) + len(message.keys) > BOUND_KEPT:
            return None
        if len(ids) != len(message.keys) or self._keys.knows_any(ids) or not stock.holds(cuts):
            return None
        for association in self._associations:
            if association.application == message.application and association.relay == message.relay:
                known = message.master in association.remote_saes and set(message.slaves) <= set(association.local_saes)
                return association if known else None
        return None

    def on_void(self, node: str, message: KeyVoid, box: Outbox) -> None:
        """Erase keys that the origin never handed out."""
        stock = self._stocks.get(message.relay)
        if stock is None or stock.far_node != node:
            return
        for key_id in message.key_ids:
            key = self._keys.get(key_id)
            if key is not None and key.state is KeyState.BOUND and key.relay == message.relay:
                box.note(entry(LedgerKind.VOID, key, box))
                self._keys.erase(key, box)
        box.send(node, KeyVoided(message.relay, message.key_ids))

    def get_keys_by_id(self, event: GetKeysById, box: Outbox) -> None:
        """Hand out bound keys, once, or refuse the whole request and change nothing."""
        keys = [self._keys.get(key_id) for key_id in event.key_ids]
        known = [key for key in keys if key is not None and key.state in {KeyState.BOUND, KeyState.DELIVERED}]
        fresh = [key for key in known if key.expires_s > box.now_s]
        if not fresh or len(fresh) != len(keys) or len(set(event.key_ids)) != len(keys):
            box.refuse(event.request, 400, NOT_FOUND)
        elif any(event.slave not in key.slaves for key in fresh):
            box.refuse(event.request, 401)
        elif any(key.state is not KeyState.BOUND or key.master != event.master for key in fresh):
            box.refuse(event.request, 400, NOT_FOUND)
        else:
            delivered = tuple(DeliveredKey(key.key_id, key.key) for key in fresh)
            for key in fresh:
                if (stock := self._stocks.get(key.relay)) is not None:
                    stock.delivered_bit += key.size_bit
                box.note(entry(LedgerKind.KEY, key, box))
                self._keys.erase(key, box)
            box.deliver(event.request, delivered)

    # ------------------------------------------------------------ status, time, restart

    def status(self, master: str, slave: str) -> KeyStatus | None:
        """Return the figures of 014's `status`: what `enc_keys` would find now."""
        association = self._find(master, slave)
        if association is None:
            return None
        stock = self._stock(association)
        available_bit = stock.available_bit if stock is not None else 0
        high_bit = stock.hop.stock_high_bit if stock is not None and stock.hop is not None else 0
        count = available_bit // association.key_size_bit
        return KeyStatus(
            source_kme=self._node,
            target_kme=association.remote_node,
            master=master,
            slave=slave,
            key_size_bit=association.key_size_bit,
            stored_key_count=count if stock is not None and self._reaches(stock) else 0,
            max_key_count=max(high_bit, available_bit) // association.key_size_bit,
            max_key_per_request=association.keys_per_request_max,
            max_key_size_bit=association.key_size_max_bit,
            min_key_size_bit=association.key_size_min_bit,
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
