"""stats: numbers with their intervals, nulls and verdicts (numpy, scipy and statsmodels; no torch).

effects       Effect, the number that never travels alone
resampling    paired t and bootstrap intervals, sign-flip and label permutation
ranking       AUC, Spearman, purity and enrichment of the top
multiplicity  Benjamini-Hochberg
mcnemar       exact McNemar on the items that changed
power_law     concentration, Hill, power law against lognormal and exponential
power         power and the smallest detectable effect of a paired design
claims        Evidence and Claim on the evidence ladder
hypotheses    registered Hypothesis, Verdict and the judge
"""

from imprint.stats.claims import RUNG_MEANING, RUNGS, Claim, Evidence
from imprint.stats.effects import Effect, Unit
from imprint.stats.hypotheses import Hypothesis, Verdict, judge, judge_paired, registration_digest
from imprint.stats.mcnemar import discordant_pairs, exact_mcnemar
from imprint.stats.multiplicity import benjamini_hochberg
from imprint.stats.power import equivalence_power, minimal_detectable_effect, paired_power
from imprint.stats.power_law import Concentration, TailFit, concentration, fit_tail, hill, top_share
from imprint.stats.ranking import auc, auc_effect, enrichment, spearman, top_purity
from imprint.stats.resampling import (
    bootstrap_mean,
    equivalence_permutation,
    paired_bootstrap,
    paired_difference,
    paired_permutation,
    permutation_of_labels,
    smallest_p,
)

__all__ = [
    "RUNGS",
    "RUNG_MEANING",
    "Claim",
    "Concentration",
    "Effect",
    "Evidence",
    "Hypothesis",
    "TailFit",
    "Unit",
    "Verdict",
    "auc",
    "auc_effect",
    "benjamini_hochberg",
    "bootstrap_mean",
    "concentration",
    "discordant_pairs",
    "enrichment",
    "equivalence_permutation",
    "equivalence_power",
    "exact_mcnemar",
    "fit_tail",
    "hill",
    "judge",
    "judge_paired",
    "minimal_detectable_effect",
    "paired_bootstrap",
    "paired_difference",
    "paired_permutation",
    "paired_power",
    "permutation_of_labels",
    "registration_digest",
    "smallest_p",
    "spearman",
    "top_purity",
    "top_share",
]
