"""Reading and checking what an SAE asks."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from southbound.agent.delivery.refused import RequestRefused
from southbound.agent.delivery.requests import (
    KeyIdsRequest,
    KeyRequest,
    Request,
    StatusRequest,
    check_limits,
    read_request,
)
from southbound.agent.delivery.responses import refusal_reply
from southbound.agent.delivery.target import Method, Target, read_target
from southbound.agent.keyplane.events import KeyStatus

JSON = "application/json"
ONE, TWO = "550e8400-e29b-41d4-a716-446655440000", "BC490419-7D60-487F-ADC1-4DDCC177C139"


def get(method: str, query: str = "", *, body: bytes = b"") -> Request:
    return read_request(read_target("GET", f"/api/v1/keys/bob/{method}{query}"), "alice", None, body)


def post(method: str, body: object, content_type: str | None = JSON) -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_request(read_target("POST", f"/api/v1/keys/bob/{method}"), "alice", content_type, raw)


def refused_post(method: str, body: object, content_type: str | None = JSON) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        post(method, body, content_type)
    return caught.value


def refused_get(method: str, query: str = "", *, body: bytes = b"") -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        get(method, query, body=body)
    return caught.value


# ---------------------------------------------------------------- what is accepted


def test_both_forms_of_get_key_mean_the_same() -> None:
    default = KeyRequest(slave="bob", number=1, size_bit=None)
    assert get("enc_keys") == post("enc_keys", {}) == post("enc_keys", b"", None) == default
    asked = KeyRequest(slave="bob", number=3, size_bit=1024)
    assert get("enc_keys", "?number=3&size=1024") == post("enc_keys", {"number": 3, "size": 1024}) == asked
    assert get("enc_keys", "?size=1024") == KeyRequest(slave="bob", size_bit=1024)


def test_both_forms_of_get_key_with_key_ids_mean_the_same() -> None:
    asked = KeyIdsRequest(master="bob", key_ids=(ONE,))
    assert get("dec_keys", f"?key_ID={ONE.upper()}") == post("dec_keys", {"key_IDs": [{"key_ID": ONE}]}) == asked


def test_key_ids_keep_their_order_and_become_lower_case() -> None:
    assert post("dec_keys", {"key_IDs": [{"key_ID": TWO}, {"key_ID": ONE}]}) == KeyIdsRequest(
        master="bob", key_ids=(TWO.lower(), ONE)
    )


def test_optional_and_reserved_extensions_are_ignored() -> None:
    extended = {"extension_optional": [{"abc_route_type": "direct"}, {}], "extension_mandatory": []}
    assert post("enc_keys", extended) == KeyRequest(slave="bob")
    reserved = {"key_IDs": [{"key_ID": ONE, "key_ID_extension": {"a": 1}}], "key_IDs_extension": {}}
    assert post("dec_keys", reserved) == KeyIdsRequest(master="bob", key_ids=(ONE,))


def test_additional_slaves_keep_their_order() -> None:
    asked = post("enc_keys", {"additional_slave_SAE_IDs": ["eve", "carol"]})
    assert asked == KeyRequest(slave="bob", more_slaves=("eve", "carol"))


def test_no_additional_slaves_is_the_same_as_none_said() -> None:
    assert post("enc_keys", {"additional_slave_SAE_IDs": []}) == KeyRequest(slave="bob")


def test_status_takes_only_the_path() -> None:
    assert get("status") == StatusRequest(slave="bob")


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", ' application/json;charset="utf-8"']
)
def test_json_in_utf_8_may_be_named_in_every_way(content_type: str) -> None:
    assert post("enc_keys", {"number": 2}, content_type) == KeyRequest(slave="bob", number=2)


# ---------------------------------------------------------------- the fixed messages of table A.8


@pytest.mark.parametrize("size", [1, 7, 257, 1025])
def test_a_size_that_is_no_multiple_of_8_has_its_message(size: int) -> None:
    for refused in (refused_get("enc_keys", f"?size={size}"), refused_post("enc_keys", {"size": size})):
        assert (refused.status, refused.message) == (400, "size shall be a multiple of 8")


def test_a_mandatory_extension_has_its_message_and_is_named() -> None:
    refused = refused_post("enc_keys", {"extension_mandatory": [{"abc_route_type": "direct"}, {"abc_age": 3}]})
    assert (refused.status, refused.message) == (400, "not all extension_mandatory parameters are supported")
    names = [{"extension_mandatory_unsupported": name} for name in ("abc_route_type", "abc_age")]
    assert list(refused.details) == names


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"number": 0}, "number"),
        ({"number": -1}, "number"),
        ({"number": True}, "number"),
        ({"number": 1.0}, "number"),
        ({"number": "1"}, "number"),
        ({"number": None}, "number"),
        ({"number": 2**31}, "number"),
        ({"size": 0}, "size"),
        ({"size": "256"}, "size"),
        ({"Size": 256}, "size"),
        ({"additional_slave_SAE_IDs": "eve"}, "additional_slave_SAE_IDs"),
        ({"additional_slave_SAE_IDs": [1]}, "additional_slave_SAE_IDs"),
        ({"additional_slave_SAE_IDs": ["a b"]}, "additional_slave_SAE_IDs[0]"),
        ({"additional_slave_SAE_IDs": ["eve", "alice"]}, "caller"),
        ({"additional_slave_SAE_IDs": ["bob"]}, "named before"),
        ({"additional_slave_SAE_IDs": ["eve", "eve"]}, "named before"),
        ({"additional_slave_SAE_IDs": [f"eve{number}" for number in range(64)]}, "more than any application has"),
        ({"extension_mandatory": {}}, "extension_mandatory"),
        ({"extension_mandatory": [1]}, "extension_mandatory"),
        ({"extension_mandatory": [{}]}, "extension_mandatory"),
        ({"extension_optional": {"a": 1}}, "extension_optional"),
        ([], "object"),
        (b"{", "JSON"),
        (b"NaN", "JSON"),
        (b'{"number": NaN}', "JSON"),
        (b'{"number": 1, "number": 2}', "twice"),
        (b'{"number": ' + b"9" * 5000 + b"}", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'\xef\xbb\xbf{"number": 1}', "JSON"),
        ('{"number": 1}'.encode("utf-16"), "JSON"),
    ],
)
def test_a_bad_key_request_is_refused_by_name(body: object, names: str) -> None:
    refused = refused_post("enc_keys", body)
    assert refused.status == 400
    assert names in refused.message


@pytest.mark.parametrize(
    "query", ["?number=0", "?number=-1", "?number=1.5", "?number=", "?number=+1", "?number=%D9%A3"]
)
def test_a_number_in_the_url_is_decimal_digits(query: str) -> None:
    assert "number" in refused_get("enc_keys", query).message


def test_a_negative_number_in_the_url_is_out_of_range() -> None:
    assert "number is not in 1 to" in refused_get("enc_keys", "?number=-1").message


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, "key_IDs"),
        (b"", "key_IDs"),
        ({"key_IDs": []}, "key_IDs"),
        ({"key_IDs": ONE}, "key_IDs"),
        ({"key_IDs": [ONE]}, "key_IDs"),
        ({"key_IDs": [{}]}, "key_IDs[0].key_ID"),
        ({"key_IDs": [{"key_ID": ONE}, {"key_ID": ONE[:-1]}]}, "key_IDs[1].key_ID"),
        ({"key_IDs": [{"key_ID": ONE.replace("-", "")}]}, "UUID"),
        ({"key_IDs": [{"key_ID": f"{{{ONE}}}"}]}, "UUID"),
        ({"key_IDs": [{"key_ID": 7}]}, "UUID"),
        ({"key_IDs": [{"key_ID": ONE}, {"key_ID": ONE.upper()}]}, "twice"),
        ({"key_IDs": [{"key_ID": ONE, "key": "x"}]}, "key_IDs[0]"),
        ({"key_IDs": [{"key_ID": ONE, "key_ID_extension": 1}]}, "key_IDs[0].key_ID_extension"),
        ({"key_IDs": [{"key_ID": ONE}], "key_IDs_extension": []}, "key_IDs_extension"),
        ({"key_ids": [{"key_ID": ONE}]}, "key_IDs"),
    ],
)
def test_a_bad_key_id_request_is_refused_with_the_place(body: object, names: str) -> None:
    refused = refused_post("dec_keys", body)
    assert refused.status == 400
    assert names in refused.message


def test_a_get_without_its_key_id_or_with_a_body_is_refused() -> None:
    assert "key_ID" in refused_get("dec_keys").message
    assert "UUID" in refused_get("dec_keys", "?key_ID=7").message
    assert "body" in refused_get("enc_keys", body=b"{}").message


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/json; charset=latin-1", "application/xml"]
)
def test_another_content_type_is_refused(content_type: str | None) -> None:
    assert refused_post("enc_keys", {"number": 1}, content_type).status == 415


@pytest.mark.parametrize("method", list(Method))
def test_an_sae_shares_no_keys_with_itself(method: Method) -> None:
    with pytest.raises(RequestRefused, match="caller itself"):
        read_request(Target(method=method, verb="GET", sae="alice"), "alice", None, b"")


# ---------------------------------------------------------------- limits

STATUS = KeyStatus(
    source_kme="a",
    target_kme="b",
    master="alice",
    slave="bob",
    key_size_bit=256,
    stored_key_count=3,
    max_key_count=9,
    max_key_per_request=4,
    max_key_size_bit=1024,
    min_key_size_bit=128,
)


@pytest.mark.parametrize(
    ("number", "size_bit", "limit"),
    [(5, None, {"max_key_per_request": 4}), (1, 1032, {"max_key_size": 1024}), (1, 120, {"min_key_size": 128})],
)
def test_what_is_beyond_status_is_refused_naming_the_limit(number: int, size_bit: int | None, limit: Any) -> None:
    with pytest.raises(RequestRefused) as caught:
        check_limits(KeyRequest(slave="bob", number=number, size_bit=size_bit), STATUS)
    assert caught.value.status == 400
    assert list(caught.value.details) == [limit]
    assert next(iter(limit)) in caught.value.message


@given(st.integers(1, 4), st.none() | st.integers(16, 128).map(lambda octets: 8 * octets))
def test_what_is_within_status_is_let_through(number: int, size_bit: int | None) -> None:
    check_limits(KeyRequest(slave="bob", number=number, size_bit=size_bit), STATUS)


# ---------------------------------------------------------------- for all inputs

KNOWN = st.sampled_from(
    ["number", "size", "additional_slave_SAE_IDs", "extension_mandatory", "extension_optional", "key_IDs", "key_ID",
     "key_ID_extension", "key_IDs_extension"]
)  # fmt: skip
TEXT = st.text(st.characters(codec=None))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.uuids().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KNOWN | TEXT, inner, max_size=4),
    max_leaves=12,
)
BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | st.binary()


def _sound(request: Request) -> None:
    match request:
        case KeyRequest():
            assert request.number >= 1
            assert request.size_bit is None or (request.size_bit > 0 and request.size_bit % 8 == 0)
        case KeyIdsRequest():
            assert request.key_ids
            assert [str(uuid.UUID(key_id)) for key_id in request.key_ids] == list(request.key_ids)
            assert len(set(request.key_ids)) == len(request.key_ids)
        case StatusRequest():
            raise AssertionError("nobody asked for it")


OBJECTS = st.dictionaries(KNOWN | TEXT, VALUES, max_size=4).map(lambda value: json.dumps(value).encode())


@given(st.sampled_from(["enc_keys", "dec_keys"]), BODIES | OBJECTS)
def test_any_body_becomes_a_sound_request_or_an_error(method: str, body: bytes) -> None:
    try:
        request = post(method, body)
    except RequestRefused as refused:
        reply = refusal_reply(refused)
    else:
        _sound(request)
        return
    assert reply.status == 400
    assert json.loads(reply.body)["message"]


def test_no_repr_shows_key_ids() -> None:
    assert ONE not in repr(post("dec_keys", {"key_IDs": [{"key_ID": ONE}]}))
    assert ONE not in repr(read_target("GET", f"/api/v1/keys/bob/dec_keys?key_ID={ONE}"))
