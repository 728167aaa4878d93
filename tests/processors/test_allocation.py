"""Freed memory is used again: fewer pages are asked of the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ROUNDS = """
import resource, sys
import numpy as np
from na64reco.processors.allocation import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.ones(3_000_000, np.uint8) for _ in range(40)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS, how], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_the_last_of_many_rounds_faults_hardly_any_page_in():
    pages = 40 * 3_000_000 // 4096
    assert faults("keep") < 0.05 * pages
    assert faults("as ever") > 0.5 * pages
