"""What the log says of a session that does not come about."""

import pytest

from southbound.agent.uplink import ControllerAddress, explained

ADDRESS = ControllerAddress.parse("c1@127.0.0.1:7400")
_TLS = "UNAVAILABLE: failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:7400: "


@pytest.mark.parametrize(
    ("why", "remedy"),
    [
        (
            _TLS + "Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:1000007d:SSL "
            "routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate: OK",
            "certificate is not of our CA",
        ),
        (_TLS + "Socket closed", "refuse our certificate"),
        (
            _TLS + "Custom verification check failed with error: UNAUTHENTICATED: Hostname Verification Check failed.",
            "c1",
        ),
        (_TLS + "Failed to connect to remote host: Connection refused", "is the controller running"),
    ],
    ids=["their-ca", "our-ca", "name", "nobody"],
)
def test_a_connection_that_fails_is_told_with_what_would_help(why: str, remedy: str) -> None:
    told = explained(why, ADDRESS)
    assert remedy in told
    assert "UNAVAILABLE" not in told
    assert "OPENSSL" not in told


def test_what_the_controller_says_itself_is_told_as_it_is() -> None:
    why = "FAILED_PRECONDITION: nodes/a is not in the topology: add it"
    assert explained(why, ADDRESS) == why
