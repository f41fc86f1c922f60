"""Open MLflow's page of the runs, where an SQLite file has them: python -m mcqa.runs.tracking.ui [outputs folder]"""

import os
import sqlite3
import subprocess
import sys
import time
import webbrowser
from contextlib import closing, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from mcqa.runs.tracking.sender import SERVED_AT, runs_page

START_S = 120.0
"""Longest that MLflow takes to start on a slow machine."""


def page_of(database: Path) -> str:
    """Return the address of the list of runs: of the experiment whose run began last."""
    query = "SELECT experiment_id FROM runs ORDER BY start_time DESC LIMIT 1"
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        if row := connection.execute(query).fetchone():
            return runs_page(SERVED_AT, str(row[0]))
    return f"{SERVED_AT}/#/experiments"


def main(outputs: Path) -> int:
    """Serve the runs until the process is stopped; say where they are once they can be seen, and open it in a browser
    where this machine has a screen.
    """
    database = outputs / "mlflow.db"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{database}"]
    print("Starting MLflow, which takes some seconds …", flush=True)
    server = subprocess.Popen(command, env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"})
    try:
        until = time.monotonic() + START_S
        while server.poll() is None and time.monotonic() < until:
            with suppress(URLError, OSError), urlopen(SERVED_AT, timeout=1):
                print(f"\nThe runs: {page_of(database)}\nCtrl-C ends this.\n", flush=True)
                if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin":
                    webbrowser.open(page_of(database))
                break
            time.sleep(0.3)
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if sys.argv[1:] else "outputs")))
