"""Area `secrets`: passwords and tokens that come in anywhere, and must not come out where others read them."""

import random
import stat
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.attacks.folders import finished, small_run
from benchmarks.attacks.machine import ANSWERS, server
from benchmarks.attacks.running import Try, Wrong, run, sound

SENT = ("mlartifacts", "mlflow.db")


@dataclass(frozen=True)
class Way:
    """A way to give a secret, which stands as SECRET in it. quick: the command shows or refuses, and trains nothing."""

    arguments: Sequence[str] = ()
    module: str = "mcqa.train"
    environment: Mapping[str, str] = field(default_factory=dict)
    kind: str = "password"
    quick: bool = True


USER = "me:SECRET@127.0.0.1:1"
STUDY = (
    "--multirun",
    "optimizer.learning_rate=interval(1e-4,1e-2)",
    "hydra.sweeper.n_trials=2",
    "hydra/launcher=basic",
)
SLURM = ("--multirun", "seed=1,2", "hydra/launcher=slurm", "dry_run=true")

WAYS: dict[str, Way] = {
    "password in tracking.uri": Way((f"tracking.uri=http://{USER}",)),
    "token as user in tracking.uri": Way(("tracking.uri=https://SECRET@127.0.0.1:1",)),
    "token in the query of tracking.uri": Way(("tracking.uri='http://127.0.0.1:1/?token=SECRET'",)),
    "PostgreSQL in tracking.uri": Way((f"tracking.uri=postgresql://{USER}/db",)),
    "MySQL in tracking.uri": Way((f"tracking.uri=mysql+pymysql://{USER}/db",)),
    "password in the query of PostgreSQL": Way(("tracking.uri='postgresql://127.0.0.1:1/db?password=SECRET'",)),
    "ODBC in tracking.uri": Way(("tracking.uri='mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Dme%3BPWD%3DSECRET'",)),
    "tracking.uri that no parser reads": Way(("tracking.uri='http://me:SECRET@[::1'",)),
    "tracking.uri with a mistake beside it": Way((f"tracking.uri=http://{USER}", "seed=x")),
    "password in the storage of a study": Way((*STUDY, f"hydra.sweeper.storage=postgresql://{USER}/db")),
    "password of Redis as storage": Way((*STUDY, "hydra.sweeper.storage=redis://:SECRET@127.0.0.1:1")),
    "MySQL as storage": Way((*STUDY, f"hydra.sweeper.storage=mysql+pymysql://{USER}/db")),
    "storage with its password in the query": Way(
        (*STUDY, "'hydra.sweeper.storage=postgresql://127.0.0.1:1/db?password=SECRET'")
    ),
    "env_set, dry run": Way(("+hydra.job.env_set.HF_TOKEN=SECRET", "dry_run=true")),
    "env_set as a mapping, dry run": Way(("+hydra.job.env_set={WANDB_API_KEY: SECRET}", "dry_run=true")),
    "env_set and a mistake": Way(("+hydra.job.env_set.HF_TOKEN=SECRET", "sed=1")),
    "env_set, run": Way(("+hydra.job.env_set.MY_PASSPHRASE=SECRET",), quick=False),
    "env_set, study": Way((*STUDY, "+hydra.job.env_set.SOMETHING=SECRET"), quick=False),
    "setup of a job, dry run": Way((*SLURM, "+hydra.launcher.setup=['export HF_TOKEN=SECRET']")),
    "setup of a job, another variable": Way((*SLURM, "+hydra.launcher.setup=['export MY_LOGIN=SECRET']")),
    "setup of a job and a mistake": Way((*SLURM, "+hydra.launcher.setup=['export HF_TOKEN=SECRET']", "peft.rank=x")),
    "HF_TOKEN": Way(environment={"HF_TOKEN": "SECRET"}, kind="hub", quick=False),
    "MLFLOW_TRACKING_PASSWORD": Way(
        ("tracking.uri=SERVER",),
        environment={"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "SECRET"},
        quick=False,
    ),
    "MLFLOW_TRACKING_TOKEN": Way(
        ("tracking.uri=SERVER",), environment={"MLFLOW_TRACKING_TOKEN": "SECRET"}, quick=False
    ),
    "MLFLOW_TRACKING_URI": Way(environment={"MLFLOW_TRACKING_URI": f"http://{USER}"}, quick=False),
    "PGPASSWORD": Way(
        ("tracking.uri=postgresql://me@127.0.0.1:1/db",), environment={"PGPASSWORD": "SECRET"}, quick=False
    ),
    "HF_ENDPOINT": Way(
        ("model=qwen3_0_6b", "dry_run=true"), environment={"HF_ENDPOINT": f"http://{USER}", "HF_HUB_OFFLINE": "0"}
    ),
    "HF_ENDPOINT for a question set": Way(
        ("data=arc_easy", "dry_run=true"), environment={"HF_ENDPOINT": f"http://{USER}", "HF_HUB_OFFLINE": "0"}
    ),
    "a proxy": Way(
        ("model=qwen3_0_6b", "dry_run=true"), environment={"HTTPS_PROXY": f"http://{USER}", "HF_HUB_OFFLINE": "0"}
    ),
    "prefetch with HF_ENDPOINT": Way(
        ("model=qwen3_0_6b",), "mcqa.prefetch", {"HF_ENDPOINT": f"http://{USER}", "HF_HUB_OFFLINE": "0"}
    ),
    "unknown key tracking.password": Way(("+tracking.password=SECRET",)),
    "unknown key tracking.token": Way(("tracking.token=SECRET",)),
    "hub_token of the trainer": Way(("+objective.trainer_args.hub_token=SECRET",)),
    "push_to_hub_token of the trainer": Way(("+objective.trainer_args.push_to_hub_token=SECRET",)),
    "token as a value": Way(("seed=SECRET",), kind="hub"),
    "token as an option": Way(("model=SECRET",), kind="hub"),
    "token as an unreadable override": Way(("SECRET",), kind="hub"),
    "password in an override that cannot be read": Way((f"tracking.uri=http://{USER}/[",)),
    "password in model.path": Way(("model=local", f"model.path=https://{USER}/model", "dry_run=true")),
    "password in data.path": Way(("data=local", f"data.path=https://{USER}/questions.csv", "dry_run=true")),
    "password in data.source": Way((f"data.source=https://{USER}/questions",), quick=False),
    "password in data.licence": Way((f"data.licence=https://{USER}/licence", "dry_run=true")),
    "a bearer token in a prompt": Way(("prompt.template='Authorization: Bearer SECRET {question}'", "dry_run=true")),
    "password in resume": Way((f"resume=http://{USER}/run",)),
    "password in from_run": Way((f"from_run=http://{USER}/run",)),
    "password in run of an evaluation": Way((f"run=http://{USER}/run",), "mcqa.evaluate"),
    "password in a configuration folder": Way(("--config-dir", f"http://{USER}/conf")),
    "comparison with a password in tracking_uri": Way(("RUN", f"tracking_uri=http://{USER}"), "mcqa.compare"),
    "comparison of a run at a URL": Way((f"https://{USER}/run",), "mcqa.compare"),
    "comparison with an unknown option": Way(("RUN", "password=SECRET"), "mcqa.compare"),
    "jobs at a URL": Way((f"https://{USER}/study",), "mcqa.jobs"),
    "report at a URL": Way((f"https://{USER}/study",), "mcqa.sweep.report"),
    "shown configuration": Way(("--cfg", "job", f"tracking.uri=http://{USER}")),
}


def leaks(seed: int, count: int, base: Path) -> Iterator[Try]:
    """All ways, each with a secret of its own."""
    chance = random.Random(seed)
    finished(base)
    for name, way in WAYS.items():
        secret = "".join(chance.choices(string.ascii_letters + string.digits, k=34))
        if way.kind == "hub":
            secret = f"hf_{secret}"
        yield Try("secrets", name, lambda folder, way=way, secret=secret: _leaks(way, secret, base, folder))


def _leaks(way: Way, secret: str, base: Path, folder: Path) -> None:
    given = list(way.arguments)
    if any("SERVER" in text for text in given):
        with server(ANSWERS["401"]) as port:
            return _looked_through(way, [text.replace("SERVER", f"http://127.0.0.1:{port}") for text in given], secret,
                                   base, folder)  # fmt: skip
    _looked_through(way, given, secret, base, folder)


def _looked_through(way: Way, given: list[str], secret: str, base: Path, folder: Path) -> None:
    options = [text for text in given if text.startswith("--")]
    if way.module == "mcqa.train" and not {"resume", "from_run"} & {text.split("=")[0] for text in given}:
        first = given[: given.index(options[0]) + 2] if options and options[0] != "--multirun" else options
        given = [*first, *small_run(base), *given[len(first) :]]
    run_folder, _ = finished(base)
    arguments = [text.replace("SECRET", secret).replace("RUN", str(run_folder)) for text in given]
    environment = {name: value.replace("SECRET", secret) for name, value in way.environment.items()}
    ended = run(way.module, arguments, folder, own_process=bool(environment), environment=environment)
    sound(ended)
    if secret in ended.output:
        raise Wrong("silently wrong", "the terminal shows the secret", ended)
    if found := list(told_to_others(secret, folder)):
        raise Wrong("silently wrong", f"the secret is in {', '.join(found)}", ended)
    if not way.quick and ended.code != 0:
        raise Wrong("silently wrong", f"exit status {ended.code}, and 0 was expected", ended)


def told_to_others(secret: str, folder: Path) -> Iterator[str]:
    """Yield files with the secret that others may read, or that are sent."""
    for path in sorted(folder.rglob("*")):
        if (path.is_file() and secret.encode() in path.read_bytes()) or secret in path.name:
            name = path.relative_to(folder)
            if _readable_by_others(path, folder) or any(part.startswith(SENT) for part in name.parts):
                yield str(name)


def _readable_by_others(path: Path, folder: Path) -> bool:
    above = [each for each in path.parents if each.is_relative_to(folder) and each != folder]
    may_enter = all(each.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH) for each in above)
    return may_enter and bool(path.lstat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
