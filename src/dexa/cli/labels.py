"""``dexa labels``: add, remove, rename, hide, show and list the labels of a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dexa.cli.inputs import STANDARD_INPUT, read_lines, read_texts
from dexa.cli.options import Device, DeviceOption, ModelDir
from dexa.cli.output import say, show_table
from dexa.errors import DataError, InputError

if TYPE_CHECKING:
    from dexa.estimator import Dexa
    from dexa.model import LabelName
    from dexa.trained import Label

_Labels = Annotated[
    list[str] | None,
    typer.Argument(metavar="[LABEL]...", help="Ids, or exact texts of labels.", show_default=False),
]
_Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        metavar="FILE|-",
        help="One more a line; - is standard input.",
        show_default=False,
    ),
]
ByTextOption = Annotated[
    bool, typer.Option("--by-text", help="What is named by digits alone is a text too, no id.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print a JSON object a label.")]


def add(
    model_dir: ModelDir,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]...", help="Texts of new labels.", show_default=False),
    ] = None,
    input_: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE|-",
            help="One text a line, or JSON lines with documents if the name ends in .jsonl; "
            "- is standard input.",
            show_default=False,
        ),
    ] = None,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl",
            help='The input is JSON lines whatever its name: {"text": "…", "documents": ["…"]}.',
        ),
    ] = False,
    json_: _Json = False,
    device: DeviceOption = Device.auto,
) -> None:
    """Add labels to a model: they are answered at once, nothing is trained again.

    Example:  dexa labels add model "electric scooter" "cargo bike"
    """
    rows = [(text, []) for text in texts or ()]
    if input_ is not None:
        rows += _labels_of(input_, jsonl=jsonl or ".jsonl" in input_.suffixes)
    if not rows:
        raise InputError("no labels to add", expected="texts, or --input")
    model = _opened(model_dir, device)
    ids = model.add_labels([text for text, _ in rows], [documents for _, documents in rows])
    _tell(model, ids, "added", as_json=json_)


def remove(
    model_dir: ModelDir,
    labels: _Labels = None,
    input_: _Input = None,
    by_text: ByTextOption = False,
    json_: _Json = False,
    device: DeviceOption = Device.auto,
) -> None:
    """Remove labels for good; their ids are never given again.

    Example:  dexa labels remove model 17 "cargo bike"
    """
    model = _opened(model_dir, device)
    names = _names(labels, input_, by_text=by_text)
    texts = {label.id: label for label in model.labels()}
    ids = model.remove_labels(names)
    _tell_these([texts[label] for label in ids if label in texts], "removed", as_json=json_)


def rename(
    model_dir: ModelDir,
    label: Annotated[
        str, typer.Argument(metavar="LABEL", help="Its id, or its exact text.", show_default=False)
    ],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The new text.", show_default=False)],
    by_text: ByTextOption = False,
    json_: _Json = False,
    device: DeviceOption = Device.auto,
) -> None:
    """Give a label another text, by which it is found from now on; its id stays.

    Example:  dexa labels rename model "cargo bike" "cargo bicycle"
    """
    model = _opened(model_dir, device)
    changed = model.rename_label(label_name(label, by_text=by_text), text)
    _tell(model, [changed], "renamed", as_json=json_)


def hide(
    model_dir: ModelDir,
    labels: _Labels = None,
    input_: _Input = None,
    by_text: ByTextOption = False,
    json_: _Json = False,
    device: DeviceOption = Device.auto,
) -> None:
    """Never answer some labels, but keep them.

    Example:  dexa labels hide model 17 "cargo bike"
    """
    model = _opened(model_dir, device)
    ids = model.hide(_names(labels, input_, by_text=by_text))
    _tell(model, ids, "hidden", as_json=json_)


def show(
    model_dir: ModelDir,
    labels: _Labels = None,
    input_: _Input = None,
    by_text: ByTextOption = False,
    json_: _Json = False,
    device: DeviceOption = Device.auto,
) -> None:
    """Answer hidden labels again.

    Example:  dexa labels show model 17 "cargo bike"
    """
    model = _opened(model_dir, device)
    ids = model.show(_names(labels, input_, by_text=by_text))
    _tell(model, ids, "shown again", as_json=json_)


def list_(
    model_dir: ModelDir,
    containing: Annotated[
        str, typer.Option(metavar="TEXT", help="Only labels whose text has this in it.")
    ] = "",
    hidden: Annotated[bool, typer.Option("--hidden", help="Only hidden labels.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    json_: _Json = False,
    device: DeviceOption = Device.auto,
) -> None:
    """List the labels of a model by id, without the removed ones.

    Example:  dexa labels list model --containing bike --limit 20
    """
    part = containing.casefold()
    found = [
        label
        for label in _opened(model_dir, device).labels()
        if part in label.text.casefold() and (label.hidden or not hidden)
    ]
    _print(found[:limit], as_json=json_)
    shown = len(found[:limit])
    say(f"{shown:,} of {len(found):,} labels" if shown < len(found) else f"{shown:,} labels")


def _opened(folder: Path, device: Device) -> Dexa:
    from dexa.estimator import Dexa

    return Dexa.load(folder, device=device.value)


def _labels_of(path: Path, *, jsonl: bool) -> list[tuple[str, list[str]]]:
    """Texts and documents of new labels from a file or standard input."""
    if not jsonl:
        return [(text, []) for text in read_texts(path)]
    rows = []
    for number, line in read_lines(path):
        try:
            row = json.loads(line)
            text, documents = row["text"], row.get("documents", [])
            if not isinstance(text, str) or not _are_texts(documents):
                raise TypeError("a value of another type")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(
                f"no label: {error}",
                expected='{"text": "…"} or {"text": "…", "documents": ["…"]} a line',
                path="standard input" if path == STANDARD_INPUT else path,
                line=number,
            ) from error
        rows.append((text, documents))
    return rows


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _names(labels: Sequence[str] | None, path: Path | None, *, by_text: bool) -> list[LabelName]:
    given = [*(labels or ()), *(() if path is None else read_texts(path))]
    if not given:
        raise InputError("no labels", expected="ids or texts, or --input")
    return [label_name(label, by_text=by_text) for label in given]


def label_name(label: str, *, by_text: bool) -> LabelName:
    """What a label is called on the command line: its id, if it is a number, or its text."""
    return int(label) if label.isdecimal() and not by_text else label


def _tell(model: Dexa, ids: Iterable[int], done: str, *, as_json: bool) -> None:
    wanted = set(ids)
    _tell_these([label for label in model.labels() if label.id in wanted], done, as_json=as_json)


def _tell_these(labels: Sequence[Label], done: str, *, as_json: bool) -> None:
    _print(labels, as_json=as_json)
    say(f"{len(labels):,} label{'' if len(labels) == 1 else 's'} {done}")


def _print(labels: Sequence[Label], *, as_json: bool) -> None:
    if as_json:
        for label in labels:
            typer.echo(json.dumps(asdict(label), ensure_ascii=False))
        return
    rows = [
        [label.text, str(label.id), f"{label.documents:,}", "yes" if label.hidden else ""]
        for label in labels
    ]
    show_table("", ["label", "id", "documents", "hidden"], rows)
