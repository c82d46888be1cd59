"""``dexa explain``: why a label has its score for a text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from dexa.cli.labels import ByTextOption, label_name
from dexa.cli.options import Device, DeviceOption, ModelDir
from dexa.cli.output import say, show_table

if TYPE_CHECKING:
    from dexa.model import Explanation


def explain(
    model_dir: ModelDir,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Any text.", show_default=False)],
    label: Annotated[
        str, typer.Argument(metavar="LABEL", help="Its id, or its exact text.", show_default=False)
    ],
    by_text: ByTextOption = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    device: DeviceOption = Device.auto,
) -> None:
    """Say what gives a label its score for a text.

    Example:  dexa explain model "poodle, poodle dog" dog
    """
    from dexa.estimator import Dexa

    model = Dexa.load(model_dir, device=device.value)
    found = model.explain(text, label_name(label, by_text=by_text))
    if json_:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False))
        return
    _show(found)


def _show(found: Explanation) -> None:
    name = found.label if found.label_text is None else found.label_text
    place = "not among the candidates" if found.rank is None else f"rank {found.rank}"
    say(f"label {found.label}, {name!r}{', hidden' if found.hidden else ''}: {place}")
    shares = [
        [scorer.name, f"{scorer.score:.4f}", str(scorer.rank), _signed(scorer.share)]
        for scorer in found.scorers
    ]
    sums = [
        ["without any", "", "", _signed(found.base)],
        ["rarity", "", "", _signed(found.rarity)],
        ["fused score", "", "", f"{found.score:.4f}"],
    ]
    show_table("What each scorer gives", ["scorer", "score", "rank", "share"], shares, sums)
    if found.label_text_part is not None:
        parts = [
            ["label text", _signed(found.label_text_part)],
            ["auxiliary vector", _signed(found.auxiliary_part)],
        ]
        show_table("Label search", ["part", "share of the cosine"], parts)
    for title, terms in (("Label words", found.label_words), ("Linear", found.linear)):
        if terms:
            rows = [[term.text, term.kind, _signed(term.share)] for term in terms]
            show_table(title, ["word", "kind", "share"], rows)
    if found.voters:
        voters = [
            [
                voter.text or _where(voter.document),
                voter.scorer,
                f"{voter.similarity:.4f}",
                f"{voter.vote:.4f}",
            ]
            for voter in found.voters
        ]
        show_table("Neighbours", ["document", "by", "cosine", "vote"], voters)
    tokens = [
        [token.text, _signed(token.score), _signed(token.label_search)] for token in found.tokens
    ]
    if tokens:
        show_table("What is lost without a word", ["word", "fused score", "label search"], tokens)


def _where(document: int | None) -> str:
    return "came with a label" if document is None else f"training document {document}"


def _signed(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:+.4f}"
