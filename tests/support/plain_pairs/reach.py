"""What is still possible from each node on to the goal, of one figure alone: exact by Dijkstra's method."""

import heapq
import math
from collections.abc import Callable

from tests.support.plain_pairs.ground import Ground


def widest_to_goal(ground: Ground, of_link: Callable[[int], float]) -> tuple[float, ...]:
    """Return the largest figure that all hops of some rest from each node have; infinite at the goal."""
    widest = [-math.inf] * len(ground.passable)
    widest[ground.goal] = math.inf
    queue = [(-math.inf, ground.goal)]
    while queue:
        negative, node = heapq.heappop(queue)
        if -negative < widest[node] or node == ground.start:
            continue
        for link, far in ground.ways(node):
            through = min(-negative, of_link(link))
            if through > widest[far]:
                widest[far] = through
                heapq.heappush(queue, (-through, far))
    return tuple(widest)


def fastest_rate_hz(ground: Ground, link: int) -> float:
    """Return the largest rate_hz of a link's choices."""
    return max(choice.rate_hz for choice in ground.choices(link))
