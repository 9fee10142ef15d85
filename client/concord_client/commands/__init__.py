"""The subcommands of ``concord`` (`task.TaskCommand` is one for each task), their exit codes and their errors."""

from enum import IntEnum

from concord_client.errors import ConcordClientError, DeadlineExceeded, ModelNotFound, ServerError, Unavailable


class ExitCode(IntEnum):
    """What ``concord`` ends with, see `concord_client.command`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_ANSWER = 3
    SERVER_ERROR = 4
    INTERRUPTED = 130


class UsageError(Exception):
    """The command line asks for something that cannot be done; nothing was sent or written."""


def exit_code(error: ConcordClientError | OSError) -> ExitCode:
    """The exit code for what a request or a file ended with."""
    if isinstance(error, Unavailable | DeadlineExceeded):
        return ExitCode.NO_ANSWER
    if isinstance(error, ServerError | ModelNotFound):
        return ExitCode.SERVER_ERROR
    return ExitCode.FAILED


def one_line(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, OSError) and error.strerror:
        file = f"{error.filename}: " if error.filename else ""
        return f"{file}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
