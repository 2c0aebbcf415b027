"""Capabilities: what a model can do, measured on items whose answers are known.

Probes made here
    alphabet, repeats, icl   copying and in-context learning
    abilities                the four planted abilities
Benchmarks (prompts and grading by lm-eval, files read by path)
    suites, formats          which files and stock tasks a suite has; their published formats
    lm_eval_bridge, posing   stock tasks on our rows; which items are asked
    encoding, rows, scoring  text as tokens, rows and batches; log-probabilities, again and again under interventions
    bench, items             items ready to be scored; the table of items
    evaluate, costs, steps   a model on a bench; what interventions cost; both as a stored step
Measures
    confidence, perplexity   calibration; whole documents
    generation, quality      continuations, and measures of them
    recall, downstream       what the training text states; what an edit of it must not harm
    pair_margins             which of two answers is preferred, as a stored step
"""

from imprint.capabilities import icl
from imprint.capabilities.abilities import AbilityItems, ability_answers, ability_items, ability_panel
from imprint.capabilities.alphabet import ordinary_tokens
from imprint.capabilities.bench import Bench, prepare
from imprint.capabilities.confidence import (
    CalibrationError,
    ReliabilityBin,
    brier,
    calibration_error,
    reliability_curve,
)
from imprint.capabilities.costs import as_numbers as cost_numbers
from imprint.capabilities.costs import costs
from imprint.capabilities.downstream import DOWNSTREAM_FILE, PERPLEXITY, RECALL, Downstream
from imprint.capabilities.encoding import Encoder, Request
from imprint.capabilities.evaluate import SuiteSummary, evaluate, generated, summarise
from imprint.capabilities.generation import Decoding, continuations
from imprint.capabilities.gold_signs import gold_signs
from imprint.capabilities.items import items_frame, paired, read_items, write_items
from imprint.capabilities.pair_margins import ItemMargins, PairMargins
from imprint.capabilities.perplexity import Perplexity, perplexity
from imprint.capabilities.posing import Question
from imprint.capabilities.quality import Quality, quality
from imprint.capabilities.recall import Questions, fact_questions, passage_questions, recall
from imprint.capabilities.repeats import (
    RepeatProbe,
    copy_accuracy,
    copy_hits,
    copy_log_probs,
    copying,
    fewshot_hits,
    random_period_probes,
    repeat_probe,
)
from imprint.capabilities.scoring import BatchView, RequestScore, Scorer
from imprint.capabilities.steps import ITEMS, EvaluateModel
from imprint.capabilities.suites import GROUPS, SUITES, Suite, suites_named

__all__ = [
    "DOWNSTREAM_FILE",
    "GROUPS",
    "ITEMS",
    "PERPLEXITY",
    "RECALL",
    "SUITES",
    "AbilityItems",
    "BatchView",
    "Bench",
    "CalibrationError",
    "Decoding",
    "Downstream",
    "Encoder",
    "EvaluateModel",
    "ItemMargins",
    "PairMargins",
    "Perplexity",
    "Quality",
    "Question",
    "Questions",
    "ReliabilityBin",
    "RepeatProbe",
    "Request",
    "RequestScore",
    "Scorer",
    "Suite",
    "SuiteSummary",
    "ability_answers",
    "ability_items",
    "ability_panel",
    "brier",
    "calibration_error",
    "continuations",
    "copy_accuracy",
    "copy_hits",
    "copy_log_probs",
    "copying",
    "cost_numbers",
    "costs",
    "evaluate",
    "fact_questions",
    "fewshot_hits",
    "generated",
    "gold_signs",
    "icl",
    "items_frame",
    "ordinary_tokens",
    "paired",
    "passage_questions",
    "perplexity",
    "prepare",
    "quality",
    "random_period_probes",
    "read_items",
    "recall",
    "reliability_curve",
    "repeat_probe",
    "suites_named",
    "summarise",
    "write_items",
]
