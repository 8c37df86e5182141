"""Requests on entanglement paths: searched beside the writer, which then only has to see that what was found holds."""

from dataclasses import replace
from typing import Final

from controller.northbound.route_search import RouteSearch
from controller.service.desk import Desk
from controller.service.proposals import Outdated
from controller.service.requests import Request, Result

_SEARCHES: Final = 4
"""How often a request is searched anew because the network changed meanwhile, before the writer searches itself."""


class ProposingDesk:
    """A desk for requests that may need a search for pairs."""

    def __init__(self, desk: Desk, search: RouteSearch) -> None:
        self._desk = desk
        self._search = search

    async def submit(self, request: Request) -> Result:
        """Have the writer decide, with a route at hand where it needs one; return when the decision is durable.

        Raises:
            Refusal: The writer's answer is no, or too many searches or requests wait already.
        """
        for _ in range(_SEARCHES):
            published = self._desk.published
            if (request.caller, request.request_id) in published.snapshot.requests:
                break  # a repeat: what it made is known
            proposal = await self._search.proposal(published, request)
            try:
                return await self._desk.submit(replace(request, proposal=proposal))
            except Outdated:
                continue
        return await self._desk.submit(request)
