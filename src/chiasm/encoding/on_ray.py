"""Parts on a Ray cluster: each is made anew elsewhere when the machine that was at it has gone."""

from __future__ import annotations

import io
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from chiasm.encoding.work import EncodingError, Work, encode_part, open_work

if TYPE_CHECKING:
    import pyarrow as pa

MOVED = "the model or the images are others on a machine of the cluster; give paths on a drive that all of them share"


def encode_on_ray(
    model: str, source: str, work: Work, missing: Sequence[int], advance: Callable[[int], object]
) -> Iterator[tuple[int, pa.Table]]:
    """Parts as they get done, in any order, each once.

    The cluster is that of the environment variable RAY_ADDRESS, or the one that this machine belongs to; without one
    this machine is taken alone. Every machine opens the model and the source by itself, and compares what it finds.

    Args:
        model: as for Mixer.load, to be found on every machine.
        source: as data.source, likewise.
        work: the same, opened here.
        missing: numbers of the parts that are wanted.
        advance: is called with the number of images of each part.

    Yields:
        The number of a part, and the part.

    Raises:
        EncodingError: if Ray is missing or cannot be reached, or a machine finds another model or other images.
    """
    ray = _connect()
    parts = ray.data.from_items([{"part": number} for number in missing], override_num_blocks=len(missing))
    gpus = int(ray.cluster_resources().get("GPU", 0))
    processes = gpus or max(1, int(ray.cluster_resources().get("CPU", 1)))
    encoded = parts.map_batches(
        _Encoder,
        fn_constructor_args=(model, source, work.about, work.part),
        batch_size=1,
        num_cpus=1,
        num_gpus=1 if gpus else 0,
        compute=ray.data.ActorPoolStrategy(min_size=1, initial_size=processes, max_size=processes),
    )
    try:
        for row in encoded.iter_rows():
            advance(len(work.places(int(row["part"]))))
            yield int(row["part"]), _table(row["table"])
    except ray.exceptions.RayError as error:
        refused = MOVED if MOVED in str(error) else f"Ray could not encode it ({_last_line(error)})"
        raise EncodingError(f"{source}: {refused}.") from error


class _Encoder:
    """One process of the cluster: opens model and source once, then encodes parts."""

    def __init__(self, model: str, source: str, about: bytes, part: int) -> None:
        self.work = open_work(model, source, part)
        if self.work.about != about:
            raise EncodingError(MOVED)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A part's number -> the number and the part, as bytes, since Ray would drop what its schema says."""
        import pyarrow as pa

        (number,) = batch["part"].tolist()
        written = io.BytesIO()
        table = encode_part(self.work, number)
        with pa.ipc.new_stream(written, table.schema) as stream:
            stream.write_table(table)
        return {"part": [number], "table": [written.getvalue()]}


def _table(content: bytes) -> pa.Table:
    import pyarrow as pa

    return pa.ipc.open_stream(content).read_all()


def _connect() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise EncodingError("--on ray: Ray is not installed here; pip install 'chiasm[cluster]'") from error
    if not ray.is_initialized():
        try:
            _require_answer(os.environ.get("RAY_ADDRESS", ""))
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
        except (OSError, RuntimeError, ValueError) as error:
            wanted = "start it, correct RAY_ADDRESS, or unset it for this machine alone"
            raise EncodingError(f"--on ray: the cluster cannot be reached ({_last_line(error)}); {wanted}.") from error
    logging.getLogger("ray.data").setLevel("WARNING")
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray


def _require_answer(address: str) -> None:
    """Refuse the address of a machine that does not answer: Ray would wait for it for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
