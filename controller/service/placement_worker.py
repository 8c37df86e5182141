"""A process of its own that searches a better placement: python -m controller.service.placement_worker.

On its standard input it gets one question, on its standard output it writes messages; both ends are this program, and
nobody else writes to the pipes. It ends when its standard input does: it never outlives who asked.
"""

import gc
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from controller.domain.placement import PlacementAim
from controller.domain.snapshot import Snapshot
from controller.routing.optimum.placement import Aim
from controller.routing.optimum.running import Better, searching
from controller.service.placement_question import LENGTH_BYTES, SEEN, Answer, Progress, Question, framed
from controller.wire.documents import decode

_AIMS: Final = {PlacementAim.KEY: Aim.KEY, PlacementAim.SPREAD: Aim.SPREAD}


def answered(question: Question) -> Iterator[Progress | Answer]:
    """Yield the progress of the search as it comes, then its answer."""
    search = searching(_snapshot_of(question), aim=_AIMS[question.aim], most_moves=question.most_moves)
    while True:
        try:
            told = next(search)
        except StopIteration as end:
            better: Better = end.value
            yield Answer(
                moves=better.moves,
                before=better.before,
                after=better.after,
                key_use_bound_millibit_per_s=max(0, int(better.key_use.bound)),
            )
            return
        yield Progress(
            step=told.step,
            done=told.done,
            total=told.total,
            carried_millibit_per_s=told.carried,
            key_use_millibit_per_s=told.key_use,
        )


def _snapshot_of(question: Question) -> Snapshot:
    seen: dict[str, Any] = {collection: {} for collection in SEEN}
    for content in question.documents:
        collection, key, document = decode(content)
        seen[collection][key] = document
    return replace(Snapshot(connected=question.connected), **seen)


def _end_with(descriptor: int) -> None:
    """End this process once nobody holds the other end of a pipe any more: then nobody waits for an answer."""
    while os.read(descriptor, 1):
        pass
    os._exit(1)


def main() -> None:
    """Answer one question."""
    # Solvers write to descriptor 1 now and then: what we say goes elsewhere, and what they say to standard error.
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked = sys.stdin.buffer
    length = int.from_bytes(asked.read(LENGTH_BYTES), "big")
    question = pickle.loads(asked.read(length))  # noqa: S301 (of the controller that started this process)
    assert isinstance(question, Question)
    threading.Thread(target=_end_with, args=(asked.fileno(),), daemon=True).start()
    gc.freeze()
    for message in answered(question):
        pipe.write(framed(message))
        pipe.flush()


if __name__ == "__main__":
    main()
