"""The command line in this process, and studies that are keyed quickly."""

from cli_runs import imprint

from tiny_studies import quick_keys

__all__ = ["imprint", "quick_keys"]
