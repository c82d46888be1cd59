"""Build further data sets from what Debian's packages ship, and print their facts.

    apt-get install dict-gcide dict-foldoc
    apt-get -o Acquire::Languages=en update
    python benchmarks/build_datasets.py --output further

Each is a folder that ``dexa train`` takes; the split is seeded and the order is that of the source,
so that equal packages give equal bytes. ``--root`` is the folder that the packages were unpacked
in, for those who do not want to install them (``dpkg-deb -x PACKAGE.deb FOLDER``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from builders import debian, foldoc, gcide
from dexa import Dataset, load_dataset
from dexa.data import dataset_facts
from dexa.errors import InputError

BUILDERS: dict[str, Callable[[Path, Path], None]] = {
    gcide.NAME: gcide.build,
    foldoc.NAME: foldoc.build,
    debian.DEPENDS: debian.build_depends,
    debian.SUGGESTS: debian.build_suggests,
    debian.TAGS: debian.build_tags,
}
COLUMNS = ("train", "test", "labels", "labels a document", "words a document", "pairs of top 100")
HEAD = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BUILDERS)}")
    parser.add_argument("--root", type=Path, default=Path("/"))
    parser.add_argument("--output", type=Path, default=Path("further"))
    options = parser.parse_args()
    if unknown := set(options.names) - set(BUILDERS):
        parser.error(f"no data set {', '.join(sorted(unknown))}; there are {', '.join(BUILDERS)}")
    print("| data set | " + " | ".join(COLUMNS) + " | documents with one of the top 3 | MB |")
    print("|---" * (len(COLUMNS) + 3) + "|")
    for name in options.names or BUILDERS:
        folder = options.output / name
        try:
            BUILDERS[name](options.root, folder)
        except InputError as error:
            sys.exit(f"{name}: {error}")
        print(row(folder), flush=True)


def row(folder: Path) -> str:
    """The facts of a built data set, as a line of the table."""
    dataset = load_dataset(folder)
    facts = dataset_facts(dataset)
    (folder / "facts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    train = facts["train"]
    head, most_frequent = head_shares(dataset)
    size = sum(path.stat().st_size for path in folder.glob("*.json.gz")) / 1e6
    cells = [
        dataset.name,
        f"{train['points']:,}",
        f"{facts['test']['points']:,}",
        f"{facts['labels']:,}",
        f"{train['labels_per_point']:.2f}",
        f"{train['texts']['words']['mean']:.0f}",
        f"{100 * head:.0f} %",
        f"{100 * most_frequent:.0f} %",
        f"{size:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def head_shares(dataset: Dataset) -> tuple[float, float]:
    """Part of the train pairs on the 100 most frequent labels, of documents with one of 3."""
    assert dataset.train is not None
    labels = dataset.train.labels
    frequency = np.bincount(labels.indices, minlength=labels.shape[1])
    ranked = np.argsort(-frequency, kind="stable")
    pairs = frequency[ranked[:HEAD]].sum() / frequency.sum()
    return float(pairs), float((labels[:, ranked[:3]].sum(axis=1) > 0).mean())


if __name__ == "__main__":
    main()
