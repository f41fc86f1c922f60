"""Trials as SLURM jobs: one sbatch a trial, one look at the queue for all of them.

The token stands in the job's comment, so that a job is found even if sbatch's answer never arrived.
"""

import math
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mcqa.sweep.backends import MakeJob, State, SubmissionError
from mcqa.sweep.backends.elsewhere import Elsewhere
from mcqa.sweep.backends.submission import announced, executor, logs_of, refusals_told, repair_pickle
from mcqa.sweep.mailbox import Entry, Mailbox

POLL_S = 5.0
PATIENCE_S = 30.0
GONE = "no longer known"
ENDED = {GONE, "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT"}
REQUEUED_AS_A_RULE = {"NODE_FAIL", "PREEMPTED"}
"""Final only where it stays so: SLURM puts such a job back into the queue under the same id, unless told not to."""


class _Queued(NamedTuple):
    word: str  # SLURM's name for the state
    why: str  # its reason for that
    comment: str


class Slurm:
    name = "slurm"

    def __init__(
        self, make_job: MakeJob, launcher: Mapping[str, Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make_job, self._launcher, self._clock = make_job, launcher, clock
        self._queue: dict[str, _Queued] = {}
        self._lists_all = False  # whether a job that is not in the queue is over
        self._looked = -math.inf
        self._since: dict[str, float] = {}  # an older look cannot know the job
        self._doubtful: dict[str, float] = {}  # since when a job has a word that may be final
        self._over: dict[str, str] = {}  # the last word
        self._elsewhere: dict[str, Elsewhere] = {}

    def submit(self, folder: Path, attempt: int, slot: int) -> str:
        entry = announced(folder, attempt, slot, self.name)
        try:
            job = self._sbatch(folder, entry)
        except SubmissionError:
            accepted = self._accepted(folder, entry, at_once=True)  # a busy SLURM may take a job and fail to say so
            if accepted is None:
                raise
            job = accepted
        Mailbox(folder).name_job(entry.token, job)
        self._since[job] = self._clock()
        return job

    def _sbatch(self, folder: Path, entry: Entry) -> str:
        own = self._launcher.get("comment")
        launcher = {**self._launcher, "comment": f"{own} {entry.token}" if own else entry.token}
        with refusals_told():
            made = executor("slurm", launcher, logs_of(folder, entry.attempt))
            return str(made.submit(self._make_job(folder, token=entry.token)).job_id)

    def _accepted(self, folder: Path, entry: Entry, at_once: bool = False) -> str | None:
        """The job with this token, whose id nobody was told."""
        self._look(at_once)
        for job, queued in self._queue.items():
            if entry.token in queued.comment.split():
                repair_pickle(logs_of(folder, entry.attempt), job)
                return job
        return None

    def state(self, job: str) -> State:
        if job in self._elsewhere:
            return "running" if self._elsewhere[job].alive() else "over"
        if job not in self._over:
            self._look()
            self._judge(job)
        return "over" if job in self._over else "running"

    def _judge(self, job: str) -> None:
        if job in self._queue:
            word = self._queue[job].word
        elif self._lists_all and self._looked > self._since.setdefault(job, -math.inf):
            word = GONE
        else:
            return
        if word in REQUEUED_AS_A_RULE:
            since = self._doubtful.setdefault(job, self._looked)
            if self._looked - since >= PATIENCE_S:
                self._over[job] = word
            return
        self._doubtful.pop(job, None)
        if word in ENDED:
            self._over[job] = word

    def reason(self, job: str) -> str:
        if job in self._elsewhere:
            return self._elsewhere[job].reason()
        word = self._over.get(job, GONE)
        if word == GONE:  # SLURM forgets within minutes, its accounting does not
            word = (_sacct([job]) or {}).get(job, _Queued(GONE, "", "")).word
        why = self._queue[job].why if job in self._queue else ""
        return f"SLURM: {word}" + (f" ({why})" if why not in ("", "None") else "")

    def cancel(self, job: str) -> None:
        if job not in self._elsewhere:
            _asked("scancel", job)

    def attach(self, folder: Path, entry: Entry) -> str | None:
        if entry.backend != self.name:
            return self._attach_elsewhere(Elsewhere(folder, entry))
        job = entry.job or self._accepted(folder, entry)
        if job is None:
            return None
        Mailbox(folder).name_job(entry.token, job)
        self._since.setdefault(job, -math.inf)
        return job if self.state(job) == "running" else None

    def _attach_elsewhere(self, trial: Elsewhere) -> str | None:
        if not trial.alive():
            return None
        self._elsewhere[trial.job] = trial
        return trial.job

    def close(self) -> None:
        """SLURM keeps the jobs."""

    def _look(self, at_once: bool = False) -> None:
        """One question for all jobs, at most every few seconds."""
        now = self._clock()
        if not at_once and now - self._looked < POLL_S:
            return
        queue = _squeue()
        self._lists_all = queue is not None
        if queue is None:  # the controller is away or busy; the accounting may answer
            queue = _sacct([job for job in self._since if job not in self._over])
        self._queue, self._looked = queue or {}, now


def _squeue() -> dict[str, _Queued] | None:
    """All jobs of this user that SLURM remembers, ended ones for some minutes too."""
    told = _asked("squeue", "--noheader", f"--user={os.getuid()}", "--states=all", "--format=%i|%T|%r|%k")
    return None if told is None else _parsed(told)


def _sacct(jobs: list[str]) -> dict[str, _Queued] | None:
    if not jobs:
        return None
    asked = ("--allocations", "--noheader", "--parsable2", "--format=JobID,State", f"--jobs={','.join(jobs)}")
    told = _asked("sacct", *asked)
    return None if told is None else _parsed(told)


def _parsed(told: str) -> dict[str, _Queued]:
    """Lines of `job|state|reason|comment`, or less; a state such as `CANCELLED by 0` is its first word."""
    rows = [[*line.split("|", 3), "", "", ""] for line in told.splitlines() if line.strip()]
    return {job.strip(): _Queued((word.split() or [""])[0], why, comment) for job, word, why, comment, *_ in rows}


def _asked(*command: str) -> str | None:
    """What a command of SLURM prints; None when it fails, which it does whenever SLURM is busy."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
