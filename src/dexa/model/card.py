"""The model card, written from the run."""

from __future__ import annotations

from dexa.model.parts import Model

_CARD = """# {name}: {recipe}

A model of dexa (`pip install dexa-xc`): it tags a text with the right few of
{labels:,} labels.

```python
from dexa import Dexa

model = Dexa.load("this folder")
model.predict(["a text"], k=5).named()
```

{encoder}| | |
|---|---|
| data set | {name}, fields {fields} |
| documents, pairs | {documents:,}, {pairs:,} |
| recipe | {recipe}, seed {seed} |
| scorers | {scorers} |
| trained on | {device} |
{training}"""

_ENCODER = """The encoder alone opens with `SentenceTransformer("this folder/encoder"{trusted})`.

"""

_TRAINING = """| encoder | {encoder}, {dimension} dimensions, {max_length} tokens |
| auxiliary vectors | {vectors:,} |
| epochs | {encoder_epochs} of the encoder, {classifier_epochs} of the classifiers |
| label search on {held_out:,} held-out documents | {figures} |
"""


def model_card(model: Model) -> str:
    """The card of a model, in Markdown."""
    data, recipe = model.facts["dataset"], model.recipe
    trusted = ", trust_remote_code=True" if recipe.encoder.pairs else ""
    return _CARD.format(
        name=data["name"],
        recipe=recipe.name,
        labels=data["labels"],
        fields=", ".join(data["fields"]) or "text",
        documents=data["documents"],
        pairs=data["pairs"],
        seed=model.facts["seed"],
        device=model.facts["device"],
        scorers=", ".join(words.replace("_", " ") for words in recipe.fusion.scorers),
        encoder="" if model.encoder is None else _ENCODER.format(trusted=trusted),
        training="" if model.encoder is None else _training(model, model.encoder.dimension),
    )


def _training(model: Model, dimension: int) -> str:
    """How the encoder and what stands on it were trained."""
    recipe, figures = model.recipe, model.facts["held_out_label_search"]
    return _TRAINING.format(
        held_out=model.facts["held_out_documents"],
        figures=", ".join(f"{name} {value:.2f}" for name, value in figures.items())
        or "not measured",
        encoder=recipe.encoder.name,
        dimension=dimension,
        max_length=recipe.encoder.max_length,
        vectors=len(model.bank.vectors),
        encoder_epochs=recipe.encoder_stage.epochs,
        classifier_epochs=recipe.classifier_stage.epochs,
    )
