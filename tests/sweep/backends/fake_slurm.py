"""Scripts in place of SLURM's commands."""

from pathlib import Path


class FakeSlurm:
    """What sbatch, squeue, sacct and scancel of a fake cluster were asked, and the answers that they will give."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers("srun", "exit 0")
        self.answers("scancel", "exit 0")
        self.answers("sacct", "exit 1")
        self.answers("sacctmgr", "exit 1")
        self.answers("sinfo", "exit 1")
        self.queue("")
        self.accepts("17")

    def answers(self, command: str, script: str) -> None:
        path = self.folder / command
        path.write_text(f'#!/bin/sh\necho "{command} $*" >> {self.folder}/asked\n{script}\n')
        path.chmod(0o755)

    def accepts(self, job: str) -> None:
        keep = f'sed -n \'s/^#SBATCH --comment=//p\' "$1" | tr -d "\'" > {self.folder}/comment'
        self.answers("sbatch", f'cp "$1" {self.folder}/submitted; {keep}; echo Submitted batch job {job}')

    def queue(self, *lines: str) -> None:
        self.answers("squeue", "".join(f"echo '{line}'\n" for line in lines))

    def asked(self, command: str) -> list[str]:
        log = self.folder / "asked"
        return [line for line in (log.read_text() if log.exists() else "").splitlines() if line.startswith(command)]
