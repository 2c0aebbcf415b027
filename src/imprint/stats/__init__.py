"""stats: numbers with their intervals, nulls and verdicts (numpy, scipy and statsmodels; no torch).

effects       Effect, the number that never travels alone
resampling    paired t and bootstrap intervals, sign-flip and label permutation
ranking       AUC, Spearman, purity and enrichment of the top
multiplicity  Benjamini-Hochberg
matched_features  features of treated documents against controls of the same stratum
category_enrichment  categories over-represented among treated documents
mcnemar       exact McNemar on the items that changed
power_law     concentration, Hill, power law against lognormal and exponential
power         power and the smallest detectable effect of a paired design
claims        Evidence and Claim on the evidence ladder
hypotheses    registered Hypothesis, Verdict and the judge
impact        AIS and chance-corrected AIS of perturbations on paired items
dose_response monotone fit, trend test, 4PL and EC50
threshold     change-point against smooth and linear by BIC
influence_matrix  Φ: clusters by abilities, over perturbations and their families
matrix_match  specificity, one-to-one match and correlation with the truth
item_weights  bootstrap weights of items, also within groups
exponent      the power by which a cost grows with a size
curve_fits    least squares over every candidate shape
undefined     Undefined, what stands where a number cannot
"""

from imprint.stats.category_enrichment import CategoryEnrichment, category_enrichment, mass_enrichment
from imprint.stats.claims import RUNG_MEANING, RUNGS, Claim, Evidence
from imprint.stats.dose_response import DoseResponse, Logistic, dose_response
from imprint.stats.effects import Effect, Unit
from imprint.stats.exponent import power_exponent
from imprint.stats.hypotheses import Hypothesis, Verdict, judge, judge_paired, registration_digest
from imprint.stats.impact import Impact, ais, corrected_ais, impact, impacts, random_flip_null
from imprint.stats.influence_matrix import InfluenceMatrix, InfluenceRecord, influence_matrix
from imprint.stats.matched_features import (
    FeatureDifference,
    MatchedComparison,
    feature_differences,
    joint_strata,
    quantile_bins,
)
from imprint.stats.matrix_match import (
    Assignment,
    MatrixCorrelation,
    assignment,
    matched_p,
    matrix_correlation,
    specificity,
)
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
from imprint.stats.threshold import ThresholdTest, threshold_test
from imprint.stats.undefined import Estimate, Undefined

__all__ = [
    "RUNGS",
    "RUNG_MEANING",
    "Assignment",
    "CategoryEnrichment",
    "Claim",
    "Concentration",
    "DoseResponse",
    "Effect",
    "Estimate",
    "Evidence",
    "FeatureDifference",
    "Hypothesis",
    "Impact",
    "InfluenceMatrix",
    "InfluenceRecord",
    "Logistic",
    "MatchedComparison",
    "MatrixCorrelation",
    "TailFit",
    "ThresholdTest",
    "Undefined",
    "Unit",
    "Verdict",
    "ais",
    "assignment",
    "auc",
    "auc_effect",
    "benjamini_hochberg",
    "bootstrap_mean",
    "category_enrichment",
    "concentration",
    "corrected_ais",
    "discordant_pairs",
    "dose_response",
    "enrichment",
    "equivalence_permutation",
    "equivalence_power",
    "exact_mcnemar",
    "feature_differences",
    "fit_tail",
    "hill",
    "impact",
    "impacts",
    "influence_matrix",
    "joint_strata",
    "judge",
    "judge_paired",
    "mass_enrichment",
    "matched_p",
    "matrix_correlation",
    "minimal_detectable_effect",
    "paired_bootstrap",
    "paired_difference",
    "paired_permutation",
    "paired_power",
    "permutation_of_labels",
    "power_exponent",
    "quantile_bins",
    "random_flip_null",
    "registration_digest",
    "smallest_p",
    "spearman",
    "specificity",
    "threshold_test",
    "top_purity",
    "top_share",
]
