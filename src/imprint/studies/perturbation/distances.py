"""How far each cluster's states lie from each ability's prompts: the Mahalanobis distance Delta_task of source 000."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from imprint.capabilities import EvaluateModel, Scorer
from imprint.interventions.activations import Intervention, Noise, entry_layer
from imprint.mechanisms import task_distance
from imprint.runs import Context, Step, derive, write_json
from imprint.studies.perturbation.session import behind_the_first, session
from imprint.studies.perturbation.space import ClusterSpace, Space

DISTANCES_FILE = "distances.json"
PROMPT_TOKENS = 1_000
"""Tokens of each ability's prompts that are compared, drawn at random."""
DRAWS = 199


class TaskDistances(Step):
    """The distance of every cluster to every ability at the site, with its permutation p: `distances.json`."""

    evaluation: EvaluateModel
    space: ClusterSpace
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Compare a sample of each cluster's tokens with a sample of each ability's prompt tokens."""
        open_, space = session(self.evaluation, context), Space.load(context.get(self.space))
        anywhere = Intervention(site=space.site, edit=Noise(seed=0, rms=space.rms))
        scorer = open_.scorer(entry_layer(open_.model, [anywhere]))
        questions = open_.questions_of_rows(scorer)
        suite_of = [question.suite for question in open_.bench.questions]
        found = {}
        for suite in open_.bench.suites:
            states, prompts = _prompt_states(scorer, questions, suite_of, suite, derive(self.seed, suite) % 2**31)
            found[suite] = {
                cluster: self._distance(space, number, states, prompts) for number, cluster in enumerate(space.clusters)
            }
        write_json(folder / DISTANCES_FILE, found)

    def _distance(
        self, space: Space, number: int, states: Float[np.ndarray, "token width"], prompts: Int[np.ndarray, "token"]
    ) -> dict[str, object]:
        mine = space.reference_cluster == number
        measured = task_distance(
            space.reference[mine].astype(np.float64),
            space.reference_document[mine],
            states,
            prompts,
            draws=DRAWS,
            seed=self.seed,
        )
        return {"distance": measured.distance.as_dict(), "debiased": measured.debiased, "p": measured.p}


def _prompt_states(
    scorer: Scorer, questions: Int[Tensor, "row"], suite_of: list[str], suite: str, seed: int
) -> tuple[Float[np.ndarray, "token width"], Int[np.ndarray, "token"]]:
    """A random sample of the states at the tokens of one suite's rows but their first, and the question of each."""
    kept, owners = [], []
    for view in scorer.views():
        assert view.states is not None
        mine = torch.tensor([suite_of[number] == suite for number in questions[view.rows].tolist()])
        real = behind_the_first(view.mask[mine])
        kept.append(view.states[mine][real].float().double().numpy())
        owners.append(questions[view.rows[mine]][:, None].expand(real.shape)[real].numpy())
    states, places = np.concatenate(kept), np.concatenate(owners)
    drawn = np.random.default_rng(seed).permutation(len(states))[:PROMPT_TOKENS]
    return states[drawn], places[drawn]
