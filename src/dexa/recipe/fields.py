"""Recipes: a method as a frozen description of its parts and stages.

A field that is ``None`` is filled in from the data set's size by `completed`; the rule stands in
the comment beside the field. Everything else is a number one can read, change and save.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dexa.recipe.checks import check
from dexa.recipe.label_fields import (
    LabelBatches,
    LabelClusters,
    LabelGraph,
    RerankerChoice,
    ShortlistChoice,
)
from dexa.recipe.reading import build, is_object, leaves, parsed, unknown
from dexa.recipe.scoring_fields import FurtherChoice, FusionChoice, IndexChoice
from dexa.storage import read_json, write_json


@dataclass(frozen=True, kw_only=True)
class EncoderChoice:
    """Which encoder, and how its texts are cut.

    Attributes:
        name: a path, ``minilm``, a hub id, or ``bag`` / ``bag:NAME`` for a bag of tokens over the
            vocabulary of one of these; ``cnn`` and ``rnn`` likewise, for a convolution or recurrent
            units over tokens; ``sparse`` for a bag of sparse features, those of the data set or
            words and sub-words of its texts; ``auto`` is ``bag`` on a CPU and ``minilm`` on a GPU;
            ``none`` where every scorer reads words.
        max_length: tokens of a text, special tokens included.
        dropout: probability inside a transformer or a sparse bag while it trains.
        initial: token vectors of a bag, ``pretrained`` or ``random``; of a sparse bag also a file
            of them, ``.npy`` or fastText's ``.vec``.
        pairs: vectors of a bag for pairs of tokens that stand side by side; 0 for none.
        activation: of a sparse bag, ``relu`` or ``gelu``.
        label_side: what stands for a label, its ``text`` or the ``centroid`` of its documents.
    """

    name: str = "auto"
    max_length: int | None = None  # 32 for titles, 128 for full text
    dropout: float = 0.0
    initial: str = "pretrained"
    pairs: int | None = None  # bag: a power of two above the texts, at most 262,144; else 0
    activation: str = "relu"
    label_side: str = "text"

    @property
    def absent(self) -> bool:
        """Whether there is no encoder: every scorer reads words."""
        return self.name == "none"


@dataclass(frozen=True, kw_only=True)
class AuxiliaryChoice:
    """The free vectors that are added to label embeddings (DEXA, section 3).

    Attributes:
        shared_vectors: number of clusters of labels that share a vector; 0 for none.
        head_labels: most frequent labels that get a vector of their own.
        initial_norm: expected length of a vector at the start; label texts have length 1.
        learning_rate: of the vectors, following the same schedule as the encoder's.
    """

    shared_vectors: int | None = None  # a third of the labels, at most 65,536; 0 for other tasks
    head_labels: int | None = None  # a hundredth of the labels, at most 1,000
    initial_norm: float | None = None  # 0.15 beside a transformer, 0 beside a bag of tokens
    learning_rate: float | None = None  # 5e-4 beside a transformer, 1e-4 beside a bag of tokens


@dataclass(frozen=True, kw_only=True)
class EncoderStage:
    """Module I: the encoder, trained on clustered batches of documents (NGAME) or otherwise.

    Attributes:
        task: what the encoder learns: ``documents`` near their labels, against those of batches of
            like documents (NGAME); ``labels`` near their documents, by batches of labels
            (SiameseXML); the ``clusters`` of a document's labels (DeepXML).
        epochs: passes over the documents, or over as many labels where these are drawn and more.
        batch_size: documents of a batch, or labels.
        texts_at_once: a batch of more documents and labels is encoded in pieces of so many, twice,
            so that memory does not bound the batch; 0 encodes all at once.
        learning_rate: highest rate of AdamW.
        warmup_steps: steps of linear growth before the linear decay to zero.
        weight_decay: of dense weights but biases and layer norms.
        loss: ``triplet``, of the paper, for batches of documents; ``likelihood``, that of
            SiameseXML, for batches of labels; ``softmax`` for either, over all negatives of a
            batch, from documents to labels and back; ``bce``, for clusters.
        margin: by how much a positive should beat a negative, in cosine; of the triplet loss.
        negatives: hardest in-batch negatives of a document that enter the triplet loss.
        temperature: of the softmax that weighs those negatives, or of the softmax loss.
        rarity: a document's positive is drawn with weight ``frequency ** -rarity``; 0 draws all
            alike.
        cluster_size: documents of a cluster at the start.
        cluster_from: first epoch with clustered batches; before it documents are shuffled.
        cluster_every: epochs between two clusterings of the embedding memory.
        curriculum: epochs at which the clusters double in size.
        validations: how often the stage is validated on its way.
    """

    task: str = "documents"
    epochs: int | None = None  # 40, a bag 20; few batches: 60; many labels by softmax: 80
    batch_size: int | None = None  # 1,600, 3,200 labels under a softmax; few documents: a 16th
    texts_at_once: int = 0
    learning_rate: float | None = None  # 1e-2 for a bag; 1e-3 up to 384 dimensions, 2e-4 above
    warmup_steps: int | None = None  # 100, a tenth of the steps when there are few
    weight_decay: float = 0.01
    loss: str | None = None  # triplet; likelihood for labels, bce for clusters
    margin: float = 0.3
    negatives: int = 10
    temperature: float | None = None  # 0.1; softmax 0.07; transformer: 0.05, few texts 0.03
    rarity: float = 0.0
    cluster_size: int = 4
    cluster_from: int | None = None  # a thirtieth of the epochs
    cluster_every: int = 5
    curriculum: tuple[int, ...] | None = None  # at {10,25,50,75,100,125,150,200}/300 of the epochs
    validations: int = 2


@dataclass(frozen=True, kw_only=True)
class ClassifierStage:
    """Modules II to IV: one classifier a label.

    Attributes:
        start: where classifiers start: at the ``label_vectors``, at these ``smoothed`` over the
            label graph, or at ``zero``.
        compared_with: labels that a document learns from: those of its ``batch``, its own
            ``shortlist``, or ``all``.
        loss: ``triplet`` in a batch; ``prob`` (SiameseXML) or ``bce`` (DeepXML) elsewhere.
        encoder_share: share of its own highest rate at which the encoder is trained together with
            the classifiers; 0 freezes it.
        own_block: whether a residual block of their own lies between encoder and classifiers.
        epochs: passes over the documents; 0 leaves the classifiers at the label embeddings.
        batch_size: documents of a batch.
        learning_rate: highest rate of row-wise Adam.
        moments: ``float32``, or ``bfloat16`` for half the memory.
        warmup_steps: steps of linear growth before the linear decay to zero.
        dropout: probability on the documents' embeddings.
        margin: by how much a positive should beat a negative, in cosine.
        positives: least similar positives of a document that enter the loss; with shortlists any.
        negatives: hardest negatives of a document that enter the loss.
        random_negatives: labels drawn for each document beside its shortlist.
        shortlist_every: epochs between two shortlists, where the encoder is trained; 0 keeps the
            first.
        ceiling: as of `LabelBatches`, for the loss ``prob``.
        sharpness: likewise.
        cluster_size: documents of a cluster.
        cluster_every: epochs between two clusterings of the documents.
        curriculum: epochs at which the clusters double in size.
    """

    start: str = "label_vectors"
    compared_with: str = "batch"
    loss: str = "triplet"
    encoder_share: float = 0.0
    own_block: bool = False
    epochs: int | None = None  # 20 for a transformer, 6 for a bag; 20 where batches are few
    batch_size: int | None = None  # 2,048; a 16th of the documents, then 256, when there are few
    learning_rate: float = 1e-3
    moments: str = "float32"
    warmup_steps: int = 100
    dropout: float = 0.5
    margin: float = 0.2
    positives: int = 3
    negatives: int = 5
    random_negatives: int = 20
    shortlist_every: int = 0
    ceiling: float = 0.75
    sharpness: float = 3.0
    cluster_size: int = 32
    cluster_every: int = 5
    curriculum: tuple[int, ...] | None = None  # at {20}/100 of the epochs


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A method, completely described; `dexa.recipes` holds the published ones."""

    name: str
    encoder: EncoderChoice = field(default_factory=EncoderChoice)
    auxiliary: AuxiliaryChoice = field(default_factory=AuxiliaryChoice)
    encoder_stage: EncoderStage = field(default_factory=EncoderStage)
    label_batches: LabelBatches = field(default_factory=LabelBatches)
    label_clusters: LabelClusters = field(default_factory=LabelClusters)
    label_graph: LabelGraph = field(default_factory=LabelGraph)
    shortlist: ShortlistChoice = field(default_factory=ShortlistChoice)
    reranker: RerankerChoice = field(default_factory=RerankerChoice)
    classifier_stage: ClassifierStage = field(default_factory=ClassifierStage)
    further: FurtherChoice = field(default_factory=FurtherChoice)
    fusion: FusionChoice = field(default_factory=FusionChoice)
    index: IndexChoice = field(default_factory=IndexChoice)

    def __post_init__(self) -> None:
        check(self)

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @staticmethod
    def from_json(value: Any, *, path: str | Path | None = None) -> Recipe:
        """A recipe from plain JSON values; missing keys take their defaults.

        Raises:
            RecipeError: a key is unknown (the nearest is named) or a value has the wrong type.
        """
        return build(Recipe, value, "", path)

    def save(self, path: str | Path) -> None:
        """Write the recipe as a JSON file."""
        write_json(Path(path), self.to_json())

    @staticmethod
    def load(path: str | Path) -> Recipe:
        """Read a recipe from a JSON file."""
        return Recipe.from_json(read_json(Path(path)), path=path)

    def changed(self, settings: typing.Mapping[str, Any]) -> Recipe:
        """The recipe with some fields changed.

        Args:
            settings: ``{"encoder_stage.epochs": 40}``; texts are read as JSON where they are JSON.

        Raises:
            RecipeError: no such field, or a value it cannot take.
        """
        tree = self.to_json()
        for key, value in settings.items():
            *parents, last = key.split(".")
            node: Any = tree
            for parent in parents:
                node = node.get(parent) if is_object(node) else None
            if not is_object(node) or is_object(node.get(last, {})):
                raise unknown(key, leaves(self.to_json()))
            node[last] = parsed(value)
        return Recipe.from_json(tree)
