"""EntanglementService: reserved; every call says so and names itself."""

from typing import Final

from controller.domain.refusals import NotServed
from controller.northbound.asking import Context
from qinet.northbound.v1 import entanglement_service_pb2 as pb
from qinet.northbound.v1 import entanglement_service_pb2_grpc as rpc

_SERVICE: Final = "qinet.northbound.v1.EntanglementService"


class EntanglementService(rpc.EntanglementServiceServicer):
    """Entanglement paths."""

    async def CreateEntanglementPath(
        self, request: pb.CreateEntanglementPathRequest, context: Context
    ) -> pb.CreateEntanglementPathResponse:
        """Not served."""
        raise NotServed(f"{_SERVICE}/CreateEntanglementPath")

    async def GetEntanglementPath(
        self, request: pb.GetEntanglementPathRequest, context: Context
    ) -> pb.GetEntanglementPathResponse:
        """Not served."""
        raise NotServed(f"{_SERVICE}/GetEntanglementPath")

    async def ListEntanglementPaths(
        self, request: pb.ListEntanglementPathsRequest, context: Context
    ) -> pb.ListEntanglementPathsResponse:
        """Not served."""
        raise NotServed(f"{_SERVICE}/ListEntanglementPaths")

    async def DeleteEntanglementPath(
        self, request: pb.DeleteEntanglementPathRequest, context: Context
    ) -> pb.DeleteEntanglementPathResponse:
        """Not served."""
        raise NotServed(f"{_SERVICE}/DeleteEntanglementPath")
