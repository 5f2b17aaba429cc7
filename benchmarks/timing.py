"""How long something takes when nothing disturbs it: the processor's time of one thread."""

from __future__ import annotations

import time
from collections.abc import Callable


def best_of(run: Callable[[], object], repeats: int = 7) -> float:
    """Shortest time of several runs, in milliseconds, after one to warm up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1000 * min(times)
