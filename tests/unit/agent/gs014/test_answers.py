"""Whatever a key source answers is a value or a reason: an agent lives through the garbage of another vendor."""

import json
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from southbound.agent.drivers.gs014 import answers
from southbound.agent.drivers.gs014.steps import Failed

KEY_ID = "67b6c1d1-5a04-4f0c-8b4a-1f6f8a0c2f11"
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.just(KEY_ID)
NAMES = st.sampled_from(("message", "keys", "Keys", "key_ID", "key", "key_size", "stored_key_count")) | st.text(
    max_size=5
)
ANSWERS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
BODIES = st.binary(max_size=80) | ANSWERS.map(lambda answer: json.dumps(answer).encode())


@given(body=BODIES, status=st.integers(min_value=100, max_value=599))
def test_no_answer_raises(body: bytes, status: int) -> None:
    failed = answers.refusal("status", status, body)
    assert isinstance(failed, Failed)
    answers.source(body)
    answers.fresh_keys(body, number=1, size_bit=64)
    answers.named_keys(body, key_ids=[KEY_ID], size_bit=64)


@pytest.mark.parametrize("message", [[], {}, 7, None, "a word that may be a key"])
def test_a_message_of_any_kind_that_the_standard_does_not_fix_is_not_told_on(message: object) -> None:
    body = json.dumps({"message": message}).encode()
    failed = answers.refusal("enc_keys", HTTPStatus.BAD_REQUEST, body)
    assert failed.reason == "the key source refuses (enc_keys: 400)"
