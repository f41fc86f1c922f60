"""Does anything that is damaged, wrong or missing end in a traceback, in a hang or, worse, in silence?

    python benchmarks/attack.py [--seed 0] [--cases 100] [--only data,configurations,run_folders,studies,kills,disk,
                                 servers,secrets] [--match TEXT] [--at-once 2] [--folder FOLDER]

Hundreds of cases, drawn by the seed, are given to the commands themselves, each in a process and a folder of its own:

data             question files that are damaged (tests/attack/data_files.py)
configurations   odd command lines (tests/attack/configurations.py)
run_folders      run folders that are damaged: resumed, evaluated, compared, repeated (tests/attack/run_folders.py)
studies          studies that are damaged: started again, listed, reported (tests/attack/studies.py)
kills            SIGTERM, SIGINT and SIGKILL at random moments; the run resumes and is as one that nobody killed
disk             runs, evaluations, comparisons and studies where files may not grow; for root, on small disks too
servers          MLflow servers and databases that do not answer, or answer anything else
secrets          passwords and tokens that may not be shown, sent or left where others read them

--cases is the number of cases of each of the first four areas, and a twentieth of it that of kills; the others try all
that they know. A case is right where it ends as it must: with status 1 and a message that names what is wrong, or with
the result that it has without the damage. Everything else is listed, and the exit status is 1. --match leaves only the
cases whose names contain a text. With --folder everything is made there, and what is left by a case that was not right
stays there.
"""

import argparse
import platform
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent / "sweep"))

from printed import table

from benchmarks.attacks import folders, inputs, leaks, machine
from benchmarks.attacks.running import VERDICTS, Outcome, Try, import_all, remove, try_all

AREAS = {
    "data": inputs.data,
    "configurations": inputs.command_lines,
    "run_folders": folders.run_folder_tries,
    "studies": folders.study_tries,
    "kills": machine.kills,
    "disk": machine.disk,
    "servers": machine.servers,
    "secrets": leaks.leaks,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--only", default=",".join(AREAS), help="areas, with commas between them")
    parser.add_argument("--match", default="", help="only cases whose names contain this")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="a new one; default: a temporary one, which is removed")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(AREAS):
        parser.error(f"--only: no area {', '.join(sorted(unknown))}; there are {', '.join(AREAS)}")
    return options


def show(outcome: Outcome) -> None:
    """Show how a case ended, as soon as it has; of a right one only that."""
    if outcome.verdict == "right":
        return print(".", end="", file=sys.stderr, flush=True)
    print(f"\n{outcome.verdict}: {outcome.area}: {outcome.name}\n  {outcome.why}\n  {outcome.command[:1000]}")
    for line in outcome.lines:
        print(f"    {line[:300]}")
    sys.stdout.flush()


def main() -> int:
    options = arguments()
    import_all()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="mcqa-attack-"))  # no forked command removes it at its exit
    try:
        return attack(options, folder.absolute())
    finally:
        if options.folder is None:
            remove(folder)


def attack(options: argparse.Namespace, folder: Path) -> int:
    """Try the cases of all areas and show the table; return the exit status."""
    began, outcomes, seconds = time.monotonic(), list[Outcome](), dict[str, float]()
    (folder / "base").mkdir(parents=True)
    for area in options.only:
        area_began = time.monotonic()
        drawn: list[Try] = list(AREAS[area](options.seed, options.cases, folder / "base"))
        outcomes += try_all([each for each in drawn if options.match in each.name], folder, options.at_once, show)
        seconds[area] = time.monotonic() - area_began
    print(file=sys.stderr)
    rows = []
    for area in options.only:
        counted = Counter(outcome.verdict for outcome in outcomes if outcome.area == area)
        rows.append([area, counted.total(), *(counted[verdict] for verdict in VERDICTS), f"{seconds[area]:.0f}"])
    rows.append(
        ["all", *(sum(row[column] for row in rows) for column in range(1, 6)), f"{time.monotonic() - began:.0f}"]
    )
    table(["area", "cases", *VERDICTS, "seconds"], rows)
    print(
        f"\nSeed {options.seed}, {options.cases} cases, {options.at_once} at a time, Python {platform.python_version()}"
    )
    return int(any(outcome.verdict != "right" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
