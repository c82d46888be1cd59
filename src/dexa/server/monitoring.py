"""What the server does, in figures for Prometheus."""

from __future__ import annotations

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable: where the figures of several processes meet."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Figures:
    """The figures of one process; where several share a folder, `page` tells those of all."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "dexa_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "dexa_request_seconds",
            "From the first byte of a request to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._refused = Counter(
            "dexa_refused", "Requests refused with 503.", ["reason"], registry=registry
        )
        self._batch_texts = Histogram(
            "dexa_batch_texts", "Texts of a batch.", buckets=_TEXTS, registry=registry
        )
        self._batch_seconds = Histogram(
            "dexa_batch_seconds", "To compute a batch.", buckets=_SECONDS, registry=registry
        )
        self._reloads = Counter(
            "dexa_reloads", "Models that were read again.", ["outcome"], registry=registry
        )
        self.waiting = Gauge(
            "dexa_waiting_texts",
            "Texts in the queue.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.labels = Gauge(
            "dexa_labels", "Labels of the model.", registry=registry, multiprocess_mode="livemax"
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request has its answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def refused(self, reason: str) -> None:
        """A request came when there was too much to do."""
        self._refused.labels(reason).inc()

    def computed(self, texts: int, seconds: float) -> None:
        """A batch is done."""
        self._batch_texts.observe(texts)
        self._batch_seconds.observe(seconds)

    def reloaded(self, outcome: str) -> None:
        """The model was read again, or could not be."""
        self._reloads.labels(outcome).inc()

    def page(self) -> bytes:
        """All figures, as Prometheus reads them."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)
        return generate_latest(everyone)
