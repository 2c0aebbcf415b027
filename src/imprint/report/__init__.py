"""Evidence to a report: plain data in, one self-contained HTML file and its Markdown twin out.

- `model`: `ReportData` and its records, what a report shows; saved and read back as JSON
- `html`, `markdown`, `writer`: the two renderings and their files
- `ladder`, `trajectories`, `heatmaps`, `highlight`, `domains`, `forest`, `concentration`: one section each
- `mechanism`, `answer`, `evidence`: from a mechanism study's result to report data, five lines, and evidence.json
- `charts`: the theme; `arms`: one look an arm; `interval_plot`: a number with its interval as a small picture
- `glossary`: how to read each metric; `wording`: numbers and foreign text as a reader should see them
- `templates/`: HTML, Markdown, style and script
"""

from imprint.report.evidence import evidence, write_evidence
from imprint.report.html import render_html
from imprint.report.markdown import render_markdown
from imprint.report.mechanism import report_data
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
from imprint.report.writer import write_report

__all__ = [
    "ClaimRecord",
    "ComparisonRecord",
    "ConcentrationRecord",
    "DocumentRecord",
    "DomainRecord",
    "EffectRecord",
    "EffectRow",
    "EvidenceRecord",
    "HeadRecord",
    "HypothesisRecord",
    "MethodRecord",
    "MetricNote",
    "OnsetRecord",
    "ProvenanceRecord",
    "ReportData",
    "StageRecord",
    "TailRecord",
    "TokenRecord",
    "TrajectoryPoint",
    "TrustNote",
    "WindowRecord",
    "evidence",
    "load_report_data",
    "render_html",
    "render_markdown",
    "report_data",
    "save_report_data",
    "write_evidence",
    "write_report",
]
