"""A study that something has damaged is started again, reported and listed."""

import copy
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest

from mcqa import jobs
from mcqa.config.errors import McqaError
from mcqa.runs.files import read_optional
from mcqa.sweep import main
from mcqa.sweep.report import load, write
from tests.attack.studies import Case, cases
from tests.sweep.conftest import CONFIG

COUNT = 100
COMMAND = ("x=interval(0,1)", "hydra.sweeper.n_trials=3", "hydra.sweeper.study_name=s", "hydra.sweeper.poll_s=0.001")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Any]]:
    """The command of a study, as Hydra hands it to the sweeper, with its studies beside it: finished, unfinished."""
    root = tmp_path_factory.mktemp("studies")
    (root / "conf" / "kind").mkdir(parents=True)
    (root / "conf" / "config.yaml").write_text(CONFIG)
    (root / "conf" / "kind" / "plain.yaml").write_text("name: plain\n")
    stopped, handed = True, list[Any]()

    def task(cfg: Any) -> float:
        if stopped and len(list(Path("studies/s/trials").iterdir())) == 3:
            raise KeyboardInterrupt
        return float(cfg.x)

    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(root)
        patched.setenv("HYDRA_FULL_ERROR", "1")
        patched.setattr(sys, "argv", ["app.py", "--multirun", *COMMAND])
        patched.setattr(write, "_plotly", lambda: None)
        patched.setattr(write, "_best_yaml", lambda study: None)  # composes the app again, which takes long
        patched.setattr(main, "sweep", lambda *given: handed.extend(given))
        hydra.main(version_base="1.3", config_path=str(root / "conf"), config_name="config")(task)()
        patched.undo()
        patched.chdir(root)
        patched.setattr(sys, "argv", ["app.py", "--multirun", *COMMAND])
        patched.setattr(write, "_plotly", lambda: None)
        patched.setattr(write, "_best_yaml", lambda study: None)
        config, *others = handed

        def run() -> Any:
            return main.sweep(copy.deepcopy(config), *others)

        with pytest.raises(KeyboardInterrupt):
            run()
        shutil.copytree("studies/s", "unfinished")
        stopped = False
        run()
        Path("studies/s").rename("finished")
        yield run


def values(folder: Path) -> list[Any]:
    results = (read_optional(folder / "trials" / str(number) / "result.json") for number in range(3))
    return [result["value"] for result in results if result]


def contents(folder: Path) -> dict[Path, bytes]:
    """What no error may change."""
    files = [folder / "study.yaml", *(folder / "trials").glob("**/*")]
    return {path: path.read_bytes() for path in files if path.is_file()}


@pytest.mark.parametrize("case", cases(0, COUNT), ids=lambda case: case.name)
def test_damage_is_named_or_of_no_matter(
    case: Case, start: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("studies/s")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(case.begun_as, folder)
    ended = values(folder)
    case.damage(folder)
    before = contents(folder)
    jobs.main([str(folder)])
    write.write_report(folder)
    if case.expected == "error":
        with pytest.raises(McqaError) as error:
            start()
        assert case.message in str(error.value)
        assert contents(folder) == before
    else:
        assert start()[: len(ended)] == ended
        assert not load.read_study(folder, 0.0).counts["failed"]
    jobs.main([str(folder)])
    write.write_report(folder)


def test_a_seed_always_gives_the_same_cases() -> None:
    assert [case.name for case in cases(1, 50)] == [case.name for case in cases(1, 50)]
    assert [case.name for case in cases(1, 50)] != [case.name for case in cases(2, 50)]
