"""What is still possible from each node on to the goal: bounds of one figure alone, exact by Dijkstra's method."""

import heapq
import math

from controller.routing.entanglement.ground import Ground


def widest_to_goal(ground: Ground) -> tuple[float, ...]:
    """Return the largest rate_hz that all hops of some rest from each node have; infinite at the goal."""
    widest = [-math.inf] * len(ground.passable)
    widest[ground.goal] = math.inf
    queue = [(-math.inf, ground.goal)]
    while queue:
        negative, node = heapq.heappop(queue)
        if -negative < widest[node] or node == ground.start:
            continue
        for link, far in ground.back_ways(node):
            through = min(-negative, max(choice.rate_hz for choice in ground.choices[link]))
            if through > widest[far]:
                widest[far] = through
                heapq.heappush(queue, (-through, far))
    return tuple(widest)
