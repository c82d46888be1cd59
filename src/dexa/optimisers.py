"""Adam for tables of which a batch touches a few rows."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch

from dexa.kernels import AdamRates, adam_rows, gather_rows, put_rows


class Rate:
    """A learning rate that changes from step to step; on a GPU recorded steps read it there.

    Args:
        device: where it is read.
    """

    def __init__(self, device: torch.device) -> None:
        self.value = torch.zeros((), device=device) if device.type == "cuda" else 0.0

    def set(self, value: float) -> None:
        """Change the rate of the steps that follow."""
        if isinstance(self.value, torch.Tensor):
            self.value.fill_(value)
        else:
            self.value = value


class RowAdam:
    """Adam (Kingma & Ba, 2015) whose moments move only in the rows that have a gradient.

    A row's bias correction counts that row's own updates. One count for the whole table, as in
    PyTorch's ``SparseAdam``, makes the first update of a row first seen late up to
    ``(1 − β1) / √(1 − β2)`` = 3.2 times too long.

    Args:
        table: ``[R, D]``, changed in place.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        epsilon: added to the root of the second moment.
        moments: type of the moments; float32, or bfloat16 with stochastic rounding, which takes
            half the memory. None is the type of the table.
    """

    def __init__(
        self,
        table: torch.Tensor,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        moments: torch.dtype | None = None,
    ) -> None:
        self.table = table.detach()
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.first = torch.zeros_like(self.table, dtype=moments)
        self.second = torch.zeros_like(self.table, dtype=moments)
        self.updates = torch.zeros(len(self.table), dtype=torch.int32, device=self.table.device)

    def prepare(self, rows: torch.Tensor, following: torch.Tensor | None) -> None:
        """Told before a step of its rows, and of those of the next; both are here already."""

    def rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows ``[U]`` of the table as they stand, ``[U, D]``; any row for -1."""
        return self.table.index_select(0, rows.clamp(min=0))

    @torch.no_grad()
    def update(
        self, rows: torch.Tensor, gradient: torch.Tensor, learning_rate: float | torch.Tensor
    ) -> None:
        """Move some rows.

        Args:
            rows: int64 ``[U]``, each at most once; -1 is none.
            gradient: ``[U, D]``.
            learning_rate: length of a step.
        """
        state = (self.table, self.first, self.second, self.updates)
        adam_rows(state, rows, gradient, self._rates(learning_rate))

    def settle(self) -> None:
        """Wait until every update is in the table."""

    def state(self) -> dict[str, torch.Tensor]:
        """What must be kept to go on later."""
        return {"first": self.first, "second": self.second, "updates": self.updates}

    @torch.no_grad()
    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from what `state` gave."""
        for name, kept in self.state().items():
            kept.copy_(state[name])

    def _rates(self, learning_rate: float | torch.Tensor) -> AdamRates:
        return AdamRates(
            learning_rate=learning_rate, beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon
        )


class HostRowAdam(RowAdam):
    """`RowAdam` of a table in host memory, whose rows are moved to a device batch by batch.

    The rows of the next batch come, and those of the last one go back, on a stream of their own
    while the device computes. A row that both batches touch is handed over on the device, so that
    every update is seen: the results are those of `RowAdam`.

    Args:
        table: ``[R, D]`` in host memory, pinned where the device is a GPU.
        device: where batches are computed.
        moments: as for `RowAdam`.
    """

    def __init__(
        self, table: torch.Tensor, device: torch.device, *, moments: torch.dtype | None = None
    ) -> None:
        super().__init__(table, moments=moments)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        if self._stream is not None:
            self.first, self.second = self.first.pin_memory(), self.second.pin_memory()
            self.updates = self.updates.pin_memory()
        self._here: _Batch | None = None
        self._coming: _Batch | None = None

    @torch.no_grad()
    def prepare(self, rows: torch.Tensor, following: torch.Tensor | None) -> None:
        """Have the rows of a step here, and begin to fetch those of the next.

        Args:
            rows: int64 ``[U]``, ascending, on the device; what followed in the call before, if
                anything did.
            following: the rows of the next step, likewise.
        """
        here = self._fetched(rows) if self._coming is None else self._coming
        assert here.rows.shape == rows.shape
        here.wait(self._stream)
        if self._here is not None:
            here.take_over(self._here)
        self._here = here
        self._coming = None if following is None else self._fetched(following)

    def rows(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows of the step, which were prepared."""
        assert self._here is not None
        assert self._here.rows.shape == rows.shape
        return self._here.state[0].detach()

    @torch.no_grad()
    def update(
        self, rows: torch.Tensor, gradient: torch.Tensor, learning_rate: float | torch.Tensor
    ) -> None:
        """Move the rows of the step, which then begin to go back."""
        here = self._here
        assert here is not None
        assert here.rows.shape == rows.shape
        places = torch.arange(len(rows), device=rows.device)
        adam_rows(here.state, places, gradient, self._rates(learning_rate), here.rows)
        with self._beside():
            for table, values in zip(self._tables(), here.state, strict=True):
                put_rows(table, here.rows, values)

    def settle(self) -> None:
        """Wait until every row is back in host memory."""
        if self._stream is not None:
            self._stream.synchronize()

    def state(self) -> dict[str, torch.Tensor]:
        """As `RowAdam.state`."""
        self.settle()
        return super().state()

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """As `RowAdam.load_state`."""
        super().load_state(state)
        self._here = self._coming = None

    def _tables(self) -> _State:
        return self.table, self.first, self.second, self.updates

    def _fetched(self, rows: torch.Tensor) -> _Batch:
        with self._beside():
            table, first, second, updates = (gather_rows(t, rows) for t in self._tables())
            arrived = None
            if self._stream is not None:
                rows.record_stream(self._stream)
                arrived = torch.cuda.Event()
                arrived.record(self._stream)
        return _Batch(rows, (table, first, second, updates), arrived)

    def _beside(self) -> contextlib.AbstractContextManager[object]:
        """Work on the stream of its own, behind all that the device has been given so far."""
        if self._stream is None:
            return contextlib.nullcontext()
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        return torch.cuda.stream(self._stream)


_State = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class _Batch:
    """Rows of a table on the device.

    Attributes:
        rows: int64 ``[U]``, ascending.
        state: of these rows: values, moments, updates.
        arrived: when they are all there; None where there is nothing to wait for.
    """

    rows: torch.Tensor
    state: _State
    arrived: torch.cuda.Event | None

    def wait(self, stream: torch.cuda.Stream | None) -> None:
        """Let the device wait for the rows, and for nothing else of their stream."""
        if stream is not None and self.arrived is not None:
            torch.cuda.current_stream(stream.device).wait_event(self.arrived)

    def take_over(self, before: _Batch) -> None:
        """Take what the batch before, whose rows may be on their way back, made of common rows."""
        if not len(before.rows):
            return
        places = torch.searchsorted(before.rows, self.rows).clamp_(max=len(before.rows) - 1)
        common = before.rows[places] == self.rows
        for ours, theirs in zip(self.state, before.state, strict=True):
            mask = common if ours.ndim == 1 else common[:, None]
            # in place: what the other stream reads must have been made on it
            torch.where(mask, theirs[places], ours, out=ours)


def linear_schedule(step: int, *, warmup: int, total: int) -> float:
    """Share of the highest learning rate at a step: linear growth, then linear decay to zero.

    The warm-up is at most a tenth of the run, so that a short run still decays.
    """
    warmup = min(warmup, max(1, total // 10))
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (total - step) / max(1, total - warmup))
