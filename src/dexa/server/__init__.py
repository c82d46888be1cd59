"""A model behind HTTP: JSON, a page to try it in, figures for Prometheus.

::

    running   processes, sockets, signals
    app       the ASGI application, and `guard` around it
    endpoints what each path does with `messages`, by way of `service`
    batching  the queue, and the one thread that computes
    engine    what the model answers
"""

from __future__ import annotations

from dexa.server.running import serve
from dexa.server.settings import Settings, is_loopback, read_token

__all__ = ["Settings", "is_loopback", "read_token", "serve"]
