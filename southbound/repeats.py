"""Lines of a log that come again and again: the first is told, then one now and then with the number of the others."""

from dataclasses import dataclass
from typing import Final

_EVERY_S: Final = 60.0
_REMEMBERED: Final = 1024


@dataclass(slots=True)
class _Line:
    told_s: float
    held_back: int = 0


class Repeats:
    """Decides which of repeated lines are told. No clock: told the time."""

    def __init__(self) -> None:
        """Start with nothing told; of more than some thousand different lines the one told longest ago is forgotten."""
        self._lines: dict[str, _Line] = {}

    def note(self, text: str, now_s: float) -> str | None:
        """Return the text if it is to be told, with how many like it were not; None if it was told this minute."""
        line = self._lines.get(text)
        if line is not None and now_s - line.told_s < _EVERY_S:
            line.held_back += 1
            return None
        self._lines.pop(text, None)
        self._lines[text] = _Line(now_s)
        if len(self._lines) > _REMEMBERED:
            del self._lines[next(iter(self._lines))]
        return f"{text} (and {line.held_back} times more since the last line)" if line and line.held_back else text
