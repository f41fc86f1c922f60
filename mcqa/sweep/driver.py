"""From `--multirun` to the end of a study: Hydra hands over here, and everything meets.

given.py has what Hydra gave us and what an app may add, options.py the keys of hydra.sweeper.
"""

import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from mcqa import run_folder
from mcqa.errors import ConfigError, SweepError
from mcqa.sweep import dispatch, identity, opening, samplers
from mcqa.sweep import space as spaces
from mcqa.sweep import storage as storages
from mcqa.sweep.backends import for_launcher
from mcqa.sweep.controller import COMPLETE, EXHAUSTED, FAILURES, LEFT_RUNNING, TIMEOUT, Controller, Known, Limits
from mcqa.sweep.given import Sweep, Tree
from mcqa.sweep.job import Job, commit_of, folder_of
from mcqa.sweep.live import Live
from mcqa.sweep.loop import Loop, Observer, found
from mcqa.sweep.mailbox import Mailbox
from mcqa.sweep.options import Direction, Options, options_of
from mcqa.sweep.recorded import short_commit
from mcqa.sweep.space import Outside, Space
from mcqa.sweep.spelling import leaves
from mcqa.sweep.study import OptunaStudy, Plan, Study
from mcqa.sweep.texts import text_of

PATIENCE_S = 40.0  # with a cluster that refuses what it took before


def sweep(config: DictConfig, context: HydraContext, task: TaskFunction, arguments: list[str]) -> list[Any]:
    """Run the study or the product that `config.hydra.sweeper` and the command line ask for.

    Returns the values of the trials by number. Raises ConfigError before anything is submitted.
    """
    vars(task)["composed"] = True  # for the app's door: what is raised from here on is not Hydra's composing
    given = Sweep(config, context, task, arguments)
    options = options_of(cast(Tree, OmegaConf.to_container(config.hydra.sweeper, resolve=True)))
    if instead := getattr(task, "instead_of_jobs", None):
        return [instead(_configurations(given, options))]
    return _study(given, options) if options.is_study else _product(given, options)


def _configurations(given: Sweep, options: Options) -> list[Tree]:
    """Of every job; of a study as far as they can be known before."""
    if not options.is_study:
        return _check_all(given, given.named(given.usual_name), _jobs(given, options))
    tree = given.base
    given.problems(tree, given.fixed)
    return list(dispatch.trees_of(given, _space(given, options, tree)))


# --- the plain product ------------------------------------------------------------------------------------------------


def _product(given: Sweep, options: Options) -> list[Any]:
    """Every combination once. It ends with an error where one of them failed."""
    jobs = _jobs(given, options)
    name = f"{given.usual_name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    folder = given.named(name)
    trees = _check_all(given, folder, jobs)
    if given.is_dry_run:
        _listed(jobs, options.n_jobs, folder)
        return dispatch.show(given, folder, trees, len(jobs), options) if dispatch.sends_jobs(given) else []
    _refuse(dispatch.check(given, trees, folder))
    folder.mkdir(parents=True, exist_ok=True)
    _write_multirun(given, folder)
    limits = Limits(len(jobs), options.n_jobs, options.max_failures, options.max_resubmits, options.timeout_s)
    reason, controller = _run(given, options, Plan(jobs), limits, [], folder, [], goes_on=False)
    if reason not in (COMPLETE, EXHAUSTED) or controller.counts["failed"]:
        raise SweepError(_unfinished(reason, controller, folder, "job"))
    results = [Mailbox(folder / "trials" / str(trial.number)).result() or {} for trial in controller.trials]
    _say(*(f"job {number}: {one['folder']}" for number, one in enumerate(results) if "folder" in one))
    return [trial.outcome.values if trial.outcome else None for trial in controller.trials]


def _jobs(given: Sweep, options: Options) -> list[list[str]]:
    return spaces.product([*_lines(options.params, given.arguments), *given.arguments], given.context.config_loader)


def _lines(params: Mapping[str, Any], arguments: Sequence[str]) -> list[str]:
    """hydra.sweeper.params as on a command line, without what that says otherwise."""
    named = {text.partition("=")[0].lstrip("+") for text in arguments}
    return [f"{key}={_values(value)}" for key, value in leaves(params).items() if key.lstrip("+") not in named]


def _values(value: Any) -> str:
    if isinstance(value, list):  # of YAML: the values themselves
        return ",".join(map(text_of, value))
    return value if isinstance(value, str) else text_of(value)


def _listed(jobs: Sequence[Sequence[str]], at_a_time: int, folder: Path) -> None:
    """dry_run: what would run."""
    lines = [f"{len(jobs)} jobs, {at_a_time} at a time, in {run_folder.shown(folder)}"]
    _say(*lines, *(f"  {number}: {' '.join(job)}" for number, job in enumerate(jobs)))


def _check_all(given: Sweep, folder: Path, jobs: Sequence[Sequence[str]]) -> list[Tree]:
    """Their configurations. A mistake in the last job is told before the first one starts."""
    problems: dict[str, None] = {}
    trees = []
    for number, job in enumerate(jobs):
        _, tree = given.of_job(folder, number, job)
        problems |= dict.fromkeys(given.problems(tree, job))
        trees.append(tree)
    _refuse(problems)
    return trees


def _refuse(problems: Collection[str]) -> None:
    if problems:
        raise ConfigError("The configuration has a problem:\n  " + "\n  ".join(problems))


def _unfinished(reason: str, controller: Controller, folder: Path, noun: str) -> str:
    """What became of a study (noun trial) or a product (noun job) that is not all done and well."""
    counts, wanted = controller.counts, controller.limits.n_trials
    ended = len(controller.trials) - counts["waiting"] - counts["submitting"] - counts["running"]
    done = f"{ended} of {wanted} {noun}s" if wanted is not None else f"{ended} {noun}s"
    failed = [
        f"{noun} {trial.number}: {((trial.outcome.error or '').strip() or 'failed').splitlines()[-1]}"
        for trial in controller.trials
        if trial.state == "failed" and trial.outcome
    ]
    count = f"{len(failed)} of {ended} {noun}s failed"
    where = f"see {run_folder.shown(folder)}"
    if reason in (COMPLETE, EXHAUSTED):
        return "\n  ".join([f"{count}; {where}:", *failed])
    first = f"{_early(reason, controller.limits)} after {done}; {where}. {_further(reason, noun)}"
    return "\n  ".join([first, *([f"{count}:", *failed] if failed else [])])


def _early(reason: str, limits: Limits) -> str:
    known = {
        LEFT_RUNNING: "Stopped by Ctrl-C",
        TIMEOUT: f"Out of time (hydra.sweeper.timeout_s={limits.timeout_s})",
        FAILURES: f"Too many failures (hydra.sweeper.max_failures={limits.max_failures})",
    }
    return known.get(reason, f"The scheduler refuses: {reason.strip()}\n  Ended")


def _further(reason: str, noun: str) -> str:
    if noun == "job":
        return "The same command would run all of them, in a folder of its own."
    return (
        "The same command goes on, given a higher max_failures." if reason == FAILURES else "The same command goes on."
    )


# --- a study ----------------------------------------------------------------------------------------------------------


def _study(given: Sweep, options: Options) -> list[Any]:
    tree = given.base
    problems = given.problems(tree, given.fixed)
    overrides = list(given.arguments)
    space = _space(given, options, tree)
    directions = _directions(given, options, tree)
    _check_space(given, options, space, tree, directions, problems)
    _check_search(options, space, directions)
    folder = given.named(options.study_name or given.usual_name, found_again=True)
    url = storages.absolute(options.storage) if options.storage else None
    description = {
        "name": folder.name,
        "sweep": given.choices.get("sweeps"),
        "created": time.time(),
        "commit": commit_of(folder_of(given.task)),
        "directions": directions,
        "metric": options.metric,
        "sampler": options.sampler,
        "pruner": options.pruner,
        "seed": options.seed,
        "storage": storages.remembered(url) if url else None,
        "space": space.grammar(),
        "base": tree,
        "interpolations": identity.interpolations(given.config),
        "overrides": overrides,
        "n_trials": options.n_trials,
        "n_jobs": options.n_jobs,
    }
    if given.is_dry_run:
        real = description | {"base": tree | {"dry_run": False}}
        identity.check_same(folder, real, allow_changes=options.allow_changes)
        _shown(folder, description, space)
        if ended := len(list(folder.glob("trials/*/result.json"))):
            _say(f"  {ended} of them have ended")
        trees = list(dispatch.trees_of(given, space, every=dispatch.sends_jobs(given)))
        left = max(0, (options.n_trials or space.size() or 1) - ended)
        return dispatch.show(given, folder, trees, left, options)
    _refuse(_refused(given, space, folder))
    folder.mkdir(parents=True, exist_ok=True)
    with identity.only_controller(folder):
        description = identity.check_same(folder, description, allow_changes=options.allow_changes)
        study = OptunaStudy(
            folder,
            name=description["name"],  # also of a folder that was renamed
            space=space,
            directions=directions,
            sampler=options.sampler,
            pruner=options.pruner,
            seed=options.seed,
            storage=url,
            take_over=options.allow_changes,
        )
        identity.write_description(folder, description)
        _write_multirun(given, folder)
        _tell_changes(given, folder, description, study)
        known = [_found(folder, trial) for trial in study.known()]
        limits = Limits(
            options.n_trials, options.n_jobs, options.max_failures, options.max_resubmits, options.timeout_s
        )
        params = {key: value for key, value in description.items() if key not in ("base", "created")}
        observers = given.hooks.observers(tree, folder, run_folder.flat(params)) if given.hooks else []
        _shown(folder, description, space)
        _say(_state_of(known, options.n_trials))
        reason, controller = _run(given, options, study, limits, known, folder, observers, directions)
        if options.confirm and reason in (COMPLETE, EXHAUSTED):
            reason = _confirm(given, options, space, folder) or reason
    return _ended(given, folder, reason, controller)


def _refused(given: Sweep, space: Space, folder: Path) -> list[str]:
    """What keeps its jobs from running. Of a study that goes on it is asked again for a while: SLURM may be away, or a
    node, at the very moment."""
    patience = PATIENCE_S if (folder / "study.yaml").exists() else 0.0
    until = time.monotonic() + patience
    while (problems := dispatch.check(given, dispatch.trees_of(given, space), folder)) and time.monotonic() < until:
        time.sleep(PATIENCE_S / 10)
    return problems


def _space(given: Sweep, options: Options, tree: Tree) -> Space:
    return spaces.parse(
        options.params,
        given.arguments,
        tree,
        given.choices,
        options.function,
        given.context.config_loader,
    )


def _state_of(known: Sequence[Known], n_trials: int | None) -> str:
    """Where a study is as its command begins."""
    if not known:
        return "  a new study"
    ended = sum(trial.outcome is not None for trial in known)
    if n_trials is not None and ended >= n_trials:
        return f"  all {ended} trials have ended; a larger hydra.sweeper.n_trials asks for more"
    return f"  goes on: {ended} trials have ended, {len(known) - ended} had begun"


def _write_multirun(given: Sweep, folder: Path) -> None:
    """multirun.yaml, as Hydra's own sweeper leaves it, but for the password of a storage."""
    storages.hide(given.hydra)
    OmegaConf.save(given.config, folder / "multirun.yaml")


def _tell_changes(given: Sweep, folder: Path, description: Mapping[str, Any], study: Study) -> None:
    """What of the study's past is not what it is now: its code, and folders that are not of its trials."""
    now = commit_of(folder_of(given.task))
    if description["commit"] != now:
        began, goes_on = short_commit(description["commit"]), short_commit(now)
        _say(f"Note: the study began on commit {began} and goes on with {goes_on}.")
    for known in study.known():
        if aside := identity.set_aside(folder / "trials" / str(known.trial), study.drawn(known.trial)):
            _say(identity.moved(known.trial, aside))


def _confirm(given: Sweep, options: Options, space: Space, study: Path) -> str | None:
    """The best few and the default with new seeds, as whole runs; what is left out by Ctrl-C goes on next time, and
    the reason is then LEFT_RUNNING. The study's own report is written first, whatever becomes of them."""
    from mcqa.sweep import confirm, reading, report

    report.write(study)
    recorded, folder = reading.read(study, time.time()), study / "confirm"
    seed = confirm.seed_of(recorded.base, space.fixed)
    jobs = confirm.planned(folder, confirm.jobs(confirm.chosen(recorded, space.fixed), seed, options.confirm))
    if not jobs:
        Console().print("No trial is complete, so there is nothing to confirm.")
        return None
    limits = Limits(len(jobs), options.n_jobs, None, options.max_resubmits, None)
    known = confirm.known(folder, len(jobs))
    _say("Confirming, each a whole run measured on test:")
    _say(*(f"  job {number}: {confirm.named(job)}" for number, job in enumerate(jobs)))
    try:
        reason, _ = _run(given, options, Plan([job["overrides"] for job in jobs], known), limits, known, folder, [])
    finally:
        confirm.write(study, folder, jobs, options.metric)
    return reason if reason == LEFT_RUNNING else None


def _ended(given: Sweep, folder: Path, reason: str, controller: Controller) -> list[Any]:
    from mcqa.sweep import report

    complete = reason in (COMPLETE, EXHAUSTED)
    summary = report.write(folder)
    if reason != LEFT_RUNNING:
        _say(summary.verdict, *summary.notes, *(f"Note: {problem}" for problem in summary.problems))
    _say(f"Report: {run_folder.shown(folder / 'report.html')}")
    if given.hooks:
        given.hooks.finished(summary, complete)
    if not complete:
        raise SweepError(_unfinished(reason, controller, folder, "trial"))
    return [trial.outcome.values if trial.outcome else None for trial in controller.trials]


def _directions(given: Sweep, options: Options, tree: Tree) -> list[Direction]:
    if isinstance(options.direction, list):
        return options.direction
    return [options.direction or (given.hooks.direction(tree) if given.hooks else "maximize")]


def _check_space(
    given: Sweep,
    options: Options,
    space: Space,
    tree: Tree,
    directions: Sequence[Direction],
    problems: Sequence[str],
) -> None:
    problems = list(problems)
    if given.hooks and not problems:
        problems += given.hooks.check(tree, space, options.metric, directions, options.pruner.get("name") != "none")
    if options.n_trials is None and options.sampler.get("name") != "grid":
        problems.append("hydra.sweeper.n_trials: a study needs to know how many trials; give a number.")
    if options.confirm:
        from mcqa.sweep import confirm

        problems += confirm.problems(tree, [dimension.name for dimension in space.dimensions], directions)
    _refuse(problems)


def _check_search(options: Options, space: Space, directions: Sequence[Direction]) -> None:
    """What Optuna would refuse, before the study's folder says that this is what it searches."""
    opening.check(space, directions, options.sampler, options.pruner)
    if options.sampler.get("name") != samplers.GRID:
        samplers.make_sampler(options.sampler, options.seed)
    samplers.make_pruner(options.pruner)


def _shown(folder: Path, description: Mapping[str, Any], space: Space) -> None:
    """dry_run: what would be studied."""
    number = description["n_trials"] or space.size()
    lines = [
        f"Study {description['name']} in {run_folder.shown(folder)}",
        f"  {number} trials, {description['n_jobs']} at a time; {description['sampler']['name']} sampler, "
        f"{description['pruner']['name']} pruner; "
        f"{' and '.join(description['directions'])} {description['metric'] or 'what the app returns'}",
        *(f"  {key}: {text}" for key, text in description["space"].items()),
    ]
    try:
        moved = "; ".join(space.moved(space.default()))
        lines.append(f"  trial 0 is the default configuration{moved and f', but {moved}'}")
    except Outside as why:
        lines.append(f"  the default configuration is no trial: {why}")
    _say(*lines)


def _say(*lines: str) -> None:
    console = Console()
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _found(folder: Path, known: Known) -> Known:
    """A trial that an earlier controller asked for, with what its folder says of its submissions."""
    return found(known.trial, known.outcome, Mailbox(folder / "trials" / str(known.trial)).jobs())


# --- both -------------------------------------------------------------------------------------------------------------


def _run(
    given: Sweep,
    options: Options,
    study: Study,
    limits: Limits,
    known: Sequence[Known],
    folder: Path,
    observers: Sequence[Observer],
    directions: Sequence[Direction] = (),
    goes_on: bool = True,
) -> tuple[str, Controller]:
    launcher = cast(Tree, OmegaConf.to_container(given.hydra.launcher, resolve=True))

    def make_job(folder: Path, *, token: str) -> Job:
        return Job(folder, given.task, given.context, token)

    def launcher_of(folder: Path) -> Tree:
        return dispatch.launcher_of(given, run_folder.read_yaml(folder / "config.yaml"))

    backend = for_launcher(launcher, make_job, options.n_jobs, launcher_of)
    controller = Controller(limits, known, time.time())
    maximize = directions[0] == "maximize" if len(directions) == 1 else None
    noun = "trial" if directions else "job"
    live = Live(Console(), controller, maximize, folder, fixed=given.arguments, noun=noun)

    def compose(number: int, overrides: list[str]) -> Path:
        return given.write_trial(folder, number, overrides)

    loop = Loop(controller, study, backend, compose, folder, live, observers, len(directions), goes_on)
    for trial in known:
        if trial.outcome is None and trial.job is not None:
            loop.attach(trial.trial)
    try:
        return loop.run(options.poll_s), controller
    finally:
        backend.close()
