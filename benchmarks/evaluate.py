"""How long does measuring take? Our scorer against lm-evaluation-harness: same model, same questions, same scores.

    python benchmarks/evaluate.py [--shape 7m|90m|0.6b|8b] [--style cloze|letters] [--shots 5] [--orders cyclic]
                                  [--data arc_easy --path FOLDER] [--questions 1000] [--rounds 3] [--batches 1,16]

Each side runs in processes of its own, in turn, on one thread of a CPU (seconds of CPU time) or on a GPU (--device
cuda: seconds on the clock, in bfloat16). Time and memory count from the loaded model to the accuracy, tokenising
included. Models have random weights; the tokenizer is trained on the training questions. Needs lm-eval.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHAPES = {  # Qwen3's architecture: hidden size, layers, heads, heads of keys, width of a head, inner size, vocabulary
    "7m": (256, 6, 4, 4, 64, 768, 8000),
    "90m": (640, 12, 10, 10, 64, 2048, 32000),
    "0.6b": (1024, 28, 16, 8, 128, 3072, 151936),
    "8b": (4096, 36, 32, 8, 128, 12288, 151936),
}
TEXT = {
    "cloze": "Question: {{question}}\nAnswer:",
    "letters": "Question: {{question}}\n"
    "{% for c in choices %}{{'ABCDEFGHIJ'[loop.index0]}}. {{c}}\n{% endfor %}Answer:",
}


# --- in a process of its own ------------------------------------------------------------------------------------------


def model_of(shape, device):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    hidden, layers, heads, kv_heads, width, inner, vocabulary = SHAPES[shape]
    config = AutoConfig.for_model(
        "qwen3",
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=width,
        intermediate_size=inner,
        vocab_size=vocabulary,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.05,
    )
    torch.manual_seed(0)
    kind = torch.float32 if device == "cpu" else torch.bfloat16
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=kind, attn_implementation="sdpa").eval()


def prepared(options):
    """Questions, shots and tokenizer; neither side pays for them."""
    from dataclasses import replace

    from mcqa.config.composition import compose
    from mcqa.config.schema import Config
    from mcqa.config.validation import typed
    from mcqa.data.loading import load
    from mcqa.data.prompts import Shots
    from mcqa.models.from_scratch import new_tokenizer

    path = [f"data.path={options.path}"] if options.path else []
    tree = compose("config", [f"data={options.data}", f"prompt={options.style}", "data.bad_rows=skip", *path])
    config = typed(tree, Config)
    prompt = replace(config.prompt, shots=options.shots)
    splits = load(config.data, ["train", options.split] if options.split != "train" else ["train"]).splits
    questions = splits[options.split][: options.questions]
    texts = [" ".join([q.context, q.question, *q.choices]) for q in splits["train"]]
    shots = Shots(prompt, splits["train"])
    return questions, prompt, shots, new_tokenizer(min(SHAPES[options.shape][-1], 30000), texts)


def ours(options, model, questions, prompt, shots, tokenizer):
    from mcqa.data import tokens
    from mcqa.data.question import reordered
    from mcqa.evaluation import option_order
    from mcqa.evaluation.scoring.scorer import score

    asked = [[question] for question in questions]
    if options.orders:
        asked = [
            [reordered(q, order) for order in option_order.orders_to_measure(len(q.choices), options.orders, q.id)]
            for q in questions
        ]
    flat = [one for group in asked for one in group]
    encoded = iter(tokens.encode(tokenizer, prompt, flat, shots))
    groups = [[choice for _ in group for choice in next(encoded)] for group in asked]
    found = score(model, groups, options.tokens)
    print(found.method, file=sys.stderr)
    return found.scores


def harness(options, model, questions, prompt, shots, tokenizer):
    os.environ["HF_DATASETS_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    from mcqa.data.question import reordered
    from mcqa.evaluation.option_order import orders_to_measure

    def row(question):
        passage = f"{question.context}\n" if question.context else ""
        return {"question": passage + question.question, "choices": list(question.choices), "answer": question.answer}

    asked = questions
    if options.orders:
        asked = [
            reordered(q, order) for q in questions for order in orders_to_measure(len(q.choices), options.orders, q.id)
        ]
    folder = Path(tempfile.mkdtemp())
    (folder / "rows.json").write_text("".join(json.dumps(row(question)) + "\n" for question in asked))
    letters = "{{'ABCDEFGHIJ'[:choices|length]|list}}"
    task = ConfigurableTask(
        config={
            "task": "questions",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(folder / "rows.json")}, "cache_dir": str(folder)},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": TEXT[options.style],
            "doc_to_choice": "choices" if options.style == "cloze" else letters,
            "doc_to_target": "answer",
            "num_fewshot": options.shots,
            "fewshot_config": {"sampler": "first_n", "samples": [row(shot) for shot in shots.before(questions[0])]},
            "metric_list": [{"metric": name} for name in ("acc", "acc_norm")],
        }
    )
    task.set_config(key="num_fewshot", value=options.shots)
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=options.batch, max_length=2048, device=options.device)
    began = clock(options)
    results = evaluate(lm=lm, task_dict={"questions": task}, bootstrap_iters=0, log_samples=True)
    return [[float(reply[0][0]) for reply in one["resps"]] for one in results["samples"]["questions"]], began


def clock(options):
    if options.device == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def memory(options):
    if options.device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    import torch

    return torch.cuda.max_memory_allocated() / 2**20


def one_side(options):
    """Scores of every question, seconds and MiB beyond the loaded model."""
    things = prepared(options)
    if options.side == "harness":
        import lm_eval.evaluator
        import lm_eval.models.huggingface  # noqa: F401  its import is not what is measured
    model = model_of(options.shape, options.device)
    model(**things[-1](["warm"], return_tensors="pt").to(options.device))
    before, began = memory(options), clock(options)
    if options.side == "harness":
        scores, began = harness(options, model, *things)
    else:
        scores = ours(options, model, *things)
    seconds = clock(options) - began
    Path(options.result).write_text(json.dumps([scores, seconds, memory(options) - before]))


# --- both sides -------------------------------------------------------------------------------------------------------


def run(options, side, batch):
    with tempfile.NamedTemporaryFile() as result:
        extra = ["--side", side, "--batch", str(batch), "--result", result.name]
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        quiet = None if options.loud else subprocess.DEVNULL
        command = [sys.executable, __file__, *sys.argv[1:], *extra]
        subprocess.run(command, check=True, env=os.environ | threads, stdout=quiet, stderr=quiet)
        return json.loads(Path(result.name).read_text())


def largest_difference(ours, theirs, orders):
    flat = [value for row in ours for value in row]
    return max(abs(a - b) for a, b in zip(flat, [value for row in theirs for value in row], strict=True))


def main(options):
    batches = options.batches.split(",")
    sides = [("ours", 0), *(("harness", batch) for batch in batches)]
    rounds = [{side: run(options, *side) for side in sides} for _ in range(options.rounds)]
    first = rounds[0]
    print(f"{options.shape} {options.style} {options.data} shots={options.shots} orders={options.orders}: ", end="")
    print(f"{len(first[sides[0]][0])} questions, {options.rounds} rounds")
    for side in sides:
        seconds = statistics.median(one[side][1] for one in rounds)
        ratio = statistics.median(one[side][1] / one[sides[0]][1] for one in rounds)
        name = side[0] if side[0] == "ours" else f"harness, batch {side[1]}"
        print(f"  {name:20} {seconds:8.2f} s   x {ratio:5.2f}   {first[side][2]:7.0f} MiB", end="")
        print(f"   differs by {largest_difference(first[sides[0]][0], first[side][0], options.orders):.1e} nats")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", default="7m", choices=SHAPES)
    parser.add_argument("--style", default="cloze", choices=TEXT)
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--orders", default=None)
    parser.add_argument("--data", default="facts")
    parser.add_argument("--path")
    parser.add_argument("--split", default="test")
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", default="1,16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tokens", type=int, help="tokens of our forward passes; found by itself otherwise")
    parser.add_argument("--loud", action="store_true")
    for internal in ("--side", "--batch", "--result"):
        parser.add_argument(internal, help=argparse.SUPPRESS)
    given = parser.parse_args()
    one_side(given) if given.side else main(given)
