"""Where a run computes: the one file that names accelerators.

Two things happen at two times. `choose_backend` must come before Keras is imported, because Keras reads its backend
then; `open_devices` finds the devices and gives the scope in which a model is built.

    backend      one device    many devices
    tensorflow   CPU, GPU      MirroredStrategy; not together with jit_compile or steps_per_execution > 1
    jax          CPU, GPU, TPU keras.distribution.DataParallel

Under MirroredStrategy every device clips the gradient of its own share, so `global_clipnorm` makes a run on several
devices differ from one on a single device; under JAX they are equal.

Keras 3 does not train under TensorFlow's TPUStrategy, so a TPU means JAX. Never run on a TPU; JAX's data
parallelism was run on 8 fake CPU devices, MirroredStrategy on two logical CPUs.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from av_sep.errors import ParameterError

ACCELERATORS = ("auto", "cpu", "gpu", "tpu")
BACKENDS = ("tensorflow", "jax")
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


@dataclass(frozen=True)
class Devices:
    """What a run computes on.

    Attributes:
        backend: "tensorflow" or "jax".
        kind: "cpu", "gpu" or "tpu".
        num_devices: how many share a batch.
        scope: context in which models are built, loaded and compiled.
    """

    backend: str
    kind: str
    num_devices: int
    scope: Callable[[], AbstractContextManager[Any]] = nullcontext

    def describe(self) -> str:
        """E.g. "2 x cpu, tensorflow"."""
        return f"{self.num_devices} x {self.kind}, {self.backend}"


def choose_backend(accelerator: str = "auto", backend: str | None = None, num_devices: int | None = None) -> str:
    """Settles Keras's backend; call it before anything imports Keras.

    Args:
        accelerator: one of `ACCELERATORS`.
        backend: one of `BACKENDS`; None for JAX on a TPU, else what KERAS_BACKEND says, else TensorFlow.
        num_devices: how many devices are wanted; on a CPU that many are made of it.

    Returns:
        The backend.

    Raises:
        ParameterError: for combinations that cannot work, naming one that can.
    """
    _require_known(accelerator)
    if backend is None:
        backend = "jax" if accelerator == "tpu" else os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in BACKENDS:
        raise ParameterError(f"Expected a backend among {', '.join(BACKENDS)}. Received: {backend!r}")
    if accelerator == "tpu" and backend == "tensorflow":
        raise _no_tpu()
    loaded = _loaded_backend()
    if loaded not in (None, backend):
        raise ParameterError(f"Keras runs on {loaded} already; set KERAS_BACKEND={backend} before it is imported.")
    os.environ["KERAS_BACKEND"] = backend
    if backend == "jax" and accelerator == "cpu":
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if backend == "jax" and num_devices and "jax" not in sys.modules:
        _ask_xla_for_cpu_devices(num_devices)
    return backend


def _require_known(accelerator: str) -> None:
    if accelerator not in ACCELERATORS:
        raise ParameterError(f"Expected an accelerator among {', '.join(ACCELERATORS)}. Received: {accelerator!r}")


def _loaded_backend() -> str | None:
    if "keras" not in sys.modules:
        return None
    import keras

    return keras.backend.backend()


def _ask_xla_for_cpu_devices(num_devices: int) -> None:
    """XLA makes several devices of one CPU; on other platforms the flag means nothing."""
    flag = f"--xla_force_host_platform_device_count={num_devices}"
    flags = [word for word in os.environ.get("XLA_FLAGS", "").split() if not word.startswith(flag.split("=")[0])]
    os.environ["XLA_FLAGS"] = " ".join([*flags, flag])


def open_devices(
    accelerator: str = "auto", num_devices: int | None = None, *, batch_size: int, jit_compile: bool = False,
    steps_per_execution: int = 1,
) -> Devices:  # fmt: skip
    """The devices of a run under the backend that Keras has.

    Several of them under JAX are Keras's distribution from then on; see `keras_as_before`.

    Args:
        accelerator: one of `ACCELERATORS`; "auto" takes the best that the backend sees.
        num_devices: how many; all where None (of CPUs, one).
        batch_size: examples per step, over all devices.
        jit_compile: whether steps will be compiled by XLA.
        steps_per_execution: steps per call of the compiled function.

    Raises:
        ParameterError: where the accelerator is unknown or not there, or something cannot be combined with it.
    """
    import keras

    _require_known(accelerator)
    _require_equal_shares(batch_size, num_devices or 1)
    backend = keras.backend.backend()
    found = _jax_devices(accelerator) if backend == "jax" else _tensorflow_devices(accelerator, num_devices)
    kind, devices = found
    wanted = (1 if kind == "cpu" else len(devices)) if num_devices is None else num_devices
    if not 1 <= wanted <= len(devices):
        raise ParameterError(f"Expected 1 to {len(devices)} devices ({kind}, {backend}). Received: {wanted}")
    _require_equal_shares(batch_size, wanted)
    if wanted == 1:
        return Devices(backend, kind, 1)
    if backend == "tensorflow":
        return Devices(backend, kind, wanted, _mirrored(devices[:wanted], jit_compile, steps_per_execution))
    mesh = keras.distribution.DataParallel(devices=devices[:wanted], auto_shard_dataset=False)
    keras.distribution.set_distribution(mesh)
    return Devices(backend, kind, wanted)


@contextmanager
def keras_as_before() -> Iterator[None]:
    """Gives Keras's precision and distribution back as they were, however the body ends.

    Both hold for the whole process: networks that are built afterwards must not be in the body's precision, nor on its
    devices.
    """
    import keras

    policy, distribution = keras.config.dtype_policy(), keras.distribution.distribution()
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        keras.distribution.set_distribution(distribution)


def _require_equal_shares(batch_size: int, num_devices: int) -> None:
    if batch_size % num_devices:
        expected = f"Expected a batch that {num_devices} devices share equally"
        raise ParameterError(f"{expected}. Received: {batch_size} examples")


def hide_gpus_from_tensorflow() -> None:
    """Under JAX, leaves the GPU's memory to it; call it before TensorFlow first computes, which takes all there is."""
    import keras

    if keras.backend.backend() != "jax":
        return
    import tensorflow as tf

    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        # It has computed before: too late, and no harm where there is no GPU.
        return


def _jax_devices(accelerator: str) -> tuple[str, list[Any]]:
    import jax

    try:
        devices = jax.devices() if accelerator == "auto" else jax.devices(accelerator)
    except RuntimeError as error:
        seen = sorted({device.platform for device in jax.devices()})
        raise _not_there(accelerator, "jax", seen) from error
    kind = {"cuda": "gpu", "rocm": "gpu"}.get(devices[0].platform, devices[0].platform)
    return kind, [f"{kind}:{device.id}" for device in devices]


def _tensorflow_devices(accelerator: str, num_devices: int | None) -> tuple[str, list[Any]]:
    if accelerator == "tpu":
        raise _no_tpu()
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if accelerator == "gpu" and not gpus:
        raise _not_there("gpu", "tensorflow", ["cpu"])
    if gpus and accelerator != "cpu":
        return "gpu", [f"GPU:{i}" for i in range(len(gpus))]
    if gpus:
        tf.config.set_visible_devices([], "GPU")
    if num_devices and num_devices > 1:
        _split_cpu(num_devices)
    return "cpu", [f"CPU:{i}" for i in range(len(tf.config.list_logical_devices("CPU")))]


def _split_cpu(num_devices: int) -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * num_devices)
    except RuntimeError as error:
        # Already in use; that is fine where it was split so before.
        if len(tf.config.list_logical_devices("CPU")) != num_devices:
            raise ParameterError("TensorFlow's CPU cannot be split any more: ask for devices first thing.") from error


def _mirrored(devices: list[str], jit_compile: bool, steps_per_execution: int) -> Callable[[], Any]:
    if jit_compile or steps_per_execution > 1:
        raise ParameterError(
            "TensorFlow's MirroredStrategy does not go together with jit_compile or steps_per_execution above 1: leave"
            " them out, or use --backend jax"
        )
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices).scope


def _no_tpu() -> ParameterError:
    return ParameterError("Keras 3 does not train on a TPU with TensorFlow: use --backend jax and the extra tpu")


def _not_there(accelerator: str, backend: str, seen: list[str]) -> ParameterError:
    return ParameterError(
        f"Expected a {accelerator}, but {backend} sees only: {', '.join(seen)}. Use --accelerator auto, or install the"
        f" {backend} that drives it"
    )
