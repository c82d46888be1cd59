"""Fields of a recipe that SiameseXML and DeepXML need: label batches, clusters, shortlists."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LabelBatches:
    """Batches of labels, the task ``labels`` of the encoder stage (SiameseXML, section 3).

    Attributes:
        frequency_power: a label is drawn in proportion to this power of its frequency.
        ceiling: probability that the loss gives a pair of cosine 1, the paper's c.
        sharpness: by how much a cosine changes the logarithm of a probability, the paper's d.
        negatives: hardest negatives of a label that enter the loss.
        mixed: share of the loss in which a label is the sum of two of its documents.
    """

    frequency_power: float = 0.45
    ceiling: float = 0.9
    sharpness: float = 1.5
    negatives: int = 1
    mixed: float = 0.3


@dataclass(frozen=True, kw_only=True)
class LabelClusters:
    """Clusters of labels, the task ``clusters`` of the encoder stage (Astec, section 3).

    Attributes:
        clusters: how many.
        smoothed: whether label centroids are smoothed over the label graph before.
    """

    clusters: int | None = None  # an eighth of the labels, at most 65,536
    smoothed: bool = True


@dataclass(frozen=True, kw_only=True)
class LabelGraph:
    """The graph of labels that random walks over documents make, where a recipe smooths by it.

    Attributes:
        steps: length of the walk of a label.
        restart: probability of going back to it before a step.
        neighbours: labels with the most visits that are kept.
        most_documents: labels with more documents take no part.
    """

    steps: int = 400
    restart: float = 0.8
    neighbours: int = 10
    most_documents: int = 5_000


@dataclass(frozen=True, kw_only=True)
class ShortlistChoice:
    """The labels that are likely for a document before its classifiers are asked.

    Attributes:
        length: labels of a list.
        sources: what is searched, ``centroids`` of the documents of labels and ``label_vectors``.
        probes: clusters of label vectors that a document looks into, of some 256 vectors each; 0
            looks at all vectors.
        votes_weight: share of the votes of the nearest training documents in a score.
        neighbours: documents that vote.
        centroids: centroids of a head label.
        head_from: training documents from which on a label has several centroids.
    """

    length: int = 100
    sources: tuple[str, ...] = ("centroids", "label_vectors")
    probes: int = 8
    votes_weight: float = 0.025
    neighbours: int = 50
    centroids: int = 1
    head_from: int = 7_500


@dataclass(frozen=True, kw_only=True)
class RerankerChoice:
    """A second encoder with classifiers of its own, trained on what the first ones got wrong.

    Attributes:
        epochs: passes over the documents; 0 for none.
        length: answers of the classifiers that it learns to order.
        learning_rate: highest rate of its encoder and classifiers.
    """

    epochs: int = 0
    length: int = 100
    learning_rate: float = 2e-3
