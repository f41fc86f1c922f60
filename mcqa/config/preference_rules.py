"""The rules of objective=dpo: what it needs, and what does not go with it."""

from collections.abc import Iterator

from mcqa.config.schema import Config

NEEDED = ("pairs", "preference_loss", "beta")
OWN = (*NEEDED, "tail_weight")


def preference_problems(config: Config) -> Iterator[str]:
    """Yield what is wrong with the keys of preference pairs, and with others beside them."""
    objective = config.objective
    if objective.name != "dpo":
        for key in OWN:
            if getattr(objective, key) is not None:
                yield f"objective.{key}: must be null with objective={objective.name}, since only objective=dpo has it."
        return
    for key in NEEDED:
        if getattr(objective, key) is None:
            yield f"objective.{key}: objective=dpo needs a value."
    yield from _loss(config)
    yield from _data(config)
    yield from _model(config)


def _loss(config: Config) -> Iterator[str]:
    objective = config.objective
    if objective.packing:
        yield "objective.packing: the two answers of a pair are rows of their own with objective=dpo; take false."
    if objective.neftune_alpha is not None:
        yield "objective.neftune_alpha: noise would enter both models that objective=dpo compares; take null."
    if objective.loss_on != "answer":
        yield "objective.loss_on: objective=dpo compares answers; take answer."
    if objective.preference_loss == "robust" and not 0 < objective.label_smoothing < 0.5:
        yield (
            "objective.label_smoothing: is the share of wrong keys with objective.preference_loss=robust; give one "
            f"above 0 and below 0.5, got {objective.label_smoothing:g}."
        )
    if objective.preference_loss != "robust" and objective.label_smoothing:
        yield "objective.label_smoothing: objective=dpo has it with objective.preference_loss=robust alone; take 0."


def _data(config: Config) -> Iterator[str]:
    objective, data = config.objective, config.data
    sources = [one.data for one in data.sets] or [data]
    without = [one.name for one in sources if one.has_conversations and one.reader != "pairs"]
    if without:
        yield (
            f"objective.name: objective=dpo needs two answers to compare, and {', '.join(without)} has one; take "
            "data=pairs, questions, or objective=sft."
        )
    if data.has_conversations and data.has_questions and not without:
        yield f"data.sets: objective=dpo takes pairs or questions, and {data.name} has both; take one of them."
    if objective.curriculum is not None:
        yield "objective.curriculum: is no choice of objective=dpo, whose pairs have no order of their own; take null."
    if objective.pairs == "hardest" and data.has_questions and not config.evaluation.before:
        yield (
            "objective.pairs: hardest is what the base finds likeliest, and evaluation.before=false does not measure "
            "the base; take evaluation.before=true, or objective.pairs=random or all."
        )


def _model(config: Config) -> Iterator[str]:
    peft, strategy = config.peft, config.hardware.strategy
    if peft.path is not None:
        yield (
            "peft.path: objective=dpo compares with the model without its adapter, which is where training must begin; "
            "take model=run model.run=<run folder>, whose adapter is merged first."
        )
    for key in ("target_modules", "modules_to_save"):
        named = getattr(peft, key)
        if "lm_head" in (named if isinstance(named, list) else [named]):
            yield f"peft.{key}: TRL's DPOTrainer reads lm_head past an adapter, which would not learn; leave it out."
    if strategy in ("zero3", "fsdp2"):
        yield (
            "hardware.strategy: objective=dpo keeps a second model to compare with, which is not sharded as "
            f"{strategy} needs it; take ddp or zero2."
        )
