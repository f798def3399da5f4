"""The mistakes that vaescope explains in one line.

Every message says what was given, what was expected and what to try. The command line prints it without a
traceback and leaves with the class's exit code; from Python they are ordinary exceptions.
"""


class UsageError(ValueError):
    """The user asked for something that cannot be done: a wrong key, file or value. Exit code 2."""

    exit_code = 2


class RunError(RuntimeError):
    """A run that was asked for correctly failed: divergence, a full disk. Exit code 1."""

    exit_code = 1
