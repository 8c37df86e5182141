"""The bodies that GS QKD 014 prescribes."""

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from southbound.agent.delivery.responses import error_reply, keys_reply, status_reply, unauthorised
from southbound.agent.keyplane.events import DeliveredKey, KeyStatus


def test_status_has_every_member_of_table_6_1_and_no_other() -> None:
    reply = status_reply(
        KeyStatus(
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
    )
    assert reply.status == 200
    assert json.loads(reply.body) == {
        "source_KME_ID": "a",
        "target_KME_ID": "b",
        "master_SAE_ID": "alice",
        "slave_SAE_ID": "bob",
        "key_size": 256,
        "stored_key_count": 3,
        "max_key_count": 9,
        "max_key_per_request": 4,
        "max_key_size": 1024,
        "min_key_size": 128,
        "max_SAE_ID_count": 0,
    }


@given(st.lists(st.tuples(st.uuids().map(str), st.binary(min_size=1, max_size=64)), max_size=5))
def test_a_key_container_carries_the_keys_in_base64_and_its_repr_does_not(keys: list[tuple[str, bytes]]) -> None:
    reply = keys_reply([DeliveredKey(key_id, key) for key_id, key in keys])
    container = json.loads(reply.body)
    assert list(container) == ["keys"]
    assert [(each["key_ID"], base64.b64decode(each["key"], validate=True)) for each in container["keys"]] == keys
    assert "body" not in repr(reply)


@given(st.text(st.characters(codec=None), min_size=1))
def test_an_error_has_a_message_and_details_only_where_there_are_some(message: str) -> None:
    assert json.loads(error_reply(400, message).body) == {"message": message}
    detailed = json.loads(error_reply(503, message, [{"stored_key_count": 2}]).body)
    assert detailed == {"message": message, "details": [{"stored_key_count": 2}]}


def test_nothing_may_be_cached_and_only_401_is_empty() -> None:
    for reply in (unauthorised(), error_reply(400, "no"), keys_reply([])):
        assert reply.headers["Cache-Control"] == "no-store"
        assert (reply.body == b"") == (reply.status == 401) == ("Content-Type" not in reply.headers)
