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

The encoder alone opens with `SentenceTransformer("this folder/encoder"{trusted})`.

| | |
|---|---|
| data set | {name}, fields {fields} |
| documents, pairs | {documents:,}, {pairs:,} |
| recipe | {recipe}, seed {seed} |
| encoder | {encoder}, {dimension} dimensions, {max_length} tokens |
| auxiliary vectors | {vectors:,} |
| epochs | {encoder_epochs} of the encoder, {classifier_epochs} of the classifiers |
| trained on | {device} |
| label search on {held_out:,} held-out documents | {figures} |
"""


def model_card(model: Model) -> str:
    """The card of a model, in Markdown."""
    data, recipe = model.facts["dataset"], model.recipe
    return _CARD.format(
        name=data["name"],
        recipe=recipe.name,
        labels=data["labels"],
        fields=", ".join(data["fields"]) or "text",
        documents=data["documents"],
        pairs=data["pairs"],
        seed=model.facts["seed"],
        device=model.facts["device"],
        held_out=model.facts["held_out_documents"],
        figures=", ".join(
            f"{name} {value:.2f}" for name, value in model.facts["held_out_label_search"].items()
        )
        or "not measured",
        encoder=recipe.encoder.name,
        trusted=", trust_remote_code=True" if recipe.encoder.pairs else "",
        dimension=model.encoder.dimension,
        max_length=recipe.encoder.max_length,
        vectors=len(model.bank.vectors),
        encoder_epochs=recipe.encoder_stage.epochs,
        classifier_epochs=recipe.classifier_stage.epochs,
    )
