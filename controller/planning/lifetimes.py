"""How long what a node is told shall last: entries of a service with a lifetime end by themselves."""

from collections.abc import Iterable, Mapping

from controller.domain.snapshot import Snapshot
from controller.planning.compile import owner_of


def seconds_left(snapshot: Snapshot, desired: Iterable[Mapping[str, bytes] | None], service_ms: int) -> dict[str, int]:
    """Return the seconds of life left, rounded up, by id of those entries whose service has a lifetime.

    Args:
        snapshot: With the services.
        desired: The configurations of some nodes, content by entry id.
        service_ms: Now, in service time.
    """
    ends = {name: relay.expires_at_ms for name, relay in snapshot.relays.items() if relay.expires_at_ms is not None}
    left: dict[str, int] = {}
    if not ends:
        return left
    for entries in desired:
        for entry_id in entries or ():
            collection, name = owner_of(entry_id)
            if collection == "relays" and name in ends:
                left[entry_id] = max(0, -((service_ms - ends[name]) // 1000))
    return left
