"""Certificates that are replaced while their daemon runs: what connects from then on meets the new ones."""

from datetime import datetime

from controller.domain.refusals import Refusal
from controller.identity.tls_files import Tls, load_tls


class RotationRefused(Refusal):
    """A certificate cannot take the place of another; reason TLS_WRONG_IDENTITY."""


class RotatingTls:
    """The files in force. One writer; servers and clients ask at each handshake, from any thread.

    A connection that stands is left alone: it was proven when it was made, and ends with its session.
    """

    def __init__(self, tls: Tls) -> None:
        self._current = tls

    def __repr__(self) -> str:
        return f"RotatingTls({self._current!r})"

    @property
    def current(self) -> Tls:
        """Return the newest files."""
        return self._current

    def rotate(self, tls: Tls) -> bool:
        """Put other files in force; return whether anything about them is new.

        Raises:
            RotationRefused: They are somebody else's: peers know this daemon by its name.
        """
        before = self._current
        if tls.identity != before.identity:
            raise RotationRefused(
                "TLS_WRONG_IDENTITY",
                f"{tls.files.certificate}: is for {tls.identity}, and this is {before.identity}: use that one's",
                {"file": tls.files.certificate},
            )
        self._current = tls
        return tls != before


def renewed(tls: RotatingTls, now: datetime) -> bool:
    """Read the files again where they were read before; return whether anything about them is new.

    Raises:
        TlsRefused: They cannot be used at that moment (aware); what was in force stays.
    """
    return tls.rotate(load_tls(tls.current.files, now=now, expect=tls.current.identity))


AnyTls = Tls | RotatingTls
"""Files that stay, or that may be replaced."""


def now_in_force(tls: AnyTls) -> Tls:
    """Return the files that count now."""
    return tls.current if isinstance(tls, RotatingTls) else tls
