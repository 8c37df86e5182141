"""PlacementService: searches better placements of what runs, keeps them, and has them carried out."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from controller.domain.placement import (
    MOST_AT_ONCE,
    MOST_MOVES,
    Placement,
    PlacementAim,
    PlacementState,
    PlannedMoveState,
)
from controller.domain.refusals import InvalidValue, NotFound
from controller.northbound.asking import Context, caller_of, changed, found, id_in
from controller.northbound.listing import page_of
from controller.northbound.placement_search import PlacementSearch
from controller.northbound.watch import watch
from controller.service.desk import Desk
from controller.service.placement_question import Answer, Progress
from controller.service.requests import CancelPlacement, CarryOutPlacement, StorePlacement
from controller.wire.northbound_placement import figures_to_pb, placement_to_pb
from controller.wire.northbound_values import Mistakes, bit_per_s
from qinet.northbound.v1 import placement_service_pb2 as pb
from qinet.northbound.v1 import placement_service_pb2_grpc as rpc

_SEARCH_S: Final = 60.0
_SEARCH_NS: Final = (10**9, 600 * 10**9)
_AT_ONCE: Final = 4
_AIMS: Final = {
    pb.PLACEMENT_AIM_UNSPECIFIED: PlacementAim.KEY,
    pb.PLACEMENT_AIM_KEY: PlacementAim.KEY,
    pb.PLACEMENT_AIM_SPREAD: PlacementAim.SPREAD,
}


class PlacementService(rpc.PlacementServiceServicer):
    """Refusals are raised; the guard makes statuses of them."""

    def __init__(self, desk: Desk, *, heartbeat_s: float) -> None:
        self._desk = desk
        self._search = PlacementSearch()
        self._heartbeat_s = heartbeat_s

    async def ProposePlacement(
        self, request: pb.ProposePlacementRequest, context: Context
    ) -> AsyncIterator[pb.ProposePlacementResponse]:
        """Search a better placement, and store what is found."""
        mistakes = Mistakes()
        if request.max_moves > MOST_MOVES:
            mistakes.add("max_moves", f"{request.max_moves} is above {MOST_MOVES}")
        if request.aim not in _AIMS:
            mistakes.add("aim", f"{request.aim} is no PlacementAim")
        within_s = _SEARCH_S
        if request.HasField("search_time"):
            nanoseconds = mistakes.duration_ns(request.search_time, "search_time")
            if not _SEARCH_NS[0] <= nanoseconds <= _SEARCH_NS[1]:
                mistakes.add("search_time", f"{nanoseconds / 1e9:g} s is not in [1 s, 10 min]")
            within_s = nanoseconds / 1e9
        mistakes.settle()
        published = self._desk.published
        searching = self._search.search(
            published.snapshot,
            aim=_AIMS[request.aim],
            most_moves=request.max_moves or MOST_MOVES,
            within_s=within_s,
        )
        async with aclosing(searching) as messages:
            async for message in messages:
                if isinstance(message, Progress):
                    yield _progress(message)
                    continue
                placement = _placement(message, published.snapshot.revision)
                if not placement.moves:
                    yield _nothing(placement)
                else:
                    asked = StorePlacement(placement=placement, caller=caller_of(context))
                    stored = (await changed(self._desk, asked)).document
                    assert isinstance(stored, Placement)
                    yield pb.ProposePlacementResponse(placement=placement_to_pb(stored))

    async def GetPlacement(self, request: pb.GetPlacementRequest, context: Context) -> pb.GetPlacementResponse:
        """Return a placement."""
        placement = found(self._desk.published, "placements", request.name)
        return pb.GetPlacementResponse(placement=placement_to_pb(placement))

    async def ListPlacements(self, request: pb.ListPlacementsRequest, context: Context) -> pb.ListPlacementsResponse:
        """List placements, the newest first."""
        placements = sorted(
            self._desk.published.snapshot.placements.values(), key=lambda one: _number(one.name), reverse=True
        )
        # Pages go by key: the newest has the smallest.
        keyed = {f"{2**63 - _number(placement.name):020}": placement for placement in placements}
        page = page_of(keyed, {}, page_size=request.page_size, page_token=request.page_token, filter_text="")
        return pb.ListPlacementsResponse(
            placements=[placement_to_pb(placement) for placement in page.items], next_page_token=page.next_token
        )

    async def CarryOutPlacement(
        self, request: pb.CarryOutPlacementRequest, context: Context
    ) -> pb.CarryOutPlacementResponse:
        """Make the moves of a placement."""
        if request.at_once > MOST_AT_ONCE:
            raise InvalidValue("", ("at_once", f"{request.at_once} is above {MOST_AT_ONCE}"))
        asked = CarryOutPlacement(
            placement=id_in("placements", request.name),
            at_once=request.at_once or _AT_ONCE,
            caller=caller_of(context),
        )
        result = await changed(self._desk, asked)
        assert isinstance(result.document, Placement)
        return pb.CarryOutPlacementResponse(placement=placement_to_pb(result.document), revision=result.revision)

    async def CancelPlacement(self, request: pb.CancelPlacementRequest, context: Context) -> pb.CancelPlacementResponse:
        """Give a placement up."""
        asked = CancelPlacement(placement=id_in("placements", request.name), caller=caller_of(context))
        result = await changed(self._desk, asked)
        assert isinstance(result.document, Placement)
        return pb.CancelPlacementResponse(placement=placement_to_pb(result.document), revision=result.revision)

    async def WatchPlacement(
        self, request: pb.WatchPlacementRequest, context: Context
    ) -> AsyncIterator[pb.WatchPlacementResponse]:
        """Tell a placement now and after each change, until nothing of it is under way any more."""
        name = id_in("placements", request.name)
        last = None
        async for note in watch(self._desk, 0, {"placements": "placements"}, heartbeat_s=self._heartbeat_s):
            snapshot = note.published.snapshot
            placement = snapshot.placements.get(name)
            if placement is None:
                raise NotFound(f"placements/{name}")
            if placement == last:
                continue
            last = placement
            yield pb.WatchPlacementResponse(placement=placement_to_pb(placement), revision=snapshot.revision)
            if _over(placement):
                return


def _over(placement: Placement) -> bool:
    ended = placement.state in (PlacementState.DONE, PlacementState.CANCELLED)
    return ended and not placement.moves_in(PlannedMoveState.MOVING)


def _number(name: str) -> int:
    return int(name.removeprefix("p-"))


def _progress(told: Progress) -> pb.ProposePlacementResponse:
    return pb.ProposePlacementResponse(
        progress=pb.SearchProgress(
            step=told.step,
            done=told.done,
            total=told.total,
            carried_bit_per_s=bit_per_s(told.carried_millibit_per_s),
            key_use_bit_per_s=bit_per_s(told.key_use_millibit_per_s),
        )
    )


def _nothing(placement: Placement) -> pb.ProposePlacementResponse:
    return pb.ProposePlacementResponse(
        nothing_better=pb.NothingBetter(
            figures=figures_to_pb(placement.before),
            key_use_bound_bit_per_s=bit_per_s(placement.key_use_bound_millibit_per_s),
            gap=placement.gap,
        )
    )


def _placement(answer: Answer, revision: int) -> Placement:
    return Placement(
        name="proposed",
        moves=answer.moves,
        before=answer.before,
        after=answer.after,
        key_use_bound_millibit_per_s=answer.key_use_bound_millibit_per_s,
        searched_revision=revision,
    )
