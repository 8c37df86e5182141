"""Why something is refused: one exception per kind, each with a reason and facts for programs."""

from collections.abc import Mapping


class Refusal(Exception):  # noqa: N818 (a refusal is an answer, not an error of ours)
    """An answer of "no" that a person can read and a program can act on.

    Attributes:
        reason: UPPER_SNAKE_CASE, stable; what a program switches on.
        message: For a person: what is wrong, where, and what would help.
    """

    def __init__(self, reason: str, message: str, facts: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self._facts = {key: str(value) for key, value in (facts or {}).items()}

    def facts(self) -> dict[str, str]:
        """Return every fact of the message, for programs."""
        return dict(self._facts)


class InvalidValue(Refusal):
    """A field of the request (or file) is out of its range.

    Attributes:
        fields: (field path, what is wrong with it), at least one.
    """

    def __init__(self, resource: str, *fields: tuple[str, str]) -> None:
        self.resource = resource
        self.fields = fields
        super().__init__(
            "INVALID_VALUE",
            "; ".join(
                f"{resource}: {field}: {problem}" if resource else f"{field}: {problem}" for field, problem in fields
            ),
            {"resource": resource, **{f"field.{field}": problem for field, problem in fields}},
        )


class NotFound(Refusal):
    """A named resource does not exist, or several do not; the fact `resources` then has all, joined by commas.

    `hint` says what does exist.
    """

    def __init__(self, resource: str, *more: str, hint: str = "") -> None:
        message = f"{', '.join((resource, *more))} {'do' if more else 'does'} not exist" + (hint and f"; {hint}")
        facts = {"resource": resource}
        if more:
            facts["resources"] = ",".join((resource, *more))
        super().__init__("NOT_FOUND", message, facts)


class AlreadyExists(Refusal):
    """A resource of that name exists, or a request_id was used with another body."""


class Precondition(Refusal):
    """The state of the network, or a stale etag, forbids it.

    Reasons in use: NO_ROUTE, NO_CAPACITY, ALREADY_DELETED, STALE_ETAG, IN_USE, NO_DISJOINT_ROUTES, ...
    """


class Overloaded(Refusal):
    """A quota or a queue is full; try again later."""


class TooHard(Refusal):
    """An exact search ran out of its step budget; no guess is given."""


class NotServed(Refusal):
    """The named feature is not served by this version."""

    def __init__(self, feature: str) -> None:
        super().__init__("NOT_SERVED", f"{feature} is not served by this version", {"feature": feature})
