"""Fields of a recipe that say who answers, and how scores become one."""

from __future__ import annotations

from dataclasses import dataclass

from dexa.types import CLASSIFIERS, LABEL_SEARCH


@dataclass(frozen=True, kw_only=True)
class FurtherChoice:
    """Numbers of the scorers beside label search and classifiers.

    Attributes:
        neighbours: training documents that vote for the labels of a text.
        temperature: of their softmax: the smaller, the more the nearest count.
        word_temperature: the same, for neighbours by words.
        rounds: times that the linear scorer searches for wrong labels.
        k1: of BM25: how much a word counts that stands several times in a label text.
        b: of BM25: how much long label texts are held back, from 0 to 1.
    """

    neighbours: int = 50
    temperature: float = 0.05
    word_temperature: float = 0.1
    rounds: int = 3
    k1: float = 1.2
    b: float = 0.75


@dataclass(frozen=True, kw_only=True)
class FusionChoice:
    """Which scorers answer, and how their scores become one.

    Attributes:
        scorers: names, of ``label_search``, ``classifiers``, ``neighbours`` (votes of the nearest
            training documents by their vectors), ``word_neighbours`` (by their words),
            ``label_words`` (label texts that share words with a text), ``linear`` (weights of words
            for labels), ``frequent`` (words and spelling, for each label of many documents),
            ``mentions`` (titles of labels that stand in a text), ``bm25`` (label texts by BM25),
            ``centroids`` (words of a label's documents), ``shortlist`` and ``reranker``.
        method: ``tree``, the paper's, of label search and classifiers, ``boosted`` trees of any,
            ``blend``, a weighted sum of any, or ``single``: there is one scorer, and nothing to
            fuse.
        validation: documents held out from training, on which the fusion is fitted.
        candidates: answers of each scorer that are fused.
        depth: of the decision tree.
        leaf: candidates in a leaf of the tree at least.
        tree_weight: of the tree's probability beside label search.
        beta: weight of both beside the classifiers.
        trees: how many boosted trees.
        tail_weight: of the logarithm of the inverse propensity beside the odds of boosted trees:
            the dial from P to PSP.
        keep_texts: whether the model folder holds the texts of the documents that vote, so that
            explanations can show them.
    """

    scorers: tuple[str, ...] = (LABEL_SEARCH, CLASSIFIERS)
    method: str = "tree"

    validation: int | None = None  # a twentieth of the documents, at most 5,000
    candidates: int = 100
    depth: int = 7
    leaf: int = 50
    tree_weight: float = 2.0
    beta: float = 1.0
    trees: int = 100
    tail_weight: float = 0.0
    keep_texts: bool = False


@dataclass(frozen=True, kw_only=True)
class IndexChoice:
    """How labels are searched for once the model is trained.

    Attributes:
        kind: ``exact``; ``pq`` (product quantisation) or ``faiss`` (a graph), which are approximate
            (``pip install 'dexa-xc[faiss]'``); or ``auto``: exact on a GPU and up to 100,000
            labels, else, where faiss is installed, pq up to 300,000 labels and faiss beyond.
    """

    kind: str = "auto"
