"""The rules for teaching facts: the texts that are learned, general text beside them, and the cap on forgetting."""

from collections.abc import Iterator

from mcqa.config.schema import Config, every_data


def injection_problems(config: Config) -> Iterator[str]:
    """Yield what is wrong with data.texts, data.general_texts and the keys that need them."""
    objective, data, evaluation = config.objective, config.data, config.evaluation
    if objective.reads_texts and data.texts is None:
        yield f"data.texts: objective={objective.name} reads sentences and {data.name} has none; name a file."
    if (objective.reads_texts or objective.replay_share is not None) and objective.max_length < 2:
        yield "objective.max_length: a window of a text has at least 2 tokens, of which the first predicts the second."
    for where, other in every_data(config):
        if where != "data" and other.general_texts is not None:
            yield f"{where}.general_texts: is watched for the whole run; name it as data.general_texts, and null here."
    if data.general_texts is not None and "general" in [
        *(one.name for one in evaluation.sets),
        *(one.name for one in data.sets),
    ]:
        yield "data.general_texts: its metrics are called general/…; give the further set of that name another one."
    if objective.replay_share is not None:
        if objective.trains and objective.name not in ("sft", "pretrain", "mixed"):
            yield (
                f"objective.replay_share: general text has none of what objective={objective.name} compares; take "
                "null, or objective=sft, pretrain or mixed."
            )
        if data.general_texts is None:
            yield "objective.replay_share: needs the text to replay, data.general_texts=<facts, a file or a folder>."
    if evaluation.max_forgetting is not None:
        if data.general_texts is None:
            yield "evaluation.max_forgetting: is measured on general text; name data.general_texts=<facts or a file>."
        if not evaluation.before:
            yield (
                "evaluation.max_forgetting: is a rise over what the base has, and evaluation.before=false does not "
                "measure the base; take evaluation.before=true, or null."
            )
