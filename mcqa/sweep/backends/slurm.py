"""Trials as SLURM jobs: one sbatch per trial, one squeue for all of them.

The token stands in the job's comment, so that a job is found even if sbatch's answer never arrived.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from mcqa.runs.mailbox import HEARTBEAT_S, Mailbox, Submission
from mcqa.sweep.backends import LauncherOf, MakeJob, State, SubmissionError, slurm_commands
from mcqa.sweep.backends.slurm_commands import Queued
from mcqa.sweep.backends.submission import (
    Remote,
    log_folder,
    make_executor,
    make_log_folder,
    record_submission,
    repair_pickle,
    submission_errors,
)

POLL_S = 5.0
"""Seconds between two calls of squeue."""

TIMEOUT_S = 30.0
"""How long a job keeps a state that SLURM usually requeues it from before it counts as ended."""

SILENT_S = 2.2 * HEARTBEAT_S
"""Without a heartbeat for so long a job's nodes are checked, long before SLURM itself gives a node up (300 s)."""

GONE = "no longer known"
ENDED = {GONE, "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT"}

USUALLY_REQUEUED = {"NODE_FAIL", "PREEMPTED"}
"""Final only where it stays so: SLURM puts such a job back into the queue under the same id, unless told not to."""

HELD = {"launch failed requeued held", "jobholdmaxrequeue"}
"""Why a job waits that SLURM could not start and keeps in the queue until an administrator releases it."""


class Slurm:
    name = "slurm"
    grace_s = 5.0

    def __init__(self, make_job: MakeJob, launcher_of: LauncherOf, clock: Callable[[], float] = time.monotonic) -> None:
        self._make_job, self._launcher_of, self._clock = make_job, launcher_of, clock
        self._queue: dict[str, Queued] = {}
        self._polled_at = -math.inf
        self._is_complete = False  # whether the queue lists every job, so that one that it lacks is over
        self._submitted_at: dict[str, float] = {}  # an older queue cannot have the job
        self._maybe_ended: dict[str, float] = {}  # since when a job has a state that may be final
        self._ended: dict[str, str] = {}  # the last state
        self._remote: dict[str, Remote] = {}
        self._mailboxes: dict[str, Mailbox] = {}
        self._tokens: dict[str, str] = {}

    def submit(self, folder: Path, attempt: int, slot: int) -> str:
        submission = record_submission(folder, attempt, slot, self.name)
        try:
            job_id = self._sbatch(folder, submission)
        except SubmissionError:
            found = self._find(folder, submission, at_once=True)  # a busy SLURM may accept a job and fail to say so
            if found is None:
                raise
            job_id = found
        job = self._watch(job_id, folder, submission.token)
        self._submitted_at[job] = self._clock()
        return job

    def _watch(self, job_id: str, folder: Path, token: str) -> str:
        """The job's name here: its id, with its token where another job has had that id too."""
        job = job_id if self._tokens.get(job_id, token) == token else f"{job_id}/{token}"
        self._mailboxes[job], self._tokens[job] = Mailbox(folder), token
        self._mailboxes[job].set_job_id(token, job_id)
        return job

    def _sbatch(self, folder: Path, submission: Submission) -> str:
        with submission_errors():
            launcher = self._launcher_of(folder)
            comment = " ".join(filter(None, [launcher.get("comment"), submission.token]))
            logs = make_log_folder(folder, submission.attempt)
            executor = make_executor("slurm", {**launcher, "comment": comment}, logs)
            return str(executor.submit(self._make_job(folder, token=submission.token)).job_id)

    def _find(self, folder: Path, submission: Submission, at_once: bool = False) -> str | None:
        """The id of the job with this submission's token, which was never recorded."""
        self._poll(at_once)
        for job_id, queued in self._queue.items():
            if submission.token in queued.comment.split():
                repair_pickle(log_folder(folder, submission.attempt), job_id)
                return job_id
        return None

    def state(self, job: str) -> State:
        if job in self._remote:
            return "running" if self._remote[job].alive() else "over"
        if job not in self._ended:
            self._poll()
            self._check_ended(job)
        return "over" if job in self._ended else "running"

    def _check_ended(self, job: str) -> None:
        if queued := self._queued(job):
            state = queued.state
        elif self._is_complete and self._polled_at > self._submitted_at.setdefault(job, -math.inf):
            state = GONE
        else:
            return
        if state in USUALLY_REQUEUED:
            since = self._maybe_ended.setdefault(job, self._polled_at)
            if self._polled_at - since >= TIMEOUT_S:
                self._ended[job] = state
            return
        self._maybe_ended.pop(job, None)
        if state in ENDED:
            self._ended[job] = state

    def _queued(self, job: str) -> Queued | None:
        """What the queue has of a watched job, and not of another one that has its id now."""
        queued = self._queue.get(_id(job))
        return queued if queued and queued.belongs_to(self._tokens.get(job, "")) else None

    def reason(self, job: str) -> str:
        if job in self._remote:
            return self._remote[job].reason()
        state = self._ended.get(job, GONE)
        if state == GONE:  # SLURM forgets within minutes, its accounting does not
            state = (slurm_commands.accounting([_id(job)]) or {}).get(_id(job), Queued(GONE)).state
        why = queued.why if (queued := self._queued(job)) else ""
        return f"SLURM: {state}" + (f" ({why})" if why not in ("", "None") and why not in state else "")

    def cancel(self, job: str) -> None:
        if job not in self._remote and (_id(job) not in self._queue or self._queued(job)):
            slurm_commands.run("scancel", _id(job))

    def attach(self, folder: Path, submission: Submission) -> str | None:
        if submission.backend != self.name:
            trial = Remote(folder, submission)
            if not trial.alive():
                return None
            self._remote[trial.job] = trial
            return trial.job
        job_id = submission.job or self._find(folder, submission)
        if job_id is None:
            return None
        job = self._watch(job_id, folder, submission.token)
        self._submitted_at.setdefault(job, -math.inf)
        return job if self.state(job) == "running" else None

    def close(self) -> None:
        """SLURM keeps the jobs."""

    def _poll(self, at_once: bool = False) -> None:
        """Read the queue for all jobs, at most every few seconds."""
        now = self._clock()
        if not at_once and now - self._polled_at < POLL_S:
            return
        queue = slurm_commands.queue()
        self._is_complete = queue is not None
        if queue is None:  # SLURM's controller is away or busy; the accounting may answer
            queue = slurm_commands.accounting([_id(job) for job in self._submitted_at if job not in self._ended])
        self._queue, self._polled_at = queue or {}, now
        watched = {job: queued for job in self._mailboxes if job not in self._ended and (queued := self._queued(job))}
        self._cancel_held(watched)
        self._cancel_dead(watched)

    def _cancel_held(self, watched: Mapping[str, Queued]) -> None:
        """Cancel jobs that SLURM would hold for ever; they are over."""
        for job, queued in watched.items():
            if queued.why.lower().replace("_", " ") in HELD:
                self._ended[job] = f"{queued.state}, {queued.why}"
                slurm_commands.run("scancel", _id(job))

    def _cancel_dead(self, watched: Mapping[str, Queued]) -> None:
        """Cancel jobs without a heartbeat on a node that does not respond; SLURM would wait for it. They are over."""
        silent = {
            job: slurm_commands.expand_nodes(queued.nodes)
            for job, queued in watched.items()
            if queued.state == "RUNNING" and self._is_silent(job, queued.nodes)
        }
        if not silent:
            return
        dead = slurm_commands.dead_nodes(watched[job].nodes for job in silent)
        for job, nodes in silent.items():
            if dead & nodes:
                self._ended[job] = f"no heartbeat, and {', '.join(sorted(dead & nodes))} does not respond"
                slurm_commands.run("scancel", _id(job))

    def _is_silent(self, job: str, nodes: str) -> bool:
        """Whether one of a job's nodes has no recent heartbeat.

        A start without a heartbeat yet has those of the start before, and so is silent too: the node's state decides.
        """
        folder = self._mailboxes[job].folder
        heartbeats = [Mailbox(folder, node) for node in range(len(slurm_commands.expand_nodes(nodes)) or 1)]
        return any((heartbeat.silent_s(time.time()) or 0.0) > SILENT_S for heartbeat in heartbeats)


def _id(job: str) -> str:
    """SLURM's id of a job as it is named here."""
    return job.partition("/")[0]
