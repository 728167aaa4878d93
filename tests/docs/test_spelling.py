"""Words are spelt right: known misspellings anywhere, and in pages every word, the British way.

A word that a page needs and the dictionary lacks goes into docs/words.txt.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from .markdown import ROOT, name_of, pages, prose, text_of

WORDS = ROOT / "docs" / "words.txt"
BOTH_SIDES = {"biased", "practice", "program", "programs"}
"""Words that are American only in some of their meanings, not in those of these pages."""


def words_of_pages() -> dict[str, str]:
    """Words in lower case, and a page that has each; names of code and abbreviations left out."""
    found: dict[str, str] = {}
    for page in pages():
        for word in re.findall(r"[A-Za-z]+(?:'[a-z]+)?", prose(text_of(page))):
            if len(word) > 3 and word[1:] == word[1:].lower():
                found.setdefault(word.removesuffix("'s").lower(), name_of(page))
    return found


def test_nothing_is_misspelt_in_a_known_way():
    """What is left out, the tests among it, stands in pyproject.toml."""
    pytest.importorskip("codespell_lib", reason="pip install 'na64reco[test]' to check spelling")
    done = subprocess.run(
        [sys.executable, "-m", "codespell_lib"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_words_of_pages_are_in_the_dictionary():
    spellchecker = pytest.importorskip(
        "spellchecker", reason="pip install 'na64reco[test]' to check spelling"
    )
    dictionary = spellchecker.SpellChecker(language="en")
    dictionary.word_frequency.load_words(WORDS.read_text(encoding="utf-8").split())
    found = words_of_pages()
    assert len(found) > 1500
    unknown = defaultdict(list)
    for word in dictionary.unknown(found):
        unknown[found[word]].append(word)
    assert not unknown, "mend them, or add them to docs/words.txt"
    assert dictionary.unknown(["calorimeterr"])


def test_words_of_pages_are_british():
    codespell = pytest.importorskip("codespell_lib", reason="pip install 'na64reco[test]'")
    folder = Path(codespell.__file__).parent / "data"
    lines = (folder / "dictionary_en-GB_to_en-US.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("->") for line in lines]
    american = {
        us.strip(): gb for gb, us_words in pairs for us in us_words.split(",") if us.strip()
    }
    assert american["color"] == "colour"
    found = words_of_pages()
    wrong = set(found) & set(american) - BOTH_SIDES
    assert not {word: (american[word], found[word]) for word in wrong}


def test_the_list_of_words_is_sorted_and_needed():
    words = WORDS.read_text(encoding="utf-8").split()
    assert words == sorted(set(words))
