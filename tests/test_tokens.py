"""Token arrays, batches, packed rows and tokenizers against loops over texts."""

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

from dexa import tokens
from dexa.errors import DataError
from dexa.tokens import (
    TextTokenizer,
    TokenArray,
    joined,
    offsets_of,
    pack,
    row_width,
    same_text,
    send,
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


# packed rows


@st.composite
def lengths_and_width(draw: st.DrawFn) -> tuple[list[int], int]:
    width = draw(st.sampled_from([4, 7, 64, 96]))
    lengths = st.sampled_from([0, 1, 2, width // 2, width - 1, width]) | st.integers(0, width)
    return draw(st.lists(lengths, max_size=20)), width


@settings(max_examples=150, deadline=None)
@given(lengths_and_width(), st.sampled_from([1, 3]))
def test_every_text_lies_in_one_row_in_order(
    lengths_and_width: tuple[list[int], int], multiple: int
) -> None:
    lengths, width = lengths_and_width
    texts = [list(range(100 * b + 1, 100 * b + 1 + n)) for b, n in enumerate(lengths)]
    batch = array_of(texts).batch(np.arange(len(texts)))
    rows = pack(batch, width, multiple=multiple)
    assert rows.ids.shape == rows.positions.shape == rows.texts.shape
    assert rows.ids.shape[1] == width
    assert rows.ids.shape[0] % multiple == 0
    for b, text in enumerate(texts):
        row, column = (rows.texts == b).nonzero(as_tuple=True)
        assert row.unique().numel() <= 1
        assert column.tolist() == list(range(column[0], column[0] + len(text))) if text else True
        assert rows.ids[row, column].tolist() == text
        assert rows.positions[row, column].tolist() == list(range(len(text)))
    padding = rows.texts == len(texts)
    assert int(padding.sum()) == rows.texts.numel() - sum(lengths)
    assert not rows.ids[padding].any()
    assert not rows.positions[padding].any()


@settings(max_examples=50, deadline=None)
@given(lengths_and_width())
def test_tokens_are_found_again_in_the_flattened_rows(
    lengths_and_width: tuple[list[int], int],
) -> None:
    lengths, width = lengths_and_width
    texts = [[b + 1] * n for b, n in enumerate(lengths)]
    batch = array_of(texts).batch(np.arange(len(texts)))
    rows = pack(batch, width)
    assert rows.ids.flatten()[rows.places].tolist() == batch.ids.tolist()
    assert rows.text_of_token.tolist() == [b for b, n in enumerate(lengths) for _ in range(n)]
    assert rows.texts.flatten()[rows.places].tolist() == rows.text_of_token.tolist()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 64), min_size=1, max_size=200))
def test_rows_are_more_than_half_full(lengths: list[int]) -> None:
    """n tokens share a row with ``64 // n`` texts, so only the last row of a share is emptier."""
    batch = array_of([[1] * n for n in lengths]).batch(np.arange(len(lengths)))
    shares = {64 // n for n in lengths}
    assert len(pack(batch, 64).ids) <= 2 * sum(lengths) / 64 + len(shares)


def test_no_texts_need_no_rows() -> None:
    batch = array_of([]).batch(np.zeros(0, np.int64))
    assert pack(batch, 64).ids.shape == (0, 64)
    assert pack(batch, 64, multiple=8).places.shape == (0,)


@given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=3))
def test_a_token_sees_its_own_text(owners: list[list[int]]) -> None:
    mask = same_text(torch.tensor(owners))
    assert mask.shape == (len(owners), 1, 5, 5)
    for r, row in enumerate(owners):
        assert mask[r, 0].tolist() == [[a == b for b in row] for a in row]


@pytest.mark.parametrize(
    ("longest", "width"),
    [(0, 64), (1, 64), (64, 64), (65, 128), (128, 128), (129, 192), (512, 512)],
)
def test_the_width_of_rows(longest: int, width: int) -> None:
    assert row_width(longest) == width


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
    monkeypatch.setattr(tokens, "_CHUNK", 2)

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
    monkeypatch.setattr(tokens, "_CHUNK", 1)
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
