"""Evidence to a report: plain data in, one self-contained HTML file and its Markdown twin out.

- `model`: `ReportData` and its records, what a report shows; saved and read back as JSON; `records`: their base
- `influence_records`: the records of a perturbation study
- `html`, `markdown`, `writer`: the two renderings and their files
- `ladder`, `trajectories`, `heatmaps`, `highlight`, `domains`, `forest`, `concentration`: one section each
- `character`: what the high-influence documents are; `character_records`: its records
- `mechanism_records`: other mechanisms and the circuit of the heads
- `window`: influence over checkpoints and heads; `window_records`: its records
- `influence`: the sections of a perturbation study: `influence_matrix`, `dose_curves`, `variations`
- `variance`, `variance_page`: conditions against their pipelines
- `susceptibility_view`: the sections of a susceptibility study: `scalar_screens`, `divergence_map`, `removal_arms`;
  `susceptibility_records`: its records
- `emergence_view`: the sections of an emergence study: `emergence_graph`, `emergence_forest`, `emergence_curves`,
  `emergence_forecast`, `emergence_allocation`; `emergence_records`: its records
- `mechanism`, `answer`: from a mechanism study's result to report data and five lines; `perturbation`,
  `perturbation_answer`: the same of a perturbation study; `susceptibility` (`susceptibility_findings`,
  `susceptibility_noticed`), `susceptibility_answer`: of a susceptibility study; `emergence` (`emergence_design`,
  `emergence_findings`, `emergence_beside`, `emergence_trajectories`, `emergence_noticed`), `emergence_answer`: of
  an emergence study
- `examined`: registered hypotheses as records, those without a verdict among them
- `evidence` (`susceptibility_evidence`, `emergence_evidence`): evidence.json and manifest.json of all
- `charts`: the theme; `color_scale`: colours of heat maps; `anchors`: ids from names
- `arms`: one look an arm; `interval_plot`: a number with its interval as a small picture
- `glossary`: how to read each metric; `wording`: numbers and foreign text as a reader should see them
- `templates/`: HTML, Markdown, style and script
"""

from imprint.report.character import character_record, with_intervals
from imprint.report.character_records import CharacterRecord
from imprint.report.emergence import emergence_report
from imprint.report.evidence import Result, evidence, write_evidence
from imprint.report.html import render_html
from imprint.report.influence_records import (
    AbilityRecord,
    CellRecord,
    ClusterRecord,
    DosePoint,
    FamilyRecord,
    InfluenceRecord,
    ValidationRecord,
    VariationRecord,
)
from imprint.report.markdown import render_markdown
from imprint.report.mechanism import report_data
from imprint.report.mechanism_records import CircuitRecord, ScoredMechanismRecord, mechanism_records
from imprint.report.model import (
    ClaimRecord,
    ComparisonRecord,
    ConcentrationRecord,
    DocumentRecord,
    DomainRecord,
    EffectRecord,
    EffectRow,
    EvidenceRecord,
    HeadRecord,
    HypothesisRecord,
    MethodRecord,
    MetricNote,
    OnsetRecord,
    ProvenanceRecord,
    ReportData,
    StageRecord,
    TailRecord,
    TokenRecord,
    TrajectoryPoint,
    TrustNote,
    WindowRecord,
    load_report_data,
    save_report_data,
)
from imprint.report.perturbation import perturbation_report
from imprint.report.susceptibility import susceptibility_report
from imprint.report.window import window_record
from imprint.report.window_records import WindowFindingsRecord
from imprint.report.writer import write_report

__all__ = [
    "AbilityRecord",
    "CellRecord",
    "CharacterRecord",
    "CircuitRecord",
    "ClaimRecord",
    "ClusterRecord",
    "ComparisonRecord",
    "ConcentrationRecord",
    "DocumentRecord",
    "DomainRecord",
    "DosePoint",
    "EffectRecord",
    "EffectRow",
    "EvidenceRecord",
    "FamilyRecord",
    "HeadRecord",
    "HypothesisRecord",
    "InfluenceRecord",
    "MethodRecord",
    "MetricNote",
    "OnsetRecord",
    "ProvenanceRecord",
    "ReportData",
    "Result",
    "ScoredMechanismRecord",
    "StageRecord",
    "TailRecord",
    "TokenRecord",
    "TrajectoryPoint",
    "TrustNote",
    "ValidationRecord",
    "VariationRecord",
    "WindowFindingsRecord",
    "WindowRecord",
    "character_record",
    "emergence_report",
    "evidence",
    "load_report_data",
    "mechanism_records",
    "perturbation_report",
    "render_html",
    "render_markdown",
    "report_data",
    "save_report_data",
    "susceptibility_report",
    "window_record",
    "with_intervals",
    "write_evidence",
    "write_report",
]
