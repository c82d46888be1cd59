"""Every error the library raises on purpose.

The tree::

    DexaError
    ├── InputError (ValueError)     the user's mistake: the command exits with 2
    │   ├── DataError               a file or an array with wrong contents, at file and line
    │   ├── MissingFileError        a file or folder that should be there
    │   ├── RecipeError             a recipe key or value that does not exist or cannot be
    │   ├── EncoderError            an encoder that cannot be found or used
    │   ├── ModelFolderError        a model folder that is incomplete or was changed
    │   └── DeviceError             a device that this machine lacks
    └── RunError (RuntimeError)     the run failed: the command exits with 1
        ├── StorageError            the disk refused to write (full, read-only)
        ├── DivergenceError         the loss is no longer a number
        └── Interrupted             a signal ended the run; its last checkpoint is intact

Each message says what was given, what was expected and what to do.
"""

from __future__ import annotations

from pathlib import Path


class DexaError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class InputError(DexaError, ValueError):
    """Something the user gave cannot be used.

    Args:
        given: what was found, as a sentence without its full stop.
        expected: what would have been right.
        do: what to do about it.
        path: the file it was found in.
        line: the line of that file, counted from 1.
    """

    exit_code = 2

    def __init__(
        self,
        given: str,
        *,
        expected: str = "",
        do: str = "",
        path: str | Path | None = None,
        line: int | None = None,
    ) -> None:
        where = "" if path is None else f"{path}:{line}: " if line is not None else f"{path}: "
        sentences = [where + given, expected and f"expected {expected}", do]
        super().__init__("; ".join(s for s in sentences if s))
        self.given, self.expected, self.do = given, expected, do
        self.path = None if path is None else Path(path)
        self.line = line


class DataError(InputError):
    """A file or an array has the wrong contents."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that should be there is not."""


class RecipeError(InputError):
    """A recipe key does not exist, or its value cannot be."""


class EncoderError(InputError):
    """An encoder cannot be found, opened or used."""


class ModelFolderError(InputError):
    """A model folder is incomplete, from another version, or was changed after it was written."""


class DeviceError(InputError):
    """The device asked for is not on this machine."""


class RunError(DexaError, RuntimeError):
    """The run could not go on; nothing the user gave was wrong."""


class StorageError(RunError):
    """The disk refused to write: it is full or read-only."""


class DivergenceError(RunError):
    """The loss is no longer a finite number."""


class Interrupted(RunError):  # noqa: N818 - it is an event, as KeyboardInterrupt is
    """A signal ended the run; the last checkpoint is intact."""
