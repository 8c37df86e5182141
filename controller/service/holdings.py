"""Which relays concern a node or a link, and what all hold: kept up to date relay by relay, never recounted."""

from collections.abc import Collection, Iterable, Mapping

from controller.domain.capacity import relay_charges
from controller.domain.key_relay import KeyRelay
from controller.service.lifecycle import waits_for_room


class Holdings:
    """An index of the relays of the working snapshot. Names come in the order in which they were first put in."""

    def __init__(self, relays: Iterable[KeyRelay]) -> None:
        self._reserved: dict[str, int] = {}
        self._on_link: dict[str, dict[str, None]] = {}
        self._at_node: dict[str, dict[str, None]] = {}
        self._timed: dict[str, None] = {}
        self._mortal: dict[str, None] = {}
        self._waiting: dict[str, None] = {}
        self._room: dict[str, int] = {}
        for relay in relays:
            self.replaced(None, relay)

    def replaced(self, before: KeyRelay | None, after: KeyRelay | None) -> Collection[str]:
        """Take in that one version of a relay stands for another; return the links on which it holds more or less."""
        old = relay_charges(before) if before else {}
        new = relay_charges(after) if after else {}
        changed = {link for link, _ in old.items() ^ new.items()}
        for link in changed:
            amount = self._reserved.get(link, 0) + new.get(link, 0) - old.get(link, 0)
            if amount:
                self._reserved[link] = amount
            else:
                self._reserved.pop(link, None)
        name = (before or after).name  # type: ignore[union-attr]
        _reindex(self._on_link, name, before.told_links() if before else (), after.told_links() if after else ())
        _reindex(self._at_node, name, _nodes(before), _nodes(after))
        if after and not after.removed and _times(after) != (None,) * 4:
            self._timed[name] = None
        else:
            self._timed.pop(name, None)
        if after and waits_for_better(after):
            self._waiting[name] = None
        else:
            self._waiting.pop(name, None)
        if after and waits_for_room(after):
            self._room[name] = after.demand.priority
        else:
            self._room.pop(name, None)
        if after and not after.removed and after.expires_at_ms is not None:
            self._mortal[name] = None
        else:
            self._mortal.pop(name, None)
        return changed

    @property
    def reserved(self) -> Mapping[str, int]:
        """Return what is reserved on each link in millibit/s; links without are left out. A view: copy to keep it."""
        return self._reserved

    def on_link(self, link: str) -> list[str]:
        """Return the relays whose routes use a link: wanted, retiring or backup."""
        return list(self._on_link.get(link, ()))

    def at_node(self, node: str) -> list[str]:
        """Return the relays that end at a node, pass it, or still hold something there."""
        return list(self._at_node.get(node, ()))

    def timed(self) -> list[str]:
        """Return the relays that wait for a time to come."""
        return list(self._timed)

    def waiting(self) -> list[str]:
        """Return the relays that would be better off in a better network."""
        return list(self._waiting)

    def room_is_kept_from(self, priority: int) -> bool:
        """Tell whether a relay of higher priority waits for room that it made: what is released is meant for it."""
        return any(higher > priority for higher in self._room.values())

    def mortal(self) -> list[str]:
        """Return the relays with a lifetime."""
        return list(self._mortal)


def waits_for_better(relay: KeyRelay) -> bool:
    """Tell whether a relay waits for a route, for a detour, or for a backup."""
    if relay.removed or not relay.admin_enabled:
        return False
    return not relay.routes or relay.riding or (relay.demand.protected and relay.backup is None)


def _times(relay: KeyRelay) -> tuple[int | None, ...]:
    return relay.expires_at_ms, relay.move_at_ms, relay.install_by_ms, relay.revert_at_ms


def _nodes(relay: KeyRelay | None) -> set[str]:
    if relay is None:
        return set()
    held = {node for releasing in relay.releasing for node in releasing.nodes}
    return {relay.demand.source, relay.demand.target} | relay.told_nodes() | held


def _reindex(index: dict[str, dict[str, None]], name: str, before: Collection[str], after: Collection[str]) -> None:
    if before == after:
        return
    for key in before:
        if key not in after:
            names = index[key]
            del names[name]
            if not names:
                del index[key]
    for key in after:
        index.setdefault(key, {})[name] = None
