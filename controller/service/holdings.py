"""Which relays concern a node or a link, and what all hold: kept up to date relay by relay, never recounted."""

from collections.abc import Collection, Iterable, Mapping

from controller.domain.capacity import relay_charges
from controller.domain.key_relay import KeyRelay


class Holdings:
    """An index of the relays of the working snapshot. Names come in the order in which they were first put in."""

    def __init__(self, relays: Iterable[KeyRelay]) -> None:
        self._reserved: dict[str, int] = {}
        self._on_link: dict[str, dict[str, None]] = {}
        self._at_node: dict[str, dict[str, None]] = {}
        self._timed: dict[str, None] = {}
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
        _reindex(self._on_link, name, before.links() if before else (), after.links() if after else ())
        _reindex(self._at_node, name, _nodes(before), _nodes(after))
        if after and not after.removed and (after.expires_at_ms, after.move_at_ms, after.install_by_ms) != (None,) * 3:
            self._timed[name] = None
        else:
            self._timed.pop(name, None)
        return changed

    @property
    def reserved(self) -> Mapping[str, int]:
        """Return what is reserved on each link in millibit/s; links without are left out. A view: copy to keep it."""
        return self._reserved

    def on_link(self, link: str) -> list[str]:
        """Return the relays whose routes use a link."""
        return list(self._on_link.get(link, ()))

    def at_node(self, node: str) -> list[str]:
        """Return the relays that end at a node, pass it, or still hold something there."""
        return list(self._at_node.get(node, ()))

    def timed(self) -> list[str]:
        """Return the relays that wait for a time to come."""
        return list(self._timed)


def _nodes(relay: KeyRelay | None) -> set[str]:
    if relay is None:
        return set()
    held = {node for releasing in relay.releasing for node in releasing.nodes}
    return {relay.demand.source, relay.demand.target} | relay.nodes() | held


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
