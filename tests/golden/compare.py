"""Expected outputs in files: compared, or with QINET_GOLDEN=write written anew (`make golden`)."""

import os
from pathlib import Path

from tests.support.pages import ROOT

FOLDER = Path(__file__).parent


def expect(path: Path, produced: str) -> None:
    """Compare a file with what is produced now; `make golden` writes it, and the diff is to be read."""
    if os.environ.get("QINET_GOLDEN") == "write":
        path.write_text(produced)
    assert path.exists(), f"{path.relative_to(ROOT)} does not exist: run `make golden`"
    assert path.read_text() == produced, f"{path.relative_to(ROOT)} is not what is produced now: run `make golden`"


def filled(page: Path, **parts: str) -> str:
    """Return a page with each generated part, between `<!-- NAME: ... -->` and `<!-- end of NAME -->`, made anew."""
    text = page.read_text()
    for name, content in parts.items():
        head, begin, rest = text.partition(f"<!-- {name}: generated, `make golden` renews it -->\n")
        _, end, tail = rest.partition(f"<!-- end of {name} -->")
        assert begin, f"{page.relative_to(ROOT)} has no place for {name}"
        assert end, f"{page.relative_to(ROOT)} does not end {name}"
        text = f"{head}{begin}\n{content.strip()}\n\n{end}{tail}"
    return text
