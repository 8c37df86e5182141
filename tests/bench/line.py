"""One line of a comparison: ours beside a peer's of the same run; a ratio above 1 says that ours is better."""

import json
import os


def rate_line(work: str, ours: float, unit: str, peer: str, theirs: float, **more: object) -> dict[str, object]:
    """Return a line of two rates: more is better."""
    return _line(work, ours, unit, peer, theirs, ours / theirs, more)


def time_line(work: str, ours: float, unit: str, peer: str, theirs: float, **more: object) -> dict[str, object]:
    """Return a line of two durations: less is better."""
    return _line(work, ours, unit, peer, theirs, theirs / ours, more)


def tell(line: dict[str, object]) -> None:
    """Print a line at once."""
    print(json.dumps(line), flush=True)


def _line(
    work: str, ours: float, unit: str, peer: str, theirs: float, ratio: float, more: dict[str, object]
) -> dict[str, object]:
    return {
        "work": work,
        "ours": _short(ours),
        "unit": unit,
        "peer": peer,
        "theirs": _short(theirs),
        "ratio": _short(ratio),
        **more,
        "load_average": round(os.getloadavg()[0], 1),
    }


def _short(figure: float) -> float:
    return float(f"{figure:.4g}")
