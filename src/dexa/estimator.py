"""`Dexa`: the one class most users need, to fit, ask, evaluate, save and load."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array  # pyright: ignore[reportMissingTypeStubs]

from dexa import recipes
from dexa.data import Dataset
from dexa.encoders import transformer_width
from dexa.errors import DataError, RecipeError
from dexa.evaluation import Evaluation, ReportPage, answers_needed, evaluate_on
from dexa.examples import encoder_of, examples_of, holds_titles, tokens_of
from dexa.model import Model, open_model
from dexa.recipe import Recipe, Size, completed
from dexa.tokens import TokenArray
from dexa.trained import Trained
from dexa.training import (
    Resources,
    choose_device,
    told_when_full,
    train,
)
from dexa.types import Progress, Silence, TopK


@final
class Dexa(Trained):
    """A tagger of texts with labels that have texts of their own.

    Args:
        recipe: the method; `recipes.dexa_plus()` by default.
        seed: of every random draw of `fit`; with several, a model of each is trained, and their
            fused scores are added.
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        device_memory: GiB of a GPU that the vectors of documents and the classifiers may take while
            `fit` trains; what does not fit stays in host memory. None for what is free.

    Examples:
        >>> model = Dexa(seed=108).fit(texts, labels, label_texts)
        >>> model.predict(["a text"], k=5).named()
    """

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        seed: int | Sequence[int] = 108,
        device: str = "auto",
        device_memory: float | None = None,
    ) -> None:
        self.recipe = recipe or recipes.dexa_plus()
        self.seeds = (seed,) if isinstance(seed, int) else tuple(seed)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise RecipeError(f"seeds {list(self.seeds)}", expected="one or more, each once")
        self.device, self.device_memory = device, device_memory
        super().__init__()

    def fit(
        self,
        texts: Sequence[str] | Dataset,
        labels: Sequence[Sequence[int]] | Sequence[Sequence[str]] | csr_array | None = None,
        label_texts: Sequence[str] | None = None,
        *,
        checkpoints: Path | None = None,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Dexa:
        """Train on documents and their labels.

        Args:
            texts: N documents, or a `Dataset` that holds everything.
            labels: for each document its labels, as ids or as label texts, or ``[N, L]``.
            label_texts: L texts.
            checkpoints: a folder that keeps the state of training at every epoch's end.
            resume: go on from what that folder holds; without anything there, start afresh.
            progress: told of every step.

        Raises:
            DataError: texts, labels and label texts do not fit, or no document has a label.
            EncoderError: the encoder cannot be found.
            DeviceError: the device is not on this machine, or its memory is full.
            DivergenceError: the loss became no number.
        """
        if isinstance(texts, Dataset):
            dataset = texts
        elif labels is None or label_texts is None:
            raise DataError(
                "texts without labels or label_texts", do="give all three, or one Dataset"
            )
        else:
            dataset = Dataset.from_lists(texts, labels, label_texts)
        progress = progress or Silence()
        if dataset.train is None:
            raise DataError("a data set without training documents", path=dataset.folder)
        recipe = self._completed(dataset)
        self._journal = None
        models: list[Model] = []
        for seed in self.seeds:
            for line in _told(recipe, seed, choose_device(self.device).type):
                progress.note(line)
            encoder = encoder_of(recipe.encoder, dataset)
            kept = checkpoints and (checkpoints / f"seed-{seed}" if self.seeds[1:] else checkpoints)
            with told_when_full():
                model = train(
                    examples_of(dataset, encoder, progress),
                    encoder,
                    recipe,
                    seed=seed,
                    on=Resources(device=self.device, memory=self.device_memory),
                    checkpoints=kept,
                    resume=resume,
                    progress=progress,
                )
            models.append(model)
        self._model = models[0]
        if models[1:]:  # what one model's scores are worth says nothing of a sum's
            self._model = dataclasses.replace(
                models[0], members=tuple(models[1:]), calibration=None
            )
        return self

    def _completed(self, dataset: Dataset) -> Recipe:
        assert dataset.train is not None
        recipe = self.recipe
        if recipe.encoder.name == "auto":
            name = "bag" if choose_device(self.device).type == "cpu" else "minilm"
            recipe = recipe.changed({"encoder.name": name})
        size = Size(
            documents=dataset.train.n_labelled,
            labels=dataset.n_labels,
            pairs=dataset.train.labels.nnz,
            width=None if recipe.encoder.absent else transformer_width(recipe.encoder.name),
            titles=holds_titles(dataset),
        )
        return completed(recipe, size)

    def predict(
        self,
        texts: Sequence[str],
        k: int = 5,
        *,
        threshold: float | None = None,
        labels: Sequence[str] | Sequence[int] | None = None,
        exclude: Sequence[str] | Sequence[int] | None = None,
    ) -> TopK:
        """The k best labels of each text, by the fused score.

        Args:
            texts: any.
            k: answers a text at most.
            threshold: only answers that are right with this probability at least, so that no
                label can be the answer; see `threshold`.
            labels: only these, by text or id.
            exclude: all but these, by text or id.

        Raises:
            DataError: texts is one text and not a list of texts, k is not positive, or there is
                no such label.
            InputError: a threshold, and the model is not calibrated.
        """
        _check_question(texts, k)
        top = self.model.predict(texts, k, allowed=self.model.allowed(labels, exclude))
        return top if threshold is None else top.above(threshold)

    def threshold(self, precision: float) -> float:
        """The lowest probability such that answers above it are right as often as asked.

        Args:
            precision: the share of answers to held-out documents that is to be right.

        Raises:
            InputError: the model is not calibrated, or no threshold reached this precision.
        """
        return self.model.threshold(precision)

    def predict_scorers(
        self, texts: Sequence[str] | TokenArray, k: int = 100, *, progress: Progress | None = None
    ) -> dict[str, TopK]:
        """The k best labels of each text by each scorer and by their fusion."""
        _check_question(texts, k)
        return self.model.predict_scorers(texts, k, progress=progress)

    def encode(
        self, texts: Sequence[str], *, side: Literal["document", "label"] = "document"
    ) -> NDArray[np.float32]:
        """Unit vectors of texts, ``[N, D]``.

        Args:
            texts: any texts.
            side: with ``label``, texts of the model's labels get the embeddings of these labels.
        """
        _check_question(texts, 1)
        if side == "label":
            return self.model.encode_labels(texts).cpu().numpy()
        return self.model.encode_documents(texts).cpu().numpy()

    def evaluate(
        self,
        dataset: Dataset,
        *,
        report: Path | None = None,
        peers: Sequence[dict[str, Any]] = (),
        progress: Progress | None = None,
    ) -> Evaluation:
        """Metrics of all scorers on the test split, after its filter.

        Args:
            dataset: with a test split over the labels of the model.
            report: where to write a page with tables, charts and examples.
            peers: rows of other tools to show in it.
            progress: told of every step.

        Raises:
            DataError: there is no test split, or its labels are not those of the model.
        """
        depth = answers_needed(dataset)
        if dataset.n_labels != len(self.model.frequency):
            raise DataError(
                f"{dataset.n_labels:,} labels",
                expected=f"the {len(self.model.frequency):,} labels of the model",
                path=dataset.folder,
            )
        words = dataset.test and dataset.test.texts
        tokens = tokens_of(dataset, self.model.encoder, progress or Silence())["tst_doc"]
        page = None
        if report is not None:
            facts = {"recipe": self.model.recipe.to_json(), **self.model.facts}
            page = ReportPage(path=report, facts=facts, history=self.model.history, peers=peers)
        return evaluate_on(
            dataset,
            self.model.predict_scorers(tokens, depth, words=words, progress=progress),
            a=self.model.facts["A"],
            b=self.model.facts["B"],
            page=page,
        )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str = "auto",
        index: str | None = None,
        mmap: bool = True,
        write_changes: bool = True,
        progress: Progress | None = None,
    ) -> Dexa:
        """Open a model folder.

        Args:
            folder: that `save` wrote.
            device: ``auto``, ``cpu`` or ``cuda``.
            index: ``exact``, ``pq``, ``faiss`` or ``auto`` (by the number of labels); None for the
                index that the folder holds. Another than that is built now; `save` keeps it.
            mmap: on a CPU, map large files into memory instead of reading them: the model opens
                at once, and processes share it. The checksums of files above 16 MiB are not
                looked at then, only their sizes; ``dexa info MODEL_DIR --check`` looks at all.
            write_changes: whether changes of labels go to the folder at once; without, they stay in
                memory until `save`.
            progress: told what index is chosen and built.

        Raises:
            ModelFolderError: it is incomplete or was changed.
            InputError: there is no such index, or its package is not installed.
            DeviceError: the device is not on this machine.
        """
        model, journal = open_model(Path(folder), choose_device(device), mmap=mmap)
        if index is not None:
            scorers = model.scorers.searched_by(index, progress or Silence())
            model = dataclasses.replace(model, scorers=scorers)
        seeds = [member.facts["seed"] for member in (model, *model.members)]
        loaded = cls(model.recipe, seed=seeds, device=device)
        loaded._model = model
        loaded._journal = journal if write_changes else None
        return loaded


def _check_question(texts: object, k: int) -> None:
    if isinstance(texts, str):
        raise DataError("one text", expected="a list of texts", do=f"write [{texts[:20]!r}]")
    if k < 1:
        raise DataError(f"k is {k}", expected="at least 1")


def _told(recipe: Recipe, seed: int, device: str) -> Iterable[str]:
    """A run's first lines: every choice it was given or took."""
    yield f"recipe {recipe.name}, seed {seed}, device {device}"
    parts = [field.name for field in dataclasses.fields(Recipe) if field.name != "name"]
    for part in parts:
        values = dataclasses.asdict(getattr(recipe, part))
        yield f"{part}: " + ", ".join(f"{key} {value}" for key, value in values.items())
