"""What the documentation promises works, word for word."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_examples_of_the_readme_run():
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 2
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Cutflow(" in done.stdout


def test_the_selection_of_the_readme_loads(tmp_path):
    from na64reco.selection import load_selection

    (text,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    path = tmp_path / "tighter.yaml"
    path.write_text(text, encoding="utf-8")
    cut = next(c for c in load_selection(path).cuts if c.name == "incoming track")
    assert cut.window == (97, 103)


def test_samples_are_those_that_their_readme_lists():
    text = (ROOT / "data_samples" / "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(\S+)` \|", text, flags=re.MULTILINE))
    present = {p.name for p in (ROOT / "data_samples").iterdir()}
    assert present - {"README.md", "make.py", "__pycache__"} == listed
    size = sum(p.stat().st_size for p in (ROOT / "data_samples").iterdir() if p.is_file())
    assert size < 20e6
