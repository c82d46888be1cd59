"""A data set and an encoder small enough to train on within a second."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

COLOURS = ["amber", "black", "crimson", "green", "ivory", "violet"]
THINGS = ["bridge", "castle", "engine", "flower"]
LABELS = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]
PLACES = ["harbour", "market", "meadow", "museum", "station", "valley"]


def write_dataset(folder: Path, *, train: int = 64, test: int = 16) -> Path:
    """A data set in the raw form: a document names the words of its one or two labels."""
    draw = random.Random(108)
    folder.mkdir(parents=True)
    _write(folder / "lbl.json.gz", [_row(i, text, "a thing") for i, text in enumerate(LABELS)])
    for name, count in (("trn", train), ("tst", test)):
        _write(folder / f"{name}.json.gz", [_document(i, draw) for i in range(count)])
    (folder / "filter_labels_train.txt").write_text("")
    (folder / "filter_labels_test.txt").write_text("0 0\n")
    return folder


def write_encoder(folder: Path, *, dimension: int = 16) -> Path:
    """A transformer folder with random weights and two heads, over the data set's words."""
    torch.manual_seed(108)
    folder.mkdir(parents=True)
    words = sorted({*COLOURS, *THINGS, *PLACES, "a", "at", "the", "thing", "of"})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*special, *words]) + "\n")
    config = BertConfig(
        vocab_size=len(special) + len(words),
        hidden_size=dimension,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab=str(vocabulary)).save_pretrained(folder)
    return folder


def _document(number: int, draw: random.Random) -> dict:
    labels = sorted(draw.sample(range(len(LABELS)), draw.choice([1, 1, 2])))
    title = " ".join(LABELS[label] for label in labels)
    row = _row(number, f"{title} at the {draw.choice(PLACES)}", "of the " + draw.choice(PLACES))
    return row | {"target_ind": labels, "target_rel": [1.0] * len(labels)}


def _row(number: int, title: str, content: str) -> dict:
    return {"uid": str(number), "title": title, "content": content}


def _write(path: Path, rows: list[dict]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
