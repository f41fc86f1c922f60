"""Odd command lines of mcqa.train, and what each must do: any number of cases that a seed determines.

Pure: `cases` draws from a seed alone and reads no file. A case is tried as

    python -m mcqa.train *command_line(case, outputs)

which puts `BASE`, dry_run=true and the folder for outputs before its own arguments. It needs neither a network nor a
GPU, trains nothing, and must end within a minute:

    error   with status 1 and a message of at most 60,000 characters that contains `message`; nothing is written
    fine    with status 0

Never with a traceback, and never by a signal.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from random import Random
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from mcqa.config.schema import PATH, Config

BASE = ("+experiment=smoke", "tracking=none")
"""What every case is about: the embedded model and questions."""


@dataclass(frozen=True)
class Case:
    """arguments: of mcqa.train, without BASE. message: a piece of that of the error."""

    name: str
    arguments: tuple[str, ...]
    expected: Literal["error", "fine"]
    message: str = ""


def cases(seed: int, count: int) -> Iterator[Case]:
    """Yield as many cases: each kind in turn, with other keys and values every time."""
    random = Random(seed)
    for number in range(count):
        yield KINDS[number % len(KINDS)](random)


def command_line(case: Case, outputs: str) -> list[str]:
    """Return the arguments of mcqa.train with which a case is tried; options that begin with - come first."""
    if "resume" in _keys([*case.arguments]):
        return [*case.arguments]  # it takes no others
    options = [text for text in case.arguments if text.startswith("-")]
    own = [text for text in case.arguments if text not in options]
    if own != list(case.arguments[len(options) :]):
        return [*case.arguments]  # it is about this order
    last = [text for text in ("dry_run=true", f"outputs={outputs}") if text.split("=")[0] not in _keys(own)]
    return [*options, *BASE, *last, *own]


def _keys(arguments: list[str]) -> set[str]:
    return {text.partition("=")[0].lstrip("+~") for text in arguments}


def _fields(kind: type, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key of a configuration with each of the types that it may have."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if is_dataclass(hint) and isinstance(hint, type):
            yield from _fields(hint, f"{path}{name}.")
        else:
            many = not (get_origin(hint) is Annotated or get_origin(hint) in (list, dict, Literal)) and get_args(hint)
            yield from ((f"{path}{name}", one) for one in (get_args(hint) if many else (hint,)))


def _annotated(*kinds: type) -> dict[str, str]:
    found = [(key, get_args(hint)) for key, hint in _fields(Config) if get_origin(hint) is Annotated]
    return {key: arguments[1] for key, arguments in found if arguments[0] in kinds}


NUMBERS = sorted(_annotated(int, float))
WHOLE = sorted(_annotated(int))
PATHS = sorted(key for key, wanted in _annotated(str).items() if wanted == PATH)
TRUTHS = sorted(key for key, hint in _fields(Config) if hint is bool)
CHOSEN = sorted(
    key for key, hint in _fields(Config) if get_origin(hint) is Literal and key != "evaluation.permutations"
)
MAPPINGS = ["model", "data", "optimizer", "model.learning_rate", "data.splits", "data.recommended", "peft", "hardware"]
GROUPS = [
    "model",
    "data",
    "prompt",
    "objective",
    "optimizer",
    "scheduler",
    "peft",
    "hardware",
    "evaluation",
    "tracking",
]


# --- values ----------------------------------------------------------------------------------------------------------


def _number_beyond_reason(random: Random) -> Case:
    key = random.choice(NUMBERS)
    value = random.choice(["-1", "-1e308", "1e308", "nan", "inf", "-inf", str(10 ** random.randint(31, 900))])
    return Case(f"{key} beyond reason", (f"{key}={value}",), "error", key)


def _number_of_another_kind(random: Random) -> Case:
    value = random.choice(["true", "[]", "{}", "{a: 1}", "[1]", "'1'", "''", "half", "1_0x", "0.5.5"])
    key = random.choice([one for one in NUMBERS if one not in ("evaluation.every", "evaluation.permutations")])
    return Case(f"{key} of another kind", (f"{key}={value}",), "error", key)


def _fraction_for_a_whole_number(random: Random) -> Case:
    key = random.choice(WHOLE)
    return Case(f"{key} a fraction", (f"{key}={random.randint(1, 9)}.5",), "error", key)


REASONABLE: dict[str, Callable[[Random], Any]] = {
    "seed": lambda random: random.randint(0, 2**32 - 1),
    "order_seed": lambda random: random.randint(0, 2**32 - 1),
    "data.seed": lambda random: random.randint(0, 2**32 - 1),
    "data.limit": lambda random: random.randint(8, 10**9),
    "optimizer.learning_rate": lambda random: 10 ** random.uniform(-30, 5),
    "optimizer.weight_decay": lambda random: random.uniform(0, 1000),
    "optimizer.max_grad_norm": lambda random: 10 ** random.uniform(-30, 30),
    "optimizer.beta1": lambda random: random.uniform(0, 0.999),
    "optimizer.eps": lambda random: 10 ** random.uniform(-30, 0),
    "scheduler.warmup_ratio": lambda random: random.uniform(0, 0.999),
    "objective.epochs": lambda random: random.uniform(1e-6, 10000),
    "objective.max_steps": lambda random: random.randint(1, 10**9),
    "objective.save_total_limit": lambda random: random.randint(1, 10**9),
    "objective.checkpoint_every_min": lambda random: 10 ** random.uniform(-9, 5),
    "peft.rank": lambda random: random.randint(1, 65536),
    "peft.alpha": lambda random: 10 ** random.uniform(-9, 6),
    "peft.dropout": lambda random: random.uniform(0, 0.999),
    "evaluation.every": lambda random: random.choice([random.randint(1, 10**9), f"{random.randint(1, 999)}/epoch"]),
    "evaluation.limit": lambda random: random.randint(1, 10**9),
    "evaluation.patience": lambda random: random.randint(1, 10**9),
    "evaluation.max_time_share": lambda random: random.uniform(1e-9, 1),
    "evaluation.test_limit": lambda random: random.randint(1, 10**9),
    "evaluation.bootstrap": lambda random: random.randint(1, 10**6),
    "hardware.micro_batch_size": lambda random: random.randint(1, 10**6),
    "hardware.evaluation_tokens": lambda random: random.randint(1, 10**9),
    "hardware.timeout_s": lambda random: random.uniform(1, 10**7),
    "tracking.log_every": lambda random: random.randint(1, 10**9),
}


def _reasonable_numbers(random: Random) -> Case:
    keys = random.sample(sorted(REASONABLE), 3)
    return Case(f"reasonable {', '.join(keys)}", tuple(f"{key}={REASONABLE[key](random)}" for key in keys), "fine")


def _path_that_nothing_has(random: Random) -> Case:
    key = random.choice(PATHS)
    value = random.choice(["''", "' '", "'~nouser/x'", "x" * random.randint(256, 60_000), "x/" * 3000])
    return Case(f"{key} no path", (f"{key}={value}",), "error", key)


def _path_of_another_kind(random: Random) -> Case:
    key = random.choice([one for one in PATHS if one not in ("resume", "from_run")])
    return Case(
        f"{key} of another kind", (f"{key}={random.choice(['5', 'true', '[a]', '{a: 1}', '1.5'])}",), "error", key
    )


def _place_where_nothing_is(random: Random) -> Case:
    key = random.choice(["resume", "from_run"])
    value = random.choice(["/", "/proc", "/dev/null", "nowhere", "/etc/passwd/x", "0" * 31, "/proc/self/mem"])
    return Case(f"{key}={value}", (f"{key}={value}",), "error", value)


def _name_that_no_folder_has(random: Random) -> Case:
    value = random.choice(
        ["''", "'a b'", "'a\tb'", "a/b", "..", "'-x'", "x" * random.randint(201, 9999), "'\udcff'", "ä" * 150]
    )
    return Case("name", (f"name={value}",), "error", "name")


def _no_truth(random: Random) -> Case:
    key = random.choice([one for one in TRUTHS if one != "dry_run"])
    return Case(
        f"{key} no truth", (f"{key}={random.choice(['maybe', '2', '0', '[true]', 'null', '{}'])}",), "error", key
    )


def _none_of_the_known(random: Random) -> Case:
    key = random.choice(CHOSEN)
    value = random.choice(["nothing", "5", "true", "[a]", "{a: 1}", "x" * 3000])
    return Case(f"{key} none of the known", (f"{key}={value}",), "error", key)


def _no_mapping(random: Random) -> Case:
    key = random.choice([one for one in MAPPINGS if one not in GROUPS])
    return Case(f"{key} no mapping", (f"{key}={random.choice(['5', 'text', '[a]', 'null', 'true'])}",), "error", key)


def _list_of_names(random: Random) -> Case:
    value, message = random.choice(
        [("[]", "at least one"), ("''", "at least one"), ("[q_proj,q_proj]", "twice"), ("[1]", "a text or a list")]
    )
    return Case(f"peft.target_modules={value}", (f"peft.target_modules={value}",), "error", message)


def _trainer_argument(random: Random) -> Case:
    name, value = random.choice(
        [
            ("router_aux_loss_coef", random.choice(["-1", "high", "1e308", "nan", "[0.1]"])),
            ("dataloader_num_workers", random.choice(["-3", "2.5", "many", str(10**12)])),
            ("torch_compile", random.choice(["yes please", "2"])),
            ("label_names", random.choice(["5", "[1]"])),
            ("nonsense", "1"),
            ("bf16", "true"),
            ("hub_token", "secret"),
        ]
    )
    return Case(f"trainer_args.{name}={value}", (f"+objective.trainer_args.{name}={value}",), "error", f"args.{name}")


# --- names -----------------------------------------------------------------------------------------------------------


def _misspelled(random: Random, name: str) -> str:
    place = random.randrange(len(name))
    return name[:place] + "q" + name[place:]


def _unknown_key(random: Random) -> Case:
    group, _, last = random.choice([key for key, _ in _fields(Config) if "." in key]).rpartition(".")
    key = f"{group}.{_misspelled(random, last)}"
    return Case(f"{key} unknown", (f"{random.choice(['', '+', '++'])}{key}=1",), "error", f"{key}: unknown key")


def _unknown_option(random: Random) -> Case:
    group = random.choice(GROUPS)
    value = random.choice(["nowhere", "x" * 500, "../conf", "starterr"])
    return Case(f"{group}={value[:20]}", (f"{group}={value}",), "error", group)


def _key_deleted(random: Random) -> Case:
    key = random.choice(sorted({key for key, _ in _fields(Config) if key not in ("dry_run", "outputs", "name")}))
    return Case(f"{key} deleted", (f"~{key}",), "error", key)


def _several_mistakes(random: Random) -> Case:
    first, second = random.sample(NUMBERS, 2)
    return Case(f"{first} and {second}", (f"{first}=1e308", f"{second}=1e308"), "error", random.choice([first, second]))


# --- the line itself -------------------------------------------------------------------------------------------------


def _beyond_every_parser(random: Random) -> Case:
    deep = random.randint(101, 30_000)
    text = random.choice(
        [
            f"+x={'[' * deep}",
            f"+x={'[' * deep}{']' * deep}",
            f"+x={'{a: ' * deep}1{'}' * deep}",
            f"+{'a.' * deep}b=1",
            f"seed={'9' * random.randint(4301, 60_000)}",
        ]
    )
    return Case(f"{text[:12]}… of {len(text)}", (text,), "error", "nests more than")


def _no_override(random: Random) -> Case:
    text = random.choice(["seed", "=3", "seed='", "a b", "seed=[1", "seed={", "seed=1,", "se ed=1", "seed=$(1)", "?=1"])
    return Case(f"no override: {text}", (text,), "error", text[:2])


def _unknown_hydra_option(random: Random) -> Case:
    option = random.choice(
        ["--foo", "--multirn", "--sweep", "-x", "--config-name=nope", "--config-path=/", "--cfg=nope"]
    )
    return Case(option, (option,), "error", option.split("=")[0])


def _list_without_multirun(random: Random) -> Case:
    key = random.choice(NUMBERS)
    return Case(f"{key}=1,2", (f"{key}=1,2",), "error", f"{key}=1,2: a list of values needs --multirun")


def _study_of_what_values_mean(random: Random) -> Case:
    key, values = random.choice(
        [
            ("evaluation.limit", "4,8"),
            ("evaluation.every", "1,2"),
            ("evaluation.best_metric", "dev/acc,dev/loss"),
            ("evaluation", "default,often"),
            ("name", "one,other"),
            ("tracking", "none,mlflow"),
            ("data.seed", "range(0,3)"),
        ]
    )
    arguments = ("--multirun", "hydra.sweeper.n_trials=2", f"{key}={values}")
    return Case(f"study of {key}", arguments, "error", f"{key}: cannot vary in a study")


def _product(random: Random) -> Case:
    key, values = random.choice(
        [("seed", "1,2"), ("evaluation.limit", "4,8"), ("name", "one,other"), ("peft", "lora,none")]
    )
    return Case(f"product of {key}", ("--multirun", f"{key}={values}"), "fine")


KINDS: tuple[Callable[[Random], Case], ...] = (
    _number_beyond_reason,
    _number_of_another_kind,
    _fraction_for_a_whole_number,
    _reasonable_numbers,
    _path_that_nothing_has,
    _path_of_another_kind,
    _place_where_nothing_is,
    _name_that_no_folder_has,
    _no_truth,
    _none_of_the_known,
    _no_mapping,
    _list_of_names,
    _trainer_argument,
    _unknown_key,
    _unknown_option,
    _key_deleted,
    _several_mistakes,
    _beyond_every_parser,
    _no_override,
    _unknown_hydra_option,
    _list_without_multirun,
    _study_of_what_values_mean,
    _product,
)
