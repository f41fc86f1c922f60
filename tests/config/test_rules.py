"""Combinations that cannot run are reported, each by its rule, and all others pass."""

import ast
import inspect

import pytest

from mcqa.config.metric_names import DEV_METRICS, NEEDS, greater_is_better, needed_for
from mcqa.config.rules import OPTIMIZER_KEYS, RULES, SCHEDULER_KEYS
from mcqa.config.validation import problems_of
from tests.config.configurations import config, config_dict_of, problems, problems_of_evaluating

UNTRAINED = ("objective=none",)
PRETRAIN = ("objective=pretrain", "peft=none")
GENERAL = ("data.general_texts=facts",)
LOCAL = ("data=local", "data.path=q.csv")
CHAT = ("data=messages", "data.path=chat.jsonl")
DPO = ("objective=dpo",)
BOTH = ("data=mix", "data.sets=[arc_easy,{data: pairs, path: p.jsonl}]", "evaluation.best_metric=dev/acc")
NO_CHOICES = (*LOCAL, "data.columns.choices=null")
FIXED = (*NO_CHOICES, "data.columns.fixed_choices=[a,b]")

BROKEN = [
    ("_name", ["name=../elsewhere"], "name: becomes a folder's name"),
    (
        "trainer_args_problems",
        ["+objective.trainer_args.disable_tqdm=false"],
        "objective.trainer_args.disable_tqdm: cannot be changed",
    ),
    ("_own_keys", ["optimizer=sgd", "optimizer.beta1=0.9"], "optimizer.beta1: must be null with optimizer=sgd, which"),
    ("_own_keys", ["scheduler=step", "scheduler.gamma=null"], "scheduler.gamma: scheduler=step needs a value."),
    ("_optimizer", ["optimizer=paged_adamw_8bit"], "optimizer.name: paged_adamw_8bit moves its state out of a GPU's"),
    (
        "_optimizer",
        ["optimizer.groups.norms.pattern='('"],
        "optimizer.groups.norms.pattern: not a regular expression (missing ), unterminated subpattern at position 0), "
        "got '('.",
    ),
    (
        "_optimizer",
        ["+optimizer.groups={a/b: {pattern: a, learning_rate_factor: 1, max_grad_norm: null, weight_decay: null}}"],
        "optimizer.groups: a name has letters, digits and . _ + - only, got 'a/b'.",
    ),
    (
        "_optimizer",
        ["peft=none", "optimizer.groups.adapter_b.learning_rate_factor=16"],
        "optimizer.groups.adapter_b: peft=none trains no adapter; take peft=lora, or 1 and nulls.",
    ),
    (
        "_optimizer",
        ["optimizer.groups.norms.max_grad_norm=1", "hardware.strategy=zero2"],
        "optimizer.groups.norms.max_grad_norm: DeepSpeed clips all gradients together",
    ),
    (
        "_scheduler",
        ["scheduler=warmup_stable_decay", "scheduler.decay_ratio=0.8", "scheduler.warmup_ratio=0.3"],
        "scheduler.decay_ratio: 0.8 of the updates and scheduler.warmup_ratio 0.3 are more than all",
    ),
    (
        "_scheduler",
        ["scheduler=exponential", "scheduler.min_lr_ratio=0"],
        "scheduler.min_lr_ratio: scheduler=exponential reaches it by a constant factor, so it is above 0.",
    ),
    (
        "_stages",
        ["+stages={.a: [], b: []}"],
        "stages: a name has letters, digits and . _ + - only, and is that of one stage; got '.a'.",
    ),
    (
        "_stages",
        ["+stages={a: ['objective=none'], b: []}"],
        "stages.a: objective=none makes no model for the next stage; it is for the last one.",
    ),
    (
        "_stages",
        ["+stages={a: [], b: []}", "peft.path=adapter"],
        "peft.path: a stage begins with the whole model of the stage before; merge the adapter, and take null.",
    ),
    *[
        ("preference_problems", overrides, problem)
        for overrides, problem in (
            (["objective.pairs=all"], "objective.pairs: must be null with objective=sft, since only objective=dpo has"),
            ([*DPO, "objective.beta=null"], "objective.beta: objective=dpo needs a value."),
            ([*DPO, "objective.packing=true"], "objective.packing: the two answers of a pair are rows of their own"),
            ([*DPO, "objective.neftune_alpha=5"], "objective.neftune_alpha: noise would enter both models"),
            ([*DPO, "objective.loss_on=all"], "objective.loss_on: objective=dpo compares answers; take answer."),
            ([*DPO, "objective.label_smoothing=0.1"], "objective.label_smoothing: objective=dpo has it with"),
            (
                [*DPO, "objective.preference_loss=robust"],
                "objective.label_smoothing: is the share of wrong keys with objective.preference_loss=robust; give one "
                "above 0 and below 0.5, got 0.",
            ),
            ([*DPO, "objective.curriculum=easy_first"], "objective.curriculum: is no choice of objective=dpo"),
            ([*DPO, *CHAT], "objective.name: objective=dpo needs two answers to compare, and messages has one"),
            ([*DPO, *BOTH], "data.sets: objective=dpo takes pairs or questions, and mix has both; take one of them."),
            ([*DPO, "evaluation.before=false"], "objective.pairs: hardest is what the base finds likeliest, and"),
            ([*DPO, "peft.path=an/adapter"], "peft.path: objective=dpo compares with the model without its adapter"),
            ([*DPO, "peft.target_modules=[q_proj,lm_head]"], "peft.target_modules: TRL's DPOTrainer reads lm_head"),
            ([*DPO, "hardware.strategy=zero3"], "hardware.strategy: objective=dpo keeps a second model"),
        )
    ],
    ("_model", ["model=local"], "model.path: model=local needs model.path=<local folder or hub id>."),
    ("_model", ["model.vocabulary_size=500"], "model.vocabulary_size: belongs to model.architecture"),
    ("_model", ["model=run"], "model.run: model=run needs model.run=<run folder>"),
    ("_model", ["model=run", "model.run=/no/such"], "model.run=/no/such: there is no finished run with a model in"),
    ("_model", ["model.run=/no/such"], "model.run: belongs to model=run; write model=run model.run=/no/such."),
    (
        "_curriculum",
        [*PRETRAIN, "objective.curriculum=easy_first"],
        "objective.curriculum: sentences have no choices",
    ),
    ("_curriculum", [*CHAT, "objective.curriculum=easy_first"], "objective.curriculum: messages has more than"),
    (
        "_curriculum",
        ["objective.curriculum=easy_first", "evaluation.before=false"],
        "objective.curriculum: its order is by what the base answers, and evaluation.before=false",
    ),
    (
        "_curriculum",
        ["objective.curriculum=easy_first", "+objective.trainer_args.train_sampling_strategy=group_by_length"],
        "objective.curriculum: objective.trainer_args.train_sampling_strategy orders the questions too",
    ),
    ("_data", ["data=local"], "data.path: data=local needs data.path=<file or folder>."),
    ("_data", ["data=local", "data.path=q.csv", "data.columns=null"], "data.columns: data=local needs to know"),
    ("_texts", ["data.reversed=true"], "data.reversed: belongs to data.texts=new_facts"),
    ("_texts", ["data.texts=null", "data.paraphrases=2"], "data.paraphrases: are phrasings of data.texts, which is nu"),
    ("_texts", ["data.texts=a.csv", "data.paraphrases=2"], "data.paraphrases: data.texts=a.csv needs data.paraphra"),
    ("_texts", ["data.paraphrase_columns=more"], "data.paraphrase_columns: are those of data.texts=<a file of rows>"),
    ("_columns", [*LOCAL, "data.columns.fixed_choices=[yes,maybe]"], "data.columns: give one of choices"),
    ("_columns", [*NO_CHOICES, "data.columns.right=r"], "data.columns.wrong: right and wrong are columns"),
    ("_columns", [*LOCAL, "data.columns.answer=null"], "data.columns.answer: may be null only"),
    ("_columns", [*NO_CHOICES, "data.columns.fixed_choices=[yes]"], "data.columns.fixed_choices: must name"),
    ("_columns", [*NO_CHOICES, "data.columns.right=r", "data.columns.wrong=[a,a]"], "data.columns.wrong: names one"),
    ("_columns", [*LOCAL, "data.columns.answer_as=boolean"], "data.columns.answer_as: boolean needs"),
    ("_columns", [*LOCAL, "data.columns.choices=[A,B]", "data.columns.answer_as=label"], "data.columns.answer_as: la"),
    ("_columns", [*FIXED, "data.columns.strip_labels=true"], "data.columns.strip_labels: is for data.columns.choices"),
    ("_columns", ["data=local", "data.hub=a/b", "data.answers=a.lst"], "data.answers: is a file beside"),
    ("_columns", ["data=arc_easy", "data.path=q", "data.answers=a.lst"], "data.answers: is for rows that"),
    ("_columns", [*LOCAL, "data.delimiter=semikolon"], "data.delimiter: is one of comma, semicolon, tab, pipe, or one"),
    ("_columns", [*LOCAL, "data.delimiter='\"'"], "data.delimiter: a line end or quotation mark"),
    ("_columns", [*LOCAL, "data.encoding=utf8mb4"], "data.encoding: Python has no text encoding 'utf8mb4'"),
    ("_data", ["data.splits.train=null"], "data.splits.train: is null"),
    ("_objective", ["model=scratch"], "model.architecture: a model of random weights cannot answer"),
    ("_objective", ["model=scratch", "objective=pretrain"], "peft: random weights are trained all of them, got peft"),
    ("injection_problems", ["objective=mixed", "data=arc_easy"], "data.texts: objective=mixed reads sentences and arc"),
    ("injection_problems", ["objective=pretrain", "objective.max_length=1"], "objective.max_length: a window of a te"),
    ("injection_problems", ["objective.replay_share=0.1"], "objective.replay_share: needs the text to replay"),
    ("injection_problems", [*GENERAL, "objective=choice", "objective.replay_share=0.1"], "objective.replay_share: gen"),
    ("injection_problems", ["evaluation.max_forgetting=0.1"], "evaluation.max_forgetting: is measured on general tex"),
    (
        "injection_problems",
        [*GENERAL, "evaluation.max_forgetting=0.1", "evaluation.before=false"],
        "evaluation.max_forgetting: is a rise over what the base has",
    ),
    ("injection_problems", [*GENERAL, "evaluation.sets=[{data: facts, name: general}]"], "data.general_texts: its me"),
    (
        "injection_problems",
        ["evaluation.sets=[{data: facts, name: further, general_texts: facts}]"],
        "evaluation.sets[0].general_texts: is watched for the whole run",
    ),
    ("_objective", [*PRETRAIN, "objective.loss_on=answer"], "objective.loss_on: a sentence has no answer"),
    ("_untrained", [*UNTRAINED, "evaluation.before=false"], "evaluation.before: objective=none measures the base and"),
    ("_untrained", [*UNTRAINED, "peft.path=a/model"], "peft.path: objective=none trains no adapter further, got a/mod"),
    ("_curriculum", [*UNTRAINED, "objective.curriculum=easy_first"], "objective.curriculum: orders the questions of a"),
    ("_choice", ["objective.temperature=2"], "objective.temperature: must be null with objective=sft"),
    ("_choice", ["objective=choice", "objective.temperature=null"], "objective.temperature: objective=choice needs"),
    ("_choice", ["objective=choice", "objective.loss_on=all"], "objective.loss_on: objective=choice compares"),
    ("_length_of_training", ["objective.epochs=null"], "objective.epochs: give epochs or objective.max_steps"),
    (
        "_size_of_update",
        ["optimizer.batch_size=null"],
        "optimizer.batch_size, optimizer.gradient_accumulation_steps: give one of the two and null for the other "
        "(got None and None)",
    ),
    (
        "_size_of_update",
        ["optimizer.batch_size=null", "optimizer.gradient_accumulation_steps=2", "hardware.micro_batch_size=auto"],
        "optimizer.gradient_accumulation_steps: counts micro batches",
    ),
    (
        "conversation_problems",
        [*LOCAL, "data.conversations={form: chat, questions: null, turns: t, role: r, content: c, prompt: null, input: "
        "null, answer: null, rejected: null, system: null, cluster: null, id: null}"],
        "data.conversations: is for data=messages, instructions and pairs; q takes null.",
    ),
    (
        "conversation_problems",
        [*LOCAL, "data.reader=messages", "data.conversations=null", "data.columns=null"],
        "data.conversations: q needs to know which column holds what; choose data=messages …",
    ),
    (
        "conversation_problems",
        [*CHAT, "data.columns={question: q, choices: c, fixed_choices: null, right: null, wrong: null, answer: a, "
        "answer_as: index, empty_choices: refuse, strip_labels: false, context: null, subject: null, cluster: null, "
        "id: null}"],
        "data.columns: messages has its columns in data.conversations; take null.",
    ),
    ("conversation_problems", [*CHAT, "data.clean=[overlap]"], "data.clean: compares questions, and messages has"),
    (
        "conversation_problems",
        [*CHAT, "data.conversations.turns=null"],
        "data.conversations.turns: messages needs the name of a column.",
    ),
    (
        "conversation_problems",
        [*CHAT, "data.conversations.form=alpaca"],
        "data.conversations.form: alpaca is the text of instructions; messages takes chat or plain.",
    ),
    (
        "conversation_problems",
        ["data=instructions", "data.path=i.jsonl", "data.conversations.system=s"],
        "data.conversations.system: Alpaca's text has no place for it; take form=chat or plain, or null.",
    ),
    (
        "conversation_problems",
        ["data=pairs", "data.path=p.jsonl", "data.conversations.questions=lettered", "evaluation.best_metric=dev/loss"],
        "data.conversations.questions: options are recognised in turns, those of data=messages; take null.",
    ),
    (
        "mix_problems",
        ["data=mix"],
        "data.sets: data=mix needs the sets to mix, such as data.sets=[arc_easy,openbookqa]",
    ),
    (
        "mix_problems",
        ["data.temperature=2"],
        "data.sets, data.temperature: belong to data=mix; facts takes [] and",
    ),
    ("mix_problems", ["data=mix", "data.sets=[facts]", "data.temperature=null"], "data.temperature: data=mix needs a"),
    ("mix_problems", ["data=mix", "data.sets=[facts]", "data.path=q.csv"], "data.path: data=mix reads no file of its"),
    (
        "mix_problems",
        ["data=mix", "data.sets=[facts,{data: mix, sets: [mmlu]}]"],
        "data.sets[1]: a mix of mixes has no",
    ),
    (
        "objective_problems",
        [*CHAT, "objective=choice"],
        "objective.name: objective=choice compares choices, which the conversations of data=messages do not have; take",
    ),
    ("objective_problems", ["objective.loss_on=assistant"], "objective.loss_on: assistant is for conversations, and"),
    (
        "_evaluation",
        [*CHAT, "evaluation.best_metric=dev/acc"],
        "evaluation.best_metric: data=messages has no choices, so dev/acc cannot be measured; take "
        "evaluation.best_metric=dev/loss, or a question set as dev: evaluation.dev=arc_easy.",
    ),
    ("_data", ["data.path=mine.csv"], "data.path: data=facts is generated and reads no file"),
    ("_data", ["data.harness_task=arc/easy"], "data.harness_task: becomes part of a file's name: letters, digits and"),
    (
        "_sets",
        ["evaluation.sets=[{data: arc_easy, harness_task: arc/easy}]"],
        "evaluation.sets[0].harness_task: becomes part of a file's name: letters, digits and . _ + - only, got",
    ),
    ("_sets", ["evaluation.sets=[local]"], "evaluation.sets[0].path: data=local needs evaluation.sets[0].path=<file"),
    (
        "_sets",
        ["evaluation.sets=[arc_easy,{data: facts, path: mine.csv}]"],
        "evaluation.sets[1].path: data=facts is generated and reads no file",
    ),
    (
        "_sets",
        ["evaluation.sets=[{data: local, path: mine.csv, columns: null}]"],
        "evaluation.sets[0].columns: data=local needs to know",
    ),
    (
        "_sets",
        ["evaluation.sets=[{data: arc_easy, name: test}]"],
        "evaluation.sets[0].name: letters, digits and . _ + - only, and not train, dev, test, base or base_…, as a "
        "run's own files are called; got 'test'.",
    ),
    (
        "_sets",
        ["evaluation.sets=[arc_easy,{data: arc_easy, split: dev}]"],
        "evaluation.sets[1].name: there are two sets named 'arc_easy'; give one another name.",
    ),
    (
        "_processes",
        ["hardware.devices=3", "optimizer.batch_size=32"],
        "optimizer.batch_size: 32 questions cannot be shared equally by hardware.devices x hardware.nodes = 3",
    ),
    (
        "_processes",
        ["peft=qlora", "hardware=cpu_processes", "hardware.strategy=zero3"],
        "hardware.strategy: zero3 shards the weights over the devices, which is impossible with packed 4-bit weights",
    ),
    ("_processes", ["optimizer=adamw_8bit", "hardware.strategy=zero2"], "optimizer.name: the state of adamw_8bit"),
    ("_processes", ["hardware.cpu_offload=true"], "hardware.cpu_offload: ddp keeps everything on every device"),
    ("_adapter", ["peft.trainable=full"], "peft.trainable: peft=lora cannot train full"),
    ("_adapter", ["peft.rank=null"], "peft.rank: peft=lora needs a value."),
    ("_adapter", ["peft=none", "peft.quantization=nf4"], "peft.quantization: quantized weights cannot be trained"),
    ("_adapter", ["peft=none", "peft.path=a/folder"], "peft.path: belongs to an adapter, and peft=none trains all"),
    (
        "_adapter",
        ["peft.path=a/folder", "hardware=cpu_processes", "hardware.strategy=zero3"],
        "peft.path: a saved adapter is not sharded as zero3 needs it; take hardware.strategy=ddp or zero2.",
    ),
    (
        "_adapter",
        ["peft.modules_to_save=[norm]", "hardware=cpu_processes", "hardware.strategy=fsdp2"],
        "peft.modules_to_save: fsdp2 cannot shard modules trained beside a frozen copy",
    ),
    ("_lists", ["peft.target_modules=[]"], "peft.target_modules: must name at least one, got []."),
    (
        "_lists",
        ["data=local", "data.path=q.csv", "data.columns.choices=[A,B,A]"],
        "data.columns.choices: names one of them twice, got ['A', 'B', 'A'].",
    ),
    ("_hardware", ["hardware.tf32=true"], "hardware.tf32: only GPUs have this format; take false."),
    ("_hardware", ["hardware.precision=fp16"], "hardware.precision: fp16 trains only on a GPU"),
    (
        "_hardware",
        ["hardware.precision=bf16", "hardware.attention=flash_attention_2"],
        "hardware.attention: flash_attention_2 runs only on a GPU",
    ),
    (
        "_hardware",
        ["hardware=gpu", "hardware.precision=fp32", "hardware.attention=flash_attention_2"],
        "hardware.attention: flash_attention_2 computes in bf16 or fp16",
    ),
    ("_evaluation", ["evaluation.best_metric=test/acc"], "evaluation.best_metric: test/acc must not steer a run"),
    (
        "_evaluation",
        ["evaluation.best_metric=dev/accnorm"],
        f"evaluation.best_metric: unknown metric 'dev/accnorm', known are {', '.join(DEV_METRICS)}. "
        "Did you mean 'dev/acc_norm'?",
    ),
    (
        "_evaluation",
        ["evaluation.best_metric=dev/acc_mutual_info"],
        "evaluation.best_metric: dev/acc_mutual_info is measured only with evaluation.unconditional=true.",
    ),
    ("_retrieval", ["evaluation.passages=facts"], "evaluation.passages: is what evaluation.context=bm25 searches"),
    ("_retrieval", ["evaluation.context=bm25"], "evaluation.passages: evaluation.context=bm25 needs passages to"),
    (
        "_retrieval",
        [
            "evaluation.context=bm25", "evaluation.passages=facts",
            "prompt=template", "prompt.template='{{ question }}'",
        ],
        "prompt.template: has no {{ context }}, where the passages of evaluation.context would stand.",
    ),
    ("_evaluation", ["evaluation.min_delta=0.1"], "evaluation.min_delta: is for early stopping, which evaluation.pat"),
    (
        "_evaluation",
        ["evaluation.permutations=cyclic"],
        "evaluation.permutations: only prompt=letters and others that show the options have them in an order; leave it "
        "null for cloze.",
    ),
    (
        "_evaluation",
        [
            "prompt=published", "data.prompt.style=cloze", "evaluation.permutations=cyclic",
            "evaluation.best_metric=dev/acc_worst",
            "evaluation.sets=[{data: facts, name: lettered, prompt: {style: letters}}]",
        ],
        "evaluation.best_metric: dev/acc_worst is about the order of the options, and the prompt of dev does not show",
    ),
    (
        "_evaluation",
        ["prompt=letters", "evaluation.permutations=1"],
        "evaluation.permutations: 1 is the given order alone; cyclic, all or a whole number of at least 2.",
    ),
    (
        "_evaluation",
        ["prompt=letters", "evaluation.permutations=3", "evaluation.best_metric=dev/acc_debiased"],
        "evaluation.best_metric: dev/acc_debiased needs each choice at each letter equally often: "
        "evaluation.permutations=cyclic or all.",
    ),
    (
        "_evaluation",
        ["evaluation.harness_task=arc/easy"],
        "evaluation.harness_task: becomes part of a file's name: letters, digits and . _ + - only, got 'arc/easy'.",
    ),
    ("_evaluation", ["splits=[]"], "splits: nothing would be measured; give some of train, dev and test"),
    ("_evaluation", ["evaluation.every=0/epoch"], "evaluation.every: a number of updates, or times per epoch such as"),
    ("_tracking", ["tracking=tensorboard", "tracking.uri=here"], "tracking.uri: tracking=tensorboard writes files"),
    ("_tracking", ["tracking.uri='http://me:secret@host:5000'"], "tracking.uri: holds a password"),
    (
        "trainer_args_problems",
        ["+objective.trainer_args.learning_rate=1"],
        "objective.trainer_args.learning_rate: is decided by optimizer.learning_rate; set that key instead.",
    ),
    (
        "trainer_args_problems",
        ["+objective.trainer_args.label_smothing_factor=0.1"],
        "objective.trainer_args.label_smothing_factor: not an argument of TRL's SFTConfig. "
        "Did you mean 'label_smoothing_factor'?",
    ),
    ("_prompt", ["prompt=template"], "prompt.template: prompt.style=template needs one, such as 'Q: {{ question }} A"),
    (
        "_prompt",
        ["prompt=template", "prompt.template='{{ questoin }}'"],
        "prompt.template: there is no 'questoin'; known are question, context, subject, choices, letters, choice, "
        "letter, number. Did you mean 'question'?",
    ),
    (
        "_prompt",
        ["prompt=template", "prompt.template='{{ question }} {{ choice }}'"],
        "prompt.template: names the choice, and so does prompt.answer_template (null: the choice).",
    ),
    (
        "_prompt",
        ["prompt=template", "prompt.template='{{ question }}'", "prompt.answer_template=right"],
        "prompt.answer_template: names none of choice, letter, number, nor does prompt.template, so all choices would",
    ),
    (
        "_prompt",
        ["prompt.template='{{ question }}'"],
        "prompt.template: belongs to prompt.style=template, and prompt.style is cloze.",
    ),
    (
        "_prompt",
        ["prompt=published", "evaluation.sets=[{data: local, path: mine.csv}]"],
        "evaluation.sets[0].prompt.style: prompt=published needs the prompt that the literature scores this set by, "
        "and none is given; give evaluation.sets[0].prompt.style=cloze",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "overrides", "told"), BROKEN, ids=[" ".join(case[1]) for case in BROKEN])
def test_a_broken_rule_is_reported_and_nothing_else(rule, overrides, told):
    of_evaluating = any(override.startswith("splits=") for override in overrides)
    (found,) = (problems_of_evaluating if of_evaluating else problems)(*overrides)
    assert found.startswith(told)


def sentences(rule):
    """How many sentences a rule has, with those of the functions that it asks in turn."""
    nodes = list(ast.walk(ast.parse(inspect.getsource(rule))))
    asked = {node.value.func.id for node in nodes if isinstance(node, ast.YieldFrom)}
    return sum(isinstance(node, ast.Yield) for node in nodes) + sum(
        sentences(getattr(inspect.getmodule(rule), name)) for name in asked
    )


def test_a_split_is_not_measured_twice():
    assert problems_of_evaluating("splits=[dev,dev]") == ["splits: names one of them twice, got ['dev', 'dev']."]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_sentence_of_every_rule_is_broken_by_an_example(rule):
    assert len({told for name, _, told in BROKEN if name == rule.__name__}) == sentences(rule)


@pytest.mark.parametrize("key", ["rank", "alpha", "dropout", "target_modules"])
def test_an_adapter_needs_each_of_its_values(key):
    assert problems(**{f"peft__{key}": None}) == [f"peft.{key}: peft=lora needs a value."]


def test_batch_size_and_accumulation_are_not_both_given():
    (told,) = problems(optimizer__gradient_accumulation_steps=2, optimizer__batch_size=8)
    assert "(got 8 and 2)" in told


@pytest.mark.parametrize(("group", "table"), [("optimizer", OPTIMIZER_KEYS), ("scheduler", SCHEDULER_KEYS)])
def test_a_key_of_some_optimizers_or_schedules_has_a_value_there_and_nowhere_else(group, table):
    for option, own in table.items():
        for key in {key for keys in table.values() for key in keys}:
            value = None if key in own else 1 if key in ("cycles", "patience") else 0.5
            told = problems(f"{group}={option}", "hardware=gpu", **{f"{group}__{key}": value})
            assert [line.split(":")[0] for line in told] == [f"{group}.{key}"], (option, key)


@pytest.mark.parametrize("metric", ["test/acc", "base/dev/acc", "train/loss"])
def test_only_dev_steers(metric):
    (told,) = problems(evaluation__best_metric=metric)
    assert told.endswith(f"one of {', '.join(DEV_METRICS)}.")


def test_early_stopping_follows_any_metric_of_dev_that_is_measured():
    early = ["evaluation.patience=2", "evaluation.min_delta=0.01"]
    assert problems(*early, "evaluation.stop_metric=dev/nll") == []
    (told,) = problems(*early, "evaluation.stop_metric=test/acc")
    assert told.startswith("evaluation.stop_metric: test/acc must not steer a run")
    (told,) = problems(*early, "evaluation.stop_metric=dev/acc_mutual_info")
    assert told == "evaluation.stop_metric: dev/acc_mutual_info is measured only with evaluation.unconditional=true."
    (told,) = problems("evaluation.stop_metric=dev/nll")
    assert told.startswith("evaluation.stop_metric: is for early stopping")


def test_a_curriculum_needs_the_base_measured():
    assert problems("evaluation.before=false") == []
    (told,) = problems("evaluation.before=false", "objective.curriculum=easy_first")
    assert told.startswith("objective.curriculum: its order is by what the base answers, and evaluation.before=false")


WHAT_IS_NEEDED = {"unconditional": True, "choices_only": True, "permutations": "cyclic"}


@pytest.mark.parametrize("name", NEEDS)
def test_any_metric_of_dev_steers_once_what_it_needs_is_measured(name):
    metric, key = f"dev/{name}", NEEDS[name]
    switched_off = problems("prompt=letters", evaluation__best_metric=metric)
    if key is None:
        assert switched_off == []
    else:
        (told,) = switched_off
        asked = f"evaluation.{key}={str(WHAT_IS_NEEDED[key]).lower()}"
        assert told == f"evaluation.best_metric: {metric} is measured only with {asked}."
        changes = {f"evaluation__{key}": WHAT_IS_NEEDED[key]}
        assert problems("prompt=letters", evaluation__best_metric=metric, **changes) == []
    assert needed_for(metric) == key


def test_accuracies_and_consistency_are_to_rise_and_everything_else_to_fall():
    rising = [name for name in NEEDS if greater_is_better(f"dev/{name}")]
    assert rising == [name for name in NEEDS if name.startswith("acc") or name == "consistency"]


def test_orders_of_the_options_are_measured_only_where_options_are_shown():
    for permutations in ("cyclic", "all", 2, 3):
        assert problems("prompt=letters", evaluation__permutations=permutations) == []
        (told,) = problems("prompt=cloze", evaluation__permutations=permutations)
        assert told.startswith("evaluation.permutations: only prompt=letters")


@pytest.mark.parametrize("task", ["arc_easy", "leaderboard-2.1", "mmlu.law"])
def test_the_harness_task_is_a_name_that_a_file_can_have(task):
    assert problems(evaluation__harness_task=task) == []


@pytest.mark.parametrize("task", ["", "../x", "a b", "a/b", ".hidden", "x\n"])
def test_no_other_text_is_a_harness_task(task):
    (told,) = problems(evaluation__harness_task=task)
    assert told.startswith("evaluation.harness_task:")
    (told,) = problems(data__harness_task=task)
    assert told.startswith("data.harness_task:")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../x", "train", "dev", "test", "base", "base_dev", ".x"])
def test_a_set_is_called_neither_as_a_path_nor_as_files_of_the_run(name):
    values = config_dict_of("evaluation.sets=[arc_easy]")
    values["evaluation"]["sets"][0]["name"] = name
    (told,) = problems_of(values)[1]
    assert told.startswith("evaluation.sets[0].name:") and repr(name) in told


def test_the_set_that_steers_needs_a_source_and_may_have_any_name():
    assert problems("evaluation.dev={data: arc_easy, name: dev}") == []
    (told,) = problems("evaluation.dev=local")
    assert told.startswith("evaluation.dev.path: data=local needs evaluation.dev.path=<file or folder>.")


def test_everything_wrong_with_several_sets_is_reported():
    sets = "evaluation.sets=[local,{data: arc_easy, name: test},{data: mmlu, split: val}]"
    told = problems(sets, "evaluation.dev=local")
    assert [line.split(":")[0] for line in told] == [
        "evaluation.sets[2].split",
        "evaluation.dev.path",
        "evaluation.sets[0].path",
        "evaluation.sets[1].name",
    ]


@pytest.mark.parametrize("processes", [3, 5, 7])
def test_measuring_on_any_number_of_processes_asks_for_no_key_of_training(processes):
    hardware = ["hardware=cpu_processes", f"hardware.devices={processes}", "optimizer.batch_size=32"]
    assert problems_of_evaluating(*hardware, "optimizer=adamw_8bit", "hardware.strategy=zero2") == []
    assert len(problems(*hardware)) == 1


def test_further_sets_alone_can_be_measured():
    assert problems_of_evaluating("splits=[]", "evaluation.sets=[arc_easy]") == []


@pytest.mark.parametrize("every", [1, 250, "1/epoch", "12/epoch"])
def test_measuring_takes_updates_or_times_per_epoch(every):
    assert config(evaluation__every=every).evaluation.every == every


@pytest.mark.parametrize("every", ["", "often", "4", "0/epoch", "-1/epoch", "1.5/epoch", "4/epochs", "4 /epoch"])
def test_measuring_takes_no_other_text(every):
    (told,) = problems(evaluation__every=every)
    assert told.startswith("evaluation.every:")
    assert repr(every) in told


@pytest.mark.parametrize("uri", ["http://host:5000", "sqlite:///a.db", "https://host/a:b@c"])
def test_an_address_without_a_password_is_fine(uri):
    assert problems(tracking__uri=uri) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model__architecture", "qwen3"),
        ("model__vocabulary_size", "many"),
        ("data__reader", "arcs"),
        ("data__splits__train", 3),
        ("optimizer__batch_size", "large"),
        ("optimizer__gradient_accumulation_steps", 1.5),
        ("peft__quantization", "int8"),
    ],
)
def test_a_value_that_is_reported_once_is_not_reported_again_by_a_rule(path, value):
    (told,) = problems("peft=none", **{path: value})
    assert told.startswith(f"{path.replace('__', '.')}: must be")
