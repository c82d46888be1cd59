"""How a sparse linear scorer is fitted: a prior that all labels share, then each label's own.

**Prior.** The chance of a label is first a logistic function of a dozen numbers: how far the
document agrees with the label's own text and with the mean of the label's documents, by words,
pairs and parts of words, and how many documents the label has. Agreement with the mean is counted
without the document itself; otherwise, where labels have two or three documents, it would look
like the best evidence of all, and be none.

**Own.** Then each label's weights move away from the prior, against the wrong labels that score
highest for each document, by minimising the logistic loss plus
``λ/2 (1 + rarity / n_l) |w_l - prior_l|²``: the fewer documents a label has, the closer it stays.
Two or three documents would otherwise be learnt by heart.

The wrong labels are found anew in each round. All labels are fitted together by accelerated
gradient descent whose steps are set by a bound on the curvature, so there is no rate to choose.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.data.features import GROUPS
from dexa.errors import RecipeError
from dexa.lexical.blocks import RowBlocks
from dexa.lexical.candidates import Candidates, meet, shortlist
from dexa.lexical.linear import SparseLinear
from dexa.lexical.prior import SLIGHT, first_guess, prior_weights, scorer_over
from dexa.lexical.support import FAINTEST, WIDEST, Support, find_support
from dexa.threads import side_by_side
from dexa.types import NO_LABEL

_log = logging.getLogger(__name__)

_CURVATURE = 0.25  # of the logistic loss, at most
_FAINT = 0.2  # weights below this share of a label's largest hardly change who is wrong
_LEAP = 5.0  # of a number of the prior in a step of Newton's method, at most
_IN_CACHE = 1 << 14  # candidates
_ENOUGH = 2_000_000  # candidates, of documents in random order, for the few numbers of the prior


@final
@dataclass(frozen=True, kw_only=True)
class LinearFit:
    """How to fit a `SparseLinear`.

    Attributes:
        rounds: times that wrong labels are searched for; the first fits the prior alone.
        negatives: wrong labels found for each document in a round.
        random: labels drawn for each document in a round, in proportion to their documents.
        heads: of the most frequent labels, those that every document is compared with.
        penalty: λ above.
        rarity: documents of a label at which its penalty is twice λ.
        steps: of gradient descent in each round.
        widest: features of a rare label; see `find_support`.
        faintest: share of a label's largest value that a value must reach to have a weight.
        meetings: pairs of a document and a label times their common features, at most, in a
            round: memory is about 60 bytes each; documents beyond are left out.
    """

    rounds: int = 3
    negatives: int = 40
    random: int = 10
    heads: int = 150
    penalty: float = 0.03
    rarity: float = 100.0
    steps: int = 50
    widest: int = WIDEST
    faintest: float = FAINTEST
    meetings: int = 50_000_000

    def __post_init__(self) -> None:
        for name in ("rounds", "negatives", "steps", "widest", "meetings", "penalty"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"{name} = {getattr(self, name)}", expected="a number above 0")

    def __call__(
        self,
        documents: csr_array,
        texts: csr_array,
        labels: csr_array,
        groups: NDArray[np.int64],
        seed: int,
    ) -> SparseLinear:
        """Fit a scorer.

        Args:
            documents: features ``[N, V]``, unit vectors.
            texts: features of label texts ``[L, V]``, likewise.
            labels: the true labels ``[N, L]``.
            groups: the group of each feature, ``[V]``.
            seed: of the labels drawn, and of the order of documents.
        """
        draw = np.random.default_rng(seed)
        order = draw.permutation(documents.indptr.size - 1)
        documents, labels = csr_array(documents[order]), csr_array(labels[order])
        support = find_support(documents, texts, labels, widest=self.widest, faintest=self.faintest)
        heads = self._heads(support.counts)
        guess = first_guess()
        scorer = scorer_over(support, *prior_weights(guess, support, groups), heads, guess)
        seen = np.empty((len(order), 0), np.int64)
        own, own_bias = np.zeros(len(support.text)), np.zeros(len(support.counts))
        for number in range(self.rounds):
            found = shortlist(scorer.thinned(_FAINT), documents, self.negatives)
            seen = np.concatenate([seen, found], axis=1)
            proposed = np.concatenate(
                [seen, np.tile(heads, (len(order), 1)), self._drawn(labels, draw)], axis=1
            )
            candidates = meet(documents, labels, proposed, support, self.meetings)
            candidates, prior = _fit_prior(candidates, support, groups, heads)
            if number:
                own, own_bias = self._fit_own(candidates, prior, support, heads, own, own_bias)
            weights, bias = prior.weights + own, prior.bias + own_bias
            scorer = scorer_over(support, weights, bias, heads, prior.share)
            _log.info("round %d: %d candidates", number, len(candidates.labels))
        return scorer.thinned(SLIGHT)

    def _heads(self, counts: NDArray[np.float32]) -> NDArray[np.int64]:
        most = np.argsort(-counts, kind="stable")[: self.heads]
        return np.sort(most[counts[most] >= self.heads])

    def _drawn(self, labels: csr_array, draw: np.random.Generator) -> NDArray[np.int64]:
        shape = (labels.indptr.size - 1, self.random)
        if not labels.nnz:
            return np.full(shape, NO_LABEL)
        return labels.indices[draw.integers(labels.nnz, size=shape)].astype(np.int64)

    def _fit_own(
        self,
        candidates: Candidates,
        prior: _Prior,
        support: Support,
        heads: NDArray[np.int64],
        own: NDArray[np.float64],
        own_bias: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What to add to the weights ``[E]`` and to the bias ``[L]`` of the prior."""
        labels = candidates.labels
        meetings = RowBlocks(candidates.meetings)
        transposed = RowBlocks(csr_array(candidates.meetings.T.tocsr()))
        penalty = self.penalty * (1 + self.rarity / np.maximum(support.counts, 1))
        weight_penalty = penalty[support.labels]
        reach = (
            candidates.meetings.sum(axis=1) + 1
        )  # of a step in all weights, on the pair's margin
        curvature = _CURVATURE * (transposed @ reach) + weight_penalty
        bias_curvature = (
            _CURVATURE * np.bincount(labels, weights=reach, minlength=len(penalty)) + penalty
        )
        free = np.isin(np.arange(len(penalty)), heads)  # of the rest, the prior knows better
        ahead, ahead_bias, momentum = own, own_bias, 1.0
        for _ in range(self.steps):
            margins = prior.margins + meetings @ ahead + ahead_bias[labels]
            error = _chance(margins) - candidates.right
            gradient = transposed @ error + weight_penalty * ahead
            bias_gradient = (
                np.bincount(labels, weights=error, minlength=len(penalty)) + penalty * ahead_bias
            )
            last, last_bias, last_momentum = own, own_bias, momentum
            own = ahead - gradient / curvature
            own_bias = np.where(free, ahead_bias - bias_gradient / bias_curvature, 0)
            momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            push = (last_momentum - 1) / momentum
            ahead = own + push * (own - last)
            ahead_bias = own_bias + push * (own_bias - last_bias)
        return own, own_bias


@dataclass(frozen=True, eq=False)
class _Prior:
    """What all labels share.

    Attributes:
        share: the worth of each number of `_evidence`, ``[4 G + 2]``.
        weights: ``[E]``.
        bias: ``[L]``.
        margins: ``[C]``, of the candidates, each right one without its document's own share.
    """

    share: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    margins: NDArray[np.float64]


def _fit_prior(
    candidates: Candidates, support: Support, groups: NDArray[np.int64], heads: NDArray[np.int64]
) -> tuple[Candidates, _Prior]:
    """Fit the prior to those candidates on which the scorer would have an opinion.

    The first `_ENOUGH` of them are as good as all.
    """
    evidence = _evidence(candidates, support, groups)
    met = (evidence[:, :-2] > 0).any(axis=1) | np.isin(candidates.labels, heads)
    candidates, evidence = candidates[met], evidence[met]
    share = _logistic_regression(evidence[:_ENOUGH], candidates.right[:_ENOUGH])
    weights, bias = prior_weights(share, support, groups)
    return candidates, _Prior(share, weights, bias, evidence @ share)


def _evidence(
    candidates: Candidates, support: Support, groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The numbers of the prior ``[C, 4 G + 2]`` for G groups.

    Agreement with the label's text by group, and times the logarithm of its documents; with
    their mean, likewise; 1, and the logarithm alone.
    """
    meetings, right = candidates.meetings, candidates.right
    pairs = np.repeat(np.arange(len(right)), np.diff(meetings.indptr))
    place = meetings.indices
    others = support.counts[candidates.labels] - right
    total = support.total[place] - np.where(right[pairs], meetings.data, 0)
    mean = np.maximum(total, 0) / (others[pairs] + 1)
    keys = pairs * len(GROUPS) + groups[support.features[place]]
    often = np.log1p(others)[:, None]
    columns = []
    for values in (support.text[place], mean):
        sums = np.bincount(
            keys, weights=meetings.data * values, minlength=len(right) * len(GROUPS)
        ).reshape(-1, len(GROUPS))
        columns += [sums, sums * often]
    return np.concatenate([*columns, np.ones_like(often), often], axis=1)


def _logistic_regression(
    evidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Weights ``[F]`` by Newton's method, held to a first guess where the data say little."""

    def derivatives(rows: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        some = evidence[rows]
        chance = _chance_of(some @ share)
        return some.T @ (chance - right[rows]), (some.T * (chance * (1 - chance))) @ some

    guess = first_guess()
    share = guess.copy()
    for _ in range(25):
        first, second = zip(*side_by_side(derivatives, _parts(len(right))), strict=True)
        gradient = sum(first) + share - guess
        step = np.linalg.solve(sum(second) + np.eye(len(share)), gradient)
        share = share - step / max(1, np.abs(step).max() / _LEAP)
        if np.abs(step).max() < 1e-4:
            break
    return share


def _chance(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    parts = side_by_side(lambda part: _chance_of(margins[part]), _parts(len(margins)))
    return np.concatenate(parts)


def _chance_of(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(margins, -50, 50)))


def _parts(count: int) -> list[slice]:
    """Slices that stay in the cache of a core; one at least."""
    return [slice(start, start + _IN_CACHE) for start in range(0, max(1, count), _IN_CACHE)]
