"""A study that something has damaged is started again, reported and listed."""

import copy
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hydra
import pytest

from mcqa import jobs
from mcqa.config.errors import McqaError
from mcqa.runs.files import read_optional
from mcqa.sweep import main
from mcqa.sweep.report import write
from tests.attack.studies import Case, cases
from tests.sweep.conftest import CONFIG

COUNT = 100
STUDY = ["x=interval(0,1)", "hydra.sweeper.n_trials=3", "hydra.sweeper.study_name=s", "hydra.sweeper.poll_s=0.001"]
PRODUCT = ["x=0.5,0.6,0.7", *STUDY[2:]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Starts what began as "finished", "unfinished" or "product" in studies/s; those lie beside it, to be copied."""
    root = tmp_path_factory.mktemp("studies")
    (root / "conf" / "kind").mkdir(parents=True)
    (root / "conf" / "config.yaml").write_text(CONFIG)
    (root / "conf" / "kind" / "plain.yaml").write_text("name: plain\n")
    stopped, handed = True, dict[str, Any]()

    def task(cfg: Any) -> float:
        if stopped and len(list(Path("studies/s/trials").iterdir())) == 3:
            raise KeyboardInterrupt
        return float(cfg.x)

    def run(begun_as: str) -> Any:
        config, *others = handed[begun_as]
        return main.sweep(copy.deepcopy(config), *others)

    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(root)
        patched.setenv("HYDRA_FULL_ERROR", "1")
        patched.setattr(write, "_plotly", lambda: None)
        patched.setattr(write, "_best_yaml", lambda study: None)  # composes the app again, which takes long
        for begun_as, command in (("unfinished", STUDY), ("finished", STUDY), ("product", PRODUCT)):
            with patched.context() as hydras:  # which hands over once, and is not asked again
                hydras.setattr(sys, "argv", ["app.py", "--multirun", *command])
                hydras.setattr(main, "sweep", lambda *given: handed.update({begun_as: given}))  # noqa: B023
                hydra.main(version_base="1.3", config_path=str(root / "conf"), config_name="config")(task)()
            stopped = begun_as != "finished"
            with pytest.raises(KeyboardInterrupt) if stopped else nullcontext():
                run(begun_as)
            Path("studies/s").rename(begun_as)
        stopped = False
        yield run


def results(folder: Path) -> list[dict[str, Any]]:
    found = (read_optional(folder / "trials" / str(number) / "result.json") for number in range(3))
    return [result for result in found if "status" in result]


def contents(folder: Path) -> dict[Path, bytes]:
    """What no error may change."""
    files = [folder / "study.yaml", folder / "product.yaml", *(folder / "trials").glob("**/*")]
    return {path: path.read_bytes() for path in files if path.is_file()}


@pytest.mark.parametrize("case", cases(0, COUNT), ids=lambda case: case.name)
def test_damage_is_named_or_of_no_matter(
    case: Case, start: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("studies/s")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(case.begun_as, folder)
    ended = [result["value"] for result in results(folder)]
    case.damage(folder)
    before = contents(folder)
    jobs.main([str(folder)])
    write.write_report(folder)
    if case.expected == "error":
        with pytest.raises(McqaError) as error:
            start(case.begun_as)
        assert case.message in str(error.value)
        assert contents(folder) == before
    else:
        returned = start(case.begun_as)
        assert returned[: len(ended)] == ended and len(returned) == 3 and None not in returned
    jobs.main([str(folder)])
    write.write_report(folder)


def test_a_seed_always_gives_the_same_cases() -> None:
    assert [case.name for case in cases(1, 50)] == [case.name for case in cases(1, 50)]
    assert [case.name for case in cases(1, 50)] != [case.name for case in cases(2, 50)]
