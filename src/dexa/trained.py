"""What every trained model can do: change its labels, explain, go to folders and hubs.

A model that was loaded from a folder writes each change to the folder's journal at once, after it
has taken up what others wrote there. The lock of the folder keeps other writers out meanwhile.
"""

from __future__ import annotations

import abc
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dexa.encoders import export_onnx
from dexa.errors import DexaError, InputError
from dexa.hub import Hub
from dexa.model import (
    HIDDEN,
    HIDE,
    REMOVE,
    REMOVED,
    SHOW,
    Explanation,
    Journal,
    LabelChange,
    LabelName,
    Model,
    addition,
    applied,
    explained,
    named_labels,
    of_state,
    renaming,
    save_model,
)


@dataclass(frozen=True, kw_only=True)
class Label:
    """A label of a model.

    Attributes:
        id: its place, which it keeps for ever.
        text: its text; its id where the model knows no texts.
        documents: training documents, and those that came with it.
        hidden: whether it is never answered.
    """

    id: int
    text: str
    documents: int
    hidden: bool


class Trained(abc.ABC):
    """A model, and where changes of its labels are written.

    Changes must not be made while another thread predicts.
    """

    def __init__(self) -> None:
        self._model: Model | None = None
        self._journal: Journal | None = None

    @property
    def model(self) -> Model:
        """The trained parts.

        Raises:
            DexaError: neither fitted nor loaded.
        """
        if self._model is None:
            raise DexaError("this Dexa is neither fitted nor loaded; call fit or Dexa.load first")
        return self._model

    def add_labels(
        self, texts: Sequence[str], documents: Sequence[Sequence[str]] | None = None
    ) -> list[int]:
        """Add labels, which are answered at once; nothing of the others changes.

        Args:
            texts: of the new labels.
            documents: for each of them the texts of its documents, any number; None for none.

        Returns:
            Their ids, which follow the last one.

        Raises:
            InputError: a text is empty, given twice, or that of another label.
            StorageError: the folder the model was loaded from cannot be written.
        """
        return self._change(lambda model: addition(model, texts, documents))

    def remove_labels(self, labels: Sequence[LabelName]) -> list[int]:
        """Remove labels for good: their ids are never given again.

        Args:
            labels: ids or exact texts.

        Returns:
            Their ids.

        Raises:
            InputError: there is no such label; the nearest is named.
            StorageError: the folder the model was loaded from cannot be written.
        """
        return self._set_state(REMOVE, labels)

    def rename_label(self, label: LabelName, text: str) -> int:
        """Give a label another text, by which it is found from now on.

        Its classifier and its auxiliary vector stay; without documents its classifier is the new
        label embedding.

        Returns:
            Its id, which stays.

        Raises:
            InputError: there is no such label, or the text is empty or that of another label.
            StorageError: the folder the model was loaded from cannot be written.
        """
        return self._change(lambda model: renaming(model, label, text))[0]

    def hide(self, labels: Sequence[LabelName]) -> list[int]:
        """Never answer some labels, but keep them; see `remove_labels`."""
        return self._set_state(HIDE, labels)

    def show(self, labels: Sequence[LabelName]) -> list[int]:
        """Answer hidden labels again; see `remove_labels`."""
        return self._set_state(SHOW, labels)

    def labels(self) -> list[Label]:
        """All labels but the removed ones, by id."""
        model = self.model
        texts, states, counts = model.label_texts, model.states.tolist(), model.frequency.tolist()
        return [
            Label(
                id=label,
                text=str(label) if texts is None else texts[label],
                documents=counts[label],
                hidden=state == HIDDEN,
            )
            for label, state in enumerate(states)
            if state != REMOVED
        ]

    def explain(self, text: str, label: LabelName) -> Explanation:
        """Why a label has its score for a text.

        Shares of the scorers are exact Shapley values; each word of the text is left out once, runs
        of words where there are more than 64, and everything is asked again.

        Args:
            text: any.
            label: its id, or its exact text; a hidden one can be explained too.

        Raises:
            InputError: there is no such label.
        """
        if not isinstance(text, str):
            raise InputError(f"a text given as {type(text).__name__}", expected="one text")
        return explained(self.model, text, label)

    def refresh(self) -> int:
        """Take up the changes that others wrote to the folder the model was loaded from.

        Returns:
            How many there were.

        Raises:
            ModelFolderError: a change is damaged, or the folder holds another model by now.
        """
        changes = [] if self._journal is None else self._journal.news()
        if changes:
            self._model = applied(self.model, changes)
        return len(changes)

    @classmethod
    @abc.abstractmethod
    def load(cls, folder: str | Path, *, device: str = "auto", write_changes: bool = True) -> Self:
        """Open a model folder."""

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        endpoint: str | None = None,
        device: str = "auto",
    ) -> Self:
        """Open a model folder, or a model on a hub.

        Changes of the labels of a model from a hub stay in memory until `save`.

        Args:
            name: a folder, or ``owner/name`` on the hub.
            revision: branch, tag or commit on the hub; None for the newest.
            token: that lets in; None for the one that ``hf auth login`` keeps.
            endpoint: of the hub; None for that of ``HF_ENDPOINT``, or else Hugging Face's.
            device: where to compute.

        Raises:
            InputError: there is no such repository or revision, or it may not be read.
            RunError: the hub does not answer, and nothing was fetched before.
            ModelFolderError: what is there is no whole model.
        """
        folder = Path(name).expanduser()
        if folder.is_dir():
            return cls.load(folder, device=device)
        fetched = Hub(endpoint=endpoint, token=token).fetch(str(name), revision)
        return cls.load(fetched, device=device, write_changes=False)

    def push_to_hub(
        self,
        repo: str,
        *,
        private: bool = False,
        token: str | None = None,
        endpoint: str | None = None,
    ) -> str:
        """Send the model folder to a hub, in one commit, in place of what is there.

        Args:
            repo: ``owner/name``; made if need be.
            private: whether a repository that is made is to be seen by its owner alone.
            token: see `from_pretrained`.
            endpoint: see `from_pretrained`.

        Returns:
            The address of the commit.

        Raises:
            InputError: the repository may not be written, or has no proper name.
            RunError: the hub does not answer.
        """
        hub, data = Hub(endpoint=endpoint, token=token), self.model.facts["dataset"]["name"]
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "model"
            save_model(self.model, folder)
            message = f"{self.model.recipe.name} on {data}"
            return hub.send(folder, repo, private=private, message=message)

    def save(self, folder: str | Path) -> None:
        """Write the model folder; what was there before is replaced at once, or stays.

        In the folder that the model was loaded from, the journal becomes part of the whole.
        """
        path, journal = Path(folder), self._journal
        if journal is None or path.absolute() != journal.folder.absolute():
            save_model(self.model, path)
            return
        with journal.writing():
            self.refresh()
            save_model(self.model, path)
            self._journal = Journal.of(path)

    def export_onnx(self, folder: str | Path) -> None:
        """Write the encoder as ONNX, with its tokenizer, into a new folder.

        Raises:
            InputError: there is no encoder, the extra ``onnx`` is not installed, or there is
                something in the folder.
            EncoderError: PyTorch cannot export this encoder.
        """
        export_onnx(self.model.required_encoder, Path(folder))

    def _set_state(self, kind: str, labels: Sequence[LabelName]) -> list[int]:
        return self._change(lambda model: of_state(kind, named_labels(model, labels)))

    def _change(self, make: Callable[[Model], LabelChange]) -> list[int]:
        journal = self._journal
        with nullcontext() if journal is None else journal.writing():
            self.refresh()
            change = make(self.model)
            if journal is not None:
                journal.append(change)
            self._model = applied(self.model, [change])
        return change.labels.tolist()
