"""The settings of a command line: flags that only the server's catalogue knows, and ``--set NAME=VALUE``."""

from collections.abc import Mapping, Sequence

from concord_client.catalogue import Catalogue, Pipeline
from concord_client.commands import UsageError
from concord_client.errors import InvalidInput
from concord_client.inference import find_setting
from concord_client.settings import SettingValue

FLAG = "--"


def given_settings(assignments: Sequence[str], flags: Sequence[str]) -> dict[str, str | None]:
    """Names and written values of the settings on a command line; None for a flag without a value.

    Args:
        assignments: the values of ``--set``.
        flags: the words that no declared flag takes: ``--name value``, ``--name=value`` or ``--name``.

    Raises:
        UsageError: one of the words is none of these.
    """
    given: dict[str, str | None] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not name or not equals:
            raise UsageError(f"--set is {assignment!r}; allowed: NAME=VALUE")
        given[name] = text
    words = list(flags)
    while words:
        word = words.pop(0)
        if not word.startswith(FLAG) or word == FLAG:
            raise UsageError(f"unrecognized argument: {word}")
        flag, equals, text = word.removeprefix(FLAG).partition("=")
        if not equals and words and not words[0].startswith(FLAG):
            equals, text = "=", words.pop(0)
        given[flag.replace("-", "_")] = text if equals else None
    return given


def read_given(catalogue: Catalogue, pipeline: Pipeline, given: Mapping[str, str | None]) -> dict[str, SettingValue]:
    """The values of settings.

    Args:
        catalogue: of the server.
        pipeline: what is asked.
        given: what `given_settings` found.

    Raises:
        UsageError: the model has no such setting, or the setting does not allow the value.
    """
    values = {}
    for name, text in given.items():
        try:
            setting = find_setting(catalogue, pipeline, name)
            if text is None and setting.kind is not bool:
                raise UsageError(f"--{name} needs a value; allowed: {setting.allowed}")
            values[name] = setting.check(True if text is None else setting.read(text))
        except InvalidInput as error:
            raise UsageError(f"--{name}: {error.problem}; allowed: {error.allowed}") from None
        except ValueError:
            raise UsageError(f"--{name}: is {str(text)[:40]!r}; allowed: {setting.allowed}") from None
    return values
