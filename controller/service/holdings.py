"""Which services concern a node or a link, and what all hold: kept up to date one by one, never recounted."""

from collections.abc import Collection, Iterable, Mapping

from controller.domain.capacity import service_charges
from controller.domain.service import Service, ServiceState
from controller.service.lifecycle import waits_for_room


class Holdings:
    """An index of the services of the working snapshot. Keys come in the order in which they were first put in."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._reserved: dict[str, int] = {}
        self._on_link: dict[str, dict[str, None]] = {}
        self._at_node: dict[str, dict[str, None]] = {}
        self._timed: dict[str, None] = {}
        self._mortal: dict[str, None] = {}
        self._waiting: dict[str, None] = {}
        self._room: dict[str, int] = {}
        for service in services:
            self.replaced(None, service)

    def replaced(self, before: Service | None, after: Service | None) -> Collection[str]:
        """Take in that one version of a service stands for another; return of what it holds more or less."""
        old = service_charges(before) if before else {}
        new = service_charges(after) if after else {}
        changed = {resource for resource, _ in old.items() ^ new.items()}
        for resource in changed:
            amount = self._reserved.get(resource, 0) + new.get(resource, 0) - old.get(resource, 0)
            if amount:
                self._reserved[resource] = amount
            else:
                self._reserved.pop(resource, None)
        key = (before or after).key  # type: ignore[union-attr]
        _reindex(self._on_link, key, before.told_links() if before else (), after.told_links() if after else ())
        _reindex(self._at_node, key, _nodes(before), _nodes(after))
        if after and not after.removed and _times(after) != (None,) * 4:
            self._timed[key] = None
        else:
            self._timed.pop(key, None)
        if after and waits_for_better(after):
            self._waiting[key] = None
        else:
            self._waiting.pop(key, None)
        if after and waits_for_room(after):
            self._room[key] = after.demand.priority
        else:
            self._room.pop(key, None)
        if after and not after.removed and after.expires_at_ms is not None:
            self._mortal[key] = None
        else:
            self._mortal.pop(key, None)
        return changed

    @property
    def reserved(self) -> Mapping[str, int]:
        """Return what is reserved of each resource; those of which nothing is are left out. A view: copy to keep it."""
        return self._reserved

    def on_link(self, link: str) -> list[str]:
        """Return the services whose routes use a link: wanted, retiring or backup."""
        return list(self._on_link.get(link, ()))

    def at_node(self, node: str) -> list[str]:
        """Return the services that end at a node, pass it, or still hold something there."""
        return list(self._at_node.get(node, ()))

    def timed(self) -> list[str]:
        """Return the services that wait for a time to come."""
        return list(self._timed)

    def waiting(self) -> list[str]:
        """Return the services that would be better off in a better network."""
        return list(self._waiting)

    def room_is_kept_from(self, priority: int) -> bool:
        """Tell whether a service of higher priority waits for room that it made: what is released is meant for it."""
        return any(higher > priority for higher in self._room.values())

    def mortal(self) -> list[str]:
        """Return the services with a lifetime."""
        return list(self._mortal)


def waits_for_better(service: Service) -> bool:
    """Tell whether a service waits for a route, for a detour, for a backup, or for links that give all it promises."""
    if service.removed or not service.admin_enabled:
        return False
    if service.plan is not None and service.state is ServiceState.DEGRADED:
        return True
    return not service.routes or service.riding or (service.demand.protected and service.backup is None)


def _times(service: Service) -> tuple[int | None, ...]:
    return service.expires_at_ms, service.move_at_ms, service.install_by_ms, service.revert_at_ms


def _nodes(service: Service | None) -> set[str]:
    if service is None:
        return set()
    held = {node for releasing in service.releasing for node in releasing.nodes}
    return {service.demand.source, service.demand.target} | service.told_nodes() | held


def _reindex(index: dict[str, dict[str, None]], key: str, before: Collection[str], after: Collection[str]) -> None:
    if before == after:
        return
    for place in before:
        if place not in after:
            keys = index[place]
            del keys[key]
            if not keys:
                del index[place]
    for place in after:
        index.setdefault(place, {})[key] = None
