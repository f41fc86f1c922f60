"""What of dev is measured during training, to choose the best state."""

from typing import Any

from mcqa.config.errors import DataError
from mcqa.config.schema import Config
from mcqa.data.loading import Data
from mcqa.data.mixture import set_of
from mcqa.data.prompts import Shots
from mcqa.data.splits import subsample
from mcqa.evaluation.conversations import ConversationSet, conversation_sets, first, loss_metrics, measure_losses
from mcqa.evaluation.measure import QuestionSet, measure, named_metrics, question_set, restrict_to_steering_metrics
from mcqa.evaluation.predictions import Prediction

Steering = QuestionSet | ConversationSet


def steering_set(config: Config, data: Data, tokenizer: Any, shots: Shots) -> Steering:
    """Return evaluation.limit dev questions, measured only for the metrics that steer; where dev has none, as many of
    its conversations.

    Raises:
        DataError: dev has no questions, and a metric that steers needs them.
    """
    evaluation = config.evaluation
    if dev := data.splits.get("dev"):
        few = subsample(dev, config.data.seed, evaluation.limit or len(dev), data.published)
        return question_set(
            "dev", few, config.prompt_of("dev"), restrict_to_steering_metrics(evaluation), tokenizer, shots.of("dev")
        )
    for metric in filter(None, (evaluation.best_metric, evaluation.stop_metric)):
        if metric not in ("dev/loss", "dev/acc_pairs"):
            raise DataError(
                f"dev has conversations and no question with choices, so {metric} cannot be measured. Take "
                "evaluation.best_metric=dev/loss, or a question set as dev: evaluation.dev=arc_easy."
            )
    (held_out,) = conversation_sets(data, ["dev"], tokenizer)
    return first(held_out, config.data.seed, evaluation.limit)


def measure_steering(model: Any, steering: Steering, config: Config) -> tuple[dict[str, float], list[Prediction]]:
    """Return the metrics by name, such as dev/acc, of a mix also dev/<set>/acc; and the predictions, of questions.

    Every process of a run must call it.
    """
    if isinstance(steering, ConversationSet):
        return loss_metrics(steering, measure_losses(model, steering, config.hardware)), []
    answers = measure(model, steering, config.hardware)
    metrics = named_metrics(answers, steering)
    if config.data.sets and config.evaluation.dev is None:
        right: dict[str, list[bool]] = {}
        for answer in answers:
            right.setdefault(set_of(answer.question.id), []).append(answer.correct)
        metrics |= {f"dev/{name}/acc": sum(its) / len(its) for name, its in right.items()}
    return metrics, answers
