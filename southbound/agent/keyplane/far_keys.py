"""The far end of a key: binds what an origin assigns to the slaves here, and hands it out by id, once to each."""

from southbound.agent.keyplane.applications import Applications
from southbound.agent.keyplane.events import AlarmKind, DeliveredKey, GetKeysById
from southbound.agent.keyplane.key_records import BOUND_KEPT, KeyRecord, KeyRecords, KeyState, entry
from southbound.agent.keyplane.ledger import LedgerKind
from southbound.agent.keyplane.messages import Assign, Assigned, KeyCut, KeyFetched, KeyVoid, KeyVoided
from southbound.agent.keyplane.outbox import Outbox
from southbound.agent.keyplane.settings import Association
from southbound.agent.keyplane.stock import RelayStock
from southbound.agent.keyplane.wrapping import WRAP_TAG_BIT, unwrap

NOT_FOUND = "one or more keys specified are not found on KME"


class FarKeys:
    """Keys whose slaves are at this node."""

    def __init__(self, stocks: dict[str, RelayStock], applications: Applications, keys: KeyRecords) -> None:
        """Share stocks, applications and records with the origin's half of delivery."""
        self._stocks = stocks
        self._applications = applications
        self._keys = keys

    def on_assign(self, node: str, message: Assign, box: Outbox) -> None:
        """Bind keys to the slaves here, durably, or refuse all of them."""
        stock = self._stocks.get(message.relay)
        association = self._bindable(node, message)
        accepted = stock is not None and association is not None and self._bind(stock, association, message, box)
        box.send(node, Assigned(message.relay, message.assignment, accepted))

    def _bindable(self, node: str, message: Assign) -> Association | None:
        """Return the association that an Assign is for, or None if any part of it is not in order."""
        stock = self._stocks.get(message.relay)
        if stock is None or stock.far_node != node or not message.keys or not message.slaves:
            return None
        ids = {each.key_id for each in message.keys}
        cuts = tuple(cut for each in message.keys for cut in each.cuts)
        if not all(_in_order(each) for each in message.keys):
            return None
        if self._keys.bound_count(message.application) + len(message.keys) > BOUND_KEPT:
            return None
        if len(ids) != len(message.keys) or self._keys.knows_any(ids) or not stock.holds(cuts):
            return None
        association = self._applications.with_relay(message.application, message.relay)
        if association is None or message.master not in association.remote_saes:
            return None
        return association if set(message.slaves) <= set(association.local_saes) else None

    def _bind(self, stock: RelayStock, association: Association, message: Assign, box: Outbox) -> bool:
        records, faults = [], 0
        for each in message.keys:
            # What is named is used up, also where the tag turns out wrong: the origin never uses it again.
            stocked = stock.take_cuts(each.cuts, box, each.key_id)
            key: bytes | None = stocked
            if each.wrapped:
                key = unwrap(message.relay, each.key_id, each.wrapped, each.tag, stocked)
                faults += key is None
            records.append(
                KeyRecord(
                    key_id=each.key_id,
                    state=KeyState.BOUND,
                    relays=(message.relay,),
                    application=message.application,
                    master=message.master,
                    slaves=message.slaves,
                    expires_s=box.now_s + association.key_ttl_s,
                    size_bit=8 * len(key or b""),
                    key=key or b"",
                )
            )
        if faults:
            text = f"{faults} key(s) that {stock.far_node} wrapped came with a wrong tag, and were refused"
            box.alarm(AlarmKind.TAG_INVALID, f"keyRelays/{message.relay}", text)
            for record in records:
                box.note(entry(LedgerKind.VOID, record, box))
            return False
        for record in records:
            self._keys.keep(record, box)
            box.wake(record.expires_s)
        return True

    def on_void(self, node: str, message: KeyVoid, box: Outbox) -> None:
        """Erase keys that the origin never handed out."""
        stock = self._stocks.get(message.relay)
        if stock is None or stock.far_node != node:
            return
        for key_id in message.key_ids:
            key = self._keys.get(key_id)
            if key is not None and key.state is KeyState.BOUND and message.relay in key.relays:
                box.note(entry(LedgerKind.VOID, key, box))
                self._keys.erase(key, box)
        box.send(node, KeyVoided(message.relay, message.key_ids))

    def on_fetched(self, node: str, message: KeyFetched, box: Outbox) -> None:
        """Learn from the other end what a slave has: as origin remember it, as far end never give it again.

        A far end that hears of keys which it still holds for that slave runs on an old copy of its store.
        """
        stock = self._stocks.get(message.relay)
        if stock is None or stock.far_node != node:
            return
        for key_id in message.key_ids:
            key = self._keys.get(key_id)
            if key is None or message.relay not in key.relays or message.slave not in key.slaves:
                continue
            if key.state in {KeyState.BOUND, KeyState.DELIVERED}:
                self._keys.fetch(key, message.slave, box)

    def get_keys_by_id(self, event: GetKeysById, box: Outbox) -> None:
        """Hand out bound keys, once to each slave, or refuse the whole request and change nothing."""
        keys = [self._keys.get(key_id) for key_id in event.key_ids]
        known = [key for key in keys if key is not None and key.state in {KeyState.BOUND, KeyState.DELIVERED}]
        fresh = [key for key in known if key.expires_s > box.now_s]
        if not fresh or len(fresh) != len(keys) or len(set(event.key_ids)) != len(keys):
            box.refuse(event.request, 400, NOT_FOUND)
        elif any(event.slave not in key.slaves for key in fresh):
            box.refuse(event.request, 401)
        elif any(
            key.state is not KeyState.BOUND or key.master != event.master or event.slave in key.fetched for key in fresh
        ):
            box.refuse(event.request, 400, NOT_FOUND)
        else:
            self._hand_out(fresh, event, box)

    def _hand_out(self, keys: list[KeyRecord], event: GetKeysById, box: Outbox) -> None:
        delivered = tuple(DeliveredKey(key.key_id, key.key) for key in keys)
        told: dict[str, list[str]] = {}
        for key in keys:
            (relay,) = key.relays
            told.setdefault(relay, []).append(key.key_id)
            if (stock := self._stocks.get(relay)) is not None and not key.fetched:
                stock.delivered_bit += key.size_bit
            box.note(entry(LedgerKind.KEY, key, box, sae=event.slave))
            self._keys.fetch(key, event.slave, box)
        box.deliver(event.request, delivered)
        for relay, key_ids in told.items():
            if (stock := self._stocks.get(relay)) is not None:
                box.send(stock.far_node, KeyFetched(relay, event.slave, tuple(key_ids)))


def _in_order(key: KeyCut) -> bool:
    if not key.cuts:
        return False
    if not key.wrapped:
        return not key.tag
    return sum(cut.length_bit for cut in key.cuts) == 8 * len(key.wrapped) + WRAP_TAG_BIT
