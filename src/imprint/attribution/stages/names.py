"""The names of a stage's rows: their conversations or preference pairs, as every ranking and every deletion calls them."""

from pathlib import Path

from imprint.corpus import Packed
from imprint.corpus.chat import ChatRows, PreferenceRows


def row_names(folder: Path) -> tuple[str, ...]:
    """One unique name a row of `RenderedChats`, `RenderedPreferences` or `PackedCorpus` (`document#row`), in their order.

    Raises:
        CorpusError: the folder holds no rows.
    """
    if (folder / "chosen").is_dir():
        return PreferenceRows.load(folder).ids
    if (folder / "packed.json").exists():
        return tuple(f"{name}#{row}" for row, name in enumerate(Packed.load(folder).row_ids))
    return ChatRows.load(folder).ids
