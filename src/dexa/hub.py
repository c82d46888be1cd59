"""Model folders on a hub: fetched from it, and sent to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dexa.errors import InputError, RunError


@dataclass(frozen=True, kw_only=True)
class Hub:
    """Where models are kept.

    Attributes:
        endpoint: its address; None for that of ``HF_ENDPOINT``, or else Hugging Face's.
        token: that lets in; None for the one that ``hf auth login`` keeps.
    """

    endpoint: str | None = None
    token: str | None = None

    def fetch(self, repo: str, revision: str | None) -> Path:
        """The files of a repository, in the hub's cache on this machine.

        Without network, what was fetched before.

        Args:
            repo: ``owner/name``.
            revision: branch, tag or commit; None for the newest.

        Raises:
            InputError: there is no such repository or revision, or it may not be read.
            RunError: the hub does not answer.
        """
        import huggingface_hub

        with _told(repo, "fetched from"):
            return Path(
                huggingface_hub.snapshot_download(
                    repo, revision=revision, endpoint=self.endpoint, token=self.token
                )
            )

    def send(self, folder: Path, repo: str, *, private: bool, message: str) -> str:
        """Make the files of a folder the newest of a repository, which is made if need be.

        All files go in one commit: others see the old ones or the new ones.

        Args:
            folder: whose files are sent.
            repo: ``owner/name``.
            private: whether a repository that is made is to be seen by its owner alone.
            message: of the commit.

        Returns:
            The address of the commit.

        Raises:
            InputError: the repository may not be written, or has no proper name.
            RunError: the hub does not answer.
        """
        import huggingface_hub

        with _told(repo, "sent to"):
            api = huggingface_hub.HfApi(endpoint=self.endpoint, token=self.token)
            api.create_repo(repo, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo, folder_path=folder, commit_message=message, delete_patterns="*"
            )
            return str(commit)


@contextlib.contextmanager
def _told(repo: str, done: str) -> Iterator[None]:
    """Turn what a hub's client raises into one clear error."""
    import httpx
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise InputError(
            f"{repo!r} is no name of a repository", expected="a folder, or 'owner/name'"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise InputError(
            f"{repo!r} could not be {done} the hub: {_first_line(error)}",
            do="check its name and revision; if it is private, log in with `hf auth login`",
        ) from error
    except (httpx.HTTPError, OSError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        text = f"{repo!r} could not be {done} the hub: {_first_line(error)}"
        if status in (401, 403):
            raise InputError(text, do="log in with `hf auth login`, or give a token") from error
        raise RunError(f"{text}; try again later, or give a folder") from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
