"""The `imprint` command: verbs by name, and one place that turns failures into a sentence and an exit code."""

import os
import sys
from importlib.metadata import version

from cyclopts import App, CycloptsError

from imprint.errors import ImprintError, OutputError

INTERRUPTED = 130
USER_ERROR = 2

app = App(
    name="imprint",
    help="Which training data left a capability in a language model, through which mechanism, and is it causal?",
    version=lambda: version("imprint"),
    result_action="return_value",
)

app.command("imprint.cli.demo:demo", help="The whole story on real text found on this machine: CPU, no network.")
app.command("imprint.cli.run:run", help="Run a study file; the same command resumes it after any crash.")
app.command(
    "imprint.cli.train:train",
    help="Train the untouched runs of a study, and with --intervene runs under interventions on training.",
)
app.command("imprint.cli.cluster:cluster", name="cluster", help="Divide a corpus into clusters and describe each.")
app.command(
    "imprint.cli.locate:locate",
    help="Induction heads, or what belongs to each cluster of text, in any model.",
)
app.command("imprint.cli.evaluate:evaluate", help="Benchmark suites on any Hugging Face model, item by item.")
app.command(
    "imprint.cli.perturb:perturb",
    help="What perturbing each cluster's representation does to abilities, beside controls.",
)
app.command("imprint.cli.attribute:attribute", help="Influence of documents on a head, or on the likelihood of texts.")
app.command(
    "imprint.cli.retrain:retrain", help="Train a study again without (or with more of) documents that you name."
)
app.command(
    "imprint.cli.predict:predict", help="Whether abilities will emerge by a later scale or step, from scores so far."
)
app.command(
    "imprint.cli.allocate:allocate",
    help="Which run to train further so that an ability emerges for the least compute, and when to stop.",
)
app.command(
    "imprint.cli.calibrate:calibrate", help="Every method on planted worlds whose truth is known: the scorecard."
)
app.command(
    "imprint.cli.variance:variance", help="Do training conditions differ in an outcome beyond their pipelines' noise?"
)
app.command(
    "imprint.cli.gates:gates", name="gates", help="How often a registered threshold is passed by chance, and its power."
)
app.command("imprint.cli.report:report", help="Render a finished run's report again.")
app.command("imprint.cli.runs:runs", name="runs", help="List, show, verify and prune stored results.")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a failure of the run, 2 the user's input, 130 interrupted."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.exit(_guarded(arguments))


def _guarded(arguments: list[str] | None) -> int:
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except ImprintError as error:
        return _complain(str(error).splitlines()[0] if str(error) else type(error).__name__, error.exit_code)
    except CycloptsError as error:
        return _complain(" ".join(str(error).split()), USER_ERROR)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return _complain("interrupted; the same command goes on where it stopped", INTERRUPTED)
    except OSError as error:
        unwritable = OutputError(f"{error.filename or 'a file'}: {error.strerror or error}")
        return _complain(str(unwritable), unwritable.exit_code)
    return 0


def _complain(sentence: str, code: int) -> int:
    sys.stderr.write(f"imprint: {sentence}\n")
    return code
