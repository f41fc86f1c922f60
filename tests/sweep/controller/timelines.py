"""Scripted timelines of a controller.

A line of a script is `event -> actions`, perhaps with the time in seconds before it: `@30 tick -> ask`. An attempt
is written trial/attempt; what a job reports is `reported trial point value`.
"""

from mcqa.sweep.controller import events
from mcqa.sweep.controller.controller import Controller
from mcqa.sweep.controller.events import Limits, Outcome

COMPLETE = Outcome("complete", 0.5, None)
OUTCOMES = {"complete": COMPLETE, "pruned": Outcome("pruned", 0.4, None), "failed": Outcome("failed", None, "x")}


def limits(**changes):
    """Two trials in one slot; name only what the test is about."""
    asked = {"n_trials": 2, "n_jobs": 1, "max_failures": None, "max_resubmits": 2, "timeout_s": None}
    return Limits(**asked | changes)


def event(text):
    word, *rest = text.split(maxsplit=1)
    rest = rest[0] if rest else ""
    trial, _, more = rest.partition(" ")
    number, _, attempt = trial.partition("/")
    match word:
        case "tick" | "exhausted" | "ctrl-c":
            return {"tick": events.Tick, "exhausted": events.Exhausted, "ctrl-c": events.Interrupted}[word]()
        case "asked":
            return events.Asked(int(number))
        case "submitted":
            return events.Submitted(int(number), int(attempt), f"job-{trial}")
        case "refused":
            return events.Refused(int(number), int(attempt), more)
        case "impossible":
            return events.Impossible(int(number), int(attempt), more)
        case "vanished":
            return events.Vanished(int(number), int(attempt), more)
        case "preempted":
            return events.JobPreempted(int(number), int(attempt))
        case "reported":
            return events.Reported(int(number), int(more.split()[0]), float(more.split()[1]))
        case "judged":
            point, _, judgement = more.rpartition(" ")
            return events.Judged(int(number), judgement, int(point or -1))
        case "promoted":
            return events.Promoted(int(number) if number else None)
        case "paused":
            return events.Paused(int(number), int(attempt))
        case "ended":
            return events.Ended(int(number), OUTCOMES[more])
    raise AssertionError(text)


def shown(action):
    match action:
        case events.Submit(trial, attempt):
            return f"submit {trial}/{attempt}"
        case events.Tell(trial, outcome):
            return f"tell {trial} {outcome.status}" + (f": {outcome.error}" if outcome.error else "")
        case events.Judge(trial, point, value):
            return f"judge {trial} {point} {value}"
        case events.Promote(paused, otherwise):
            return f"promote {' '.join(map(str, paused))} or {otherwise}"
        case events.Prune(trial) | events.Pause(trial) | events.Close(trial) | events.Cancel(trial):
            return f"{type(action).__name__.lower()} {trial}"
        case events.Finish(reason):
            return f"finish {reason}"
    return type(action).__name__.lower()


def play(script, known=(), **changes):
    """Play the left sides and compare what comes back with the right sides, all lines at once."""
    controller, now = Controller(limits(**changes), known, 0.0), 0.0
    wanted, got = [], []
    for line in filter(None, map(str.strip, script.splitlines())):
        left, _, right = (part.strip() for part in line.partition("->"))
        if left.startswith("@"):
            now, left = float(left.split()[0][1:]), left.split(maxsplit=1)[1]
        actions = controller.start(now) if left == "start" else controller.on(event(left), now)
        wanted.append(f"{left} -> {right}")
        got.append(f"{left} -> {', '.join(map(shown, actions))}")
    assert "\n".join(got) == "\n".join(wanted)
    return controller
