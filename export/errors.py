"""What ends a command with one line instead of a traceback."""


class ExportError(Exception):
    """The message is for the person who ran the command; nothing was replaced."""
