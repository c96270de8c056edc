"""Blocks on the workers of Dask: the functions that threads call, in other processes.

The one idea: what all blocks need lies in a folder that every worker sees, in files named by their
content, and a task is the name of such a file and a block. So any worker can do it, and do it
again when another has died.
"""

import logging
import mmap
import pickle
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from hashlib import blake2b
from io import BytesIO
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import polars as pl

from gpu_coord import __version__
from gpu_coord.backend import Backend, MachinesError

if TYPE_CHECKING:
    from distributed import Client

_log = logging.getLogger("gpu_coord")

_LARGE = 1 << 16  # bytes of an array that is a file of its own
_WAITING = 2  # blocks for each thread of a worker: one is worked on, one is at hand
_PATIENCE = "30s"


@dataclass(frozen=True)
class Exchange:
    """A folder that this process and all workers see, on any file system that fsspec knows."""

    url: str

    @cached_property
    def _place(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem

        # A folder may be named like a chain of addresses.
        return (LocalFileSystem(), self.url) if self.url.startswith("/") else url_to_fs(self.url)

    def put(self, content: Any) -> str:
        """Keep some bytes, once however often they come; return their name."""
        fs, folder = self._place
        name = blake2b(content, digest_size=20).hexdigest()
        if not fs.exists(f"{folder}/{name}"):
            fs.makedirs(folder, exist_ok=True)
            fs.pipe_file(f"{folder}/{name}", content if self._is_local else bytes(content))
        return name

    def get(self, name: str) -> Any:
        """Return bytes by their name; who writes into them changes nothing but a copy."""
        fs, folder = self._place
        if not self._is_local:
            return bytearray(fs.cat_file(f"{folder}/{name}"))
        with fs.open(f"{folder}/{name}", "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def put_table(self, frame: pl.DataFrame) -> str:
        """Write a table as Parquet; return its name."""
        fs, folder = self._place
        name = f"{uuid4().hex}.parquet"
        with fs.open(f"{folder}/{name}", "wb") as file:
            frame.write_parquet(file)
        return name

    def take_table(self, name: str) -> pl.DataFrame:
        """Read a table, and remove it."""
        fs, folder = self._place
        frame = pl.read_parquet(BytesIO(fs.cat_file(f"{folder}/{name}")))
        fs.rm_file(f"{folder}/{name}")
        return frame

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        fs, folder = self._place
        if fs.exists(folder):
            fs.rm(folder, recursive=True)

    @property
    def _is_local(self) -> bool:
        from fsspec.implementations.local import LocalFileSystem

        return isinstance(self._place[0], LocalFileSystem)


class _Table(NamedTuple):
    """A table that a worker has written, in the place of the table."""

    name: str


# --- on a worker -------------------------------------------------------------------------------


def _run(exchange: Exchange, name: str, item: Any) -> tuple[Any, list[Warning | str]]:
    """Do one block: what `_Machines.map_blocks` asks of a worker; return what it warned of, too."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        result = _send(_open_work(exchange, name)(item), exchange)
    return result, [each.message for each in caught if each.category is UserWarning]


@lru_cache(maxsize=2)
def _open_work(exchange: Exchange, name: str) -> Callable[[Any], Any]:
    """Return the function of all blocks, opened by the first one that a worker gets."""
    try:
        versions, names, body = pickle.loads(exchange.get(name))
    except FileNotFoundError as error:
        raise MachinesError(
            f"a worker does not see {exchange.url}; --exchange names a folder on storage that all "
            "workers share, or an address such as s3://bucket/folder."
        ) from error
    if versions != list_versions():
        raise MachinesError(
            f"a worker runs {_say(list_versions())}, and this process {_say(versions)}; results "
            "could differ: install the same on all machines."
        )
    work: Callable[[Any], Any] = pickle.loads(body, buffers=map(exchange.get, names))
    return work


def _send(result: Any, exchange: Exchange) -> Any:
    """Write the tables of a result where the reader takes them from."""
    if isinstance(result, pl.DataFrame):
        return _Table(exchange.put_table(result))
    if type(result) is tuple or isinstance(result, Iterator):
        return tuple(_send(part, exchange) for part in result)
    return result


def _receive(result: Any, exchange: Exchange) -> Any:
    """Return a result with its tables."""
    if isinstance(result, _Table):
        return exchange.take_table(result.name)
    if type(result) is tuple:
        return tuple(_receive(part, exchange) for part in result)
    return result


def list_versions() -> dict[str, str]:
    """Return the versions that results may depend on."""
    from importlib.metadata import version

    names = ("numpy", "polars", "numba", "scipy")
    return {"gpu_coord": __version__} | {name: version(name) for name in names}


def _say(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


# --- where the command runs --------------------------------------------------------------------


@dataclass(frozen=True)
class _Machines:
    """The workers, and the folder that they share."""

    client: "Client"
    exchange: Exchange

    def map_blocks(
        self, items: Iterable[Any], work: Callable[[Any], Any], *, n_threads: int
    ) -> Iterator[Any]:
        """Yield what workers make of each item, in order; as `map_ahead`, which has threads."""
        submit = partial(self.client.submit, _run, self.exchange, self._put_work(work))
        label, run = _name(work), uuid4().hex
        most = _WAITING * sum(self.client.nthreads().values()) or n_threads
        waiting: deque[Any] = deque()
        try:
            for number, item in enumerate(items):
                waiting.append(submit(item, key=(f"{label}-{run}", number)))
                if len(waiting) > most:
                    yield self._take(waiting.popleft())
            while waiting:
                yield self._take(waiting.popleft())
        finally:
            self.client.cancel(list(waiting))

    def _put_work(self, work: Callable[[Any], Any]) -> str:
        """Write a function with all that it holds; arrays apart, as others hold them, too."""
        names: list[str] = []

        def put(buffer: pickle.PickleBuffer) -> bool:
            content = buffer.raw()
            if is_small := content.nbytes < _LARGE:
                return is_small
            names.append(self.exchange.put(content))
            return False

        body = pickle.dumps(work, protocol=5, buffer_callback=put)
        return self.exchange.put(pickle.dumps((list_versions(), names, body)))

    def _take(self, future: Any) -> Any:
        from distributed import KilledWorker

        try:
            result, warned = future.result()
        except KilledWorker as error:
            raise MachinesError(
                "one block has ended every worker that began it, four in all; give workers more "
                "memory, or the command less with --memory."
            ) from error
        for each in warned:
            warnings.warn(each, UserWarning, stacklevel=3)
        return _receive(result, self.exchange)


def _name(work: Any) -> str:
    """Name a function, as the dashboard shows its tasks."""
    return str(getattr(getattr(work, "func", work), "__name__", type(work).__name__)).strip("_")


@contextmanager
def spread(backend: Backend, dask: "str | Client", exchange: str) -> Iterator[Backend]:
    """Yield a backend whose blocks are worked on by the workers of Dask.

    Parameters
    ----------
    backend
        Where everything else is computed; workers choose the one of the same name.
    dask
        ``local`` for a process on each core of this machine; the address of a scheduler; or a
        client.
    exchange
        A folder that all workers see, or its address; what is written there is removed.

    Raises
    ------
    MachinesError
        Dask is not installed, or nothing answers at the address.
    """
    try:
        import distributed
    except ImportError as error:
        raise MachinesError(
            "Dask is not installed; install the extra dask (`pip install 'gpu-coord[dask]'`)."
        ) from error
    own = Exchange(f"{exchange.rstrip('/')}/blocks-{uuid4().hex}")
    with ExitStack() as stack:
        client = _connect(dask, backend, stack)
        stack.callback(own.remove)
        _log.warning("Dask: %s; dashboard: %s", _count_workers(client), client.dashboard_link)
        yield replace(
            backend,
            map_blocks=_Machines(client, own).map_blocks,
            workers=sum(client.nthreads().values()),
            device=f"{backend.device}; Dask: {_count_workers(client)}",
            versions=backend.versions | {"distributed": distributed.__version__},
        )


def _count_workers(client: "Client") -> str:
    threads = client.nthreads()
    return f"{len(threads)} workers, {sum(threads.values())} threads"


def _connect(dask: "str | Client", backend: Backend, stack: ExitStack) -> "Client":
    """Return a client; one that is made here is closed with the stack."""
    from distributed import Client

    if isinstance(dask, Client):
        return dask
    if dask == "local":
        return stack.enter_context(Client(start_cluster(backend.threads, stack)))
    if "://" not in dask:
        raise ValueError(f"dask is {dask!r}; it is local, or an address such as tcp://host:8786.")
    try:
        client = stack.enter_context(Client(dask, timeout=_PATIENCE))
        client.wait_for_workers(1, timeout=_PATIENCE)
    except (OSError, TimeoutError) as error:
        raise MachinesError(
            f"no Dask scheduler with a worker answers at {dask}; start `dask scheduler` and "
            "`dask worker`, or use --dask local."
        ) from error
    return client


def start_cluster(n_workers: int, stack: ExitStack) -> Any:
    """Start workers on this machine, which no other can reach; they end with the stack."""
    from distributed import LocalCluster

    cluster = LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,  # of blocks under way, which --memory bounds
        local_directory=stack.enter_context(TemporaryDirectory()),
        silence_logs=logging.ERROR,
        env={"POLARS_MAX_THREADS": "1"},
    )
    return stack.enter_context(cluster)
