"""Do conditions differ beyond their pipelines? From a table of outcomes to a finding, and what registered gates are worth.

- `reading`, `outcomes`: a file to a tidy table, and the nest of one metric
- `conditions`: every condition's pipelines and mean; `single_pipelines`: what one pipeline a condition can show
- `analysis`, `finding`, `sentences`: the analysis, its result, the answer in words
- `detectable`: what a design can see; `gates`: how often a registered threshold is passed by chance
- `published`: printed numbers against their cells
"""

from imprint.studies.variance.analysis import analyse, analyse_nest
from imprint.studies.variance.conditions import Condition, PipelineValue, within_sd
from imprint.studies.variance.detectable import Detectable, detectable
from imprint.studies.variance.finding import VarianceFinding, VarianceVerdict
from imprint.studies.variance.gates import GateAnswer, GatePower, judge_accuracy, judge_correlation, judge_shift
from imprint.studies.variance.outcomes import Outcomes, read_outcomes
from imprint.studies.variance.published import PublishedNumbers, check_published, read_published, require_known

__all__ = [
    "Condition",
    "Detectable",
    "GateAnswer",
    "GatePower",
    "Outcomes",
    "PipelineValue",
    "PublishedNumbers",
    "VarianceFinding",
    "VarianceVerdict",
    "analyse",
    "analyse_nest",
    "check_published",
    "detectable",
    "judge_accuracy",
    "judge_correlation",
    "judge_shift",
    "read_outcomes",
    "read_published",
    "require_known",
    "within_sd",
]
