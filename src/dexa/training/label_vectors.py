"""What stands for a label: its text, the centroid of its documents, both smoothed over a graph."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from dexa.auxiliary import AuxiliaryBank
from dexa.graph import normalized_rows, random_walk_graph
from dexa.neighbours import NeighbourVotes
from dexa.recipe import LabelGraph, Recipe, ShortlistChoice
from dexa.shortlists import ClusterSearch, Shortlist, centroids, head_centroids
from dexa.training.corpus import Corpus


def label_vectors(
    corpus: Corpus,
    recipe: Recipe,
    bank: AuxiliaryBank,
    documents: torch.Tensor,
    texts: torch.Tensor,
) -> torch.Tensor:
    """Unit label vectors ``[L, D]``, from what stands for a label.

    Args:
        corpus: whose labels they are.
        recipe: says what stands for a label.
        bank: auxiliary vectors of its text.
        documents: unit vectors of documents ``[N, D]``.
        texts: unit vectors of label texts ``[L, D]``.
    """
    if recipe.encoder.label_side == "centroid":
        return centroids(documents, corpus.labels)
    return F.normalize(bank.added_to(texts), dim=1)


def smoothed(corpus: Corpus, vectors: torch.Tensor, graph: LabelGraph, seed: int) -> torch.Tensor:
    """Unit vectors of labels, averaged over the walks that start at each (SiameseXML, section 3).

    Args:
        corpus: over whose documents the walks go.
        vectors: of labels, ``[L, D]``.
        graph: lengths of the walks.
        seed: of the walks.
    """
    walks = random_walk_graph(
        corpus.labels,
        steps=graph.steps,
        restart=graph.restart,
        top_k=graph.neighbours,
        max_documents=graph.most_documents,
        seed=seed,
        device=vectors.device,
    )
    averages = normalized_rows(walks) @ vectors.cpu().numpy()
    return F.normalize(torch.from_numpy(averages.astype(np.float32)).to(vectors.device), dim=1)


def make_shortlist(
    corpus: Corpus,
    choice: ShortlistChoice,
    documents: torch.Tensor,
    labels: torch.Tensor,
    seed: int,
) -> Shortlist:
    """A shortlist over documents and labels as they stand.

    Args:
        corpus: which labels a document has.
        choice: what is searched.
        documents: unit vectors of documents ``[N, D]``.
        labels: unit label vectors ``[L, D]``.
        seed: of clusters.
    """
    own = np.arange(corpus.label_count)
    parts, owners = [], []
    if "label_vectors" in choice.sources:
        parts, owners = [labels], [own]
    if "centroids" in choice.sources:
        several, of = head_centroids(
            documents,
            corpus.labels,
            count=choice.centroids,
            head_from=choice.head_from,
            seed=seed,
        )
        parts += [centroids(documents, corpus.labels), several]
        owners += [own, of]
    vectors = torch.cat([part.to(labels.device) for part in parts])
    votes = None
    if choice.votes_weight:
        votes = NeighbourVotes(
            index=ClusterSearch.over(documents.to(labels.device), choice.probes, seed),
            labels=corpus.labels,
            neighbours=choice.neighbours,
        )
    return Shortlist(
        ClusterSearch.over(vectors, choice.probes, seed),
        np.concatenate(owners),
        labels=corpus.label_count,
        length=choice.length,
        votes=votes,
        votes_weight=choice.votes_weight,
    )
