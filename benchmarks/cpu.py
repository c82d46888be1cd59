"""Parts of training and answering on a CPU, each beside the library call that does the same.

    OMP_NUM_THREADS=1 python benchmarks/cpu.py

- a step of a bag of tokens: the gradient of the bag's own sums and `RowAdam`, beside PyTorch's
  ``EmbeddingBag(sparse=True)`` and ``SparseAdam``, on full texts of the bundled data set;
- boosted trees of a fusion, beside scikit-learn's own evaluation of them;
- scores of chosen labels of a scorer that has an opinion of many, beside SciPy's look-up.

CPU milliseconds, the median of several runs. What is compared gives the same numbers, but for
where Adam adds its epsilon.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import csr_array, random_array
from sklearn.ensemble import HistGradientBoostingClassifier
from torch import nn

from accuracy import DATA, FIELDS
from dexa import load_dataset
from dexa.encoders import open_encoder
from dexa.encoders.bag_sums import bag_sums
from dexa.fusion.forest import fit_forest
from dexa.metrics.answers import chosen
from dexa.optimisers import RowAdam

TEXTS, RATE, RUNS = 512, 1e-2, 7


def main() -> None:
    print("| | ours, CPU-ms | library, CPU-ms | largest difference |")
    print("|---|---|---|---|")
    for part in (bag_step, trees, lookup):
        name, ours, theirs, apart = part()
        print(f"| {name} | {ours:.1f} | {theirs:.1f} | {apart:.1g} |", flush=True)


def median(work: Callable[[], object]) -> float:
    """CPU milliseconds of some work."""
    spent = []
    for _ in range(RUNS):
        started = time.process_time()
        work()
        spent.append(1e3 * (time.process_time() - started))
    return statistics.median(spent)


def bag_step() -> tuple[str, float, float, float]:
    dataset = load_dataset(DATA, fields=FIELDS["full"])
    assert dataset.train is not None
    encoder = open_encoder("bag", max_length=128, initial="random")
    tokens = encoder.tokenizer((dataset.train.texts or [])[:TEXTS])
    batch = tokens.batch(np.arange(TEXTS))
    ids, starts = batch.ids.long(), batch.offsets[:-1]
    table = torch.randn(encoder.tokenizer.vocabulary_size, 384)
    weights, target = torch.ones(len(ids)), torch.randn(TEXTS, 384)
    own = table.clone().requires_grad_()
    adam = RowAdam(own)

    def ours() -> None:
        own.grad = None
        (bag_sums(ids, starts, own, weights, sparse=True) * target).sum().backward()
        assert own.grad is not None
        adam.update(own.grad._indices()[0], own.grad._values(), RATE)

    bag = nn.EmbeddingBag.from_pretrained(table.clone(), freeze=False, mode="sum", sparse=True)
    sparse_adam = torch.optim.SparseAdam(bag.parameters(), lr=RATE)

    def theirs() -> None:
        sparse_adam.zero_grad()
        (bag(ids, starts) * target).sum().backward()
        sparse_adam.step()

    name = f"step of a bag, {TEXTS} texts, {len(ids):,} tokens, 384 dimensions"
    spent = median(ours), median(theirs)
    return name, *spent, float((own.detach() - bag.weight.detach()).abs().max())


def trees() -> tuple[str, float, float, float]:
    draw = np.random.default_rng(0)
    features = draw.standard_normal((200_000, 20)).astype(np.float32)
    right = features[:, :3].sum(axis=1) + draw.standard_normal(len(features)) > 2
    few = slice(0, 20_000)
    options = {"max_iter": 100, "max_leaf_nodes": 31, "min_samples_leaf": 20}
    forest = fit_forest(
        torch.from_numpy(features[few]),
        torch.from_numpy(right[few]),
        [False] * 20,
        trees=options["max_iter"],
        leaf=options["min_samples_leaf"],
        seed=0,
    )
    theirs = HistGradientBoostingClassifier(
        **options, l2_regularization=30, early_stopping=False, random_state=0
    ).fit(features[few], right[few])
    given = torch.from_numpy(features)
    apart = np.abs(forest(given).numpy() - theirs.decision_function(features)).max()
    spent = median(lambda: forest(given)), median(lambda: theirs.decision_function(features))
    return "100 boosted trees over 200,000 candidates", *spent, float(apart)


def lookup() -> tuple[str, float, float, float]:
    draw = np.random.default_rng(0)
    opinions = csr_array(random_array((100, 97_787), density=0.3, rng=draw, dtype=np.float32))
    labels = draw.integers(0, 97_787, (100, 350))
    rows = np.arange(100)[:, None]

    def theirs() -> np.ndarray:
        return opinions[np.broadcast_to(rows, labels.shape).ravel(), labels.ravel()]

    found = theirs().reshape(labels.shape)
    apart = np.abs(chosen(opinions, labels) - found).max()
    spent = median(lambda: chosen(opinions, labels)), median(theirs)
    return "350 chosen labels of 100 texts with 29,000 opinions each", *spent, float(apart)


if __name__ == "__main__":
    main()
