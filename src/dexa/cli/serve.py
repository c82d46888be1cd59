"""``dexa serve``: a model behind HTTP, with a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dexa.cli.options import Device, DeviceOption, ModelDir
from dexa.cli.output import say
from dexa.errors import InputError


def serve(  # noqa: PLR0913 - each parameter is an option of the command
    model_dir: ModelDir,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads that a process computes with.")] = 1,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Its first line is the token that changes of labels need.",
            show_default="labels cannot be changed",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Answer requests for this host name too; may be repeated.",
            show_default="on a loopback address its own names, else any",
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=256, help="Texts computed together; 1 turns batching off.")
    ] = 64,
    queue: Annotated[int, typer.Option(min=1, help="Texts that may wait; more get 503.")] = 512,
    deadline: Annotated[
        float, typer.Option(min=0.01, help="Seconds that a request may wait; after them, 503.")
    ] = 1.0,
    examples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Texts that the page offers to try, one a line.",
            show_default="texts of some labels",
        ),
    ] = None,
    log_texts: Annotated[bool, typer.Option("--log-texts", help="Write texts to the log.")] = False,
    index: Annotated[
        str | None,
        typer.Option(
            metavar="exact|pq|faiss|auto", help="How to search.", show_default="as the model says"
        ),
    ] = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Answer over HTTP, with a page at / and the interface described at /docs.

    SIGHUP reads the model again without dropping a request.

    Example:  dexa serve model --port 8000 --token-file token.txt
    """
    server = _server()
    settings = server.Settings(
        model=model_dir,
        device=device.value,
        index=index,
        host=host,
        port=port,
        workers=workers,
        threads=threads,
        token=None if token_file is None else server.read_token(token_file),
        host_names=tuple(allow_host or ()),
        batch=batch,
        queue=queue,
        deadline=deadline,
        log_texts=log_texts,
        examples=None if examples is None else _lines(examples),
    )
    if not server.is_loopback(host):
        say(f"note: {host} can be reached from other machines; anyone there can ask this model")
    server.serve(settings)


def _server():
    try:
        from dexa import server
    except ModuleNotFoundError as error:
        raise InputError(
            f"the package {error.name} is missing", do="pip install 'dexa-xc[serve]'"
        ) from error
    return server


def _lines(path: Path) -> tuple[str, ...]:
    from dexa.cli.inputs import read_texts

    return tuple(text for text in read_texts(path) if text.strip())[:12]
