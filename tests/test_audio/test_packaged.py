"""Arrays of packaged models: in half precision where it has room for them, as they are where it has not."""

import numpy as np

from audio.packaged import halved, read_arrays, write_packaged


def test_arrays_come_back_in_order_and_none_becomes_infinite(tmp_path):
    arrays = [np.linspace(-3, 3, 7, dtype=np.float32), np.array([[1e5, -2.0]], np.float32), np.float32([65504])]
    write_packaged(tmp_path / "model", {}, arrays)
    kept = read_arrays(tmp_path / "model")
    np.testing.assert_allclose(kept[0], arrays[0], rtol=1e-3)
    for array, truth in zip(kept[1:], arrays[1:], strict=True):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, truth)


def test_what_is_no_float32_is_left_alone():
    numbers = np.arange(4)
    assert halved(numbers) is numbers and halved(np.ones(2, np.float32)).dtype == np.float16
