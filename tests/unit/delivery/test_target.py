"""The request line of GS QKD 014."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from southbound.agent.delivery.refused import RequestRefused
from southbound.agent.delivery.target import Method, Target, read_target


def refusal(verb: str, raw: str) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        read_target(verb, raw)
    return caught.value


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_a_path_names_a_method_and_a_url_encoded_sae(method: Method, verb: str) -> None:
    if (verb, method) == ("POST", Method.STATUS):
        return
    target = read_target(verb, f"/api/v1/keys/Bob%2Eapp_1%7ex/{method}")
    assert (target.method, target.verb, target.sae, dict(target.parameters)) == (method, verb, "Bob.app_1~x", {})


def test_the_absolute_form_is_read_like_the_path_alone() -> None:
    target = read_target("GET", "https://kme.example:8443/api/v1/keys/bob/enc_keys?number=3")
    assert (target.sae, dict(target.parameters)) == ("bob", {"number": "3"})


@pytest.mark.parametrize(
    "raw",
    [
        "/",
        "",
        "*",
        "/api/v1/keys/bob",
        "/api/v1/keys/bob/status/",
        "/api/v1/keys/bob/STATUS",
        "/api/v1/keys/bob/keys",
        "/api/v2/keys/bob/status",
        "//api/v1/keys/bob/status",
        "/x/../api/v1/keys/bob/status",
        "/api/v1/keys/b/ob/status",
        "https://[::1/api/v1/keys/bob/status",
    ],
)
def test_another_path_is_not_found(raw: str) -> None:
    assert refusal("GET", raw).status == 404


@pytest.mark.parametrize(
    ("verb", "method", "allowed"),
    [("POST", "status", "GET"), ("HEAD", "enc_keys", "GET, POST"), ("DELETE", "dec_keys", "GET, POST")],
)
def test_another_verb_is_told_which_are_allowed_and_head_takes_no_key(verb: str, method: str, allowed: str) -> None:
    refused = refusal(verb, f"/api/v1/keys/bob/{method}")
    assert (refused.status, refused.headers) == (405, {"Allow": allowed})


@pytest.mark.parametrize("sae", ["", "%20", "b%2fob", "b%zzob", "%ff", "%C3%A4", "a+b", "x" * 65, "..%2f"])
def test_a_malformed_sae_is_a_bad_request_that_says_the_rule(sae: str) -> None:
    refused = refusal("GET", f"/api/v1/keys/{sae}/status")
    assert refused.status == 400
    assert "slave_SAE_ID" in refused.message
    assert "master_SAE_ID" in refusal("GET", f"/api/v1/keys/{sae}/dec_keys").message


@pytest.mark.parametrize(
    ("verb", "method", "query"),
    [
        ("GET", "status", "number=1"),
        ("GET", "enc_keys", "number=1&number=2"),
        ("GET", "enc_keys", "number=1&Size=256"),
        ("GET", "enc_keys", "additional_slave_SAE_IDs=eve"),
        ("GET", "enc_keys", "key_ID=1"),
        ("GET", "enc_keys", "number"),
        ("GET", "enc_keys", "number=%ff"),
        ("GET", "enc_keys", "&".join(["number=1"] * 40)),
        ("POST", "enc_keys", "number=1"),
        ("POST", "dec_keys", "key_ID=1"),
        ("GET", "dec_keys", "key_ID=1&key_ID=2"),
        ("GET", "dec_keys", "number=1"),
    ],
)
def test_a_parameter_that_the_form_does_not_have_is_refused_not_dropped(verb: str, method: str, query: str) -> None:
    assert refusal(verb, f"/api/v1/keys/bob/{method}?{query}").status == 400


@given(st.sampled_from(["GET", "POST", "HEAD", "PUT"]), st.text() | st.from_regex(r"/api/v1/keys/[^/]*/.*"))
def test_any_request_line_is_read_or_refused(verb: str, raw: str) -> None:
    outcome: Target | RequestRefused
    try:
        outcome = read_target(verb, raw)
    except RequestRefused as refused:
        outcome = refused
    assert isinstance(outcome, Target) or outcome.status in {400, 404, 405}
