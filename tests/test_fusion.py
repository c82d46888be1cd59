"""The fusion tree against scikit-learn, candidates against sets, order and ties."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.tree import DecisionTreeClassifier

from dexa.fusion import (
    BoostedFusion,
    Candidates,
    DecisionTree,
    Forest,
    TreeFusion,
    boosted_features,
    constant_forest,
    constant_tree,
    fit_forest,
    fit_tree,
    pairs_of,
    rising_features,
    tree_features,
    union,
)
from dexa.types import CLASSIFIERS, LABEL_SEARCH, NO_LABEL

NO = NO_LABEL


def features(count: int, seed: int, *, coarse: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Random candidates, right where the features say so, with noise."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(count, 3)).astype(np.float32)
    if coarse:
        values = values.round()
    chance = 1 / (1 + np.exp(-2 * values[:, 0] + values[:, 1] * values[:, 2]))
    return torch.from_numpy(values), torch.from_numpy(draw.random(count) < chance)


def candidates(labels: list[list[int]], classifier: list, label_search: list) -> Candidates:
    return Candidates(
        labels=torch.tensor(labels, dtype=torch.int64),
        scores={
            CLASSIFIERS: torch.tensor(classifier, dtype=torch.float32),
            LABEL_SEARCH: torch.tensor(label_search, dtype=torch.float32),
        },
    )


def candidates_of(nothing: torch.Tensor) -> Candidates:
    scores = dict.fromkeys((CLASSIFIERS, LABEL_SEARCH), nothing)
    return Candidates(labels=nothing.long(), scores=scores)


def fusion_of(
    probability: float, *, labels: int, beta: float, tree_weight: float = 1.0
) -> TreeFusion:
    return TreeFusion(
        tree=constant_tree(probability),
        tree_weight=tree_weight,
        beta=beta,
        inverse_propensity=np.ones(labels),
    )


# the tree


@settings(max_examples=30)
@given(
    count=st.integers(2, 300),
    depth=st.integers(1, 8),
    leaf=st.integers(1, 20),
    seed=st.integers(0, 1_000),
    coarse=st.booleans(),
)
def test_the_tree_answers_as_scikit_learn_does(count, depth, leaf, seed, coarse) -> None:
    values, right = features(count, seed, coarse=coarse)
    tree = fit_tree(values, right, depth, leaf, 5)
    asked, _ = features(200, seed + 1, coarse=coarse)
    if right.all() or not right.any():
        expected = np.full(200, float(right[0]))
    else:
        theirs = HistGradientBoostingRegressor(
            learning_rate=1.0,
            max_iter=1,
            max_leaf_nodes=None,
            max_depth=depth,
            min_samples_leaf=leaf,
            early_stopping=False,
        )
        expected = theirs.fit(values.numpy(), right.numpy() * 1.0).predict(asked.numpy())
    answers = tree(asked)
    assert answers.dtype == torch.float32
    np.testing.assert_allclose(answers.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_with_few_values_the_tree_is_the_one_of_all_splits(seed: int) -> None:
    """Least squares of 0 and 1 are Gini's impurity, so both trees have the same training error."""
    values, right = features(250, seed, coarse=True)
    ours = fit_tree(values, right, 3, 5, 0)(values).numpy()
    theirs = DecisionTreeClassifier(max_depth=3, min_samples_leaf=5, random_state=0)
    theirs.fit(values.numpy(), right.numpy())
    expected = theirs.predict_proba(values.numpy())[:, 1]
    wrong = [np.square(answer - right.numpy()).mean() for answer in (ours, expected)]
    assert abs(wrong[0] - wrong[1]) < 0.01


def test_values_on_a_threshold_go_left() -> None:
    values = torch.tensor([[0.1, 0, 0], [0.3, 0, 0]])
    tree = fit_tree(values, torch.tensor([False, True]), 1, 1, 0)
    edge = tree.threshold[0].float()
    asked = torch.stack([edge, torch.nextafter(edge, torch.tensor(1.0))])
    asked = torch.nn.functional.pad(asked.unsqueeze(1), (0, 2))
    assert tree(asked).tolist() == pytest.approx([0.0, 1.0], abs=1e-6)


@pytest.mark.parametrize(("right", "answer"), [([True] * 3, 1.0), ([False] * 3, 0.0), ([], 0.0)])
def test_candidates_of_one_class_or_none_give_a_constant(right: list, answer: float) -> None:
    tree = fit_tree(torch.zeros(len(right), 3), torch.tensor(right).bool(), 7, 1, 0)
    assert tree(torch.randn(4, 3)).tolist() == [answer] * 4
    assert tree(torch.zeros(0, 3)).shape == (0,)


def test_every_leaf_has_its_candidates() -> None:
    values, right = features(200, 4)
    tree = fit_tree(values, right, 20, 30, 0)
    leaves = tree.probability[tree.left == -1]
    answers, counts = tree(values).unique(return_counts=True)
    assert 1 < len(leaves) <= 200 // 30
    assert len(answers) <= len(leaves)
    assert counts.min() >= 30


def test_a_tree_is_its_arrays() -> None:
    values, right = features(200, 1)
    tree = fit_tree(values, right, 4, 1, 0)
    again = DecisionTree(**tree.tensors())
    assert set(tree.tensors()) == {"left", "right", "feature", "threshold", "probability"}
    assert torch.equal(again(values), tree(values))


def test_fitting_repeats_under_a_seed() -> None:
    values, right = features(300, 2, coarse=True)
    one, two = (fit_tree(values, right, 7, 2, 3).tensors() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


# candidates


@given(
    st.integers(1, 4).flatmap(
        lambda rows: st.tuples(
            *(
                st.lists(
                    st.lists(st.integers(0, 12), min_size=width, max_size=width, unique=True),
                    min_size=rows,
                    max_size=rows,
                )
                for width in (3, 4)
            )
        )
    ),
    st.integers(0, 3),
)
def test_the_union_against_sets(found: tuple[list, list], missing: int) -> None:
    first, second = (np.array(rows, np.int64) for rows in found)
    second[:, second.shape[1] - missing :] = NO
    both = union([first, second])
    widths = []
    for row, one, two in zip(both.tolist(), first.tolist(), second.tolist(), strict=True):
        real = [label for label in row if label != NO]
        assert real == sorted((set(one) | set(two)) - {NO})
        assert row == [NO] * (len(row) - len(real)) + real
        widths.append(len(real))
    assert both.shape == (len(first), max(1, *widths))


def test_the_union_of_nothing() -> None:
    assert union([np.zeros((0, 2), np.int64), np.zeros((0, 3), np.int64)]).shape == (0, 1)
    assert union([np.full((1, 2), NO), np.full((1, 1), NO)]).tolist() == [[NO]]


def test_features_of_candidates() -> None:
    made = candidates([[2, NO], [0, 1]], [[0.5, -np.inf], [0.25, 0]], [[0.75, -np.inf], [0, 1]])
    assert tree_features(made, torch.tensor([1.0, 2.0, 3.0])).tolist() == [
        [0.5, 0.75, 3.0],
        [-1.0, -1.0, 1.0],  # of no label: never looked at, but a number
        [0.25, 0.0, 1.0],
        [0.0, 1.0, 2.0],
    ]


@given(seed=st.integers(0, 2**16))
def test_truth_of_candidates_against_a_loop(seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth = draw.random((4, 6)) < 0.4
    labels = np.argsort(draw.random((4, 6)), axis=1)[:, :5]
    labels[draw.random(labels.shape) < 0.3] = NO
    zeros = np.zeros(labels.shape)
    made = candidates(labels.tolist(), zeros.tolist(), zeros.tolist())
    right = made.are_in(pairs_of(csr_array(truth.astype(np.float32))))
    expected = [
        label != NO and bool(truth[row, label])
        for row in range(4)
        for label in labels[row].tolist()
    ]
    assert right.tolist() == expected


# the fused score


def test_the_fused_score_by_hand() -> None:
    fusion = fusion_of(0.25, labels=4, beta=2.0, tree_weight=3.0)
    made = candidates([[0, 2, 3]], [[0.1, 0.3, -0.2]], [[0.5, 0.1, 0.9]])
    top = fusion(made, 2)
    assert top.labels.tolist() == [[3, 0]]
    expected = [[-0.2 + 2 * (3 * 0.25 + 0.9), 0.1 + 2 * (3 * 0.25 + 0.5)]]
    np.testing.assert_allclose(top.scores, expected, rtol=1e-6)


def test_the_tree_can_turn_the_order_around() -> None:
    values = torch.tensor([[0.4, 0.4, 1.0], [0.5, 0.4, 1.0]])
    tree = fit_tree(values, torch.tensor([True, False]), 1, 1, 0)
    made = candidates([[0, 1]], [[0.4, 0.5]], [[0.4, 0.4]])
    for weight, best in ((0.0, 1), (1.0, 0)):
        fusion = TreeFusion(tree=tree, tree_weight=weight, beta=1.0, inverse_propensity=np.ones(2))
        assert fusion(made, 1).labels.tolist() == [[best]]


@settings(max_examples=40)
@given(seed=st.integers(0, 2**16), k=st.integers(1, 9))
def test_the_best_come_first_and_ties_go_to_the_smaller_label(seed: int, k: int) -> None:
    draw = np.random.default_rng(seed)
    labels = np.sort(np.argsort(draw.random((3, 9)), axis=1)[:, :6], axis=1)
    scores = draw.integers(0, 3, (2, 3, 6)).astype(np.float32)
    fusion = fusion_of(0.5, labels=9, beta=1.0)
    top = fusion(candidates(labels.tolist(), scores[0].tolist(), scores[1].tolist()), k)
    for row in range(3):
        fused = {
            int(label): float(a + (0.5 + b))
            for label, a, b in zip(labels[row], scores[0, row], scores[1, row], strict=True)
        }
        best = sorted(fused, key=lambda label: (-fused[label], label))[:k]
        missing = k - len(best)
        assert top.labels[row].tolist() == best + [NO] * missing
        assert top.scores[row].tolist() == [fused[label] for label in best] + [-np.inf] * missing


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_no_label_comes_last_with_minus_infinity(beta: float) -> None:
    fusion = fusion_of(0.5, labels=4, beta=beta)
    infinite = [-np.inf, 0.25, -np.inf]
    top = fusion(candidates([[NO, 2, NO]], [infinite], [infinite]), 3)
    assert top.labels.tolist() == [[2, NO, NO]]
    assert top.scores[0, 1:].tolist() == [-np.inf, -np.inf]


def test_no_texts_to_fuse() -> None:
    fusion = fusion_of(0.5, labels=4, beta=1.0)
    none = torch.zeros(0, 3)
    top = fusion(candidates_of(none), 2)
    assert top.labels.shape == top.scores.shape == (0, 2)


def test_candidates_of_no_scorer() -> None:
    nothing = torch.zeros(2, 0)
    fusion = fusion_of(0.5, labels=4, beta=1.0)
    made = candidates_of(nothing)
    assert fusion(made, 5).labels.tolist() == [[NO] * 5] * 2


# boosted trees


@settings(max_examples=15)
@given(count=st.integers(20, 300), trees=st.integers(1, 6), seed=st.integers(0, 1_000))
def test_a_forest_answers_as_scikit_learn_does(count: int, trees: int, seed: int) -> None:
    values, right = features(count, seed)
    if right.all() or not right.any():
        right[0] = ~right[0]
    forest = fit_forest(values, right, [False] * 3, trees=trees, leaf=5, seed=1)
    theirs = HistGradientBoostingClassifier(
        learning_rate=0.1, max_iter=trees, max_leaf_nodes=31, min_samples_leaf=5,
        l2_regularization=30.0, early_stopping=False, random_state=1,
    ).fit(values.numpy(), right.numpy())  # fmt: skip
    asked, _ = features(200, seed + 1)
    expected = theirs.decision_function(asked.numpy())
    np.testing.assert_allclose(forest(asked).numpy(), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(Forest(**forest.tensors())(asked), forest(asked))
    assert torch.equal(forest(asked[:7]), forest(asked)[:7])


def test_odds_do_not_fall_as_a_rising_feature_grows() -> None:
    values, right = features(400, 3)
    forest = fit_forest(values, right, [True, False, False], trees=20, leaf=5, seed=1)
    asked = torch.zeros(50, 3)
    asked[:, 0] = torch.linspace(-3, 3, 50)
    assert (forest(asked).diff() >= 0).all()
    assert forest(asked)[-1] > forest(asked)[0]


@pytest.mark.parametrize("right", [[True] * 3, [False] * 3, []])
def test_a_forest_of_one_class_or_none_is_constant(right: list) -> None:
    forest = fit_forest(
        torch.zeros(len(right), 3), torch.tensor(right).bool(), [False] * 3, trees=5, leaf=1, seed=0
    )
    assert forest(torch.randn(4, 3)).tolist() == [0.0] * 4
    assert forest(torch.zeros(0, 3)).shape == (0,)


def test_features_of_boosted_trees_by_hand() -> None:
    made = candidates([[1, 3, NO]], [[0.5, 0.2, -np.inf]], [[0.1, 0.4, -np.inf]])
    rare = np.exp([9.0, 1.0, 9.0, 2.0])
    found = boosted_features(made, (CLASSIFIERS, LABEL_SEARCH), rare, 10)
    half = float(np.log(2))
    expected = [
        [0.5, 0.0, 0.0, 0.1, half, 0.3, 1.5, 1.0],
        [0.2, half, 0.3, 0.4, 0.0, 0.0, 1.5, 2.0],
    ]
    np.testing.assert_allclose(found[:2].numpy(), expected, rtol=1e-5, atol=1e-6)
    assert found[2, 0] == found[2, 3] == -1.0  # of no label: never looked at, but a number
    assert len(rising_features((CLASSIFIERS, LABEL_SEARCH))) == found.shape[1]


def test_features_do_not_depend_on_how_many_candidates_there_are() -> None:
    draw = np.random.default_rng(0)
    scores = np.sort(draw.random((2, 1, 12)).astype(np.float32), axis=2)[:, :, ::-1]
    few, many = (
        candidates([list(range(n))], scores[0, :, :n].tolist(), scores[1, :, :n].tolist())
        for n in (6, 12)
    )
    names = (CLASSIFIERS, LABEL_SEARCH)
    short, long = (boosted_features(made, names, np.ones(12), 4) for made in (few, many))
    assert torch.equal(short, long[:6])


def boosted(tail_weight: float) -> BoostedFusion:
    return BoostedFusion(
        forest=constant_forest(0.5),
        scorers=(CLASSIFIERS, LABEL_SEARCH),
        depth=10,
        tail_weight=tail_weight,
        inverse_propensity=np.array([1.0, 2.0, 4.0, 8.0]),
    )


@pytest.mark.parametrize(("tail_weight", "order"), [(0.0, [0, 2, 3]), (1.0, [3, 2, 0])])
def test_the_dial_moves_answers_towards_rare_labels(tail_weight: float, order: list[int]) -> None:
    made = candidates([[0, 2, 3, NO]], [[0.1, 0.1, 0.1, -np.inf]], [[0.1, 0.1, 0.1, -np.inf]])
    top = boosted(tail_weight)(made, 4)
    assert top.labels.tolist() == [[*order, NO]]
    assert top.scores[0, 3] == -np.inf
    logs = [0.5 + tail_weight * np.log([1.0, 2.0, 4.0, 8.0][label]) for label in order]
    np.testing.assert_allclose(top.scores[0, :3], logs, rtol=1e-5)
