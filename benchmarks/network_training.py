"""What the scripts that train networks that listen share: batches made by another process, and runs that resume.

A run is a folder: `latest.keras` and `state.json` to go on from, `history.csv` (step, mean loss since the line before,
minutes since it was started or gone on with) and, at its end, `final.weights.h5`.
"""

import json
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click  # noqa: E402
import numpy as np  # noqa: E402

WARM_UP_STEPS = 50
FIRST_RATE = 1e-5
LAST_RATE = 0.01  # of the peak rate
SAVE_EVERY = 50
BATCHES_AHEAD = 8


def send_batches(writer, make: Callable[[int], object], first: int, last: int) -> None:
    """Makes batches `first` to `last` and sends them, in the process of its own."""
    waiting: deque[Future] = deque()
    # The pipe is broken where the training ended first.
    with ThreadPoolExecutor(1) as maker, suppress(BrokenPipeError):
        for index in range(first, last):
            waiting.append(maker.submit(make, index))
            if len(waiting) > BATCHES_AHEAD:
                writer.send(waiting.popleft().result())
        for batch in waiting:
            writer.send(batch.result())


def batches(produce: Callable[..., None], arguments: tuple, first: int, last: int) -> Iterator:
    """What another process sends: `produce(writer, *arguments, first, last)` runs there.

    Raises:
        click.ClickException: where that process ends, or is ended, before it has sent all of them.
    """
    context = multiprocessing.get_context("spawn")
    # Not a queue: that one waits for ever for the rest of a batch whose sender was killed; a pipe tells its end.
    reader, writer = context.Pipe(duplex=False)
    worker = context.Process(target=produce, args=(writer, *arguments, first, last), daemon=True)
    worker.start()
    # The worker's is the only one left, so that the pipe ends with it.
    writer.close()
    for _ in range(first, last):
        yield _receive(reader, worker)
    worker.join()


def _receive(reader, worker):
    try:
        return reader.recv()
    except (EOFError, OSError):
        worker.join()
    raise click.ClickException(
        f"Expected batches. Received: the end of the process that makes them, exit status {worker.exitcode}; what it"
        " said is above"
    )


def compile_network(network, steps: int, peak_rate: float, loss, **optimizer_options) -> None:
    """Adam with a warm-up and a cosine."""
    import keras

    warm_up = min(WARM_UP_STEPS, steps // 4)
    rate = keras.optimizers.schedules.CosineDecay(
        FIRST_RATE, steps - warm_up, alpha=LAST_RATE, warmup_target=peak_rate, warmup_steps=warm_up
    )
    network.compile(keras.optimizers.Adam(rate, **optimizer_options), loss)


def resume(network, run: Path, start: Path | None) -> int:
    """Loads what a run has, or the final weights of the run that it starts from, and returns the steps done."""
    state = run / "state.json"
    if state.exists():
        import keras

        losses = {network.loss.__name__: network.loss}
        loaded = keras.saving.load_model(run / "latest.keras", custom_objects=losses)
        network.set_weights(loaded.get_weights())
        network.optimizer.build(network.trainable_variables)
        for variable, value in zip(network.optimizer.variables, loaded.optimizer.variables, strict=True):
            variable.assign(value)
        return json.loads(state.read_text())["step"]
    if start is not None:
        network.load_weights(start / "final.weights.h5")
    return 0


def train(network, stream: Iterable[tuple[dict, np.ndarray]], run: Path, step: int, steps: int) -> None:
    """Trains a compiled network to the end, from `step` on.

    Args:
        network: the network.
        stream: inputs and targets of every batch.
        run: folder of the run.
        step: number of steps done.
        steps: how many there are.
    """
    losses, began = [], time.perf_counter()
    for inputs, targets in stream:
        losses.append(float(network.train_on_batch(inputs, targets)))
        step += 1
        if step % SAVE_EVERY == 0 or step == steps:
            network.save(run / "latest.keras")
            (run / "state.json").write_text(json.dumps({"step": step}))
            minutes = (time.perf_counter() - began) / 60
            with (run / "history.csv").open("a") as history:
                history.write(f"{step},{np.mean(losses):.4f},{minutes:.2f}\n")
            click.echo(f"step {step}: loss {np.mean(losses):.4f}, {minutes:.1f} min")
            losses.clear()
    # Where averages of the weights were kept, they are what is left.
    network.optimizer.finalize_variable_values(network.trainable_variables)
    network.save_weights(run / "final.weights.h5")


def limit_threads() -> None:
    """One thread for the network, for another process makes its batches."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
