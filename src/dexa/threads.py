"""Work that is split among threads: what SciPy and NumPy compute runs side by side in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

PartT = TypeVar("PartT")
ResultT = TypeVar("ResultT")


def side_by_side(work: Callable[[PartT], ResultT], parts: Iterable[PartT]) -> list[ResultT]:
    """Results of some work on parts, in their order, by as many threads as PyTorch takes.

    Args:
        work: on one part; must not depend on the others.
        parts: of about equal effort.
    """
    parts, threads = list(parts), torch.get_num_threads()
    if min(threads, len(parts)) < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, parts))
