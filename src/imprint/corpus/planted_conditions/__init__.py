"""Planted conditions: corpora that differ in a known way, and every shared file that a susceptibility study reads."""

from imprint.corpus.planted_conditions.language import Language, made_up_language
from imprint.corpus.planted_conditions.texts import Cause, WorldTexts
from imprint.corpus.planted_conditions.world import PlantedConditions, WorldFiles

__all__ = ["Cause", "Language", "PlantedConditions", "WorldFiles", "WorldTexts", "made_up_language"]
