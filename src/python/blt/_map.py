"""map() over a store: the function runs in processes, this one reads and
yields.

Items go to the workers in chunks of bytes and come back as objects.  A chunk is
sized to some milliseconds of work, so that cheap functions pay little for the
way and expensive ones spread well.  Each worker has at most two chunks, so
memory is bounded.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import queue
import signal
import threading
import time
import traceback
from itertools import islice
from typing import Any, Callable, Iterator, NoReturn

CHUNK_SECONDS = 0.01
CHUNK_ITEMS = 2048
CHUNK_BYTES = 1 << 20
AHEAD = 2  # chunks that one worker has


class MapError(RuntimeError):
    """A worker ended without an answer."""


def _work(connection: Any, function: Callable[[Any, Any], Any],
          load_key: Callable[[bytes], Any],
          load_value: Callable[[bytes], Any]) -> None:
    """The life of a worker: chunks come, results go, until there are no more.

    A thread of its own takes what comes, so that the other side never waits to
    send while this one does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    chunks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, chunks),
                     daemon=True).start()
    while (chunk := chunks.get()) is not None:
        began = time.perf_counter()
        results = []
        try:
            for key, value in chunk:
                result = function(load_key(key), load_value(value))
                if result is not None:
                    results.append(result)
            answer = pickle.dumps(
                (results, None, time.perf_counter() - began), 5)
        except Exception as error:
            answer = pickle.dumps(
                (results, _portable(error), time.perf_counter() - began), 5)
        try:
            connection.send_bytes(answer)
        except BrokenPipeError:
            return


def _receive(connection: Any, chunks: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            chunks.put(connection.recv())
    except (EOFError, OSError):
        chunks.put(None)


def _portable(error: Exception) -> Exception:
    """The exception as one that survives the way, with its traceback."""
    text = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note("in a worker of map:\n" + text)
    return error


class _Worker:
    def __init__(self, context: Any, arguments: tuple[Any, ...],
                 others: list["_Worker"]) -> None:
        self.ours, theirs = context.Pipe()
        self.size, self.ahead = 1, 0
        self.process = context.Process(
            target=_start, daemon=True,
            args=([w.ours for w in others] + [self.ours]
                  if context.get_start_method() == "fork" else [],
                  theirs, *arguments))
        self.process.start()
        theirs.close()

    def give(self, chunk: list[tuple[bytes, bytes]]) -> None:
        try:
            self.ours.send(chunk)
        except OSError:
            self.died()
        self.ahead += 1

    def died(self) -> NoReturn:
        self.process.join()
        raise MapError(
            f"a worker of map ended with code {self.process.exitcode}")

    def answer(self) -> tuple[list[Any], Exception | None]:
        try:
            results, error, seconds = pickle.loads(self.ours.recv_bytes())
        except (EOFError, OSError):
            self.died()
        self.ahead -= 1
        if seconds < CHUNK_SECONDS / 2:
            self.size = min(2 * self.size, CHUNK_ITEMS)
        elif seconds > 2 * CHUNK_SECONDS:
            self.size = max(self.size // 2, 1)
        return results, error


def _start(inherited: list[Any], *arguments: Any) -> None:
    """In a forked worker the ends of the others' pipes are closed, so that each
    worker sees when this process is gone."""
    for connection in inherited:
        connection.close()
    _work(*arguments)


def _chunk(items: Iterator[tuple[bytes, bytes]],
           size: int) -> list[tuple[bytes, bytes]]:
    chunk, weight = [], 0
    for item in islice(items, size):
        chunk.append(item)
        weight += len(item[0]) + len(item[1])
        if weight >= CHUNK_BYTES:
            break
    return chunk


def run(items: Iterator[tuple[bytes, bytes]],
        function: Callable[[Any, Any], Any],
        load_key: Callable[[bytes], Any], load_value: Callable[[bytes], Any],
        n_workers: int | None) -> Iterator[Any]:
    """Yields what function(key, value) returned, as it comes; not None."""
    context = multiprocessing.get_context()
    workers: list[_Worker] = []
    left = True
    try:
        first = _chunk(items, 1)
        if not first:
            return
        for _ in range(n_workers or os.cpu_count() or 1):
            workers.append(_Worker(
                context, (function, load_key, load_value), workers))
        workers[0].give(first)
        while True:
            for worker in workers:
                while left and worker.ahead < AHEAD:
                    chunk = _chunk(items, worker.size)
                    left = bool(chunk)
                    if left:
                        worker.give(chunk)
            busy = {w.ours: w for w in workers if w.ahead}
            if not busy:
                return
            for ready in multiprocessing.connection.wait(list(busy)):
                results, error = busy[ready].answer()
                yield from results
                if error:
                    raise error
    finally:
        _end(workers)


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.ours.close()
        if worker.ahead:
            worker.process.terminate()
    for worker in workers:
        worker.process.join()
        worker.process.close()
