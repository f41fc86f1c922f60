"""Seconds that one trial takes in which nothing happens: submitit alone starts a process that imports Hydra.

    python empty.py <times>

No sweeper has a part in it, so it can be the yardstick of two of them. Prints a JSON list.
"""

import json
import sys
import tempfile
import time

import submitit


def nothing():
    import hydra  # noqa: F401


def seconds(folder):
    executor = submitit.AutoExecutor(folder=folder, cluster="local")
    began = time.perf_counter()
    job = executor.submit(nothing)
    while not job.paths.result_pickle.exists():
        time.sleep(0.01)
    return time.perf_counter() - began


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps([seconds(folder) for _ in range(int(sys.argv[1]))]))
