"""Accuracy and time of the scorers that read words, and of neighbours' votes, each alone.

    python benchmarks/scorers.py --fields titles full
    python benchmarks/scorers.py --fields titles --held-out --set penalty=0.03 --set rounds=4
    python benchmarks/scorers.py --fields titles --neighbours 20,0.05 50,0.05 --encoder bag:minilm

Figures are those of the test split after its filter, or with ``--held-out`` those of a tenth of
train that no scorer sees, for choices. Neighbours' votes use an encoder that is not trained.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from accuracy import DATA, FIELDS, held_out
from dexa import Dataset, load_dataset, metrics
from dexa.data import Split
from dexa.encoders import encode, open_encoder
from dexa.index import ExactIndex
from dexa.lexical import LabelSearch, LinearFit, TextFeatures
from dexa.neighbours import NeighbourVotes
from dexa.types import TopK

COLUMNS = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5", "R@10", "R@100", "train s", "ms")
DEPTH = 110  # 100 after the filter
CHUNK = 2_048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fields", nargs="+", choices=FIELDS, default=list(FIELDS))
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--set", action="append", default=[], help="a field of LinearFit")
    parser.add_argument("--seed", type=int, default=108)
    parser.add_argument("--neighbours", nargs="*", default=[], help="count,temperature")
    parser.add_argument("--encoder", default="bag")
    options = parser.parse_args()
    fit = changed(LinearFit(), options.set)
    print("| text | scorer | " + " | ".join(COLUMNS) + " |\n" + "|---" * (len(COLUMNS) + 2) + "|")
    for fields in options.fields:
        dataset = load_dataset(DATA, fields=FIELDS[fields])
        dataset = held_out(dataset) if options.held_out else dataset
        train, test = dataset.train, dataset.test
        assert train and test and train.texts and test.texts and dataset.label_texts
        lexical(fields, dataset, train, test, fit, options.seed)
        if options.neighbours:
            votes(fields, dataset, train, test, options)


def changed(fit: LinearFit, settings: list[str]) -> LinearFit:
    values = dict(setting.split("=") for setting in settings)
    return replace(fit, **{name: type(getattr(fit, name))(v) for name, v in values.items()})


def lexical(
    fields: str, dataset: Dataset, train: Split, test: Split, fit: LinearFit, seed: int
) -> None:
    started = time.process_time()
    features = TextFeatures.fit(train.texts, dataset.label_texts)
    labels = features.transform(dataset.label_texts)
    search = LabelSearch.over(labels)
    reading = time.process_time() - started
    row(fields, "label search, TF-IDF", dataset, reading, texts(search, features, test))
    documents = features.transform(train.texts)
    linear = fit(documents, labels, train.labels, features.groups, seed)
    fitting = time.process_time() - started
    row(fields, "sparse linear", dataset, fitting, texts(linear, features, test))


def texts(scorer: object, features: TextFeatures, test: Split) -> Callable[[slice], csr_array]:
    return lambda part: scorer.opinions(features.transform(test.texts[part]))


def votes(
    fields: str, dataset: Dataset, train: Split, test: Split, options: argparse.Namespace
) -> None:
    encoder = open_encoder(options.encoder, max_length=64)
    vectors = [encode(encoder, encoder.tokenizer(split.texts)) for split in (train, test)]
    index = ExactIndex(vectors[0])
    for text in options.neighbours:
        count, temperature = text.split(",")
        scorer = NeighbourVotes(
            index=index,
            labels=train.labels,
            neighbours=int(count),
            temperature=float(temperature),
        )
        row(
            fields,
            f"votes {text}",
            dataset,
            0.0,
            lambda part, s=scorer: s.opinions(vectors[1][part]),
        )


def row(
    fields: str, name: str, dataset: Dataset, train_s: float, opinions: Callable[[slice], csr_array]
) -> None:
    """Print a line of the table."""
    started = time.process_time()
    n_documents = dataset.test.n_documents
    tops = [
        metrics.top_k(opinions(slice(start, start + CHUNK)), DEPTH)
        for start in range(0, n_documents, CHUNK)
    ]
    milliseconds = 1000 * (time.process_time() - started) / n_documents
    top = TopK(
        labels=np.concatenate([part.labels for part in tops]),
        scores=np.concatenate([part.scores for part in tops]),
    )
    top = metrics.drop_pairs(top, dataset.test.filter_pairs)
    truth = dataset.test.labels
    constants = metrics.propensity_constants(dataset.name)
    weights = metrics.inverse_propensity(dataset.train.labels, *constants)
    precision, psp = metrics.precision(top, truth), metrics.psp(top, truth, weights)
    recall = metrics.recall(top, truth, 100)
    figures = [*precision[::2], *psp[::2], recall[9], recall[99]]
    cells = [f"{100 * figure:.2f}" for figure in figures]
    cells += [f"{train_s:.0f}", f"{milliseconds:.2f}"]
    print("| " + " | ".join([fields, name, *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
