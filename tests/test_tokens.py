"""Token arrays, batches, groups and tokenizers against loops over texts."""

# Over 300 lines: tests mirror modules, a file each.

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers, processors

from dexa.errors import DataError
from dexa.kernels import send
from dexa.tokens import (
    TextTokenizer,
    TokenArray,
    TokenGroups,
    group_width,
    grouped,
    joined,
    offsets_of,
    round_number,
)

CPU = torch.device("cpu")
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["red", "green", "house", "##s", "tree", "日", "本", "é", "a"]
UNK, CLS, SEP, RED, GREEN, HOUSE, S = 1, 2, 3, 5, 6, 7, 8


def wordpiece(*, template: bool = True) -> tokenizers.Tokenizer:
    """A tokenizer as BERT has it, over a handful of words."""
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *WORDS])}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    if template:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
        )
    return tokenizer


def whole(max_length: int = 8) -> TextTokenizer:
    return TextTokenizer(wordpiece(), max_length, special_tokens=True)


def bag(max_length: int = 8) -> TextTokenizer:
    return TextTokenizer(wordpiece(), max_length, special_tokens=False)


def array_of(texts: list[list[int]]) -> TokenArray:
    flat = np.array([i for text in texts for i in text], np.int32)
    return TokenArray(torch.from_numpy(flat), offsets_of(np.array(list(map(len, texts)), np.int64)))


def texts_of(array: TokenArray) -> list[list[int]]:
    bounds = array.offsets
    return [array.ids[a:b].tolist() for a, b in itertools.pairwise(bounds)]


id_lists = st.lists(st.lists(st.integers(0, 1_000), max_size=6), min_size=1, max_size=9)


# token arrays


@given(texts=id_lists, data=st.data())
def test_a_batch_against_a_loop(texts: list[list[int]], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=12))
    batch = array_of(texts).batch(np.array(rows, np.int64))
    assert batch.ids.dtype == batch.offsets.dtype == torch.int64
    assert batch.ids.tolist() == [i for row in rows for i in texts[row]]
    assert batch.lengths.tolist() == [len(texts[row]) for row in rows]
    bounds = batch.offsets.tolist()
    assert [batch.ids[a:b].tolist() for a, b in itertools.pairwise(bounds)] == [
        texts[row] for row in rows
    ]


@given(texts=id_lists)
def test_arrays_hold_their_texts(texts: list[list[int]]) -> None:
    array = array_of(texts)
    assert len(array) == len(texts)
    assert texts_of(array) == texts
    assert array.lengths.tolist() == list(map(len, texts))
    assert texts_of(array.to(CPU)) == texts


@given(st.lists(id_lists, min_size=1, max_size=4))
def test_joined_arrays_are_their_texts_in_order(parts: list[list[list[int]]]) -> None:
    assert texts_of(joined(map(array_of, parts))) == [text for part in parts for text in part]


def test_an_array_without_texts() -> None:
    empty = array_of([])
    assert len(empty) == 0
    assert empty.batch(np.zeros(0, np.int64)).ids.shape == (0,)
    assert texts_of(joined([empty, array_of([[1]])])) == [[1]]


def test_sending_shares_or_copies_the_values() -> None:
    assert send(np.array([3, 1]), CPU).tolist() == [3, 1]


# groups

LENGTHS = st.sampled_from([0, 1, 2, 21, 32, 33, 63, 64]) | st.integers(0, 64)
batches_of_lengths = st.lists(st.lists(LENGTHS, max_size=25), min_size=1, max_size=4)


def numbered(lengths: list[int]) -> list[list[int]]:
    """Texts of these lengths, told apart by their tokens."""
    return [list(range(200 * n + 1, 200 * n + 1 + length)) for n, length in enumerate(lengths)]


def check(groups: TokenGroups, texts: list[list[int]], first_position: int) -> None:
    """Groups hold the texts of a batch, whole and in order, and nothing else."""
    total, edges = len(groups.ids), groups.edges.tolist()
    assert groups.ids.dtype == groups.positions.dtype == groups.places.dtype == torch.int64
    assert groups.texts.dtype == groups.edges.dtype == torch.int32
    assert len(groups.positions) == len(groups.texts) == total
    assert sorted(groups.places.tolist()) == list(range(len(texts)))
    assert len(groups.starts) == len(groups.counts) == len(texts)
    owners = [-1] * total
    group_of = [g for g, (a, b) in enumerate(itertools.pairwise(edges)) for _ in range(a, b)]
    for text, number in zip(texts, groups.places.tolist(), strict=True):
        start, count = int(groups.starts[number]), int(groups.counts[number])
        own = slice(start, start + count)
        assert groups.ids[own].tolist() == text
        assert groups.positions[own].tolist() == [first_position + i for i in range(len(text))]
        assert len(set(group_of[own])) <= 1
        owners[own] = [number] * count
    assert groups.texts.tolist() == owners
    assert not groups.ids[groups.texts < 0].any()
    assert (groups.positions[groups.texts < 0] == first_position).all()
    assert edges[0] == 0
    assert edges[-1] == total
    assert all(0 <= b - a <= groups.width for a, b in itertools.pairwise(edges))
    if groups.in_rows:
        assert edges == list(range(0, total + 1, groups.width))


@settings(max_examples=100)
@given(
    batches=batches_of_lengths,
    first_position=st.sampled_from([0, 2]),
    in_rows=st.booleans(),
    budget=st.booleans(),
    seed=st.integers(0, 99),
)
def test_groups_against_a_loop(
    batches: list[list[int]], first_position: int, in_rows: bool, budget: bool, seed: int
) -> None:
    """Several batches at once, whose texts lie anywhere among all, some of them more than once."""
    texts = numbered([length for batch in batches for length in batch])
    draw = np.random.default_rng(seed)
    array = array_of(texts)
    rows = [draw.integers(-1, len(texts), len(batch)) for batch in batches]
    made = grouped(array, rows, first_position=first_position, in_rows=in_rows, budget=budget)
    assert len(made) == len(rows)
    for groups, some in zip(made, rows, strict=True):
        assert groups.width == 64
        assert groups.in_rows == in_rows
        check(groups, [texts[i] if i >= 0 else [] for i in some], first_position)


@settings(max_examples=50)
@given(batches=batches_of_lengths, in_rows=st.booleans(), budget=st.booleans())
def test_batches_at_once_are_those_made_one_at_a_time(
    batches: list[list[int]], in_rows: bool, budget: bool
) -> None:
    array = array_of(numbered([length for batch in batches for length in batch]))
    rows = np.split(np.arange(len(array)), np.cumsum([len(batch) for batch in batches])[:-1])
    together = grouped(array, rows, in_rows=in_rows, budget=budget)
    for ours, some in zip(together, rows, strict=True):
        (alone,) = grouped(array, [some], in_rows=in_rows, budget=budget)
        for name, value in vars(alone).items():
            same = torch.equal if isinstance(value, torch.Tensor) else lambda a, b: a == b
            assert same(getattr(ours, name), value), name


@pytest.mark.parametrize("longest", [65, 128, 129, 200])
@pytest.mark.parametrize("in_rows", [False, True])
def test_groups_are_as_wide_as_the_longest_text_asks(longest: int, in_rows: bool) -> None:
    texts = numbered([longest, 1, 60, 64, 0, 2, longest - 1, longest // 2, 1])
    rows = [np.array([1, 2]), np.arange(len(texts))]
    for groups, some in zip(grouped(array_of(texts), rows, in_rows=in_rows), rows, strict=True):
        assert groups.width == group_width(longest)
        check(groups, [texts[i] for i in some], 0)


@pytest.mark.parametrize("in_rows", [False, True])
@pytest.mark.parametrize("budget", [False, True])
def test_batches_without_tokens_have_groups(in_rows: bool, budget: bool) -> None:
    """A step of a transformer on no token at all would be an error."""
    rows = [np.zeros(0, np.int64), np.array([0, -1, 1]), np.full(3, -1)]
    for array in (array_of([[], []]), array_of([[], [], [7]])):
        for groups, some in zip(
            grouped(array, rows, in_rows=in_rows, budget=budget), rows, strict=True
        ):
            assert len(groups.ids) > 0
            check(groups, [[] for _ in some], 0)
    (none,) = grouped(array_of([]), rows[:1], in_rows=in_rows, budget=budget)
    check(none, [], 0)
    assert grouped(array_of([]), []) == []


@settings(max_examples=50)
@given(st.integers(1, 400), st.integers(0, 2**16), st.booleans())
def test_batches_of_like_size_have_one_shape(count: int, seed: int, in_rows: bool) -> None:
    draw = np.random.default_rng(seed)
    lengths = draw.integers(0, 65, 2 * count)
    array = array_of(numbered(lengths.tolist()))
    rows = [np.arange(count), count + np.arange(count)]
    made = grouped(array, rows, in_rows=in_rows, budget=True)
    for groups in made:
        total = len(groups.ids)
        if in_rows:
            assert total == 64 * round_number(total // 64, 64)
        else:
            assert total == round_number(total, 1024)
            assert 0 <= total - int(groups.counts.sum()) <= max(1024, total / 16)
    if len(made[0].ids) == len(made[1].ids):
        for name, value in vars(made[0]).items():
            if isinstance(value, torch.Tensor):
                assert value.shape == getattr(made[1], name).shape, name


@pytest.mark.parametrize("budget", [False, True])
@pytest.mark.parametrize("width", [64, 128])
def test_texts_of_every_length_find_room(width: int, budget: bool) -> None:
    """The emptiest groups there can be: a text of each share alone, and many empty ones."""
    texts = numbered([*range(width + 1), *[0] * 500])
    (groups,) = grouped(array_of(texts), [np.arange(len(texts))], budget=budget)
    check(groups, texts, 0)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 64), min_size=1, max_size=200))
def test_groups_are_more_than_half_full(lengths: list[int]) -> None:
    """n tokens share a group with ``64 // n`` texts, so only the last of a share is emptier."""
    array = array_of([[1] * n for n in lengths])
    shares = {64 // n for n in lengths}
    for in_rows in (False, True):
        (groups,) = grouped(array, [np.arange(len(lengths))], in_rows=in_rows)
        assert len(groups.edges) - 1 <= 2 * sum(lengths) / 64 + len(shares)


@pytest.mark.parametrize(
    ("longest", "width"),
    [(0, 64), (1, 64), (64, 64), (65, 128), (128, 128), (129, 192), (512, 512)],
)
def test_the_width_of_groups(longest: int, width: int) -> None:
    assert group_width(longest) == width


@given(st.integers(0, 10**9), st.sampled_from([1, 64, 256, 1024]))
def test_round_numbers(count: int, least: int) -> None:
    number = round_number(count, least)
    assert number > 0
    assert number % least == 0
    assert 0 <= number - count <= max(least - (count > 0), count / 16)
    assert round_number(number, least) == number


def test_round_numbers_are_few() -> None:
    assert len({round_number(count, 1) for count in range(1, 2**16)}) <= 16 * 13


# tokenizers

TEXTS = [
    "red houses",
    "",
    "a blue tree",
    "Red RED red",
    "日本",
    "é",
    "  ",
    "house[SEP]red",
    "\n\0x",
]


def test_ids_are_those_of_the_tokenizer_itself() -> None:
    theirs = wordpiece()
    theirs.enable_truncation(8)
    assert texts_of(whole()(TEXTS)) == [theirs.encode(text).ids for text in TEXTS]
    assert texts_of(whole()(["red houses"])) == [[CLS, RED, HOUSE, S, SEP]]


def test_a_bag_has_no_special_tokens() -> None:
    assert texts_of(bag()(["red houses", "", "a blue tree"])) == [
        [RED, HOUSE, S],
        [],
        [13, UNK, 9],
    ]


@given(st.lists(st.text(max_size=20), max_size=6), st.integers(3, 10))
def test_any_text_is_cut_to_its_length(texts: list[str], max_length: int) -> None:
    alone = wordpiece()
    array, stripped = whole(max_length)(texts), bag(max_length)(texts)
    assert len(array) == len(stripped) == len(texts)
    for text, ids, inner in zip(texts, texts_of(array), texts_of(stripped), strict=True):
        content = alone.encode(text, add_special_tokens=False).ids[: max_length - 2]
        assert ids == [CLS, *content, SEP]
        assert inner == content


def test_a_very_long_text_is_cut_by_characters_first() -> None:
    array = whole(64)(["red house " * 500_000, "x" * 3_000_000])
    assert texts_of(array) == [[CLS, *[RED, HOUSE] * 31, SEP], [CLS, UNK, SEP]]


def test_texts_may_come_from_an_iterator_in_many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dexa.tokens.tokenizer._CHUNK", 2)

    def stream() -> Iterator[str]:
        yield from TEXTS

    assert texts_of(whole()(stream())) == [texts_of(whole()([text]))[0] for text in TEXTS]
    assert len(whole()(iter([]))) == 0


def test_the_tokenizer_given_is_not_changed() -> None:
    theirs = wordpiece()
    theirs.enable_padding(length=20)
    before = theirs.to_str()
    ours = TextTokenizer(theirs, 4, special_tokens=True)
    assert texts_of(ours(["red red red red red"])) == [[CLS, RED, RED, SEP]]
    assert theirs.to_str() == before


def test_a_tokenizer_comes_back_from_its_json() -> None:
    again = TextTokenizer(tokenizers.Tokenizer.from_str(whole().to_json()), 8, special_tokens=True)
    assert texts_of(again(TEXTS)) == texts_of(whole()(TEXTS))


def test_special_tokens_around_a_text() -> None:
    assert whole().around() == ([CLS], [SEP])
    bare = TextTokenizer(wordpiece(template=False), 8, special_tokens=True)
    assert bare.around() == ([], [])
    assert bare.added == 0
    assert whole().added == 2


def test_the_size_of_the_vocabulary_counts_added_tokens() -> None:
    assert whole().vocabulary_size == len(SPECIAL) + len(WORDS)
    larger = wordpiece()
    larger.add_tokens(["brandnew"])
    assert (
        TextTokenizer(larger, 8, special_tokens=True).vocabulary_size
        == len(SPECIAL) + len(WORDS) + 1
    )


# padded arrays


def padded(texts: list[str], length: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """The pair of arrays that `dexa prepare` and the research code write."""
    theirs = wordpiece()
    theirs.enable_truncation(length)
    theirs.enable_padding(length=length)
    rows = theirs.encode_batch(texts)
    return (
        np.array([row.ids for row in rows], np.int64).reshape(-1, length),
        np.array([row.attention_mask for row in rows], np.int64).reshape(-1, length),
    )


@pytest.mark.parametrize("kind", ["int64", "int32", "uint16", "int16", "uint8"])
@pytest.mark.parametrize("tokenizer", [whole(), bag()], ids=["whole", "bag"])
def test_padded_arrays_give_the_tokens_of_the_texts(tokenizer: TextTokenizer, kind: str) -> None:
    texts = [text for text in TEXTS if "[SEP]" not in text]
    ids, mask = padded(texts)
    for mask_kind in (kind, "bool"):
        array = tokenizer.from_padded(ids.astype(kind), mask.astype(mask_kind), "x.npy")
        assert array.ids.dtype == torch.int32
        assert texts_of(array) == texts_of(tokenizer(texts))


def test_padded_arrays_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["red", "green house", "", "tree"] * 10
    ids, mask = padded(texts)
    monkeypatch.setattr("dexa.tokens.tokenizer._CHUNK", 1)
    assert texts_of(whole().from_padded(ids, mask, "x.npy")) == texts_of(whole()(texts))


def test_padded_arrays_without_rows_or_columns() -> None:
    assert len(whole().from_padded(np.zeros((0, 4), int), np.zeros((0, 4), int), "x.npy")) == 0
    nothing = whole().from_padded(np.zeros((2, 0), int), np.zeros((2, 0), int), "x.npy")
    assert texts_of(nothing) == [[], []]


def test_a_row_that_is_all_padding_is_an_empty_text() -> None:
    assert texts_of(whole().from_padded(np.zeros((1, 3), int), np.zeros((1, 3), int), "x")) == [[]]


def test_rows_longer_than_the_tokenizer_allows_are_cut() -> None:
    ids, mask = padded(["red green red green"], 6)
    assert texts_of(whole(4).from_padded(ids, mask, "x")) == [[CLS, RED, GREEN, RED]]


@pytest.mark.parametrize(
    ("ids", "mask", "message"),
    [
        ([1, 2], [1, 1], r"ids \[2\] with mask \[2\]; expected two arrays \[N, length\]"),
        ([[1, 2]], [[1]], r"ids \[1, 2\] with mask \[1, 1\]"),
        ([[2, 5, 3]], [[1, 0, 1]], "a mask with a hole"),
        ([[0, 2, 3]], [[0, 1, 1]], "a mask with a hole"),
        ([[2, -5, 3]], [[1, 1, 1]], "a negative id"),
        ([[2, 99, 3]], [[1, 1, 1]], "token id 99; expected ids below the vocabulary's 14"),
    ],
)
def test_padded_arrays_that_cannot_be(ids: list, mask: list, message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        whole().from_padded(np.array(ids), np.array(mask), "some/ids.npy")
    assert str(raised.value).startswith("some/ids.npy: ")


def test_ids_under_the_mask_do_not_matter() -> None:
    ids, mask = np.array([[2, 5, 3, 99, -1]]), np.array([[1, 1, 1, 0, 0]])
    assert texts_of(whole().from_padded(ids, mask, "x")) == [[2, 5, 3]]
