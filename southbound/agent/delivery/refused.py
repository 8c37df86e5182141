"""The one way in which a request of GS QKD 014 is refused before any key is touched."""

from collections.abc import Mapping, Sequence

from controller.domain.refusals import Refusal

Detail = Mapping[str, object]
"""One entry of `details`: a name and its value."""


class RequestRefused(Refusal):
    """A request that is answered with an Error.

    Attributes:
        status: HTTP status, 400 to 599, never 401 (its body is empty).
        details: The `details` of the Error body; never key material, never key ids.
        headers: More headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        details: Sequence[Detail] = (),
        *,
        reason: str = "BAD_REQUEST",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, message, {name: value for detail in details for name, value in detail.items()})
        self.status = status
        self.details = tuple(details)
        self.headers = dict(headers or {})
