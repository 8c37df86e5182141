"""What runs on a network, what waits for room, and how well that uses it: what a better placement starts from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.net import Int64s, Net
from controller.routing.optimum.problem import Ground, Problem, Want


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that has one route, or none.

    Attributes:
        want: What it asks; always counts as whole, and each unit the same.
        priority: Larger is more important; >= 0.
        way: Its links from source to target; None while it is blocked.
        movable: It may be given another route, or its first one.
    """

    want: Want
    priority: int = 0
    way: tuple[int, ...] | None = None
    movable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """A network and its services.

    Attributes:
        capacities: What may be promised on each link in millibit/s; shape (n_links,).
        others: What of it is held by what is no service here; shape (n_links,).
        grounds: Where services may go.
        services: A link may be promised more than it has; then nothing is moved onto it.

    Raises:
        InvalidValue: A shape or a value is out of range; names the service and the field.
    """

    net: Net
    capacities: Int64s
    others: Int64s
    grounds: tuple[Ground, ...]
    services: tuple[Service, ...]

    def __post_init__(self) -> None:
        n_links = self.net.tails.size
        problems: list[tuple[str, str]] = []
        for field, amounts in (("capacities", self.capacities), ("others", self.others)):
            if amounts.shape != (n_links,) or amounts.dtype != np.int64:
                problems.append((field, f"are not {n_links} whole numbers"))
            elif n_links and amounts.min() < 0:
                problems.append((field, f"{int(amounts.min())} millibit/s is below 0"))
        for number, service in enumerate(self.services):
            if service.way is not None and not self._joins(service.want, service.way):
                problems.append(
                    (f"services[{number}].way", f"{service.way} does not lead from its source to its target")
                )
        if problems:
            raise InvalidValue("", *problems[:20])
        self.problem()

    def _joins(self, want: Want, way: tuple[int, ...]) -> bool:
        node = want.source
        for link in way:
            if not 0 <= link < self.net.tails.size:
                return False
            a, b = int(self.net.tails[link]), int(self.net.heads[link])
            if node not in (a, b):
                return False
            node = a + b - node
        return node == want.target and bool(way)

    def problem(self) -> Problem:
        """Return all services as demands that are whole, on the room that is not others'."""
        return Problem(
            net=self.net,
            rooms=self.capacities - self.others,
            wants=tuple(replace(service.want, whole=True, weight=1.0) for service in self.services),
            grounds=self.grounds,
        )

    def ways(self) -> list[tuple[int, ...] | None]:
        """Return the present way of each service."""
        return [service.way for service in self.services]


class Figures(NamedTuple):
    """How well a network is used by its services.

    Attributes:
        carried: The sum of their volumes in millibit/s.
        by_priority: (priority, the same of that and all higher ones), the highest first.
        blocked: Services without a way.
        fullest: Utilisation of the fullest link that has any capacity, others' share included; >= 0.
        key_use: What they take of all links together, millibit/s.
    """

    carried: int
    by_priority: tuple[tuple[int, int], ...]
    blocked: int
    fullest: float
    key_use: int


def figures(standing: Standing, ways: Sequence[tuple[int, ...] | None]) -> Figures:
    """Return the figures of a placement; ways by service."""
    volumes = [0 if way is None else service.want.volume for service, way in zip(standing.services, ways, strict=True)]
    priorities = sorted({service.priority for service in standing.services}, reverse=True)
    placed = list(zip(standing.services, volumes, strict=True))
    return Figures(
        carried=sum(volumes),
        by_priority=tuple(
            (priority, sum(volume for service, volume in placed if service.priority >= priority))
            for priority in priorities
        ),
        blocked=sum(way is None for way in ways),
        fullest=fullest(standing, held_by(standing, ways)),
        key_use=sum(volume * len(way or ()) for volume, way in zip(volumes, ways, strict=True)),
    )


def held_by(standing: Standing, ways: Iterable[tuple[int, ...] | None]) -> Int64s:
    """Return what is held of each link, others' share included; shape (n_links,)."""
    held = standing.others.copy()
    placed = [(service.want.volume, way) for service, way in zip(standing.services, ways, strict=True) if way]
    if placed:
        volumes = np.repeat([volume for volume, _ in placed], [len(way) for _, way in placed])
        np.add.at(held, [link for _, way in placed for link in way], volumes)
    return held


def fullest(standing: Standing, held: Int64s) -> float:
    """Return the utilisation of the fullest link that has any capacity; 0 without links."""
    there = standing.capacities > 0
    return float((held[there] / standing.capacities[there]).max(initial=0.0))
