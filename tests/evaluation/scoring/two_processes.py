"""What each of the processes of test_processes.py does: it scores every case and writes down what it found.

    python -m tests.evaluation.scoring.two_processes RANK PROCESSES FOLDER

The models and questions are those that one process scores for comparison. A case that hangs leaves no file behind.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from mcqa.data.question import Question
from mcqa.data.tokens import EncodedChoice, encode
from mcqa.evaluation.scoring.scorer import score
from tests.evaluation.scoring.test_scorer import TOKENIZER, adapted, counting_forward_passes, new_model, prompt

SECONDS = 20  # that a process waits for the other one
LARGE = 400  # tokens of a forward pass that is too large for the short memory
Model = Any


# --- questions -------------------------------------------------------------------------------------------------------


def cloze(count: int) -> list[list[EncodedChoice]]:
    """Contexts of 4 tokens and more, two to four choices of different lengths that begin alike."""
    lengths = [4 + 7 * n % 23 for n in range(count)]
    return [
        [
            EncodedChoice([5 + (n + i) % 90 for i in range(length)], [9, c + 5, c + 9, 8][: 4 - c % 3])
            for c in range(2 + n % 3)
        ]
        for n, length in enumerate(lengths)
    ]


def with_shared_prefix(count: int) -> list[list[EncodedChoice]]:
    begin = [7 + i % 50 for i in range(20)]
    return [[EncodedChoice(begin + one.context, one.continuation) for one in choices] for choices in cloze(count)]


def letters() -> list[list[EncodedChoice]]:
    texts = ["Which is a mammal?", "?", "Größe?", "Is the whale a mammal or the trout?", "Which of these?"]
    asked = [Question(str(n), text, ("the trout", "the whale", "a")[: 2 + n % 2], 1) for n, text in enumerate(texts)]
    return encode(TOKENIZER, prompt("letters"), asked)


def plain_trees_and_too_long() -> list[list[EncodedChoice]]:
    """Questions of a single choice need no tree; two lose the beginning of their context."""
    single = [[EncodedChoice([5] * n, [6, 7])] for n in (3, 9, 30)]
    long = [[EncodedChoice([5 + i % 90 for i in range(n)], [c + 5, 8]) for c in range(3)] for n in (60, 140)]
    return [*single, *cloze(4), *long]


QUESTIONS: dict[str, Callable[[], list[list[EncodedChoice]]]] = {
    "no question": list,
    "1 question": lambda: cloze(1),
    "2 questions": lambda: cloze(2),
    "7 questions": lambda: cloze(7),
    "letters": letters,
    "a shared prefix": lambda: with_shared_prefix(7),
    "plain rows, trees and too long": plain_trees_and_too_long,
}


# --- models ----------------------------------------------------------------------------------------------------------


def bare() -> Model:
    return new_model(max_position_embeddings=64, tie_word_embeddings=False)


def tied() -> Model:
    return new_model(max_position_embeddings=64, tie_word_embeddings=True)


def adapter() -> Model:
    return adapted(bare())


def deaf() -> Model:
    """Ignores the mask, so that it cannot read a tree."""
    model = bare()
    inner = model.forward
    model.forward = lambda attention_mask=None, **inputs: inner(**inputs)
    return model


def replicated(model: Model) -> Model:
    return model


def ddp(model: Model) -> Model:
    return torch.nn.parallel.DistributedDataParallel(model)


def sharded(model: Model) -> Model:
    """As FSDP2 does it: each layer a group, and the embeddings, the last norm and the head another one."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in (model.get_base_model() if hasattr(model, "get_base_model") else model).model.layers:
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


# --- what happens before and meanwhile -------------------------------------------------------------------------------


def nothing(model: Model) -> None:
    pass


def train(model: Model) -> None:
    """Two updates with measuring before and between them, on the same tokens everywhere."""
    tokens = torch.tensor([[5, 6, 7, 8, 9, 5, 7]])
    inner = getattr(model, "module", model)
    score(inner, cloze(3), 40)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for _ in range(2):
        optimizer.zero_grad()
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        score(inner, cloze(3), 40)


def short_of_memory(model: Model) -> None:
    """The last of the processes cannot take a large forward pass."""

    def limited(_: Any, args: Any, kwargs: Any) -> None:
        if kwargs["input_ids"].numel() > LARGE:
            raise torch.OutOfMemoryError("out of memory")

    if dist.get_rank() == dist.get_world_size() - 1:
        model.register_forward_pre_hook(limited, with_kwargs=True)


def deaf_here(model: Model) -> None:
    """One process alone finds that its model cannot read a tree."""
    if dist.get_rank() == dist.get_world_size() - 1:
        inner = model.forward
        model.forward = lambda attention_mask=None, **inputs: inner(**inputs)


@dataclass(frozen=True)
class Case:
    """`build` and `trained` make the model that one process scores too, `spread` and `prepare` what several have."""

    build: Callable[[], Model]
    spread: Callable[[Model], Model]
    questions: Callable[[], list[list[EncodedChoice]]]
    budget: int | None = 40
    trained: Callable[[Model], None] = nothing
    prepare: Callable[[Model], None] = nothing


def wide() -> list[list[EncodedChoice]]:
    """Four short questions that show what the model reads, and 24 of which thirteen together are too large."""
    return [
        *cloze(4),
        *([EncodedChoice([5 + n + i for i in range(30)], [c + 5, 9]) for c in range(3)] for n in range(24)),
    ]


def huge() -> list[list[EncodedChoice]]:
    """Two that are too large alone, so that each process gets one."""
    answers = [[5 + c % 90, 5 + c // 90, 7] for c in range(LARGE)]
    return [*cloze(4), *([EncodedChoice([n] * 30, answer) for answer in answers] for n in (5, 6))]


CASES = {
    **{
        f"{spread.__name__}: {name}": Case(bare, spread, questions)
        for spread in (replicated, ddp, sharded)
        for name, questions in QUESTIONS.items()
    },
    **{
        f"{spread.__name__} with the device's budget": Case(bare, spread, QUESTIONS["7 questions"], None)
        for spread in (replicated, sharded)
    },
    "replicated adapter": Case(adapter, replicated, QUESTIONS["7 questions"]),
    "replicated adapter with a shared prefix": Case(adapter, replicated, QUESTIONS["a shared prefix"]),
    "sharded adapter": Case(adapter, sharded, QUESTIONS["7 questions"]),
    "sharded, head tied to the embeddings": Case(tied, sharded, QUESTIONS["a shared prefix"]),
    "replicated, no trees": Case(deaf, replicated, QUESTIONS["7 questions"]),
    "sharded, no trees": Case(deaf, sharded, QUESTIONS["7 questions"]),
    "sharded, no trees, a shared prefix": Case(deaf, sharded, QUESTIONS["a shared prefix"]),
    "no trees in one process": Case(bare, replicated, QUESTIONS["7 questions"], prepare=deaf_here),
    "ddp trained": Case(bare, ddp, QUESTIONS["7 questions"], trained=train),
    "sharded trained": Case(bare, sharded, QUESTIONS["7 questions"], trained=train),
    "plenty of memory": Case(bare, replicated, wide, 1000),
    "short of memory": Case(bare, replicated, wide, 1000, prepare=short_of_memory),
    "too short of memory": Case(bare, replicated, huge, 40, prepare=short_of_memory),
}


# --- a process -------------------------------------------------------------------------------------------------------


def found(case: Case) -> dict[str, Any]:
    """Scores and what else must be alike everywhere; or the error that a user would see."""
    model = case.spread(case.build())
    case.trained(model)
    model.train()
    inner = getattr(model, "module", model)
    placed = [type(parameter).__name__ for parameter in model.parameters()]
    with counting_forward_passes(inner) as shapes:
        case.prepare(inner)
        try:
            scored = score(model, case.questions(), case.budget)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}", "passes": len(shapes)}
    return {
        "scores": scored.scores,
        "truncated": scored.truncated,
        "method": scored.method,
        "passes": len(shapes),
        "training": all(module.training for module in model.modules()),
        "as placed before": placed == [type(parameter).__name__ for parameter in model.parameters()],
    }


def main(rank: int, processes: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=processes,
        timeout=timedelta(seconds=SECONDS),
    )
    for number, (name, case) in enumerate(CASES.items()):
        print(name, file=sys.stderr, flush=True)
        (folder / f"{number}.{rank}.json").write_text(json.dumps(found(case)))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
