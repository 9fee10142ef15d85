"""What the command line says of an answer besides its pictures."""

from concord_client.tasks.request import Answer

LOW_SCORE = 0.5
"""Below it a predicted mask is mostly pixels the network was unsure of; the lowest possible score is its threshold."""


def printed(answer: Answer) -> list[str]:
    """A line for each field of an answer that is declared to be printed and has a value: ``seed 7``."""
    values = {field.name: getattr(answer, field.name) for field in answer.fields() if field.printed}
    return [f"{name} {_written(value)}" for name, value in values.items() if value is not None]


def remarks(text: object, answer: Answer) -> list[str]:
    """Sentences about an answer that is no error, none where all is well.

    Args:
        text: the referring expression, None where a mask was given.
        answer: of any task; what counts is its ``score``, 0..1, and whether the text was ``truncated``.
    """
    score: float | None = getattr(answer, "score", None)
    sentences = []
    if getattr(answer, "truncated", False):
        sentences.append("the text is longer than the network reads; only its beginning was used")
    if score is not None:
        if score == 0:
            sentences.append(f"nothing was found for {text!r}: the mask is empty, so nothing is changed")
        elif score < LOW_SCORE:
            sentences.append(f"{text!r} was found with a low score ({score:.2f}); look at the mask")
    return sentences


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_written, value))
    return f"{value:.3f}" if isinstance(value, float) else str(value)
