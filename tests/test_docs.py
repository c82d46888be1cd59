"""The documentation says what the code says.

``python tests/test_docs.py`` writes the tables of ``docs/recipes.md`` anew from the source.
"""

from __future__ import annotations

import inspect
import json
import re
import shlex
import socket
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, fields
from itertools import chain
from pathlib import Path

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from dexa import recipe as parts
from dexa.cli import app
from test_readme import marked_blocks, runner

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
RECIPES = DOCS / "recipes.md"
TABLES = {
    "encoder": parts.EncoderChoice,
    "auxiliary": parts.AuxiliaryChoice,
    "encoder_stage": parts.EncoderStage,
    "label_batches": parts.LabelBatches,
    "label_clusters": parts.LabelClusters,
    "label_graph": parts.LabelGraph,
    "shortlist": parts.ShortlistChoice,
    "reranker": parts.RerankerChoice,
    "classifier_stage": parts.ClassifierStage,
    "further": parts.FurtherChoice,
    "fusion": parts.FusionChoice,
    "index": parts.IndexChoice,
}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def recipe_table(part: type) -> str:
    """The fields of a part as a Markdown table: from its docstring, its defaults, its comments."""
    source, text = inspect.getsource(part), inspect.getdoc(part) or ""
    meanings = dict(re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE))
    rules = dict(re.findall(r"^    (\w+): .*  # (.*)$", source, re.MULTILINE))
    rows = ["| field | default | meaning |", "|---|---|---|"]
    for field in fields(part):
        assert field.default is not MISSING
        default = rules[field.name] if field.default is None else f"`{_json(field.default)}`"
        meaning = " ".join(meanings[field.name].replace("``", "`").split())
        rows.append(f"| `{field.name}` | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


def _json(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def with_tables(page: str) -> str:
    """The page with each table between ``<!-- NAME -->`` and ``<!-- /NAME -->`` made anew."""
    for name, part in TABLES.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        page, count = re.subn(
            pattern,
            lambda match, part=part: f"{match[1]}\n{recipe_table(part)}\n{match[2]}",
            page,
            flags=re.DOTALL,
        )
        assert count == 1, f"no place for the table of {name}"
    return page


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """The blocks of a language in all pages, with the page's name."""
    for page in PAGES:
        for found, code in _BLOCK.findall(page.read_text(encoding="utf-8")):
            if found == language:
                yield page.name, code


def test_the_recipes_page_is_up_to_date() -> None:
    page = RECIPES.read_text(encoding="utf-8")
    assert page == with_tables(page), "run python tests/test_docs.py"


def test_every_part_of_a_recipe_has_its_table() -> None:
    assert [field.name for field in fields(parts.Recipe)] == ["name", *TABLES]


def test_the_architecture_page_shows_the_layers_that_are_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    shown = [" | ".join(re.findall(r"`(\w+)`", row)) for row in rows]
    assert shown == layers


def test_the_readme_names_every_source_file() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").partition("src/dexa/\n")[2]
    named, folders = [], [""]
    for branch, name in re.findall(r"^((?:│   |    )*)[├└]── (\S+)", tree, re.MULTILINE):
        depth = len(branch) // 4
        del folders[depth + 1 :]
        if name.endswith("/"):
            folders.append(folders[depth] + name)
        else:
            named.append(folders[depth] + name)
    source = ROOT / "src" / "dexa"
    there = [path.relative_to(source).as_posix() for path in source.rglob("*.*")]
    there = [name for name in there if "__pycache__" not in name and "/__init__" not in name]
    assert sorted(named) == sorted(there)


@pytest.mark.parametrize(("page", "code"), blocks("bash"))
def test_commands_and_their_options_exist(page: str, code: str) -> None:
    group = typer.main.get_command(app)
    for words in dexa_commands(code):
        command, rest = group, words
        while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, f"{page}: no command {rest[0]!r}"
            command, rest = command.commands[rest[0]], rest[1:]
        known = set(chain.from_iterable(p.opts for p in command.params)) | {"--help", "-h"}
        options = {word for word in rest if word.startswith("--")}
        assert options <= known, f"{page}: dexa {' '.join(words)}"


def dexa_commands(code: str) -> Iterator[list[str]]:
    """The words after ``dexa`` of each such command in a shell block."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for number, word in enumerate(words):
            if word == "dexa" and (number == 0 or words[number - 1] == "|"):
                yield words[number + 1 :]


@pytest.mark.slow
@pytest.mark.parametrize("page", ["tutorial.md", "serving.md"])
def test_tutorials_do_what_they_say(page: str, tmp_path: Path) -> None:
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    texts = [(DOCS / name).read_text(encoding="utf-8") for name in ("tutorial.md", page)]
    # serving begins with the tutorial's data, which its first block writes
    data, blocks_of_page = marked_blocks(texts[0])[:1], marked_blocks(texts[1])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with runner(tmp_path) as run:
        for block in blocks_of_page if page == "tutorial.md" else data + blocks_of_page:
            run(block._replace(code=block.code.replace("8000", port)))


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_python_blocks_are_python(page: str, code: str) -> None:
    compile(code, page, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        file, _, anchor = link.partition("#")
        if file.startswith("http"):
            continue
        target = page.parent / file if file else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_the_site_has_every_page() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    shown = sorted(chain.from_iterable(entry.values() for entry in site["nav"]))
    assert shown == sorted(path.name for path in DOCS.glob("*.md"))
    assert site["theme"]["font"] is False


if __name__ == "__main__":
    RECIPES.write_text(with_tables(RECIPES.read_text(encoding="utf-8")), encoding="utf-8")
