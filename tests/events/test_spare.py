"""Memory of columns is used again, but never while anybody looks at it."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from na64reco.events.spare import SpareMemory

FLOAT = np.dtype(np.float32)


def test_memory_comes_back_with_the_last_view():
    spare = SpareMemory()
    column = spare.empty(100_000, FLOAT)
    address, view = column.ctypes.data, column[3:7].view(np.uint32)
    del column
    assert spare.unused == 0
    del view
    assert spare.unused >= 400_000
    again = spare.empty(99_000, FLOAT)
    assert again.ctypes.data == address
    assert again.shape == (99_000,)
    assert again.flags.writeable
    assert spare.unused == 0


def test_small_arrays_are_numpys_own():
    spare = SpareMemory()
    assert spare.empty(10, FLOAT).shape == (10,)
    assert spare.empty(0, FLOAT).shape == (0,)
    assert spare.unused == 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 400_000), st.sampled_from(["u1", "u2", "f4", "u8"]), st.booleans()
        ),
        max_size=25,
    )
)
def test_no_two_arrays_share_memory_and_what_lies_unused_is_bounded(steps):
    spare = SpareMemory(most=1_000_000)
    kept = []
    for number, (length, dtype, drop) in enumerate(steps):
        values = spare.empty(length, np.dtype(dtype))
        values[:] = number % 251
        kept.append((number % 251, values))
        del values
        if drop:
            del kept[number % len(kept)]
        assert spare.unused <= 1_000_000
    for number, values in kept:
        assert (values == number).all()


def test_threads_do_not_get_the_same_memory():
    spare = SpareMemory()
    wrong = []

    def work(name):
        for _ in range(200):
            columns = [spare.empty(20_000, FLOAT) for _ in range(4)]
            for i, column in enumerate(columns):
                column[:] = 10 * name + i
            wrong.extend((c != 10 * name + i).any() for i, c in enumerate(columns))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 200 * 4 * 4
    assert not any(wrong)


def test_what_lies_unused_is_given_up_where_memory_is_short(monkeypatch):
    spare = SpareMemory()
    column = spare.empty(100_000, FLOAT)
    del column
    assert spare.unused
    empty, asked = np.empty, []

    def short(size, dtype):
        asked.append(spare.unused)
        if spare.unused:
            raise MemoryError
        return empty(size, dtype=dtype)

    monkeypatch.setattr(np, "empty", short)
    assert len(spare.empty(1_000_000, FLOAT)) == 1_000_000
    assert len(asked) == 2
    monkeypatch.setattr(np, "empty", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        spare.empty(2_000_000, FLOAT)
