"""The rules for data without choices and for mixed sets: what they need, and what does not go with them."""

from collections.abc import Iterator

from mcqa.config.metric_names import CONVERSATION_READERS
from mcqa.config.schema import Config, DataConfig, every_data

NEEDED = {"messages": ("turns",), "instructions": ("prompt", "answer"), "pairs": ("answer", "rejected")}
"""The columns of data.conversations that a reader cannot do without."""


def conversation_problems(config: Config) -> Iterator[str]:
    """Yield what is wrong with data.conversations."""
    for where, data in every_data(config):
        yield from _conversations(data, where)


def _conversations(data: DataConfig, where: str) -> Iterator[str]:
    conversations = data.conversations
    if data.reader not in CONVERSATION_READERS:
        if conversations is not None:
            yield f"{where}.conversations: is for data=messages, instructions and pairs; {data.name} takes null."
        return
    if data.columns is not None:
        yield f"{where}.columns: {data.name} has its columns in {where}.conversations; take null."
    if conversations is None:
        yield f"{where}.conversations: {data.name} needs to know which column holds what; choose data=messages …"
        return
    if data.clean and not data.has_questions:
        yield f"{where}.clean: compares questions, and {data.name} has none; take []."
    for key in NEEDED[data.reader]:
        if getattr(conversations, key) is None:
            yield f"{where}.conversations.{key}: {data.name} needs the name of a column."
    if conversations.form == "alpaca" and data.reader != "instructions":
        yield f"{where}.conversations.form: alpaca is the text of instructions; {data.name} takes chat or plain."
    if conversations.form == "alpaca" and conversations.system is not None:
        yield f"{where}.conversations.system: Alpaca's text has no place for it; take form=chat or plain, or null."
    if conversations.questions and data.reader != "messages":
        yield f"{where}.conversations.questions: options are recognised in turns, those of data=messages; take null."


def mix_problems(config: Config) -> Iterator[str]:
    """Yield what is wrong with data.sets and data.temperature."""
    for where, data in every_data(config):
        yield from _mix(data, where)


def _mix(data: DataConfig, where: str) -> Iterator[str]:
    if data.reader != "mix":
        if data.sets or data.temperature is not None:
            yield f"{where}.sets, {where}.temperature: belong to data=mix; {data.name} takes [] and null."
        return
    if not data.sets:
        yield f"{where}.sets: data=mix needs the sets to mix, such as {where}.sets=[arc_easy,openbookqa]."
    if data.temperature is None:
        yield f"{where}.temperature: data=mix needs a value; 1.0 draws from every set by its size and weight."
    if data.path is not None or data.hub is not None:
        yield f"{where}.path: data=mix reads no file of its own; give each of {where}.sets its path."
    for number, one in enumerate(data.sets):
        if one.data.reader == "mix":
            yield f"{where}.sets[{number}]: a mix of mixes has no use; list their sets in {where}.sets."


def steering_problem(config: Config, key: str, metric: str) -> str | None:
    """Return what is wrong with a metric of dev where dev has no choices; None where nothing is."""
    further = config.evaluation.dev
    data = further.data if further else config.data
    if metric == "dev/acc_pairs" and data.reader != "pairs":
        return f"evaluation.{key}: {metric} compares the two answers of data=pairs; take dev/acc or dev/loss."
    if metric in ("dev/loss", "dev/acc_pairs") or data.has_questions:
        return None
    of = f"evaluation.dev={further.name}" if further else f"data={config.data.name}"
    instead = "" if further else ", or a question set as dev: evaluation.dev=arc_easy"
    return (
        f"evaluation.{key}: {of} has no choices, so {metric} cannot be measured; take evaluation.{key}=dev/loss"
        f"{instead}."
    )


def objective_problems(config: Config) -> Iterator[str]:
    """Yield the objectives that need choices where training examples have none."""
    if config.objective.compares_choices and config.data.has_conversations:
        yield (
            f"objective.name: objective={config.objective.name} compares choices, which the conversations of "
            f"data={config.data.name} do not have; take objective=sft."
        )
    if config.objective.loss_on == "assistant" and not config.data.has_conversations:
        yield (
            f"objective.loss_on: assistant is for conversations, and {config.data.name} has none; take answer, "
            "which is the same for questions."
        )
