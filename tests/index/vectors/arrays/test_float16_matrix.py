import numpy as np

from index.vectors.arrays.float16_matrix import RowMatrix, handed_over, mapped_float16


def test_rows_that_a_reader_holds_stay_as_they_are_while_the_matrix_grows() -> None:
    matrix = RowMatrix(8, 4)
    matrix.append(np.arange(32, dtype=np.float32).reshape(4, 8))
    held = matrix.view(0, 4)
    for _ in range(50):
        matrix.append(np.ones((100, 8), np.float32))
    assert np.array_equal(held, np.arange(32).reshape(4, 8))
    assert np.array_equal(matrix.view(0, 4), held)
    assert matrix.view(4, matrix.rows).all()
    assert matrix.rows == 5004


def test_a_copy_that_is_handed_over_is_read_by_its_descriptor_and_has_no_name() -> None:
    matrix = RowMatrix(8)
    matrix.append(np.random.default_rng(0).random((100, 8)))
    with handed_over(matrix.view(0, 100)) as descriptor:
        mapped = mapped_float16(descriptor, 100 * 16, 8)
        matrix.erase(np.array([3]))
        assert mapped[3].any()
        assert np.array_equal(mapped[4:], matrix.view(4, 100))
    assert not matrix.view(3, 4).any()
