"""Constants from the data of calibration runs: what stands behind `na64reco calibrate`.

How to add a calibration NAME:

1. `na64reco/calibrate/NAME.py`: `def calibrate_NAME(task: Task) -> Result`: loop over
   `read_parts(task, ...)` (good events, run by run), write with `write_constants(task, ...)`.
2. `na64reco/report/NAME_calibration.py`, if it has pictures: figures from `Result.detail`.
3. `na64reco/cli/calibrate.py`: one entry in `CALIBRATIONS`; options of its own go into `Task`.
"""

from __future__ import annotations

from na64reco.calibrate.constants import write_constants, write_summary
from na64reco.calibrate.sample import Part, Tally, read_parts
from na64reco.calibrate.task import AlignmentOptions, Result, Table, Task

__all__ = [
    "AlignmentOptions",
    "Part",
    "Result",
    "Table",
    "Tally",
    "Task",
    "read_parts",
    "write_constants",
    "write_summary",
]
