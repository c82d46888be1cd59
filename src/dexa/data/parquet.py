"""Records as Parquet: a row each, lists of numbers and of texts among their columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_TYPES = {
    "text": pa.string(),
    "labels": pa.list_(pa.int64()),
    "names": pa.list_(pa.string()),
    "scores": pa.list_(pa.float32()),
    "probabilities": pa.list_(pa.float32()),
}


def write_records(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write records that all have the same keys: answers to texts."""
    names = list(records[0]) if records else [name for name in _TYPES if name != "text"]
    schema = pa.schema([(name, _TYPES[name]) for name in names])
    pq.write_table(pa.Table.from_pylist(list(records), schema=schema), path)


def join_records(parts: Sequence[Path], path: Path) -> None:
    """Make one file of several with the same columns, a part in memory at a time."""
    if not parts:
        write_records(path, [])
        return
    with pq.ParquetWriter(path, pq.read_schema(parts[0])) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part))
