"""Runs a program of ours and samples where its threads are: python -m tests.bench.sampled OUT MODULE ARGUMENTS...

SIGUSR1 begins the count anew. At the end OUT has, for every thread, how often each function was on its stack
(cumulative) and on top of it (own).
"""

import atexit
import runpy
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

_EVERY_S: Final = 0.002


class Sampler:
    """Looks at every thread's stack a few hundred times a second."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._own: dict[str, Counter[str]] = {}
        self._cumulative: dict[str, Counter[str]] = {}
        self._looks = 0

    def start(self) -> None:
        """Begin, and write what was seen when the program ends."""
        atexit.register(self._write)
        signal.signal(signal.SIGUSR1, lambda _number, _frame: self._clear())
        threading.Thread(target=self._run, name="sampler", daemon=True).start()

    def _clear(self) -> None:
        self._own.clear()
        self._cumulative.clear()
        self._looks = 0

    def _run(self) -> None:
        me = threading.get_ident()
        while True:
            time.sleep(_EVERY_S)
            self._looks += 1
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                if ident != me:
                    self._count(names.get(ident, "?"), frame)

    def _count(self, thread: str, frame: FrameType | None) -> None:
        own = self._own.setdefault(thread, Counter())
        cumulative = self._cumulative.setdefault(thread, Counter())
        seen: set[str] = set()
        top = True
        while frame is not None:
            code = frame.f_code
            name = f"{'/'.join(code.co_filename.split('/')[-3:])}:{code.co_qualname}"
            if top:
                own[f"{name}:{frame.f_lineno}"] += 1
                top = False
            seen.add(name)
            frame = frame.f_back
        cumulative.update(seen)

    def _write(self) -> None:
        lines = [f"{self._looks} looks"]
        for thread in self._own:
            for kind, counted in (("cumulative", self._cumulative[thread]), ("own", self._own[thread])):
                lines.append(f"== {thread} {kind}")
                lines += [
                    f"{100 * count / max(1, self._looks):6.1f} %  {name}" for name, count in counted.most_common(90)
                ]
        self._out.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Run the module as `python -m` would."""
    out, module = Path(sys.argv[1]), sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    Sampler(out).start()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
