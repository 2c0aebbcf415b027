"""Task-specific clusters: those whose text makes named attention heads more active than other text does (source 000)."""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from imprint.corpus import Packed
from imprint.corpus.clusters import Clustering, filter_by_heads
from imprint.mechanisms import head_activations
from imprint.models import ImportedModel, open_imported
from imprint.runs import Context, Step, atomic_file, write_json
from imprint.studies.perturbation.passages import ClusterPassages, rows_of, sources_of

KEPT_FILE = "kept.json"


class FilteredClusters(Step):
    """The clusters in which the named heads write more than elsewhere: `kept.json`, and `filter.parquet` with the evidence.

    Measured on the fitting half of the passages; source documents are the units.
    """

    passages: ClusterPassages
    model: ImportedModel
    heads: tuple[str, ...] = Field(min_length=1)

    def execute(self, folder: Path, context: Context) -> None:
        """Measure the heads on every passage and test each cluster against the rest."""
        torch.set_num_threads(1)
        packed = Packed.load(context.get(self.passages))
        model, _ = open_imported(context.get(self.model), self.model.dtype)
        rows = rows_of(packed, "fit", self.passages.seed)
        names = tuple(dict.fromkeys(packed.domains))
        numbers = np.array([names.index(name) for name in packed.row_domains[rows].tolist()])
        active = head_activations(model, packed.tokens[rows], packed.lengths[rows] + 1, self.heads)
        clustering = Clustering(unit="token", method="passages", labels=numbers, names=names)
        found = filter_by_heads(active, clustering, documents=sources_of(packed, rows))
        for number in sorted(set(range(len(names))) - set(found.kept)):
            effect = found.effects[number]
            context.warn(
                f"cluster '{names[number]}' was left out: {', '.join(self.heads)} are not more active in it"
                f" ({effect.estimate:+.2f} [{effect.low:+.2f}, {effect.high:+.2f}] standard deviations)"
            )
        with atomic_file(folder / "filter.parquet") as partial:
            found.table.write_parquet(partial)
        write_json(folder / KEPT_FILE, [names[number] for number in found.kept])
