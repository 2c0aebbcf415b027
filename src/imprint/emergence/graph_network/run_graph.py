"""Runs, what was seen in them, and what is asked: the bipartite graph that a graph network reads."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from imprint.errors import InputError

Edges = Int[np.ndarray, "2 edge"]
"""Evidence row, question row."""


@dataclass(frozen=True, kw_only=True)
class RunGraph:
    """Evidence nodes (a component or task in a run, with its features) and questions (an ability in a run, with its own).

    A question's features are what a tabular predictor sees; nan is what is not known. Which evidence reaches which question
    within a run is said by a kinship matrix over node numbers and ability numbers (`edges`).

    Raises:
        InputError: the parts differ in length.
    """

    evidence: Float[np.ndarray, "evidence seen"]
    evidence_run: Int[np.ndarray, " _"]
    evidence_node: Int[np.ndarray, " _"]
    questions: Float[np.ndarray, "question own"]
    question_run: Int[np.ndarray, " _"]
    question_ability: Int[np.ndarray, " _"]
    emerged: Bool[np.ndarray, " _"]
    among_tasks: bool = False
    """Nodes and abilities are numbered alike (the same tasks): then no task is evidence about itself."""

    def __post_init__(self) -> None:
        """Refuse parts that do not fit."""
        if len({len(self.evidence), len(self.evidence_run), len(self.evidence_node)}) > 1:
            raise InputError("evidence, evidence_run and evidence_node differ in length: give one run and node a row")
        if len({len(self.questions), len(self.question_run), len(self.question_ability), len(self.emerged)}) > 1:
            raise InputError("questions, their runs, abilities and answers differ in length: give one of each a row")

    def __len__(self) -> int:
        """How many questions."""
        return len(self.emerged)

    def asking(self, rows: Shaped[np.ndarray, "row"]) -> "RunGraph":
        """The same evidence, some of the questions."""
        asked = {
            name: getattr(self, name)[rows] for name in ("questions", "question_run", "question_ability", "emerged")
        }
        return replace(self, **asked)

    def answered(self, emerged: Bool[np.ndarray, "question"]) -> "RunGraph":
        """The same questions with other answers."""
        return replace(self, emerged=emerged)

    def edges(self, kinship: Bool[np.ndarray, "node ability"]) -> Edges:
        """Every pair of evidence and question in one run whose node and ability are kin, by question."""
        order = np.argsort(self.evidence_run, kind="stable")
        start = np.searchsorted(self.evidence_run[order], self.question_run, side="left")
        stop = np.searchsorted(self.evidence_run[order], self.question_run, side="right")
        parts = []
        for question, (first, last) in enumerate(zip(start, stop, strict=True)):
            there = order[first:last]
            asked = self.question_ability[question]
            kin = there[kinship[self.evidence_node[there], asked]]
            kin = kin[self.evidence_node[kin] != asked] if self.among_tasks else kin
            parts.append(np.stack([kin, np.full(len(kin), question)]))
        return np.concatenate(parts, axis=1).astype(np.int64) if parts else np.zeros((2, 0), dtype=np.int64)
