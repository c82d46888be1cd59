"""Seconds and memory of every part on a GPU, each beside the limit of the card that binds it.

    python benchmarks/gpu.py --minilm FOLDER
    python benchmarks/gpu.py --minilm FOLDER --parts encoder search memory

Matrix rate and copy bandwidth are measured in the same run. The first use of a part, which compiles
its kernels and allocates memory, is shown apart from the steady figure. Every row is appended to
``--output`` as a line of JSON.
"""

# Over 300 lines: one script, so that all figures are of one run.
from __future__ import annotations

import argparse
import contextlib
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn import functional as F

from accuracy import DATA, FIELDS, METRICS
from clustering import mixture, plain_two_means
from dexa import Dataset, Dexa, load_dataset, recipes
from dexa.auxiliary import AuxiliaryBank, initial_bank
from dexa.clustering import balanced_kmeans, cohesion
from dexa.encoders import TextEncoder, encode, open_encoder
from dexa.index import ExactIndex
from dexa.model import Scorers
from dexa.recipe import Recipe, Size, completed
from dexa.tokens import TokenArray, offsets_of
from dexa.training import classifier_stage, encoder_stage, recording, tuning
from dexa.training.corpus import Corpus, make_corpus
from dexa.training.devices import precision
from dexa.training.encoder_stage import EncoderStage
from dexa.training.label_stage import LabelStage
from dexa.training.validation import fit_fusion

CUDA = torch.device("cuda")
EPOCHS = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minilm", default="minilm", help="folder of MiniLM, if not packaged")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--output", type=Path, default=Path("gpu.jsonl"))
    options = parser.parse_args()
    bench = Bench(options.minilm, options.output, matmul_rate(), copy_bandwidth())
    bench.row(
        "card",
        name=torch.cuda.get_device_name(),
        matmul_tflops=bench.matmul / 1e12,
        copy_gb_s=bench.copy / 1e9,
    )
    for part in options.parts:
        PARTS[part](bench)
        torch.cuda.empty_cache()


@dataclass
class Bench:
    """Where rows go, and the limits of the card: FLOP/s of a bf16 product, bytes/s of a copy."""

    minilm: str
    output: Path
    matmul: float
    copy: float

    def row(self, part: str, **figures: object) -> None:
        """Keep and print the figures of a part."""
        rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in figures.items()}
        with self.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"part": part, **rounded}) + "\n")
        print(part, " ".join(f"{k}={v}" for k, v in rounded.items()), flush=True)


def timed(work: Callable[[], object]) -> float:
    """Seconds of some work, the device's included."""
    torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def median(work: Callable[[], object], times: int = 5) -> tuple[float, float]:
    """Seconds of the first time, and the median of those after it."""
    first = timed(work)
    return first, statistics.median(timed(work) for _ in range(times))


def matmul_rate() -> float:
    left, right = (torch.randn(8192, 8192, device=CUDA).bfloat16() for _ in range(2))
    return 2 * 8192**3 / median(lambda: left @ right, 20)[1]


def copy_bandwidth() -> float:
    source = torch.randn(1 << 28, device=CUDA)
    target = torch.empty_like(source)
    return 2 * 4 * len(source) / median(lambda: target.copy_(source), 20)[1]


@dataclass
class Setting:
    """A recipe with its data on the device."""

    dataset: Dataset
    recipe: Recipe
    encoder: TextEncoder
    corpus: Corpus
    test: TokenArray

    def stage(self) -> EncoderStage | LabelStage:
        """The encoder stage at its start."""
        if self.recipe.encoder_stage.task == "labels":
            return LabelStage(self.corpus, self.encoder, self.recipe, 0)
        with precision(CUDA):
            vectors = encode(self.encoder, self.corpus.label_tokens())
        choice = self.recipe.auxiliary
        bank = initial_bank(
            vectors,
            self.corpus.frequency,
            shared_vectors=choice.shared_vectors or 0,
            head_labels=choice.head_labels or 0,
            norm=choice.initial_norm or 0.0,
            seed=0,
        )
        return EncoderStage(self.corpus, self.encoder, bank, self.recipe, 0)


def setting(name: str, fields: str, base: str = "dexa", **changes: object) -> Setting:
    """The bundled data set, ready to be trained on."""
    dataset = load_dataset(DATA, fields=FIELDS[fields])
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.label_texts is not None
    encoder = open_encoder(name, max_length=32 if fields == "titles" else 128).to(CUDA)
    size = Size(
        documents=dataset.train.n_labelled,
        labels=dataset.n_labels,
        pairs=dataset.train.labels.nnz,
        width=encoder.dimension,
        titles=fields == "titles",
    )
    chosen = getattr(recipes, base)().changed({"encoder.name": name, **changes})
    recipe = completed(chosen, size)
    corpus = make_corpus(
        encoder.tokenizer(dataset.train.texts or []),
        encoder.tokenizer(dataset.label_texts),
        dataset.train.labels,
        dataset.train.filter_pairs,
        validation=recipe.fusion.validation or 0,
        seed=0,
        device=CUDA,
    )
    test = encoder.tokenizer(dataset.test.texts or []).to(CUDA)
    return Setting(dataset, recipe, encoder, corpus, test)


def epochs(stage: object, count: int = EPOCHS) -> list[float]:
    """Seconds of each epoch of a stage, its clustering apart."""
    seconds = []
    for epoch in range(count):
        stage.begin(epoch)
        seconds.append(timed(lambda e=epoch: [stage.step(e, s) for s in range(stage.steps())]))
    return seconds


def model_flops(encoder: TextEncoder, lengths: np.ndarray) -> float:
    """Floating-point operations of one forward and backward pass over texts, padding left out."""
    config = encoder.trunk.config
    width, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or config.hidden_dim
    products = 2 * (4 * width**2 + 2 * width * inner) * lengths.sum()
    attention = 4 * width * (lengths.astype(float) ** 2).sum()
    return 3 * layers * float(products + attention)


def encoder_rows(bench: Bench, part: str, made: Setting) -> None:
    """Documents a second of the encoder stage, and the share of the card's matrix rate."""
    stage = made.stage()
    first, *rest = epochs(stage)
    seconds = statistics.median(rest[2:])
    lengths = encoded_lengths(stage)
    flops = model_flops(made.encoder, lengths)
    by_labels = isinstance(stage, LabelStage)
    drawn = stage.drawn.shape[1] if by_labels else made.corpus.documents
    bench.row(
        part,
        documents_s=drawn / seconds,
        epoch_s=seconds,
        first_epoch_s=first,
        tokens=int(lengths.sum()),
        model_tflops=flops / seconds / 1e12,
        of_matmul=flops / seconds / bench.matmul,
        peak_gib=torch.cuda.max_memory_allocated() / 2**30,
    )


def encoded_lengths(stage: EncoderStage | LabelStage) -> np.ndarray:
    """Tokens of each text that the last epoch encoded."""
    steps = range(stage.steps())
    if isinstance(stage, LabelStage):
        batches = [stage.batches.of(EPOCHS - 1, s, stage.drawn[:2]) for s in steps]
    else:
        batches = [stage.batches.of(EPOCHS - 1, s, stage.order) for s in steps]
    return np.concatenate([piece.counts.cpu().numpy() for b in batches for piece in b.texts])


def encoder(bench: Bench) -> None:
    """Batches of documents, as `dexa` takes them, and of labels, as `dexa-plus` does."""
    for recipe, kind in (("dexa", "encoder stage"), ("dexa_plus", "batches of labels")):
        for fields, text in (("titles", "titles"), ("full", "full text")):
            made = setting(bench.minilm, fields, recipe)
            encoder_rows(bench, f"{kind}, {text}, MiniLM", made)


def distilbert(bench: Bench) -> None:
    """A DistilBERT of 66 million random weights, on titles, full texts and texts of 128 tokens."""
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

    with tempfile.TemporaryDirectory() as folder:
        DistilBertModel(DistilBertConfig()).save_pretrained(folder)
        AutoTokenizer.from_pretrained(bench.minilm).save_pretrained(folder)
        for fields in ("titles", "full"):
            encoder_rows(bench, f"encoder stage, {fields}, DistilBERT", setting(folder, fields))
        made = setting(folder, "full")
        count = len(made.corpus.texts)
        ids = torch.randint(1000, 30_000, (count * 128,), dtype=torch.int32, device=CUDA)
        texts = TokenArray(ids, offsets_of(np.full(count, 128)))
        made.corpus = replace(made.corpus, texts=texts)
        stage = made.stage()
        stage.begin(0)
        first = timed(lambda: [stage.step(0, s) for s in range(4)])
        seconds = timed(lambda: [stage.step(0, s) for s in range(4, 12)]) / 8
        labels = statistics.mean(len(stage.batches.of(0, s, stage.order).labels) for s in range(12))
        flops = model_flops(made.encoder, np.full(int(1600 + labels), 128))
        bench.row(
            "encoder stage, 128 tokens a text, DistilBERT",
            step_s=seconds,
            first_steps_s=first,
            documents_s=1600 / seconds,
            model_tflops=flops / seconds / 1e12,
            of_matmul=flops / seconds / bench.matmul,
            peak_gib=torch.cuda.max_memory_allocated() / 2**30,
        )


def clustering(bench: Bench) -> None:
    points = mixture(96_787, 384, "cuda")
    first, seconds = median(lambda: balanced_kmeans(points, 1 << 15, seed=0))
    bench.row(
        "clustering 96,787 × 384 → 2¹⁵",
        seconds=seconds,
        first_s=first,
        cohesion=cohesion(points, balanced_kmeans(points, 1 << 15, seed=0)),
        of_copy=15 * 14 * points.numel() * 4 / seconds / bench.copy,
    )
    few = points[:12_000]
    for name, work in (("ours", balanced_kmeans), ("one node at a time", plain_two_means)):
        seconds = timed(lambda work=work: work(few, 1 << 12, seed=0))
        bench.row(
            f"clustering 12,000 × 384 → 2¹², {name}",
            seconds=seconds,
            cohesion=cohesion(few, work(few, 1 << 12, seed=0)),
        )


def classifiers(bench: Bench) -> None:
    made = setting(bench.minilm, "titles")
    with precision(CUDA):
        documents = encode(made.encoder, made.corpus.document_tokens())
        labels = F.normalize(encode(made.encoder, made.corpus.label_tokens()), dim=1)
    stage = classifier_stage.ClassifierStage(
        made.corpus, documents, labels, made.recipe.classifier_stage, 0, CUDA
    )
    first, *rest = epochs(stage, 10)
    bench.row("classifier stage", epoch_s=statistics.median(rest[4:]), first_epoch_s=first)
    on_host = labels.cpu().pin_memory()
    stage = classifier_stage.ClassifierStage(
        made.corpus, documents, on_host, made.recipe.classifier_stage, 0, CUDA
    )
    first, *rest = epochs(stage, 4)
    bench.row("classifier stage, rows in host memory", epoch_s=statistics.median(rest))


def search(bench: Bench) -> None:
    made = setting(bench.minilm, "titles")
    with precision(CUDA):
        labels = F.normalize(encode(made.encoder, made.corpus.label_tokens()), dim=1)
        queries = encode(made.encoder, made.test)
    first, seconds = median(lambda: ExactIndex(labels).search(queries, 300))
    flops = 2.0 * labels.numel() * len(queries)
    bench.row(
        "top 300 of 97,787 for 34,397, index included",
        seconds=seconds,
        first_s=first,
        of_matmul=flops / seconds / bench.matmul,
    )
    found = ExactIndex(labels).search(queries[:4000], 10)
    wide = labels.double()
    same = 0
    for block, answers in zip(queries[:4000].split(500), np.split(found.labels, 8), strict=True):
        expected = (block.double() @ wide.T).topk(10).indices.cpu().numpy()
        same += sum(
            set(a) == set(b) for a, b in zip(answers.tolist(), expected.tolist(), strict=True)
        )
    bench.row("top-10 sets equal to those by float64, of 4,000", share=same / 4000)
    scorers = Scorers.over(labels, labels + 0.1 * torch.randn_like(labels))
    with precision(CUDA):
        held_out = encode(made.encoder, made.corpus.held_out)
    recipe, constants = made.recipe, (0.55, 1.5)
    fusions: list = []
    asked = scorers.ask(held_out)

    def fit() -> None:
        fusions.append(fit_fusion(made.corpus, asked, recipe, constants, 0))

    first, fitted = median(fit, 2)

    def apply() -> None:
        for block in queries.split(4096):
            asked = scorers.ask(block)
            fusions[0][0](asked.candidates(asked.best(100)), 100)

    applied = median(apply, 2)[1]
    bench.row("fusion, two searches included", fitted_s=fitted, first_s=first, applied_s=applied)


def whole(bench: Bench) -> None:
    """40 + 40 epochs from tokens to figures, twice: the first run compiles kernels."""
    dataset = load_dataset(DATA, fields=FIELDS["titles"])
    for run in ("first", "second"):
        changes = {"encoder.name": bench.minilm, "classifier_stage.epochs": 40}
        estimator = Dexa(recipes.dexa().changed(changes), seed=108, device="cuda")
        started = time.perf_counter()
        with timer_from_tokens() as since:
            estimator.fit(dataset)
            evaluation = estimator.evaluate(dataset)
        figures = evaluation.to_json()["scorers"]["fusion"]
        bench.row(
            f"40 + 40 epochs, tokens to figures, {run} run",
            seconds=time.perf_counter() - since[0] - since[1],
            with_tokenising_s=time.perf_counter() - started,
            stages={
                stage: round(
                    sum(r["seconds"] for r in estimator.model.history if r["stage"] == stage), 2
                )
                for stage in ("encoder_stage", "classifier_stage")
            },
            **{metric: figures[metric] for metric in METRICS},
        )


@contextlib.contextmanager
def timer_from_tokens() -> object:
    """When texts of train became tokens, and the seconds that those of test took later."""
    from dexa import estimator, examples

    plain, since = examples.tokens_of, [0.0, 0.0]

    def tokens(*given: object) -> object:
        started = time.perf_counter()
        made = plain(*given)
        if since[0]:
            since[1] += time.perf_counter() - started
        else:
            since[0] = time.perf_counter()
        return made

    examples.tokens_of = estimator.tokens_of = tokens
    try:
        yield since
    finally:
        examples.tokens_of = estimator.tokens_of = plain


def exactness(bench: Bench) -> None:
    """Label search on held-out documents after 10 epochs: bf16 and recorded, float32 and plain."""
    for name in ("bf16, recorded", "float32, not recorded"):
        with contextlib.ExitStack() as stack:
            if name.startswith("float32"):
                stack.enter_context(replaced(tuning, "precision", plainly))
                stack.enter_context(replaced(encoder_stage, "tensor_cores", plainly))
                stack.enter_context(replaced(recording, "_SEEN_BEFORE", 1 << 30))
            for seed in (1, 2):
                made = setting(bench.minilm, "titles", **{"encoder_stage.epochs": 10})
                stage = made.stage()
                stage.seed = stage.sampler.seed = seed
                seconds = sum(epochs(stage, 10))
                figures = stage.figures(9)
                bench.row(f"10 epochs, {name}, seed {seed}", seconds=seconds, **figures)


@contextlib.contextmanager
def replaced(module: object, name: str, value: object) -> object:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def plainly(device: torch.device) -> contextlib.AbstractContextManager[object]:
    return contextlib.nullcontext()


def short(bench: Bench) -> None:
    """The first epoch and later ones, with and without recording, kernels compiled before."""
    for recipe, kind in (("dexa", "documents"), ("dexa_plus", "labels")):
        epochs(setting(bench.minilm, "titles", recipe).stage(), 1)
        for name, seen in (("recorded", recording._SEEN_BEFORE), ("never recorded", 1 << 30)):
            with replaced(recording, "_SEEN_BEFORE", seen):
                stage = setting(bench.minilm, "titles", recipe).stage()
                first, *rest = epochs(stage, 4)
                bench.row(f"batches of {kind}, {name}", first_epoch_s=first, epoch_s=min(rest))


def large_batch(bench: Bench) -> None:
    """16,384 documents of 32 tokens a batch, and their labels, within 24 GB."""
    changes = {"encoder_stage.batch_size": 16_384, "encoder_stage.texts_at_once": 4_096}
    made = setting(bench.minilm, "titles", **changes)
    count = len(made.corpus.texts)
    ids = torch.randint(1000, 30_000, (count * 32,), dtype=torch.int32, device=CUDA)
    texts = TokenArray(ids, offsets_of(np.full(count, 32)))
    made.corpus = replace(made.corpus, texts=texts)
    stage = made.stage()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    stage.begin(0)
    stage.step(0, 0)
    seconds = timed(lambda: [stage.step(0, s) for s in (1, 2)]) / 2
    reserved = torch.cuda.max_memory_reserved() / 1e9
    bench.row("batch of 16,384 × 32 tokens", step_s=seconds, reserved_gb=reserved)


def memory(bench: Bench) -> None:
    """Synthetic labels, 384 dimensions: a step of each stage, and a search."""
    for count in (10**5, 10**6, 10**7):
        gc.collect()  # what the row before held
        corpus = synthetic(count)
        encoder_memory(bench, count, corpus)
        for moments in ("float32", "bfloat16"):
            gc.collect()
            classifier_memory(bench, count, corpus, moments, on_host=False)
        if count < 10**7:  # pinning that much memory takes minutes
            classifier_memory(bench, count, corpus, "float32", on_host=True)
        gc.collect()
        search_memory(bench, count)


def synthetic(labels: int, documents: int = 100_000) -> Corpus:
    """Texts of 7 random tokens, three random labels a document."""
    random = np.random.default_rng(0)
    chosen = np.sort(random.integers(0, labels, (documents, 3)), axis=1)
    truth = csr_array(
        (np.ones(chosen.size, np.float32), chosen.ravel(), np.arange(0, chosen.size + 1, 3)),
        shape=(documents, labels),
    )
    truth.sum_duplicates()
    count = documents + labels
    ids = torch.randint(1000, 30_000, (count * 7,), dtype=torch.int32, device=CUDA)
    none = csr_array((0, labels), dtype=np.float32)
    return Corpus(
        texts=TokenArray(ids, offsets_of(np.full(count, 7))),
        labels=truth,
        known=truth,
        held_out=TokenArray(ids[:0], np.zeros(1, np.int64)),
        held_out_labels=none,
        held_out_filter=np.zeros((0, 2), np.int64),
        rows=np.arange(documents),
        held_out_rows=np.zeros(0, np.int64),
        skipped=0,
    )


def encoder_memory(bench: Bench, count: int, corpus: Corpus) -> None:
    model = open_encoder(bench.minilm, max_length=32).to(CUDA)
    pairs = corpus.labels.nnz
    size = Size(documents=corpus.documents, labels=count, pairs=pairs, width=384, titles=True)
    recipe = completed(recipes.dexa().changed({"encoder.name": bench.minilm}), size)
    vectors = recipe.auxiliary.shared_vectors or 1
    shares = np.random.default_rng(0).integers(0, vectors, count)
    bank = AuxiliaryBank(torch.randn(vectors, 384, device=CUDA) * 0.01, shares)
    steps_memory(bench, f"{count:,} labels, encoder stage", EncoderStage(
        corpus, model, bank, recipe, 0
    ))  # fmt: skip


def classifier_memory(
    bench: Bench, count: int, corpus: Corpus, moments: str, *, on_host: bool
) -> None:
    pairs = corpus.labels.nnz
    size = Size(documents=corpus.documents, labels=count, pairs=pairs, width=384, titles=True)
    recipe = completed(recipes.dexa().changed({"classifier_stage.moments": moments}), size)
    documents = F.normalize(torch.randn(corpus.documents, 384, device=CUDA), dim=1)
    labels = torch.randn(count, 384, device="cpu" if on_host else CUDA)
    labels = labels.pin_memory() if on_host else labels
    stage = classifier_stage.ClassifierStage(
        corpus, documents, labels, recipe.classifier_stage, 0, CUDA
    )
    where = "host" if on_host else "device"
    steps_memory(bench, f"{count:,} labels, classifier stage, {moments} on the {where}", stage)


def steps_memory(bench: Bench, part: str, stage: object) -> None:
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    stage.begin(0)
    for step in range(20):
        stage.step(0, step)
    seconds = timed(lambda: [stage.step(0, s) for s in range(20, 40)]) / 20
    bench.row(part, step_ms=1e3 * seconds, peak_gib=torch.cuda.max_memory_allocated() / 2**30)


def search_memory(bench: Bench, count: int) -> None:
    labels = torch.randn(count, 384, device=CUDA)
    labels /= labels.norm(dim=1, keepdim=True)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    index = ExactIndex(labels)
    queries = F.normalize(torch.randn(4096, 384, device=CUDA), dim=1)
    _, seconds = median(lambda: index.search(queries, 100), 2)
    bench.row(
        f"{count:,} labels, top 100 of 4,096 queries",
        query_ms=1e3 * seconds / 4096,
        peak_gib=torch.cuda.max_memory_allocated() / 2**30,
    )


PARTS: dict[str, Callable[[Bench], None]] = {
    "encoder": encoder,
    "distilbert": distilbert,
    "clustering": clustering,
    "classifiers": classifiers,
    "search": search,
    "whole": whole,
    "exactness": exactness,
    "short": short,
    "large_batch": large_batch,
    "memory": memory,
}


if __name__ == "__main__":
    main()
