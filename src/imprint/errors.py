"""What can go wrong, in one small hierarchy: the user's input (exit code 2) or the run itself (exit code 1)."""


class ImprintError(Exception):
    """A failure that imprint can name; the message says what was wrong, where, and what to do."""

    exit_code = 1


class InputError(ImprintError):
    """The user's input cannot be used; nothing was written."""

    exit_code = 2


class ConfigError(InputError):
    """A study file, flag or argument is wrong (unknown key, bad value, missing file)."""


class CorpusError(InputError):
    """A document or a corpus cannot be read (empty, binary, not UTF-8, malformed line)."""


class ModelError(InputError):
    """A model cannot be loaded or is of a family that imprint does not know."""


class ComponentNotFound(InputError):
    """A layer, head or site that the model does not have."""


class ContextTooLong(InputError):
    """A sequence is longer than the model's context."""


class OutputError(InputError):
    """The output cannot be written (read-only folder, full disk)."""


class IntegrityError(ImprintError):
    """A stored file no longer matches its digest."""


class InterventionNeverFired(ImprintError):
    """An intervention was attached and changed nothing."""


class SelfCheckFailed(ImprintError):
    """A numerical self-check that guards a result did not hold."""
