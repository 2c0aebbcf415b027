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
gate_verdict  the verdict of a registered threshold on an estimate
impact        AIS and chance-corrected AIS of perturbations on paired items
dose_response monotone fit, trend test, 4PL and EC50
threshold     change-point against smooth and linear by BIC
influence_matrix  Φ: clusters by abilities, over perturbations and their families
matrix_match  specificity, one-to-one match and correlation with the truth
item_weights  bootstrap weights of items, also within groups
exponent      the power by which a cost grows with a size
curve_fits    least squares over every candidate shape
nest          outcomes with their place in condition / pipeline / stage, and which designs answer what
variance      F, ICC(1), eta squared and omega squared of conditions over pipelines
variance_components  nested random effects by ANOVA and REML
mean_squares  intervals of mean squares and of their differences
reml          restricted maximum likelihood for a nest
two_way       conditions crossed with shared seeds, ICC(2,1) and ICC(3,1)
condition_permutation  pipelines shuffled whole over conditions
blocked_permutation  the same within seeds that conditions share
range_ratio   range over spread, only with its null
gates         how often a registered threshold is passed by chance
correlation_gates  the same for correlations over few points, with power
condition_power  what K conditions of n pipelines can show
few_points    a correlation over few conditions, exactly, and what each point does to it
theil_sen     the median slope
scalar_screen many scalars against few conditions, corrected over all that was tried
published     published medians, ranges and ratios against their cells
undefined     Undefined, what stands where a number cannot
"""

from imprint.stats.blocked_permutation import blocked_permutation
from imprint.stats.category_enrichment import CategoryEnrichment, category_enrichment, mass_enrichment
from imprint.stats.claims import RUNG_MEANING, RUNGS, Claim, Evidence
from imprint.stats.condition_permutation import ConditionPermutation, condition_permutation
from imprint.stats.condition_power import icc_power, range_power, smallest_icc, smallest_range
from imprint.stats.correlation_gates import correlation_gate, correlation_gate_power, correlation_threshold
from imprint.stats.dose_response import DoseResponse, Logistic, dose_response
from imprint.stats.effects import Effect, Unit
from imprint.stats.exponent import power_exponent
from imprint.stats.few_points import FewPoints, few_points
from imprint.stats.gate_verdict import judge_gate
from imprint.stats.gates import Gate, accuracy_gate, null_gate, shift_gate
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
from imprint.stats.nest import Nest, pipeline_means, require_pipelines
from imprint.stats.power import equivalence_power, minimal_detectable_effect, paired_power
from imprint.stats.power_law import Concentration, TailFit, concentration, fit_tail, hill, top_share
from imprint.stats.published import PublishedCheck, check_median, check_range, check_range_ratio
from imprint.stats.range_ratio import RangeRatio, judge_range_ratio, range_ratio
from imprint.stats.ranking import auc, auc_effect, enrichment, spearman, top_purity
from imprint.stats.ratio import relative_change
from imprint.stats.resampling import (
    bootstrap_mean,
    equivalence_permutation,
    paired_bootstrap,
    paired_difference,
    paired_permutation,
    permutation_of_labels,
    smallest_p,
)
from imprint.stats.scalar_screen import ScalarRow, ScalarScreen, scalar_screen
from imprint.stats.theil_sen import TheilSen, theil_sen
from imprint.stats.threshold import ThresholdTest, threshold_test
from imprint.stats.two_way import TwoWay, two_way
from imprint.stats.undefined import Estimate, Undefined
from imprint.stats.variance import FTest, OneWay, condition_f, one_way
from imprint.stats.variance_components import Component, nested_components

__all__ = [
    "RUNGS",
    "RUNG_MEANING",
    "Assignment",
    "CategoryEnrichment",
    "Claim",
    "Component",
    "Concentration",
    "ConditionPermutation",
    "DoseResponse",
    "Effect",
    "Estimate",
    "Evidence",
    "FTest",
    "FeatureDifference",
    "FewPoints",
    "Gate",
    "Hypothesis",
    "Impact",
    "InfluenceMatrix",
    "InfluenceRecord",
    "Logistic",
    "MatchedComparison",
    "MatrixCorrelation",
    "Nest",
    "OneWay",
    "PublishedCheck",
    "RangeRatio",
    "ScalarRow",
    "ScalarScreen",
    "TailFit",
    "TheilSen",
    "ThresholdTest",
    "TwoWay",
    "Undefined",
    "Unit",
    "Verdict",
    "accuracy_gate",
    "ais",
    "assignment",
    "auc",
    "auc_effect",
    "benjamini_hochberg",
    "blocked_permutation",
    "bootstrap_mean",
    "category_enrichment",
    "check_median",
    "check_range",
    "check_range_ratio",
    "concentration",
    "condition_f",
    "condition_permutation",
    "corrected_ais",
    "correlation_gate",
    "correlation_gate_power",
    "correlation_threshold",
    "discordant_pairs",
    "dose_response",
    "enrichment",
    "equivalence_permutation",
    "equivalence_power",
    "exact_mcnemar",
    "feature_differences",
    "few_points",
    "fit_tail",
    "hill",
    "icc_power",
    "impact",
    "impacts",
    "influence_matrix",
    "joint_strata",
    "judge",
    "judge_gate",
    "judge_paired",
    "judge_range_ratio",
    "mass_enrichment",
    "matched_p",
    "matrix_correlation",
    "minimal_detectable_effect",
    "nested_components",
    "null_gate",
    "one_way",
    "paired_bootstrap",
    "paired_difference",
    "paired_permutation",
    "paired_power",
    "permutation_of_labels",
    "pipeline_means",
    "power_exponent",
    "quantile_bins",
    "random_flip_null",
    "range_power",
    "range_ratio",
    "registration_digest",
    "relative_change",
    "require_pipelines",
    "scalar_screen",
    "shift_gate",
    "smallest_icc",
    "smallest_p",
    "smallest_range",
    "spearman",
    "specificity",
    "theil_sen",
    "threshold_test",
    "top_purity",
    "top_share",
    "two_way",
]
