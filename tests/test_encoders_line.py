"""The encoders of the DeepXML framework: sparse bag, convolution, recurrent units, their block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dexa.data import TextFeatures
from dexa.encoders import (
    ClassifierHead,
    FeatureReader,
    SequenceEncoder,
    SparseBag,
    encode,
    open_encoder,
    open_sparse_bag,
    open_tokenizer,
    reads_features,
    transformer_width,
)
from dexa.encoders.residual import ResidualBlock
from dexa.errors import EncoderError, InputError
from tiny import LABELS, PLACES

TEXTS = [f"{label} at the {place}" for label in LABELS[:6] for place in PLACES[:3]]


def reader() -> FeatureReader:
    return FeatureReader.of(TextFeatures.fit(TEXTS, LABELS))


def fresh(kind: str, base: Path) -> SparseBag | SequenceEncoder:
    if kind == "sparse":
        return open_sparse_bag(
            f"sparse:{base}", reader(), dropout=0.0, activation="gelu", initial="pretrained"
        )
    found = open_encoder(f"{kind}:{base}", max_length=12)
    assert isinstance(found, SequenceEncoder)
    return found


# the block


def test_the_block_starts_at_the_identity() -> None:
    block, vectors = ResidualBlock(6, dropout=0.0, learned_radius=True), torch.randn(4, 6)
    assert torch.allclose(block(vectors), vectors + F.relu(vectors), atol=1e-6)
    assert dict(block.named_parameters()).keys() == {"weight", "bias", "radius"}
    fixed = ResidualBlock(6, dropout=0.0, learned_radius=False)
    assert dict(fixed.named_parameters()).keys() == {"weight", "bias"}


def test_the_block_divides_by_the_largest_singular_value() -> None:
    torch.manual_seed(3)
    block = ResidualBlock(6, dropout=0.0, learned_radius=False)
    with torch.no_grad():
        block.weight.copy_(torch.randn(6, 6) * 5)
    vectors = torch.randn(4, 6)
    for _ in range(200):  # the power iteration follows
        block(vectors)
    block.eval()
    before = block.start.clone()
    norm = torch.linalg.matrix_norm(block.weight.detach(), 2)
    expected = vectors + F.relu(vectors @ (block.weight / norm).T)
    assert torch.allclose(block(vectors), expected, atol=1e-4)
    assert torch.equal(block.start, before)


def test_the_radius_scales_what_is_added() -> None:
    block, vectors = ResidualBlock(3, dropout=0.0, learned_radius=True), torch.rand(2, 3)
    with torch.no_grad():
        block.radius.fill_(0.5)
    assert torch.allclose(block(vectors), 1.5 * vectors)


@pytest.mark.parametrize("cosine", [True, False])
def test_a_head_gives_unit_vectors_or_a_bias(cosine: bool) -> None:
    head = ClassifierHead(4, dropout=0.5, cosine=cosine).eval()
    seen = head(F.normalize(torch.randn(5, 4), dim=1))
    assert seen.shape == (5, head.width)
    if cosine:
        assert torch.allclose(seen.norm(dim=1), torch.ones(5))
    else:
        assert (seen[:, -1] == 1).all()


# features


def test_a_bag_is_the_weighted_sum_of_its_features(tiny_encoder: Path) -> None:
    bag = fresh("sparse", tiny_encoder).eval()
    tokens = bag.tokenizer(TEXTS)
    found = encode(bag, tokens)
    assert isinstance(bag.tokenizer, FeatureReader)
    assert bag.tokenizer.features is not None
    dense = torch.from_numpy(bag.tokenizer.features.transform(TEXTS).toarray())
    active = F.gelu(dense @ bag.table)
    assert torch.allclose(found, F.normalize(active + F.relu(active), dim=1), atol=1e-5)


def test_words_start_at_the_mean_of_their_pieces(tiny_encoder: Path) -> None:
    bag = fresh("sparse", tiny_encoder)
    teacher = open_encoder(str(tiny_encoder), max_length=16)
    assert isinstance(bag.tokenizer, FeatureReader)
    assert bag.tokenizer.features is not None
    words = bag.tokenizer.features.words
    ids = [int(teacher.tokenizer([word]).ids[1]) for word in words]
    pieces = F.normalize(teacher.get_submodule("trunk.embeddings.word_embeddings").weight[ids])
    centred = pieces - pieces.mean(dim=0)
    cosines = F.cosine_similarity(centred, bag.table[: len(words)])
    assert torch.allclose(cosines, torch.ones(len(words)), atol=1e-5)
    assert float(bag.table.detach().norm(dim=1).mean()) == pytest.approx(1, abs=1e-4)


def test_random_features_are_as_wide_as_the_transformer(tiny_encoder: Path) -> None:
    bag = open_sparse_bag(
        f"sparse:{tiny_encoder}", reader(), dropout=0.0, activation="relu", initial="random"
    )
    assert bag.table.shape[1] == 16


def test_features_without_names_cannot_read_texts() -> None:
    with pytest.raises(InputError, match="features that a data set gave"):
        FeatureReader(vocabulary_size=4, features=None)(["a text"])


# all kinds


@pytest.mark.parametrize("kind", ["sparse", "cnn", "rnn"])
def test_vectors_do_not_depend_on_what_else_is_in_the_batch(kind: str, tiny_encoder: Path) -> None:
    encoder = fresh(kind, tiny_encoder).eval()
    together = encode(encoder, encoder.tokenizer(TEXTS))
    for text, vector in zip(TEXTS, together, strict=True):
        alone = encode(encoder, encoder.tokenizer([text]))[0]
        assert torch.allclose(alone, vector, atol=1e-5)
    assert torch.allclose(together.norm(dim=1), torch.ones(len(TEXTS)), atol=1e-5)


@pytest.mark.parametrize("kind", ["sparse", "cnn", "rnn"])
def test_an_empty_text_is_no_error(kind: str, tiny_encoder: Path) -> None:
    encoder = fresh(kind, tiny_encoder)
    vectors = encoder(encoder.tokenizer(["", TEXTS[0]]).batch(np.arange(2)))
    vectors.sum().backward()
    assert torch.isfinite(vectors).all()
    assert all(
        torch.isfinite(p.grad.to_dense()).all() for p in encoder.parameters() if p.grad is not None
    )


@pytest.mark.parametrize("kind", ["cnn", "rnn"])
def test_the_order_of_tokens_counts(kind: str, tiny_encoder: Path) -> None:
    encoder = fresh(kind, tiny_encoder).eval()
    one, other = encode(encoder, encoder.tokenizer(["black castle the", "the castle black"]))
    assert not torch.allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("kind", ["cnn", "rnn"])
def test_order_against_one_text_at_a_time(kind: str, tiny_encoder: Path) -> None:
    encoder = fresh(kind, tiny_encoder).eval()
    assert isinstance(encoder, SequenceEncoder)
    for text in TEXTS[:3]:
        tokens = encoder.tokenizer([text])
        rows = encoder.table[tokens.ids.long()][None]
        if kind == "cnn":
            padded = F.pad(rows, (0, 0, 1, 1))[0]
            weight, bias = encoder.order.filters.weight, encoder.order.filters.bias
            answers = torch.stack(
                [
                    torch.einsum("odk,kd->o", weight, padded[i : i + 3]) + bias
                    for i in range(rows.shape[1])
                ]
            )
            made = F.relu(answers).amax(dim=0)
        else:
            made = encoder.order.units(rows)[0][0].mean(dim=0)
        expected = F.normalize(rows[0].mean(dim=0) + made, dim=0)
        assert torch.allclose(encode(encoder, tokens)[0], expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["sparse", "cnn", "rnn"])
def test_a_folder_opens_to_the_same_vectors(kind: str, tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = fresh(kind, tiny_encoder).eval()
    encoder.save(tmp_path)
    again = open_encoder(str(tmp_path), max_length=12).eval()
    assert type(again) is type(encoder)
    assert torch.equal(
        encode(again, again.tokenizer(TEXTS)), encode(encoder, encoder.tokenizer(TEXTS))
    )
    assert transformer_width(str(tmp_path)) is None
    assert reads_features(str(tmp_path)) == (kind == "sparse")
    if kind == "sparse":
        with pytest.raises(EncoderError, match="reads sparse features"):
            open_tokenizer(str(tmp_path), max_length=12)
    else:
        tokenizer = open_tokenizer(str(tmp_path), max_length=12)
        assert tokenizer(TEXTS).ids.tolist() == encoder.tokenizer(TEXTS).ids.tolist()


@pytest.mark.parametrize("kind", ["sparse", "cnn"])
def test_a_damaged_folder(kind: str, tiny_encoder: Path, tmp_path: Path) -> None:
    fresh(kind, tiny_encoder).save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(EncoderError, match="train it again"):
        open_encoder(str(tmp_path), max_length=12)


def test_names(tiny_encoder: Path) -> None:
    assert reads_features("sparse")
    assert reads_features(f"sparse:{tiny_encoder}")
    assert not reads_features("bag")
    assert transformer_width(f"cnn:{tiny_encoder}") is None
