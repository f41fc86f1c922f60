"""What happened in a run: written to its folder first, then sent to MLflow.

The run folder is the truth and MLflow a view of it. `spool` writes events.jsonl, `sender` sends it to MLflow, `tracker`
is what a run calls, and `unsent` sends what earlier runs could not. `viewers` are TensorBoard and Weights & Biases in
MLflow's place.
"""

from mcqa.runs.tracking.spool import Spool
from mcqa.runs.tracking.tracker import Status, Tracker, open_tracker
from mcqa.runs.tracking.unsent import send_run, send_unsent
from mcqa.runs.tracking.viewers import check_installed

__all__ = ["Spool", "Status", "Tracker", "check_installed", "open_tracker", "send_run", "send_unsent"]
