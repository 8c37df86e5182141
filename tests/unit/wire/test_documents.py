import base64
import json
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.domain.alarm import Alarm
from controller.domain.application import Application, Qos, Sae
from controller.domain.key_relay import Demand, KeyRelay, Phase, RelayState, Releasing
from controller.domain.link import Basis, Link, LinkCondition, LinkEnd, Provenance
from controller.domain.node import Interface, Node, Role, Technology
from controller.domain.refusals import InvalidValue
from controller.domain.route import Route
from controller.domain.snapshot import COLLECTIONS, AgentRecord, Document, RequestRecord, document_key
from controller.wire import stored_enums
from controller.wire.documents import decode, document_to_pb, encode, key_from_pb, key_to_pb
from controller.wire.stored_enums import NewerSchema, StoredEnum, Undecodable
from qinet.store.v1 import document_pb2
from tests.unit.wire.document_strategies import BY_COLLECTION, writes

VERSION_1 = Path(__file__).parent / "documents_v1.json"
"""Bytes of SAMPLES as version 1 of the schema wrote them, base64 by collection. Never to be regenerated."""

SINCE_0_2 = {"histories", "freezes", "paths", "placements"}
"""Collections that version 0.1.0 did not have."""

_DOCUMENTS: dict[str, Document] = {
    "nodes": Node(
        name="koganei",
        location="tokyo-west",
        interfaces=(Interface(number=1, technology=Technology.DV_QKD, role=Role.RECEIVER, max_absorption_db=30.0),),
        longitude_deg=139.5,
    ),
    "links": Link(
        name="koganei-otemachi-1",
        ends=(LinkEnd(node="koganei", interface=1), LinkEnd(node="otemachi", interface=2)),
        length_km=45.0,
        model_skr_millibit_per_s=304_000_000,
        provenance={"length_km": Provenance(basis=Basis.MEASURED, source="Sasaki 2011")},
    ),
    "applications": Application(name="video", server_sae="alice", client_saes=("bob",), qos=Qos(priority=3)),
    "saes": Sae(id="alice", node="koganei"),
    "relays": KeyRelay(
        name="r1",
        demand=Demand(source="koganei", target="hakusan", rate_millibit_per_s=1_000_000, max_hops=4),
        state=RelayState.ACTIVE,
        phase=Phase.SETTLED,
        routes=(Route(nodes=("koganei", "otemachi", "hakusan"), links=("k-o", "h-o")),),
        route_version=2,
        releasing=(Releasing(link="k-o-2", share=0, charge_millibit_per_s=7, nodes=("koganei", "otemachi")),),
        confirmed_by=frozenset({"koganei", "hakusan"}),
        install_by_ms=0,
    ),
    "agents": AgentRecord(node="koganei", store_id="s", peer_address="127.0.0.1:1", delivery_address="127.0.0.1:2"),
    "requests": RequestRecord(
        caller="qinet://user/ops", request_id="q", body_sha256="ab", resource="keyRelays/r1", used_ms=5
    ),
    "alarms": Alarm(node="koganei", object="links/k-o", kind="LINK_DOWN", message="cut", raised_ms=9),
}
SAMPLES: dict[str, tuple[Any, Any]] = {
    collection: (document_key(document), document) for collection, document in _DOCUMENTS.items()
} | {"conditions": ("k-o", LinkCondition(down_at=frozenset({"koganei"}), promised_skr_millibit_per_s=0))}


@given(writes)
@settings(max_examples=300, deadline=None)
def test_a_document_comes_back_as_it_went_in(write: tuple[str, Any, Any]) -> None:
    assert decode(encode(*write)) == write


@pytest.mark.parametrize("collection", COLLECTIONS)
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a key relay has many fields
def test_every_collection_comes_back_as_it_went_in(collection: str, data: st.DataObject) -> None:
    write = data.draw(BY_COLLECTION[collection])
    assert decode(encode(*write)) == write
    assert key_from_pb(key_to_pb(*write[:2])) == write[:2]


@given(writes)
@settings(max_examples=100, deadline=None)
def test_equal_documents_have_equal_bytes(write: tuple[str, Any, Any]) -> None:
    # The document read back is equal, but its sets and mappings were built in another order.
    assert encode(*decode(encode(*write))) == encode(*write)


def test_what_version_1_wrote_still_loads() -> None:
    stored = json.loads(VERSION_1.read_text())
    assert stored.keys() == set(COLLECTIONS) - SINCE_0_2
    for collection, text in stored.items():
        assert decode(base64.b64decode(text)) == (collection, *SAMPLES[collection])


def test_a_document_of_a_later_schema_is_refused_with_both_versions() -> None:
    stored = document_to_pb("saes", *SAMPLES["saes"])
    stored.schema_version += 1
    with pytest.raises(NewerSchema, match="a sae has schema version 2; this version knows up to 1"):
        decode(stored.SerializeToString())


def test_a_kind_of_document_that_is_not_known_is_of_a_later_version() -> None:
    unknown_body_in_field_99 = b"\x9a\x06\x00"
    with pytest.raises(NewerSchema, match="kind"):
        decode(b"\x08\x01" + unknown_body_in_field_99)


def test_a_collection_that_is_not_known_is_of_a_later_version() -> None:
    with pytest.raises(NewerSchema, match="collection 77"):
        key_from_pb(document_pb2.DocumentKey(collection=77, parts=["a"]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "break_it",
    [
        lambda stored: setattr(stored, "schema_version", 0),
        lambda stored: setattr(stored.relay, "state", 0),
        lambda stored: setattr(stored.relay, "phase", 99),
        lambda stored: setattr(stored.relay, "name", "Not A Label"),
        lambda stored: stored.relay.routes[0].nodes.append("koganei"),
        lambda stored: stored.relay.releasing[0].nodes.append("third"),
    ],
    ids=["no schema version", "state not set", "unknown phase", "no label", "looping route", "three ends"],
)
def test_a_document_that_nobody_could_have_written_is_damage(break_it: Any) -> None:
    stored = document_to_pb("relays", *SAMPLES["relays"])
    break_it(stored)
    with pytest.raises(Undecodable):
        decode(stored.SerializeToString())


def test_bytes_that_are_no_document_are_damage() -> None:
    with pytest.raises(Undecodable):
        decode(encode("saes", *SAMPLES["saes"])[:-3])


@pytest.mark.parametrize(
    ("collection", "document"),
    [
        ("alarms", replace(SAMPLES["alarms"][1], raised_ms=2**64)),
        ("nodes", replace(SAMPLES["nodes"][1], location="\ud800")),
        ("requests", replace(SAMPLES["requests"][1], caller="\ud800")),
    ],
    ids=["number too wide", "no Unicode", "key is no Unicode"],
)
def test_what_does_not_fit_is_refused_by_name(collection: str, document: Any) -> None:
    with pytest.raises(InvalidValue, match=f"{collection}/.*cannot be stored"):
        encode(collection, document_key(document), document)


def test_a_document_under_another_key_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="under the key 'bob'"):
        encode("saes", "bob", SAMPLES["saes"][1])


@pytest.mark.parametrize(
    "stored", [value for value in vars(stored_enums).values() if isinstance(value, StoredEnum)], ids=lambda s: s._prefix
)
def test_every_value_has_one_stored_number_and_none_is_unspecified(stored: StoredEnum[Enum]) -> None:
    numbers = list(stored._numbers.values())
    assert len(set(numbers)) == len(numbers)
    assert 0 not in numbers
    with pytest.raises(Undecodable):
        stored.member(0)
