"""When services end by themselves: after their lifetime, or where a path's first pair does not come by its deadline.

Both are counted in service time, milliseconds, from when the service was created or was given other limits.
"""

from controller.domain.entanglement_path import PairDemand
from controller.domain.service import Service, ServiceDemand


def first_end_ms(demand: ServiceDemand, now_ms: int) -> int | None:
    """Return when a service that begins now is ended first: by its lifetime, or by a deadline for its first pair."""
    limits = (demand.lifetime_s, demand.deadline_s if isinstance(demand, PairDemand) else None)
    return min((now_ms + 1000 * limit for limit in limits if limit is not None), default=None)


def deadline_runs(service: Service) -> bool:
    """Tell whether it is the deadline for its first pair that ends a service next, and not its lifetime."""
    demand = service.demand
    if not isinstance(demand, PairDemand) or demand.deadline_s is None or service.ever_active:
        return False
    return demand.lifetime_s is None or demand.deadline_s < demand.lifetime_s


def lifetime_ends_ms(service: Service) -> int | None:
    """Return when the lifetime of a service ends, whatever deadline comes before; None means never."""
    demand = service.demand
    if service.expires_at_ms is None or not deadline_runs(service):
        return service.expires_at_ms
    assert isinstance(demand, PairDemand)
    assert demand.deadline_s is not None
    if demand.lifetime_s is None:
        return None
    return service.expires_at_ms + 1000 * (demand.lifetime_s - demand.deadline_s)
