"""How long a model takes to open, and to answer one text or many, on a CPU.

    python benchmarks/inference.py MODEL_DIR... --threads 2
    python benchmarks/inference.py MODEL_DIR --texts 300 --processes 3

Texts are test documents of the bundled data set. Each model is opened and asked in a process of its
own; imports are not counted. Beside single texts stands what `SentenceTransformer.encode` takes for
the same texts with the encoder of the model, followed by the exact search of both kinds of vectors
by one product with all of them.

CPU ms are those of the process, so that a busy machine changes them little; wall ms say what a user
waits for on a quiet one. With ``--processes``, so many processes hold the model at once: the memory
that they share is counted once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from accuracy import DATA, FIELDS
from dexa import Dexa, load_dataset

K = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--many", type=int, default=8_192)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measured(options.models[0], options)))
        return
    for model in options.models:
        print(f"\n## {model}, {options.threads} threads\n")
        for name, value in in_a_process(model, options).items():
            print(f"- {name}: {value}")


def in_a_process(model: Path, options: argparse.Namespace) -> dict[str, str]:
    command = [sys.executable, __file__, str(model), "--worker"]
    for name in ("threads", "texts", "many", "processes"):
        command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(folder: Path, options: argparse.Namespace) -> dict[str, str]:
    import torch
    from transformers import AutoModel, AutoTokenizer  # noqa: F401 - not to be counted

    torch.set_num_threads(options.threads)
    started = time.perf_counter(), time.process_time()
    model = Dexa.load(folder, device="cpu")
    opened = time.perf_counter() - started[0], time.process_time() - started[1]
    test = load_dataset(DATA, fields=FIELDS["titles"]).test
    assert test is not None
    assert test.texts is not None
    texts = list(test.texts[: options.many])
    singles = texts[: options.texts]
    found = {
        "index": type(model.model.scorers.label_search).__name__,
        "labels": f"{len(model.model.frequency):,}",
        "opened": f"{opened[0]:.2f} s, {opened[1]:.2f} CPU-s",
        "one text": each(lambda text: model.predict([text], K), singles),
        "one text, SentenceTransformer.encode and two products": each(
            of_others(folder, model), singles
        ),
    }
    started = time.perf_counter(), time.process_time()
    model.predict(texts, K)
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    found["many texts"] = f"{len(texts) / wall:,.0f} a second, {len(texts) / cpu:,.0f} a CPU-s"
    found["memory"] = memory(folder, options.processes)
    return found


def each(answer: Callable[[str], object], texts: list[str]) -> str:
    """Milliseconds a text, after a few that are not counted."""
    for text in texts[:20]:
        answer(text)
    wall, cpu = [], []
    for text in texts:
        started = time.perf_counter(), time.process_time()
        answer(text)
        wall.append(1000 * (time.perf_counter() - started[0]))
        cpu.append(1000 * (time.process_time() - started[1]))
    half, most = np.quantile(wall, (0.5, 0.99))
    return f"p50 {half:.2f} ms, p99 {most:.2f} ms, p50 {np.median(cpu):.2f} CPU-ms"


def of_others(folder: Path, model: Dexa) -> Callable[[str], object]:
    """The encoder by sentence-transformers, and a product with all vectors of each kind."""
    from sentence_transformers import SentenceTransformer

    # a bag with pairs is read by a module of dexa
    encoder = SentenceTransformer(str(folder / "encoder"), device="cpu", trust_remote_code=True)
    kinds = [index.vectors for index in model.model.scorers.indexes().values()]

    def answer(text: str) -> object:
        vector = encoder.encode([text], convert_to_tensor=True, show_progress_bar=False)
        return [(vector @ vectors.T).topk(100) for vectors in kinds]

    return answer


def memory(folder: Path, processes: int) -> str:
    """MiB of each of several processes that hold the model, what they share divided among them."""
    code = (
        "import sys; from dexa import Dexa; m = Dexa.load(sys.argv[1], device='cpu'); "
        "m.predict(['a'] * 64); print('ready', flush=True); sys.stdin.readline(); "
        "lines = open('/proc/self/smaps_rollup'); "
        "print(next(l.split()[1] for l in lines if l.startswith('Pss:')), flush=True); "
        "sys.stdin.readline()"
    )
    pipe = subprocess.PIPE
    held = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdin=pipe, stdout=pipe, text=True
        )
        for _ in range(processes)
    ]
    for process in held:
        assert process.stdout is not None
        process.stdout.readline()
    sizes = []
    for process in held:  # all hold the model while the first of them is asked
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        sizes.append(int(process.stdout.readline()) // 1024)
    for process in held:
        process.communicate("\n")
    return f"{', '.join(map(str, sizes))} MiB in {processes} processes, shared memory divided"


if __name__ == "__main__":
    main()
