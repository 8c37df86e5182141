"""What a person is told of calls that failed."""

import grpc
import pytest

from controller.cli.exits import Exit
from controller.cli.explain import explained


class Unavailable(grpc.RpcError):
    """A call that nobody answered."""

    def __init__(self, words: str) -> None:
        self._words = words

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return self._words

    def trailing_metadata(self) -> tuple[()]:
        return ()


@pytest.mark.parametrize(
    ("words", "follow"),
    [
        ("Tls handshake failed: Endpoint closing", "next: try again"),
        ("recvmsg: Connection reset by peer", "next: try again"),
        ("Broken pipe", "next: try again"),
        ("Tls handshake failed: CERTIFICATE_VERIFY_FAILED", "next: who answers there is not the controller"),
        ("DNS resolution failed", "next: that host name is not known"),
        ("Connection refused", "next: is it running?"),
    ],
)
def test_a_connection_that_was_broken_off_is_no_stranger(words: str, follow: str) -> None:
    stop = explained(Unavailable(words), address="127.0.0.1:1", timeout_s=1)
    assert stop.code == Exit.UNREACHABLE
    assert stop.lines[-1].startswith(follow)
