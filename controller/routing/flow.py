"""Unit flows of least cost on small directed graphs: what disjoint routes rest on."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V", bound=Hashable)


class Flow(Generic[V]):
    """A directed graph with capacities and costs, and the flow that was sent over it.

    >>> flow = Flow[str]()
    >>> for tail, head in ("sa", "sb", "at", "bt", "ab"):
    ...     _ = flow.add(tail, head, 1, 1)
    >>> flow.send("s", "t", 3), flow.cost
    (2, 4)
    """

    def __init__(self) -> None:
        self.cost = 0
        self._number: dict[V, int] = {}
        self._out: list[list[int]] = []
        self._head: list[int] = []
        self._left: list[int] = []
        self._cost: list[int] = []

    def add(self, tail: V, head: V, capacity: int, cost: int) -> int:
        """Add an arc of that capacity and cost per unit (both >= 0), and return its number."""
        arc = len(self._head)
        start, end = self._vertex(tail), self._vertex(head)
        for vertex, target, left, price in ((start, end, capacity, cost), (end, start, 0, -cost)):
            self._out[vertex].append(len(self._head))
            self._head.append(target)
            self._left.append(left)
            self._cost.append(price)
        return arc

    def _vertex(self, name: V) -> int:
        number = self._number.setdefault(name, len(self._out))
        if number == len(self._out):
            self._out.append([])
        return number

    def send(self, source: V, sink: V, most: int) -> int:
        """Send up to that many units, each amount at least cost, and return how many went.

        Successive cheapest augmenting paths (Bellman-Ford with a queue). Cost: O(most x vertices x arcs) at
        worst, in practice near O(most x arcs).
        """
        start, end = self._vertex(source), self._vertex(sink)
        sent = 0
        while sent < most and self._augment(start, end):
            sent += 1
        return sent

    def _augment(self, start: int, end: int) -> bool:
        far = 2**62
        distance = [far] * len(self._out)
        distance[start] = 0
        by = [-1] * len(self._out)
        queue, waiting = deque([start]), [False] * len(self._out)
        while queue:
            vertex = queue.popleft()
            waiting[vertex] = False
            for arc in self._out[vertex]:
                head, longer = self._head[arc], distance[vertex] + self._cost[arc]
                if self._left[arc] and longer < distance[head]:
                    distance[head], by[head] = longer, arc
                    if not waiting[head]:
                        waiting[head] = True
                        queue.append(head)
        if distance[end] == far:
            return False
        vertex = end
        while vertex != start:
            arc = by[vertex]
            self._left[arc] -= 1
            self._left[arc ^ 1] += 1
            vertex = self._head[arc ^ 1]
        self.cost += distance[end]
        return True

    def used(self, arc: int) -> int:
        """Return how much flows over an arc."""
        return self._left[arc ^ 1]

    def reachable(self, source: V) -> set[V]:
        """Return where one more unit could still go: the near side of a least cut, once `send` was refused."""
        start = self._vertex(source)
        seen, queue = {start}, [start]
        while queue:
            for arc in self._out[queue.pop()]:
                if self._left[arc] and self._head[arc] not in seen:
                    seen.add(self._head[arc])
                    queue.append(self._head[arc])
        return {name for name, number in self._number.items() if number in seen}
