from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from na64reco.calibration.arithmetic import evaluate

numbers = st.one_of(
    st.integers(0, 10**6).map(str),
    st.floats(1e-6, 1e6, allow_nan=False).map(repr),
    st.floats(1e-3, 1e3).map("{:.3e}".format),
    st.floats(0.5, 9.5).map("{:.2E}".format),
)
expressions = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", " + ", " * "]), inner).map("".join),
        inner.map("({})".format),
        inner.map("-({})".format),
        inner.map("+{}".format),
    ),
    max_leaves=8,
)


@given(expressions)
def test_agrees_with_python(text: str) -> None:
    # Python's own evaluation of a text made of nothing but the pieces above.
    try:
        expected = eval(text, {"__builtins__": {}})
    except ZeroDivisionError:
        with pytest.raises(ValueError, match="divides by zero"):
            evaluate(text)
        return
    if len(text) > 200 or not math.isfinite(expected):
        return
    assert evaluate(text) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5*1.02", 0.51),
        ("80/2.5", 32.0),
        ("(1+2)*4", 12.0),
        ("1+2*4", 9.0),
        ("2-3-4", -5.0),
        ("16/4/2", 2.0),
        ("-1.5e-3", -0.0015),
        ("2E2*.5", 100.0),
        ("-(-(3))", 3.0),
        (" 7 ", 7.0),
    ],
)
def test_by_hand(text: str, expected: float) -> None:
    assert evaluate(text) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("abc", r"'abc' is not a number \('a' has no meaning there\)"),
        ("", "'' is not a number"),
        ("nan", "'nan' is not a finite number"),
        ("inf", "'inf' is not a finite number"),
        ("1e308*10", r"'1e308\*10' is not a finite number"),
        ("(1+2", r"'\(1\+2' has 1 '\(' not closed"),
        ("((1+2", r"has 2 '\(' not closed"),
        ("1+2)", r"'1\+2\)' has more '\)' than '\('"),
        (")1+2(", "is not an arithmetic expression"),
        ("1/0", "'1/0' divides by zero"),
        ("1/(2-2)", "divides by zero"),
        ("2**3", "holds something other than numbers"),
        ("7//2", "holds something other than numbers"),
        ("1(2)", "holds something other than numbers"),
        ("E", "holds something other than numbers"),
        ("1 2", "is not an arithmetic expression"),
        ("1+", "is not an arithmetic expression"),
        ("1.2.3", "is not an arithmetic expression"),
        ("__import__('os')", "is not a number"),
        ("[1]", r"'\[' has no meaning there"),
        ("1" + "+1" * 200, "an expression of 401 characters; the longest allowed has 200"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(text)
