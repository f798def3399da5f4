"""Work on many things in threads, a little ahead of who takes the results, in order and with flat memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Thing], Result], things: Iterable[Thing], threads: int | None = None, together: int = 8
) -> Iterator[Result]:
    """What a function makes of each thing, in their order.

    Args:
        function: Is called in several threads at once. What it raises is raised here, where its result would be.
        things: Are gone through in this thread, no further than a few batches beyond the result that is wanted next.
        threads: How many; as many as there are processors if nothing is said.
        together: How many things make a batch, which a thread does one after the other.

    Returns:
        An iterator over the results. If it is closed early, what has not been begun is left undone.
    """
    threads = threads or os.cpu_count() or 1
    source = iter(things)
    batches = iter(lambda: list(islice(source, together)), [])
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[list[Result]]] = deque()
        try:
            for batch in batches:
                pending.append(pool.submit(_all, function, batch))
                if len(pending) > 2 * threads:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _all(function: Callable[[Thing], Result], batch: list[Thing]) -> list[Result]:
    return [function(thing) for thing in batch]
