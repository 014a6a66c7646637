import numpy as np
import pytest

from detector.arrays_file import WrongArraysError, read, written


def test_arrays_are_read_as_they_were_written() -> None:
    arrays = {
        "weights": np.arange(6.0).reshape(2, 3).T,
        "number": np.array(7.5),
        "none": np.empty((0, 4), np.float32),
        "leaf": np.array([[1, -2]], np.int16),
        "there": np.array([True, False]),
    }
    found = read(written(arrays))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape


def test_objects_are_neither_written_nor_read() -> None:
    with pytest.raises(ValueError, match="only numbers"):
        written({"code": np.array([print])})
    with pytest.raises(WrongArraysError, match="said to be"):
        read(written({"a": np.ones(2)}).replace(b'"<f8"', b'"|O8"'))


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"no json\n",
        written({"a": np.ones(2)})[:-3],
        written({"a": np.ones(2)}).replace(b"[2]", b"[9]"),
        written({"a": np.ones(2)}).replace(b"[2]", b"[1]"),
        written({"a": np.ones(2)}).replace(b"[2]", b"[-1]"),
    ],
)
def test_what_was_not_written_so_is_refused(packed: bytes) -> None:
    with pytest.raises(WrongArraysError):
        read(packed)
