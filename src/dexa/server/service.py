"""A model at work in this process: engine, queue and figures, and how the model is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from msgspec import structs

from dexa.errors import DexaError
from dexa.estimator import Dexa
from dexa.server.batching import Batcher, Job, Overloaded
from dexa.server.engine import Engine
from dexa.server.jobs import Refresh, Replace
from dexa.server.messages import ModelFacts
from dexa.server.monitoring import Figures
from dexa.server.settings import Settings

log = logging.getLogger("dexa.server")

_FOLLOW_SECONDS = 1.0


class Service:
    """Everything that answers requests share.

    Args:
        load: reads the model; called once now, and again by `reload`.
        settings: of the server.

    Attributes:
        ready: whether requests are answered now.
    """

    def __init__(self, load: Callable[[], Dexa], settings: Settings) -> None:
        self._load, self.settings = load, settings
        self.figures = Figures()
        self.engine = Engine(load(), settings.examples)
        self._batcher = Batcher(
            self.engine.compute,
            batch=settings.batch,
            queue=settings.queue,
            deadline=settings.deadline,
            watcher=self.figures,
        )
        self._reloading = asyncio.Lock()
        self.ready = False
        self.figures.waiting.set_function(lambda: self._batcher.texts_waiting)
        self._count_labels()

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Answer requests, and take up changes of labels by others; in the end, what waits."""
        self._batcher.start()
        following = asyncio.create_task(self._follow())
        self.ready = True
        try:
            yield
        finally:
            self.ready = False
            following.cancel()
            await asyncio.to_thread(self._batcher.close)

    def refuse_if_full(self) -> None:
        """Refuse a request before its body is read.

        Raises:
            Overloaded: the queue is full.
        """
        if self._batcher.full:
            raise Overloaded("queue")

    async def answer(self, job: Job) -> Any:
        """The result of a job.

        Raises:
            Overloaded: it cannot be computed in time.
        """
        return await self._batcher.answer(job)

    async def change(self, job: Job) -> Any:
        """The result of a job that changes the labels."""
        result = await self._batcher.answer(job, patient=True)
        self._count_labels()
        return result

    async def reload(self) -> None:
        """Read the model again; requests go on being answered by the old one until then.

        A model that cannot be read leaves the old one in place.
        """
        async with self._reloading:
            try:
                model = await asyncio.to_thread(self._load)
            except DexaError as error:
                log.error("the model stays as it was: %s", error)
                self.figures.reloaded("failed")
                return
            await self.change(Replace(model=model))
            self.figures.reloaded("done")
            log.info("the model was read again")

    async def _follow(self) -> None:
        """Take up, once a second, the changes that other processes wrote to the model folder."""
        said = ""
        while True:
            await asyncio.sleep(_FOLLOW_SECONDS)
            try:
                await self.change(Refresh())
            except Overloaded:
                return
            except DexaError as error:
                if str(error) != said:
                    log.warning("changes of labels are not taken up: %s", error)
                said = str(error)

    def facts(self) -> ModelFacts:
        """What the page says of the model and of the server."""
        return structs.replace(self.engine.facts, changes=self.settings.token is not None)

    def _count_labels(self) -> None:
        self.figures.labels.set(self.engine.facts.labels)
