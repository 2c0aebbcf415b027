"""How to read each metric: a label for people, one sentence with its sign convention, and its place in the report."""

from dataclasses import dataclass

from imprint.report.model import ReportData


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How a metric is named and read; `from_zero` says whether its axis must show zero."""

    label: str
    note: str = ""
    from_zero: bool = True


KNOWN: dict[str, Reading] = {
    "onset": Reading(
        label="Onset",
        note="When the head emerged, in log training steps: +0.14 is a delay of 15 %, negative is earlier.",
    ),
    "induction.prefix_matching": Reading(
        label="Prefix matching",
        note="Attention from a repeated token to the token that followed it last time: 1 is a perfect induction head, "
        "and uniform attention is not 0 but the mean of 1/(t+1), about 0.02 over 64 positions.",
    ),
    "copy.accuracy": Reading(
        label="Copy accuracy", note="Share of repeated random tokens that the model predicts right; higher is better."
    ),
    "copy.ablation_effect": Reading(
        label="Effect of ablating the head on copying",
        note="How copy accuracy changes when the head is taken out of the forward pass; 0 means the head is not used.",
    ),
    "previous_token": Reading(
        label="Previous-token attention", note="Mean attention from each token to the one before it; 1 is perfect."
    ),
    "icl.olsson": Reading(
        label="In-context learning (Olsson)",
        note="Loss late in the context minus loss early in it: lower (more negative) means more learning in context.",
    ),
    "icl.mda": Reading(
        label="In-context learning (MDA)",
        note="Loss late in the context minus the mean loss over its beginning: lower means more learning in context.",
    ),
    "icl.fewshot": Reading(
        label="Few-shot accuracy",
        note="Share of few-shot items, recall of fresh random pairs, answered right; higher is better. "
        "It need not follow the two loss-based scores.",
    ),
    "loss.heldout": Reading(
        label="Held-out loss", note="Cross-entropy on held-out text, nats a token; lower is better.", from_zero=False
    ),
    "loss.repeats": Reading(
        label="Loss on repeats",
        note="Cross-entropy on the second occurrence of random segments, nats a token; lower is better.",
        from_zero=False,
    ),
    "induction.other_heads": Reading(
        label="Other heads",
        note="Mean prefix matching of the heads above layer 0 but the strongest: what an edit does to heads it is not about.",
    ),
    "copying": Reading(
        label="Copying (OV)", note="The strongest head's raising of the logit of the token that it attends to."
    ),
    "duplicate_token": Reading(
        label="Duplicate-token attention",
        note="Attention from a repeated token to its first occurrence, strongest head.",
    ),
    "downstream.perplexity": Reading(
        label="Perplexity of foreign text",
        note="Perplexity a token of text from another source; lower is better.",
        from_zero=False,
    ),
    "downstream.recall": Reading(
        label="Recall",
        note="Share of questions about the training text that are answered right among the choices; higher is better.",
    ),
}


class Glossary:
    """Readings of the metrics of one report: its own notes first, then the built-in ones, then the bare name."""

    def __init__(self, data: ReportData) -> None:
        """Collect the report's own notes over the built-in glossary."""
        self._readings = dict(KNOWN)
        for note in data.metrics:
            known = KNOWN.get(note.name, Reading(label=note.name))
            self._readings[note.name] = Reading(
                label=note.label or known.label, note=note.note or known.note, from_zero=known.from_zero
            )

    def __getitem__(self, metric: str) -> Reading:
        """The reading of a metric; one that nobody described is shown under its own name.

        A name that begins with a known one, "onset.delete_top_vs_keep", is shown as "Onset (delete top vs keep)".
        """
        begun = [name for name in self._readings if metric.startswith(f"{name}.")]
        if metric in self._readings or not begun:
            return self._readings.get(metric, Reading(label=metric))
        base = max(begun, key=len)
        known = self._readings[base]
        label = f"{known.label} ({metric[len(base) + 1 :].replace('_', ' ')})"
        return Reading(label=label, note=known.note, from_zero=known.from_zero)

    def label(self, metric: str) -> str:
        """The metric's name for people."""
        return self[metric].label

    def order(self, metrics: set[str]) -> list[str]:
        """The metrics in reading order: the known ones as above, then the others by name."""
        known = list(self._readings)
        return sorted(metrics, key=lambda metric: (known.index(metric) if metric in known else len(known), metric))
