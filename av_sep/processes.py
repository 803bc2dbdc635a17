"""One function over many items in processes of this machine, which clean up after themselves when they are to end."""

import atexit
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from multiprocessing import connection, resource_tracker
from typing import Any

from av_sep.ending import exit_when_asked

Function = Callable[[Any], Any]
_GRACE_SECONDS = 1.0


def run_in_processes(
    function: Function, items: Sequence[Any], num_processes: int, begin: Callable[[], None] | None = None
) -> Generator[tuple[int, Any], None, None]:
    """Applies a function to every item and gives (index, result) as each is finished; close it to give up the rest.

    No item is begun after one has failed, or after this process was interrupted or asked to end, be it alone or with
    its whole group, as a terminal does it. What is under way is finished in the first case, and in the second it ends
    by SystemExit, as it does where this process was killed.

    Args:
        function: of a module's top level, like `begin`; items and results must pickle.
        items: what to work on.
        num_processes: how many are worked on at once.
        begin: called once in each process before its first item.

    Raises:
        BrokenProcessPool: where a process was killed; nobody knows what it left behind.
        Exception: whatever the function raised.
    """
    # Forked children would inherit the threads of whatever the parent has loaded, and may hang.
    context = multiprocessing.get_context("spawn")
    _start_resource_tracker()
    started = context.SimpleQueue()
    num_workers = min(num_processes, max(1, len(items)))
    executor = ProcessPoolExecutor(num_workers, context, _begin_worker, (started, begin))
    waiting, pending = iter(enumerate(items)), dict[Future, int]()
    try:
        while True:
            # No more than are worked on: the executor does not take back what it has handed to its processes.
            for index, item in itertools.islice(waiting, num_workers - len(pending)):
                pending[executor.submit(_call, function, item)] = index
            if not pending:
                return
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                yield pending.pop(future), future.result()
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        # Where the whole group was asked they end by now, and the executor ends the rest. A second request at once may
        # find them busy with the first, and then both go to a thread that is not Python's and wakes nobody.
        wait(pending, _GRACE_SECONDS)
        while not started.empty():
            with suppress(ProcessLookupError):
                os.kill(started.get(), signal.SIGTERM)
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _start_resource_tracker() -> None:
    """Starts multiprocessing's own helper, which would be started anyway, so that a closed terminal does not end it.

    It shields itself from SIGINT and SIGTERM alone, and without it this process ends with complaints about semaphores.
    """
    if not hasattr(signal, "SIGHUP"):
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(started: Any, begin: Callable[[], None] | None) -> None:
    if begin is not None:
        begin()
    # A terminal (Ctrl-C) interrupts every process of a group; after a KeyboardInterrupt the executor would begin with
    # the next item.
    exit_when_asked(signal.SIGINT)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    started.put(os.getpid())


def _end_with_parent() -> None:
    """Waits until the parent is gone: one that was killed has told nobody, and its processes would wait for ever."""
    parent, main_thread = multiprocessing.parent_process(), threading.main_thread().ident
    assert parent is not None and main_thread is not None
    connection.wait([parent.sentinel])
    if hasattr(signal, "pthread_kill"):
        # To the main thread itself, whose waiting the signal of another one would not cut short.
        signal.pthread_kill(main_thread, signal.SIGTERM)
    else:
        os._exit(1)


def _call(function: Function, item: Any) -> Any:
    try:
        return function(item)
    except SystemExit as request:
        # The item has cleaned up after itself. The executor would take this for a result, and go on to the next item.
        atexit._run_exitfuncs()
        os._exit(request.code if isinstance(request.code, int) else 1)
