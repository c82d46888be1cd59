"""What each part of dexa-plus is worth: leaving it out, on documents held out from train.

    python benchmarks/ablations.py --data titles --encoder bag
    python benchmarks/ablations.py --data titles --encoder minilm --set encoder_stage.epochs=60
    python benchmarks/ablations.py --data further/FOLDOC

One model is trained; its fusion is then fitted anew without each scorer, with other dials, and by
other methods. Then the encoder is trained without each of its novelties, with a fusion of label
search and classifiers alone. Every row is appended to ``--output`` as a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from accuracy import DATA, FIELDS, held_out
from dexa import Dataset, Dexa, load_dataset, metrics, recipes
from dexa.fusion import Candidates, boosted_features
from dexa.model import Asked
from dexa.recipe import FusionChoice, Recipe
from dexa.training.corpus import Corpus, make_corpus
from dexa.training.validation import fit_fusion, lessons_of
from dexa.types import CLASSIFIERS, LABEL_SEARCH, TopK

DIALS = (0.0, 0.3, 0.5, 0.7, 1.0)
DENSE = (LABEL_SEARCH, CLASSIFIERS)
ENCODER_PARTS = {
    "without pairs of tokens": {"encoder.pairs": 0},
    "batches of documents": {"encoder_stage.task": "documents", "encoder_stage.rarity": 0.2},
    "the loss of SiameseXML": {"encoder_stage.loss": "likelihood"},
    "half the batch": {"encoder_stage.batch_size": 1_600},
}
DEPTH = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="titles", help="titles, full, or a folder")
    parser.add_argument("--encoder", choices=["bag", "minilm"], default="bag")
    parser.add_argument("--minilm", default="minilm", help="folder of MiniLM, if not packaged")
    parser.add_argument("--set", action="append", default=[], help="field=value of the recipe")
    parser.add_argument("--seed", type=int, default=108)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, default=Path("ablations.jsonl"))
    options = parser.parse_args()
    bundled = options.data in FIELDS
    whole = load_dataset(DATA if bundled else options.data, fields=FIELDS.get(options.data))
    dataset = held_out(whole)
    name = options.minilm if options.encoder == "minilm" else f"bag:{options.minilm}"
    changes = dict(change.split("=") for change in options.set)
    recipe = recipes.dexa_plus().changed({"encoder.name": name, **changes})
    for what, figures in rows(dataset, recipe, options):
        row = {"data": options.data, "encoder": options.encoder, "what": what, **figures}
        with options.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)


def rows(
    dataset: Dataset, recipe: Recipe, options: argparse.Namespace
) -> Iterator[tuple[str, dict[str, float]]]:
    """What was changed, and the figures of it."""
    started = time.perf_counter()
    model = Dexa(recipe, seed=options.seed, device=options.device).fit(dataset)
    study = Study(dataset, model, options.seed)
    for scorer, top in study.test.best(DEPTH).items():
        yield f"{scorer} alone", study.figures(top)
    yield from fusions(study)
    print(f"{time.perf_counter() - started:.0f} s", flush=True)
    fusion = replace(recipe.fusion, scorers=DENSE)
    for what, changes in {"label search and classifiers": {}, **ENCODER_PARTS}.items():
        if "encoder.pairs" in changes and options.encoder == "minilm":
            continue
        changed = replace(recipe, fusion=fusion).changed(changes)
        fitted = Dexa(changed, seed=options.seed, device=options.device).fit(dataset)
        evaluation = fitted.evaluate(dataset).to_json()["scorers"]
        for scorer in (LABEL_SEARCH, "fusion"):
            yield f"{what}: {scorer}", {m: round(evaluation[scorer][m], 2) for m in METRICS}


METRICS = ("P@1", "P@5", "PSP@1", "PSP@5", "R@10", "R@100")


class Study:
    """A trained model, its validation documents, and the documents held out from all."""

    def __init__(self, dataset: Dataset, model: Dexa, seed: int) -> None:
        parts, train, test = model.model, dataset.train, dataset.test
        assert train is not None and train.texts is not None
        assert test is not None and test.texts is not None
        self.recipe, self.choice = parts.recipe, parts.recipe.fusion
        self.seed, self.dataset = seed, dataset
        self.corpus: Corpus = make_corpus(
            parts.required_encoder.tokenizer(train.texts),
            parts.required_encoder.tokenizer(dataset.label_texts or ()),
            train.labels,
            train.filter_pairs,
            validation=self.choice.validation or 0,
            seed=seed,
            device=torch.device("cpu"),
        )
        self.propensity = (parts.facts["A"], parts.facts["B"])
        validation = [train.texts[int(row)] for row in self.corpus.held_out_rows]
        self.validation, self.test = (
            parts.scorers.ask(parts.encode_documents(texts), texts)
            for texts in (validation, list(test.texts))
        )

    def fused(self, choice: FusionChoice) -> dict[str, float]:
        """Figures of a fusion fitted anew."""
        recipe = replace(self.recipe, fusion=choice)
        fusion, _ = fit_fusion(self.corpus, self.validation, recipe, self.propensity, self.seed)
        return self.figures(fusion(candidates(self.test, choice), DEPTH))

    def regressed(self) -> dict[str, float]:
        """Figures of a logistic regression over the features of the boosted trees."""
        choice = self.choice
        rarity = metrics.inverse_propensity(self.corpus.labels, *self.propensity)

        def features(some: Candidates) -> torch.Tensor:
            return boosted_features(some, choice.scorers, rarity, choice.candidates).cpu()

        learnt, asked = candidates(self.validation, choice), candidates(self.test, choice)
        lessons = lessons_of(self.corpus, learnt)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(features(learnt)[lessons.count].numpy(), lessons.right[lessons.count].numpy())
        odds = torch.from_numpy(model.decision_function(features(asked).numpy())).float()
        odds = odds.view(asked.labels.shape)
        labels = asked.labels.cpu()
        log_rarity = torch.from_numpy(np.log(rarity)).float()
        fused = odds + choice.tail_weight * log_rarity[labels.clamp(min=0)]
        ordered, order = fused.masked_fill(labels < 0, -torch.inf).sort(dim=1, descending=True)
        top = TopK(
            labels=labels.gather(1, order)[:, :DEPTH].numpy(), scores=ordered[:, :DEPTH].numpy()
        )
        return self.figures(top)

    def figures(self, top: TopK) -> dict[str, float]:
        """Percentages on the documents held out, after the filter."""
        test = self.dataset.test
        assert test is not None
        top = metrics.drop_pairs(top, test.filter_pairs)
        rarity = metrics.inverse_propensity(self.dataset.train.labels, *self.propensity)
        of: dict[str, Callable[[int], float]] = {
            "P": lambda k: metrics.precision(top, test.labels, k=k)[-1],
            "PSP": lambda k: metrics.psp(top, test.labels, rarity, k=k)[-1],
            "R": lambda k: metrics.recall(top, test.labels, k=k)[-1],
        }
        parts = [metric.split("@") for metric in METRICS]
        return {f"{name}@{k}": round(100 * float(of[name](int(k))), 2) for name, k in parts}


def candidates(asked: Asked, choice: FusionChoice) -> Candidates:
    """What the chosen scorers propose."""
    found = asked.best(choice.candidates)
    return asked.candidates({name: found[name] for name in choice.scorers})


def fusions(study: Study) -> Iterator[tuple[str, dict[str, float]]]:
    """Fusions of other scorers, by other methods, with other dials."""
    choice = study.choice
    yield "all", study.fused(choice)
    for scorer in choice.scorers:
        others = tuple(name for name in choice.scorers if name != scorer)
        yield f"without {scorer}", study.fused(replace(choice, scorers=others))
    yield "label search and classifiers, boosted", study.fused(replace(choice, scorers=DENSE))
    tree = replace(choice, scorers=DENSE, method="tree", candidates=100)
    yield "label search and classifiers, the paper's tree", study.fused(tree)
    yield "all, logistic regression", study.regressed()
    for dial in DIALS:
        yield f"all, tail_weight {dial}", study.fused(replace(choice, tail_weight=dial))


if __name__ == "__main__":
    main()
