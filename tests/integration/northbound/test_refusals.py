"""Every RPC, asked of a desk that refuses: each answers with the refusal's own code."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from controller.domain.refusals import Overloaded, Refusal
from controller.domain.snapshot import ElectionId, Snapshot
from controller.northbound.server import NorthboundSettings
from controller.northbound.status import code_of
from controller.service.desk import Desk
from controller.service.inbox import Inbox
from controller.service.published import Published
from controller.service.requests import Request, Result
from qinet.northbound.v1 import (
    application_pb2,
    application_service_pb2,
    entanglement_path_pb2,
    entanglement_service_pb2,
    key_relay_pb2,
    key_relay_service_pb2,
    link_pb2,
    operations_service_pb2,
    topology_service_pb2,
)
from tests.integration.northbound.world import Party, client, reason_of, serving
from tests.unit.northbound.test_status import REFUSALS

SERVICES: list[ServiceDescriptor] = [
    module.DESCRIPTOR.services_by_name[name]
    for module, name in (
        (topology_service_pb2, "TopologyService"),
        (key_relay_service_pb2, "KeyRelayService"),
        (application_service_pb2, "ApplicationService"),
        (operations_service_pb2, "OperationsService"),
        (entanglement_service_pb2, "EntanglementService"),
    )
]
METHODS: list[MethodDescriptor] = [method for service in SERVICES for method in service.methods]
RELAY = key_relay_pb2.KeyRelay(source="nodes/a", target="nodes/b", rate_bit_per_s=1)
PATH = entanglement_path_pb2.EntanglementPath(source="nodes/a", target="nodes/b", minimum_fidelity=0.8, rate_hz=1)
BODIES: dict[str, dict[str, object]] = {
    "CreateNode": {"node_id": "a"},
    "CreateLink": {
        "link_id": "l",
        "link": link_pb2.Link(ends=[link_pb2.LinkEnd(node="nodes/a"), link_pb2.LinkEnd(node="nodes/b")]),
    },
    "UpdateNode": {"node": {"name": "nodes/a"}},
    "UpdateLink": {"link": {"name": "links/a"}},
    "CreateKeyRelay": {"key_relay_id": "r", "key_relay": RELAY},
    "ComputeRoutes": {"key_relay": RELAY},
    "UpdateKeyRelay": {
        "key_relay": key_relay_pb2.KeyRelay(name="keyRelays/a"),
        "update_mask": FieldMask(paths=["priority"]),
    },
    "CreateEntanglementPath": {"entanglement_path_id": "p", "entanglement_path": PATH},
    "ComputeEntanglementRoute": {"entanglement_path": PATH},
    "UpdateEntanglementPath": {
        "entanglement_path": entanglement_path_pb2.EntanglementPath(name="entanglementPaths/a"),
        "update_mask": FieldMask(paths=["priority"]),
    },
    "RedeployEntanglementPath": {"name": "entanglementPaths/a"},
    "GetEntanglementPathHistory": {"name": "entanglementPaths/a"},
    "RedeployKeyRelay": {"name": "keyRelays/a"},
    "GetKeyRelayHistory": {"name": "keyRelays/a"},
    "UpdateApplication": {
        "application": application_pb2.Application(name="applications/a"),
        "update_mask": FieldMask(paths=["qos"]),
    },
    "Drain": {"name": "nodes/a"},
    "Freeze": {"frozen": True, "reason": "storm"},
    "WhatIf": {"failed": ["nodes/a"]},
    "CreateApplication": {
        "application_id": "x",
        "application": application_pb2.Application(server_sae="saes/a", client_saes=["saes/b"]),
    },
    "CreateSae": {"sae_id": "a", "sae": application_pb2.Sae(node="nodes/a")},
}
COLLECTIONS = {
    "Node": "nodes",
    "Link": "links",
    "KeyRelay": "keyRelays",
    "EntanglementPath": "entanglementPaths",
    "Application": "applications",
    "Sae": "saes",
}


def request_for(method: MethodDescriptor) -> Message:
    made = GetMessageClass(method.input_type)
    if method.name in BODIES:
        return made(**BODIES[method.name])
    for verb in ("Get", "Delete"):
        collection = COLLECTIONS.get(method.name.removeprefix(verb))
        if method.name.startswith(verb) and collection:
            return made(name=f"{collection}/a")
    return made()


class RefusingDesk(Desk):
    """Says no to everything, with whatever it is given."""

    def __init__(self, problem: Exception) -> None:
        super().__init__(Inbox(), Published(snapshot=Snapshot(), election=ElectionId(epoch=1, term=1)))
        self.problem = problem

    @property
    def published(self) -> Published:
        raise self.problem

    async def submit(self, request: Request) -> Result:
        raise self.problem


async def called(channel: grpc.aio.Channel, method: MethodDescriptor) -> grpc.aio.AioRpcError:
    path = f"/{method.containing_service.full_name}/{method.name}"
    answer = GetMessageClass(method.output_type)
    answering: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
    request = request_for(method)
    call = answering(path, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await (call(request).read() if method.server_streaming else call(request))
    return error.value


async def channel_to(party: Party, problem: Exception) -> AsyncIterator[grpc.aio.Channel]:
    settings = NorthboundSettings(address="127.0.0.1:0")
    async with serving(party, RefusingDesk(problem), settings) as port, client(party, port) as stubs:
        yield stubs.channel


@pytest.mark.parametrize(("refusal", "code"), REFUSALS, ids=lambda value: getattr(value, "reason", ""))
async def test_every_rpc_answers_with_the_code_of_the_refusal(
    party: Party, refusal: Refusal, code: grpc.StatusCode
) -> None:
    assert code_of(refusal) is code
    async for channel in channel_to(party, refusal):
        for method in METHODS:
            error = await called(channel, method)
            assert error.code() is code, (method.full_name, error)
            assert reason_of(error).reason == refusal.reason


async def test_a_fault_of_ours_is_internal_with_an_id_and_tells_nothing_else(
    party: Party, caplog: pytest.LogCaptureFixture
) -> None:
    async for channel in channel_to(party, RuntimeError("secret detail")):
        for method in METHODS:
            error = await called(channel, method)
            assert error.code() is grpc.StatusCode.INTERNAL
            assert "secret" not in (error.details() or "")
            assert reason_of(error).metadata["error_id"] in caplog.text
    assert "secret detail" in caplog.text


async def test_overload_says_when_to_come_back(party: Party) -> None:
    async for channel in channel_to(party, Overloaded("INBOX_FULL", "later")):
        error = await called(channel, METHODS[0])
        assert b"RetryInfo" in dict(error.trailing_metadata())["grpc-status-details-bin"]
