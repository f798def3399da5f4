"""The command line: ``vaescope VERB ...``.

Only the verb that is asked for is imported, so that ``vaescope --help`` answers at once. A user's mistake is told in
one line on standard error, with exit code 2; a run that fails leaves with 1, one that is interrupted with 130 or 143.
"""

import difflib
import importlib
import io
import signal
import sys
from collections.abc import Sequence

from vaescope import __version__
from vaescope.errors import RunError, UsageError
from vaescope.terminal import silence, tell

VERBS = {
    "train": ("train", "train a model as a config says, and draw what it learned"),
    "migrate": ("train", "bring a run of an older version up to date"),
    "sample": ("look", "draw new images from a trained model"),
    "reconstruct": ("look", "show images beside what a trained model makes of them"),
    "encode": ("look", "write the latents of images to a file"),
    "figures": ("look", "draw all pictures of a run anew"),
    "evaluate": ("evaluate", "measure a trained model: likelihood, reconstructions, latents, samples"),
    "compare": ("evaluate", "put trained models side by side: scores, noise, configs, curves"),
    "report": ("evaluate", "write a page with all that is known of a run"),
    "explore": ("explore", "write a page in which the model runs, to walk in its latent space"),
    "data": ("data", "list, fetch or check image sets"),
    "doctor": ("doctor", "say what is wrong with an installation, a run or images, and how to mend it"),
    "export": ("travel", "write a trained model as ONNX or torch programs that need no vaescope"),
    "push": ("travel", "upload a run to the Hugging Face Hub"),
    "pull": ("travel", "download a run from the Hugging Face Hub"),
}
"""Every verb, with its module and what it does."""


def usage() -> str:
    """What ``vaescope --help`` prints."""
    verbs = "\n".join(f"  {name:<12} {help_}" for name, (_, help_) in VERBS.items())
    return (
        "usage: vaescope VERB ...\n\n"
        "Train a variational autoencoder on images, measure it honestly, and look inside.\n\n"
        f"verbs:\n{verbs}\n\n"
        "options:\n"
        "  -h, --help   show this, or after a verb what it takes\n"
        "  --version    show the version\n\n"
        "examples:\n"
        "  vaescope train --config configs/main.yaml --trainer.epochs 5\n"
        "  vaescope train --data photos/\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The words after ``vaescope``; by default those of this process.

    Returns:
        The exit code: 0, 1 when a run failed, 2 for a mistake of the user, 130 or 143 when interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # no sign that a terminal has no place for ends a run
        sys.stdout.reconfigure(errors="backslashreplace")
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0
    if words[0] == "--version":
        print(f"vaescope {__version__}")
        return 0
    try:
        return run(words[0], words[1:])
    except (UsageError, RunError) as error:
        return fail(str(error), error.exit_code)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        return fail("there is not enough memory for that: ask for less, or for a smaller model or batch", 1)
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        silence(sys.stdout)
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return fail(f"{where}{error.strerror or error}", 1)
    except KeyboardInterrupt:
        return fail("interrupted", 130)


def run(verb: str, words: list[str]) -> int:
    """Runs one verb with the words after it."""
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        guess = f"did you mean {near[0]}?" if near else f"there are {', '.join(VERBS)}"
        raise UsageError(f"there is no verb {verb}: {guess}")
    if verb == "train" and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # it would kill; `train` listens once it is imported
    module = importlib.import_module(f"vaescope.cli.{VERBS[verb][0]}")
    code: int = getattr(module, verb)(words)
    return code


def fail(message: str, code: int) -> int:
    """Tells what went wrong in one line."""
    tell(f"vaescope: {' '.join(message.split())}")
    return code
