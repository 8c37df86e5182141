"""The pages of the documentation, as their readers use them: commands to copy, links to follow."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HERE_DOCUMENT = re.compile(r"<<'(\w+)'.*?^\1$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Command:
    """One command line of a page."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def blocks(text: str, *languages: str) -> Iterator[tuple[int, str]]:
    """Yield (line number of its first line, content) of every fenced block in one of the languages."""
    for fence in _FENCE.finditer(text):
        if fence[1] in languages:
            yield text.count("\n", 0, fence.start()) + 2, fence[2]


def commands(page: Path) -> Iterator[Command]:
    """Yield every line of the page's sh blocks that is a command, without here-documents."""
    for first, content in blocks(page.read_text(), "sh"):
        # A here-document is data; its lines are kept empty so that numbers stay right.
        bare = _HERE_DOCUMENT.sub(lambda found: "\n" * found[0].count("\n"), content)
        for number, text in enumerate(bare.splitlines(), first):
            if text.strip() and not text.lstrip().startswith("#"):
                yield Command(page.relative_to(ROOT).as_posix(), number, text.strip())


def links(page: Path) -> list[str]:
    """Return where the page's links lead, those to other hosts left out."""
    text = _FENCE.sub("", page.read_text())
    return [to for to in _LINK.findall(text) if not re.match(r"[a-z]+:", to)]


def anchors(page: Path) -> set[str]:
    """Return the fragments by which the headings of a page are reached."""
    text = _FENCE.sub("", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text)}
