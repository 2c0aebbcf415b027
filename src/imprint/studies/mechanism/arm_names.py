"""The names of a study's arms, from its options alone, so that hypotheses can be checked before anything runs."""

from imprint.interventions.data import EditKind
from imprint.studies.mechanism.metrics import KEEP, dose_label
from imprint.studies.mechanism.options import AugmentationOptions, CorpusOptions, InterventionOptions


def arm_names(
    corpus: CorpusOptions, interventions: InterventionOptions, augmentation: AugmentationOptions | None = None
) -> tuple[str, ...]:
    """The names of a study's arms, the untouched one first; the natural one only where something is planted beside it."""
    names = [KEEP, "delete_top", *(f"delete_{kind}" for kind in dict.fromkeys(("random", *interventions.controls)))]
    if interventions.natural and corpus.natural < 1:
        names += ["delete_natural", "delete_random_natural"]
    for edit in edits(interventions)[1:]:
        names += [f"{edit}_top", f"{edit}_random"]
    for fraction in interventions.fractions:
        names += [f"{edit}_top_{dose_label(fraction)}" for edit in edits(interventions)]
        names.append(f"delete_random_{dose_label(fraction)}")
    return (*names, *synthetic_arm_names(corpus, augmentation))


def edits(interventions: InterventionOptions) -> tuple[EditKind, ...]:
    """The kinds of edit that a study makes, deletion first."""
    wanted: tuple[tuple[EditKind, bool], ...] = (
        ("replace", interventions.replace),
        ("duplicate", interventions.duplicate),
    )
    return ("delete", *(kind for kind, asked in wanted if asked))


def synthetic_arm_names(corpus: CorpusOptions, augmentation: AugmentationOptions | None) -> tuple[str, ...]:
    """The arms that train on synthetic text: the motifs', the controls', and the natural motifs'."""
    if augmentation is None:
        return ()
    natural = ("synthetic_natural",) if augmentation.natural and corpus.natural < 1 else ()
    transplanted = ("synthetic_transplanted",) if augmentation.transplanted else ()
    return ("synthetic", *transplanted, "synthetic_shuffled", *natural)


def smallest_arm_names(augmentation: AugmentationOptions | None) -> tuple[str, ...]:
    """The arms that try at another size what the smallest model found."""
    return ("delete_smallest",) if augmentation is None else ("delete_smallest", "synthetic_smallest")
