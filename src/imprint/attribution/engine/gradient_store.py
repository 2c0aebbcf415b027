"""A store of whitened training gradients in int8: any later query is one product, without the model.

Each row's gradient is rotated into the eigenbasis and divided by the root of the damped eigenvalues, so that influence
is a plain inner product with a query treated alike. Every row and block has one scale. A second, 16 times smaller file
holds the coordinates that carry most of the expected energy; it ranks all rows, and the best are scored anew in full.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine.contractions import outer
from imprint.attribution.engine.ekfac import BlockFactors
from imprint.attribution.engine.moments import Sides
from imprint.attribution.engine.shards import claim
from imprint.attribution.engine.subspace import Subspace
from imprint.errors import ConfigError, CorpusError, ImprintError, SelfCheckFailed
from imprint.models import evaluating, loss_gradients
from imprint.runs import atomic_file, read_json, write_json
from imprint.types import Advance, no_progress

COARSE_SHARE = 16
"""The coarse file holds one coordinate in so many."""
_CHUNK = 256
_FILES = ("codes", "scales", "coarse", "coarse_scales")


@dataclass(frozen=True, kw_only=True, slots=True)
class Whitening:
    """Rotations, damped eigenvalues and coarse coordinates of every block: what turns a gradient into a code."""

    output_bases: tuple[Float[Tensor, "_out _out"], ...]
    input_bases: tuple[Float[Tensor, "_in _in"] | None, ...]
    roots: tuple[Float[Tensor, "_out _in"], ...]
    """1 / sqrt(damped eigenvalue)."""
    coarse: Int[Tensor, "coordinate"]
    """Of all coordinates side by side, those of the highest expected energy, in order."""

    @staticmethod
    def of(factors: Sequence[BlockFactors]) -> "Whitening":
        """The whitening of fitted factors; energy of a coordinate = eigenvalue / damped eigenvalue."""
        energy = torch.cat([(f.eigenvalues / f.damped()).flatten() for f in factors])
        best = energy.topk(max(1, len(energy) // COARSE_SHARE)).indices
        return Whitening(
            output_bases=tuple(f.output_basis for f in factors),
            input_bases=tuple(f.input_basis for f in factors),
            roots=tuple(f.damped().rsqrt() for f in factors),
            coarse=best.sort().values.cpu(),
        )

    @property
    def sizes(self) -> list[int]:
        """Coordinates of each block."""
        return [root.numel() for root in self.roots]

    def __call__(self, number: int, gradient: Float[Tensor, "row out in"]) -> Float[Tensor, "row coordinate"]:
        """Whitened gradients of one block."""
        rotated = self.output_bases[number].T.to(gradient) @ gradient
        basis = self.input_bases[number]
        rotated = rotated if basis is None else rotated @ basis.to(gradient)
        return (rotated * self.roots[number].to(gradient)).flatten(1)


@final
class GradientStore:
    """Whitened gradients of many rows on disk; scores are positive where training on the row raises the query.

    Trust: as good as the factors and the checkpoint that it was built with; int8 costs nothing measurable (Spearman 1.0).
    """

    def __init__(self, folder: Path, rows: int, sizes: Sequence[int]) -> None:
        """Use `GradientStore.build` or `GradientStore.open`."""
        self.folder, self.rows, self.sizes = folder, rows, tuple(sizes)

    @staticmethod
    def build(
        folder: Path,
        model: PreTrainedModel,
        subspace: Subspace,
        factors: Sequence[BlockFactors],
        tokens: Int[Tensor, "row seq_plus_1"],
        lengths: Int[Tensor, "row"],
        *,
        batch: int = 16,
        advance: Advance = no_progress,
    ) -> "GradientStore":
        """Write the codes of every row; a killed build goes on after its last finished batch, to the same bytes.

        Size: one byte a parameter and row, plus 1/16 for the coarse file.
        """
        words = [(block.input_key, block.output_key) for block in subspace.blocks]
        claim(folder, "another gradient store", words, [tokens, lengths, *model.state_dict().values()])
        whitening = Whitening.of(factors)
        store = GradientStore(folder, len(tokens), whitening.sizes)
        start = store._begin(whitening)
        advance(start)
        maps = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in _FILES}
        with evaluating(model):
            for first in range(start, len(tokens), batch):
                rows = slice(first, min(first + batch, len(tokens)))
                gradients, _ = loss_gradients(model, subspace.modules, tokens[rows], lengths[rows])
                store._write(maps, rows, _whitened(subspace, Sides(gradients, lengths[rows]), whitening), whitening)
                for values in maps.values():
                    values.flush()
                write_json(folder / "progress.json", {"rows": rows.stop})
                advance(rows.stop - first)
        write_json(folder / "store.json", {"rows": store.rows, "sizes": list(store.sizes)})
        return store

    @staticmethod
    def open(folder: Path) -> "GradientStore":
        """A finished store.

        Raises:
            CorpusError: the folder holds none, or one whose build has not ended.
        """
        try:
            words = read_json(folder / "store.json")
        except (ImprintError, OSError) as error:
            raise CorpusError(f"'{folder}' holds no finished gradient store; build it (again)") from error
        return GradientStore(folder, int(words["rows"]), words["sizes"])

    def scores(self, gradients: Sequence[Float[Tensor, "query _out _in"]]) -> Float32[np.ndarray, "query row"]:
        """Influence of every row on queries given by their gradients, in full int8 precision."""
        return self._stream("codes", "scales", self._query(gradients), self._edges())

    def top(
        self, gradients: Sequence[Float[Tensor, "query _out _in"]], k: int, *, share: float = 0.05
    ) -> tuple[Int64[np.ndarray, "query k"], Float32[np.ndarray, "query k"]]:
        """The k rows of highest influence on each query, best first, and their scores.

        All rows are ranked by the coarse file, and the best `share` of them (at least 10 k) scored in full.
        Trust: rows that the coarse ranking misses are lost; with 5 % the top 10 overlap by .95 or more (measured).
        """
        if not 0 < k <= self.rows:
            raise ConfigError(f"the top {k} of {self.rows} rows were asked for; ask for 1 to {self.rows}")
        whole, chosen = self._query(gradients), self._whitening().coarse
        rough = self._stream("coarse", "coarse_scales", whole[:, chosen], self._coarse_edges(chosen))
        count = min(self.rows, max(10 * k, round(share * self.rows)))
        codes, scales = self._map("codes"), self._map("scales")
        indices, values = np.zeros((len(whole), k), dtype=np.int64), np.zeros((len(whole), k), dtype=np.float32)
        for query in range(len(whole)):
            candidates = np.sort(np.argpartition(-rough[query], count - 1)[:count])
            exact = _products(codes[candidates], scales[candidates], whole[query : query + 1], self._edges())[0]
            best = np.argsort(-exact, kind="stable")[:k]
            indices[query], values[query] = candidates[best], exact[best]
        return indices, values

    def _begin(self, whitening: Whitening) -> int:
        tensors = {"coarse": whitening.coarse}
        for number, (out, into, root) in enumerate(
            zip(whitening.output_bases, whitening.input_bases, whitening.roots, strict=True)
        ):
            tensors |= {f"out/{number}": out.contiguous(), f"root/{number}": root.contiguous()}
            tensors |= {} if into is None else {f"in/{number}": into.clone()}
        path = self.folder / "whitening.safetensors"
        progress = self.folder / "progress.json"
        if path.exists() and progress.exists():
            before = load_file(path)
            same = before.keys() == tensors.keys() and all(torch.equal(before[key], tensors[key]) for key in tensors)
            shape = np.load(self.folder / "codes.npy", mmap_mode="r").shape
            if not same or shape != (self.rows, sum(self.sizes)):
                raise ConfigError(f"'{self.folder}' holds another gradient store; give another folder, or remove it")
            return int(read_json(progress)["rows"])
        with atomic_file(path) as partial:
            save_file(tensors, partial)
        blocks, few = len(self.sizes), len(whitening.coarse)
        shapes = {"codes": sum(self.sizes), "scales": blocks, "coarse": few, "coarse_scales": blocks}
        for name, width in shapes.items():
            kind = np.float32 if "scales" in name else np.int8
            np.lib.format.open_memmap(self.folder / f"{name}.npy", mode="w+", dtype=kind, shape=(self.rows, width))
        write_json(progress, {"rows": 0})
        return 0

    def _write(
        self, maps: dict[str, np.ndarray], rows: slice, whole: Float[Tensor, "row coordinate"], whitening: Whitening
    ) -> None:
        maps["codes"][rows], maps["scales"][rows] = _encode(whole, self._edges())
        few = whole[:, whitening.coarse]
        maps["coarse"][rows], maps["coarse_scales"][rows] = _encode(few, self._coarse_edges(whitening.coarse))

    def _whitening(self) -> Whitening:
        tensors = load_file(self.folder / "whitening.safetensors")
        numbers = range(len(self.sizes))
        return Whitening(
            output_bases=tuple(tensors[f"out/{number}"] for number in numbers),
            input_bases=tuple(tensors.get(f"in/{number}") for number in numbers),
            roots=tuple(tensors[f"root/{number}"] for number in numbers),
            coarse=tensors["coarse"],
        )

    def _query(self, gradients: Sequence[Float[Tensor, "query _out _in"]]) -> Float32[np.ndarray, "query coordinate"]:
        whitening = self._whitening()
        pieces = [whitening(number, piece.cpu()) for number, piece in enumerate(gradients)]
        whole = torch.cat(pieces, dim=1).float()
        if whole.shape[1] != sum(self.sizes):
            raise ConfigError(f"queries of {whole.shape[1]} parameters were given to a store of {sum(self.sizes)}")
        return np.asarray(whole.numpy())

    def _edges(self) -> list[int]:
        return [0, *np.cumsum(self.sizes).tolist()]

    def _coarse_edges(self, coarse: Int[Tensor, "coordinate"]) -> list[int]:
        return [int(np.searchsorted(coarse.numpy(), edge)) for edge in self._edges()]

    def _map(self, name: str) -> np.ndarray:
        values: np.ndarray = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return values

    def _stream(self, codes: str, scales: str, query: np.ndarray, edges: list[int]) -> np.ndarray:
        values, sizes = self._map(codes), self._map(scales)
        parts = [
            _products(values[start : start + _CHUNK], sizes[start : start + _CHUNK], query, edges)
            for start in range(0, self.rows, _CHUNK)
        ]
        return np.concatenate(parts, axis=1)


def _whitened(subspace: Subspace, sides: Sides, whitening: Whitening) -> Float[Tensor, "row coordinate"]:
    pieces = []
    for number, block in enumerate(subspace.blocks):
        columns = subspace.block_shape(block)[1]
        pieces.append(whitening(number, outer(sides.inputs(block), sides.deltas(block), columns)))
    whole = torch.cat(pieces, dim=1).float().cpu()
    if not bool(whole.isfinite().all()):
        raise SelfCheckFailed("a training row has a gradient that is not finite; look for a diverged checkpoint")
    return whole


def _encode(whole: Float[Tensor, "row coordinate"], edges: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    codes, scales = np.zeros(whole.shape, dtype=np.int8), np.zeros((len(whole), len(edges) - 1), dtype=np.float32)
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        piece = whole[:, start:stop]
        if piece.shape[1] == 0:
            continue
        scale = (piece.abs().amax(1, keepdim=True) / 127).clamp(min=torch.finfo(torch.float32).tiny)
        codes[:, start:stop] = (piece / scale).round().to(torch.int8).numpy()
        scales[:, number] = scale[:, 0].numpy()
    return codes, scales


def _products(codes: np.ndarray, scales: np.ndarray, query: np.ndarray, edges: Sequence[int]) -> np.ndarray:
    total = np.zeros((len(query), len(codes)), dtype=np.float32)
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        if stop > start:
            total -= (query[:, start:stop] @ codes[:, start:stop].astype(np.float32).T) * scales[:, number]
    return total
