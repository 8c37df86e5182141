"""The APIs are what they were, and docs/api.md says what their protos say."""

from pathlib import Path

from tests.golden.api_page import services, values
from tests.golden.compare import FOLDER, expect, filled
from tests.golden.descriptor_text import rendered
from tests.golden.protos import Comments, compiled
from tests.support.pages import ROOT


def test_the_api_descriptor_is_as_recorded(tmp_path: Path) -> None:
    expect(FOLDER / "api_descriptor.txt", rendered(compiled(tmp_path)))


def test_the_api_page_is_what_the_protos_say(tmp_path: Path) -> None:
    page = ROOT / "docs" / "api.md"
    files = compiled(tmp_path)
    expect(page, filled(page, services=services(files), values=values(files)))


def test_every_element_of_the_protos_is_commented(tmp_path: Path) -> None:
    missing = []
    for file in compiled(tmp_path):
        comments = Comments.of(file)
        for place in file.source_code_info.location:
            path = tuple(place.path)
            if _explained(path) and not comments.at(*path):
                missing.append(f"{file.name}:{place.span[0] + 1}")
    assert missing == []


def _explained(path: tuple[int, ...]) -> bool:
    """Tell whether descriptor.proto has an element at that path that readers need explained."""
    match path:
        case (4 | 5 | 6, _):  # message, enum, service
            return True
        case (4, _, 2 | 3 | 4, _) | (5 | 6, _, 2, _):  # field, nested message or enum; value, rpc
            return True
        case (4, _, 3, _, 2, _) | (4, _, 4, _, 2, _):  # field of a nested message, value of a nested enum
            return True
    return False
