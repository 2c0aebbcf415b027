"""`Subspace`: which part of a hidden state an edit touches (chosen dimensions, or any orthonormal directions)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from imprint.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Subspace:
    """A linear part of a state of `width` numbers: `dims` (indices), `basis` (width, rank; orthonormal), or all of it.

    Make one with `of_dims`, `of_basis`, `spanned_by` or `full`.
    """

    width: int
    dims: Tensor | None = None
    basis: Tensor | None = None

    @staticmethod
    def full(width: int) -> "Subspace":
        """The whole state."""
        return Subspace(width=width)

    @staticmethod
    def of_dims(dims: Tensor, width: int) -> "Subspace":
        """Chosen dimensions; `ConfigError` if one is outside 0..width-1, comes twice, or none is given."""
        wrong = dims.ndim != 1 or dims.dtype != torch.long or len(dims) == 0 or len(set(dims.tolist())) < len(dims)
        if wrong or int(dims.min()) < 0 or int(dims.max()) >= width:
            raise ConfigError(
                f"Dimensions must be distinct integers from 0 to {width - 1}; seen were {dims.tolist()[:8]} ({dims.dtype})."
            )
        return Subspace(width=width, dims=dims.sort().values)

    @staticmethod
    def of_basis(basis: Float[Tensor, "width rank"]) -> "Subspace":
        """The span of orthonormal columns; `ConfigError` if they are not (`spanned_by` makes them so)."""
        gram = basis.double().T @ basis.double()
        if basis.shape[1] == 0 or not bool(((gram - torch.eye(len(gram)).to(gram)).abs() < 1e-3).all()):
            raise ConfigError(
                f"The {basis.shape[1]} columns of a basis of shape {tuple(basis.shape)} are not orthonormal; pass any "
                "vectors to Subspace.spanned_by instead."
            )
        return Subspace(width=int(basis.shape[0]), basis=basis)

    @staticmethod
    def spanned_by(vectors: Float[Tensor, "width n"]) -> "Subspace":
        """The span of any vectors, by SVD: directions with less than 1e-6 of the largest singular value do not count."""
        if not bool(vectors.isfinite().all()) or not bool((vectors != 0).any()):
            raise ConfigError("Vectors that span a subspace must be finite numbers and not all zero.")
        left, values, _ = torch.linalg.svd(vectors.double(), full_matrices=False)
        return Subspace.of_basis(left[:, values > 1e-6 * values[0]].to(vectors.dtype))

    @property
    def rank(self) -> int:
        """How many dimensions it has."""
        if self.dims is not None:
            return len(self.dims)
        return self.width if self.basis is None else int(self.basis.shape[1])

    def project(self, states: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """The part of the states that lies inside."""
        if self.dims is not None:
            inside = torch.zeros(self.width, dtype=states.dtype, device=states.device)
            return states * inside.index_fill(0, self.dims.to(states.device), 1)
        if self.basis is None:
            return states
        basis = self.basis.to(states)
        return (states @ basis) @ basis.T

    def blend(
        self,
        states: Float[Tensor, "*batch width"],
        target: Float[Tensor, "*#batch width"],
        dose: Float[Tensor, "*#batch 1"],
    ) -> Float[Tensor, "*batch width"]:
        """The states with their part inside moved `dose` of the way to the target's; dose 1 replaces it exactly."""
        if self.dims is not None:
            dims = self.dims.to(states.device)
            return states.index_copy(-1, dims, torch.lerp(states[..., dims], target[..., dims].to(states), dose))
        if self.basis is None:
            return torch.lerp(states, target.to(states), dose)
        return states + dose * self.project(target - states)

    def orthonormal(self) -> Float[Tensor, "width rank"]:
        """An orthonormal basis, whichever way the subspace was given (float64)."""
        if self.basis is not None:
            return self.basis.double().cpu()
        dims = torch.arange(self.width) if self.dims is None else self.dims.cpu()
        return torch.eye(self.width, dtype=torch.float64)[:, dims]
