"""The command line: arguments in, one call, pretty output; one file per verb, imported only when it is used."""

from imprint.cli.app import app, main

__all__ = ["app", "main"]
