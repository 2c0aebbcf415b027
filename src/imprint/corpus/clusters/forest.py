"""Connected components that grow edge by edge: a union-find over arrays, one number of memory a point."""

from typing import final

import numpy as np
from jaxtyping import Int


@final
class Forest:
    """Which component each of `size` points belongs to, while edges arrive in batches of any order."""

    def __init__(self, size: int) -> None:
        """Begin with every point alone."""
        self._parent = np.arange(size, dtype=np.int64)

    def roots(self, points: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
        """The smallest point of the component of each point."""
        above = self._parent[points]
        while True:
            higher = self._parent[above]
            if np.array_equal(higher, above):
                break
            above = higher
        self._parent[points] = above
        return np.asarray(above)

    def join(self, left: Int[np.ndarray, "edge"], right: Int[np.ndarray, "edge"]) -> None:
        """Merge the components at both ends of every edge."""
        while len(left):
            left, right = self._ends(left), self._ends(right)
            apart = left != right
            left, right = left[apart], right[apart]
            # The larger root hangs below the smaller, so no cycle can form; who loses a race is joined next time round.
            self._parent[np.maximum(left, right)] = np.minimum(left, right)

    def _ends(self, points: Int[np.ndarray, "edge"]) -> Int[np.ndarray, "edge"]:
        """The roots of points that repeat: each is looked up once when they lie in a short range."""
        low, high = int(points.min()), int(points.max()) + 1
        if high - low > len(points):
            return self.roots(points)
        return np.asarray(self.roots(np.arange(low, high))[points - low])
