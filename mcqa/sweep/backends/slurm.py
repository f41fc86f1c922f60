"""Trials as SLURM jobs: one sbatch a trial, one look at the queue for all of them.

The token stands in the job's comment, so that a job is found even if sbatch's answer never arrived.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mcqa.runs.mailbox import HEARTBEAT_S, Mailbox, Submission
from mcqa.sweep.backends import LauncherOf, MakeJob, State, SubmissionError, slurm_commands
from mcqa.sweep.backends.remote import Remote
from mcqa.sweep.backends.slurm_commands import Queued, is_of
from mcqa.sweep.backends.submission import executor, logs_of, record_submission, refusals_told, repair_pickle

POLL_S = 5.0


TIMEOUT_S = 30.0


SILENT_S = 2.2 * HEARTBEAT_S
"""Without a sign of life for so long a job is looked after, long before SLURM gives its node up (300 s as a rule)."""

GONE = "no longer known"


ENDED = {GONE, "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT"}


REQUEUED_AS_A_RULE = {"NODE_FAIL", "PREEMPTED"}
"""Final only where it stays so: SLURM puts such a job back into the queue under the same id, unless told not to."""


STUCK = {"launch failed requeued held", "jobholdmaxrequeue"}
"""Why a job waits that SLURM could not start and keeps in the queue until an administrator lets it go."""


class Slurm:
    name = "slurm"
    grace_s = 5.0

    def __init__(
        self,
        make_job: MakeJob,
        launcher: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
        launcher_of: LauncherOf | None = None,
    ) -> None:
        self._make_job, self._clock = make_job, clock
        self._launcher_of = launcher_of or (lambda folder: launcher)
        self._queue: dict[str, Queued] = {}
        self._lists_all = False  # whether a job that is not in the queue is over
        self._looked = -math.inf
        self._since: dict[str, float] = {}  # an older look cannot know the job
        self._doubtful: dict[str, float] = {}  # since when a job has a word that may be final
        self._over: dict[str, str] = {}  # the last word
        self._elsewhere: dict[str, Remote] = {}
        self._mailboxes: dict[str, Mailbox] = {}
        self._tokens: dict[str, str] = {}

    def submit(self, folder: Path, attempt: int, slot: int) -> str:
        entry = record_submission(folder, attempt, slot, self.name)
        try:
            job = self._sbatch(folder, entry)
        except SubmissionError:
            accepted = self._accepted(folder, entry, at_once=True)  # a busy SLURM may take a job and fail to say so
            if accepted is None:
                raise
            job = accepted
        watched = self._watch(job, folder, entry.token)
        self._since[watched] = self._clock()
        return watched

    def _watch(self, job: str, folder: Path, token: str) -> str:
        """The name of a job here: its id, with its token where the id is that of another one too."""
        watched = job if self._tokens.get(job, token) == token else f"{job}/{token}"
        self._mailboxes[watched], self._tokens[watched] = Mailbox(folder), token
        self._mailboxes[watched].set_job_id(token, job)
        return watched

    def _sbatch(self, folder: Path, entry: Submission) -> str:
        with refusals_told():
            launcher = self._launcher_of(folder)
            own = launcher.get("comment")
            launcher = {**launcher, "comment": f"{own} {entry.token}" if own else entry.token}
            made = executor("slurm", launcher, logs_of(folder, entry.attempt))
            return str(made.submit(self._make_job(folder, token=entry.token)).job_id)

    def _accepted(self, folder: Path, entry: Submission, at_once: bool = False) -> str | None:
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
        if queued := self._queued(job):
            word = queued.word
        elif self._lists_all and self._looked > self._since.setdefault(job, -math.inf):
            word = GONE
        else:
            return
        if word in REQUEUED_AS_A_RULE:
            since = self._doubtful.setdefault(job, self._looked)
            if self._looked - since >= TIMEOUT_S:
                self._over[job] = word
            return
        self._doubtful.pop(job, None)
        if word in ENDED:
            self._over[job] = word

    def _queued(self, job: str) -> Queued | None:
        """What the queue has of a watched job, and not of another one that has its id now."""
        queued = self._queue.get(_id(job))
        return queued if queued and is_of(queued, self._tokens.get(job, "")) else None

    def reason(self, job: str) -> str:
        if job in self._elsewhere:
            return self._elsewhere[job].reason()
        word = self._over.get(job, GONE)
        if word == GONE:  # SLURM forgets within minutes, its accounting does not
            word = (slurm_commands.accounting([_id(job)]) or {}).get(_id(job), Queued(GONE, "", "")).word
        why = queued.why if (queued := self._queued(job)) else ""
        return f"SLURM: {word}" + (f" ({why})" if why not in ("", "None") and why not in word else "")

    def cancel(self, job: str) -> None:
        if job not in self._elsewhere and (_id(job) not in self._queue or self._queued(job)):
            slurm_commands.answer("scancel", _id(job))

    def attach(self, folder: Path, entry: Submission) -> str | None:
        if entry.backend != self.name:
            return self._attach_elsewhere(Remote(folder, entry))
        job = entry.job or self._accepted(folder, entry)
        if job is None:
            return None
        watched = self._watch(job, folder, entry.token)
        self._since.setdefault(watched, -math.inf)
        return watched if self.state(watched) == "running" else None

    def _attach_elsewhere(self, trial: Remote) -> str | None:
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
        queue = slurm_commands.queue()
        self._lists_all = queue is not None
        if queue is None:  # the controller is away or busy; the accounting may answer
            queue = slurm_commands.accounting([_id(job) for job in self._since if job not in self._over])
        self._queue, self._looked = queue or {}, now
        watched = {job: queued for job in self._mailboxes if job not in self._over and (queued := self._queued(job))}
        self._give_up(watched)
        self._bury(watched)

    def _give_up(self, watched: Mapping[str, Queued]) -> None:
        """Jobs that SLURM would hold for ever are over, and cancelled."""
        for job, queued in watched.items():
            if queued.why.lower().replace("_", " ") in STUCK:
                self._over[job] = f"{queued.word}, {queued.why}"
                slurm_commands.answer("scancel", _id(job))

    def _bury(self, watched: Mapping[str, Queued]) -> None:
        """Jobs that are silent on a node that does not answer are over, and cancelled: SLURM would let them wait."""
        silent = {
            job: queued.nodes
            for job, queued in watched.items()
            if queued.word == "RUNNING"
            and self._is_silent(self._mailboxes[job], len(slurm_commands.names(queued.nodes)))
        }
        if not silent:
            return
        dead = slurm_commands.dead_nodes(silent.values())
        for job, nodes in silent.items():
            if dead & slurm_commands.names(nodes):
                self._over[job] = f"silent, and {', '.join(sorted(dead & slurm_commands.names(nodes)))} does not answer"
                slurm_commands.answer("scancel", _id(job))

    def _is_silent(self, mailbox: Mailbox, nodes: int) -> bool:
        """Whether one of its nodes is. A start that has not beaten yet has the hearts of the start before, and so is
        silent too: the node must tell."""
        hearts = [mailbox, *(Mailbox(mailbox.folder, node) for node in range(1, nodes))]
        return any((heart.silent_s(time.time()) or 0.0) > SILENT_S for heart in hearts)


def _id(job: str) -> str:
    """SLURM's, of a job as it is named here."""
    return job.partition("/")[0]
