"""What is wrong with a file: one exception that carries every mistake in it."""

from collections.abc import Iterable
from dataclasses import dataclass

from controller.domain.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake and its place.

    Attributes:
        file: The file as the reader named it.
        line: From 1; 0 where the mistake has no line (the file cannot be read at all).
        field: Dotted path inside the file, `links[2].ends[0].node`; empty for the whole file.
        what: What is wrong, and where it helps what would be right.
    """

    file: str
    line: int
    field: str
    what: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.field}: {self.what}" if self.field else f"{place}: {self.what}"


class Mistakes(Refusal):
    """A file that cannot be used; `str()` is one line `file:line: field: what` per mistake, in the order of lines.

    Attributes:
        mistakes: At least one.
    """

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: (mistake.file, mistake.line)))
        super().__init__(
            "INVALID_FILE",
            "\n".join(map(str, self.mistakes)),
            {f"mistake.{number}": mistake for number, mistake in enumerate(self.mistakes)},
        )
