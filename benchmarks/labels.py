"""Labels that come after training: how well they are found, beside a model trained with all.

    python benchmarks/labels.py
    python benchmarks/labels.py --documents 10000 --recipe dexa
    python benchmarks/labels.py --held-out --shrinkage 0.3 1 3
    python benchmarks/labels.py --costs

A tenth of the labels of the bundled titles is taken away before training, and added afterwards: by
their texts; by texts and the auxiliary vector of the nearest cluster, where the recipe has such; by
texts and their training documents. Figures are recall at 10: the share of the true pairs of these
labels, and of all others, that stand among the first ten answers, in the test split after its
filter, or with ``--held-out`` in a tenth of train that no model sees, for choices; of the documents
without a late label as many are asked as there are with one. Labels whose text another label has as
well cannot be added, and are in no figure. Trained models are kept in ``--work``. ``--costs`` shows
what single changes take, in time of the processor and in bytes written, and an explanation.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from accuracy import DATA, FIELDS, over_labels, rows_of, split_off
from dexa import Dataset, Dexa, load_dataset, metrics, recipes
from dexa.data import Split
from dexa.model import Choice, addition, applied
from dexa.types import TopK

SHARE = 0.1
DEPTH = 20  # ten after the filter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", default="dexa_plus")
    parser.add_argument("--encoder", default="bag")
    parser.add_argument("--epochs", type=int, default=5, help="of the encoder stage")
    parser.add_argument("--documents", type=int, help="train on so many, drawn, and their labels")
    parser.add_argument("--seed", type=int, default=108)
    parser.add_argument("--held-out", action="store_true", help="figures on documents of train")
    parser.add_argument("--costs", action="store_true", help="of changes, and of an explanation")
    parser.add_argument("--shrinkage", type=float, nargs="+", default=[Choice().shrinkage])
    parser.add_argument("--work", type=Path, default=Path("labels-work"), help="keeps the models")
    options = parser.parse_args()
    whole = load_dataset(DATA, fields=FIELDS["titles"])
    if options.documents:
        whole = smaller(whole, options.documents, options.seed)
    dataset = split_off(whole)
    gone = np.random.default_rng(options.seed).random(whole.n_labels) < SHARE
    late = gone & with_own_text(whole)
    asked = dataset.test if options.held_out else whole.test
    if options.costs:
        costs(trained(without(dataset, gone), "without", options), options.work / "without")
        return
    figures = Figures(some_of(asked, late, options.seed), late, ~gone)
    names = np.concatenate([np.flatnonzero(~gone), np.flatnonzero(late)])
    print(f"{gone.sum():,} of {len(gone):,} labels are taken away, {late.sum():,} of them added")
    for name, choice, documents in variants(options):
        model = trained(without(dataset, gone), "without", options)
        started = time.process_time()
        change = addition(
            model.model,
            [whole.label_texts[label] for label in np.flatnonzero(late)],
            documents_of(dataset, late) if documents else None,
            choice,
        )
        model._model = applied(model.model, [change])
        seconds = time.process_time() - started
        figures.show(f"{name} ({seconds:.0f} CPU s)", model, names)
    if not options.held_out:
        everything = np.arange(whole.n_labels)
        figures.show("trained with all", trained(dataset, "all", options), everything)


def variants(options: argparse.Namespace) -> Iterator[tuple[str, Choice, bool]]:
    """A name, how new labels are scored, and whether they have documents."""
    yield "text", Choice(auxiliary=False), False
    if getattr(recipes, options.recipe)().auxiliary.shared_vectors != 0:
        yield "text and nearest cluster", Choice(auxiliary=True), False
    for shrinkage in options.shrinkage:
        choice = Choice(auxiliary=False, shrinkage=shrinkage)
        yield f"text and documents, shrinkage {shrinkage:g}", choice, True


def with_own_text(dataset: Dataset) -> np.ndarray:
    """Which labels have a text that no other label has."""
    _, first, counts = np.unique(dataset.label_texts, return_index=True, return_counts=True)
    alone = np.zeros(dataset.n_labels, bool)
    alone[first[counts == 1]] = True
    return alone


def without(dataset: Dataset, late: np.ndarray) -> Dataset:
    """The data set as it was before the late labels came."""
    return replace(over_labels(dataset, np.flatnonzero(~late)), test=None)


def smaller(dataset: Dataset, documents: int, seed: int) -> Dataset:
    """A data set of some training documents, the labels they have, and the test split of these."""
    rows = np.random.default_rng(seed).permutation(dataset.train.n_documents)[:documents]
    train = rows_of(dataset.train, np.sort(rows))
    kept = np.bincount(train.labels.indices, minlength=dataset.n_labels) > 0
    dataset = over_labels(replace(dataset, train=train), np.flatnonzero(kept))
    having = np.flatnonzero(np.diff(dataset.test.labels.indptr))
    return replace(dataset, test=rows_of(dataset.test, having))


def some_of(split: Split, late: np.ndarray, seed: int) -> Split:
    """The documents with a late label, and as many others."""
    having = np.asarray(split.labels[:, late].sum(axis=1)).ravel() > 0
    others = np.random.default_rng(seed).permutation(np.flatnonzero(~having))[: having.sum()]
    return rows_of(split, np.sort(np.concatenate([np.flatnonzero(having), others])))


def documents_of(dataset: Dataset, late: np.ndarray) -> list[list[str]]:
    """The training documents of each late label."""
    by_label = csr_array(dataset.train.labels[:, np.flatnonzero(late)].T.tocsr())
    texts, ends = dataset.train.texts, by_label.indptr
    return [
        [texts[row] for row in by_label.indices[ends[i] : ends[i + 1]]] for i in range(late.sum())
    ]


def trained(dataset: Dataset, name: str, options: argparse.Namespace) -> Dexa:
    """The model of a data set, from the work folder if it is there."""
    folder = options.work / name
    if not (folder / "model.json").is_file():
        recipe = getattr(recipes, options.recipe)().changed(
            {"encoder.name": options.encoder, "encoder_stage.epochs": options.epochs}
        )
        started = time.perf_counter(), time.process_time()
        Dexa(recipe, seed=options.seed, device="cpu").fit(dataset).save(folder)
        wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
        print(f"{folder.name}: trained in {wall:.0f} s, {cpu:.0f} CPU s", flush=True)
    return Dexa.load(folder, device="cpu", write_changes=False)


def costs(model: Dexa, folder: Path) -> None:
    """Print what single changes of a model in a folder take, in a copy of the folder."""
    documents = ["a bicycle that carries loads", "loads on a bicycle"]
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copytree(folder, Path(place) / "model")
        model = Dexa.load(copy, device="cpu")
        model.predict(["a dog"])  # what is made once is made
        acts = {
            "add a label by text": lambda: model.add_labels(["cargo bicycle, carrier"]),
            "add a label with two documents": lambda: model.add_labels(["load bike"], [documents]),
            "rename a label": lambda: model.rename_label("load bike", "bike for loads"),
            "hide a label": lambda: model.hide(["bike for loads"]),
            "remove a label": lambda: model.remove_labels(["bike for loads"]),
            "predict one text": lambda: model.predict(["a bicycle that carries loads"]),
            "explain one label": lambda: model.explain(documents[0], "cargo bicycle, carrier"),
        }
        print(f"{len(model.labels()):,} labels\n| | CPU s | bytes written |\n|---|---|---|")
        for name, act in acts.items():
            before, started = size(copy), time.process_time()
            act()
            print(f"| {name} | {time.process_time() - started:.2f} | {size(copy) - before:,} |")


def size(folder: Path) -> int:
    """The bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Figures:
    """Prints recall at 10 of late and of other labels, a line a scorer."""

    def __init__(self, asked: Split, late: np.ndarray, others: np.ndarray) -> None:
        self.asked, self.parts = asked, (late, others)
        head = ["labels come", "scorer", "R@10 of them", "R@10 of others", "P@1 of all"]
        print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")

    def show(self, name: str, model: Dexa, names: np.ndarray) -> None:
        """The lines of a model whose label i is the data set's label ``names[i]``."""
        for scorer, top in model.predict_scorers(list(self.asked.texts), DEPTH).items():
            ids = np.where(top.labels >= 0, names[top.labels], top.labels)
            answers = metrics.drop_pairs(
                TopK(labels=ids, scores=top.scores), self.asked.filter_pairs
            )
            figures = [found(answers, self.asked.labels, part) for part in self.parts]
            figures.append(metrics.precision(answers, self.asked.labels, k=1)[0])
            cells = [name, scorer, *(f"{100 * figure:.1f}" for figure in figures)]
            print("| " + " | ".join(cells) + " |", flush=True)


def found(answers: TopK, truth: csr_array, labels: np.ndarray) -> float:
    """The share of the true pairs of some labels that is among the first ten answers."""
    pairs = truth.tocoo()
    mine = labels[pairs.col]
    ten = answers.labels[pairs.row[mine], :10]
    return float((ten == pairs.col[mine][:, None]).any(axis=1).mean())


if __name__ == "__main__":
    main()
