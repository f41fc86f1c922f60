"""What happened in a run: written to its folder first, then brought to MLflow.

The run folder is the truth and MLflow a view of it. `spool` writes events.jsonl, `sender` brings it to
MLflow, `tracker` is what a run talks to and `unsent` finishes what earlier runs had to leave behind.
"""

from mcqa.runs.tracking.redaction import redact
from mcqa.runs.tracking.tracker import Tracker, open_tracker
from mcqa.runs.tracking.unsent import is_running, send_run, send_unsent

__all__ = ["Tracker", "is_running", "open_tracker", "redact", "send_run", "send_unsent"]
