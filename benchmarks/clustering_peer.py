"""DBSCAN labels of one array by scikit-learn or faiss, timed; run by the Python that has the library.

Run by `benchmarks.clustering` as `PYTHON clustering_peer.py NAME STATES.npy EPS MIN_SAMPLES LABELS.npy`.
"""

import json
import resource
import sys
import time

import numpy as np


def scikit_learn(states: np.ndarray, eps: float, min_samples: int) -> np.ndarray:
    """scikit-learn's own choice of algorithm."""
    from sklearn.cluster import DBSCAN

    return DBSCAN(eps=eps, min_samples=min_samples, n_jobs=1).fit_predict(states)


def faiss(states: np.ndarray, eps: float, min_samples: int, chunk: int = 4096) -> np.ndarray:
    """Exact range search in float32, components by scipy."""
    import faiss as library
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    library.omp_set_num_threads(1)
    index = library.IndexFlatL2(states.shape[1])
    index.add(states)
    counts, rows, columns = np.zeros(len(states), np.int64), [], []
    for start in range(0, len(states), chunk):
        limits, _, near = index.range_search(states[start : start + chunk], eps * eps)
        found = np.diff(limits.astype(np.int64))
        counts[start : start + chunk] = found
        rows.append(np.repeat(np.arange(start, start + len(found), dtype=np.int32), found))
        columns.append(near.astype(np.int32))
    core, rows, columns = counts >= min_samples, np.concatenate(rows), np.concatenate(columns)
    both = core[rows] & core[columns]
    graph = csr_matrix((np.ones(both.sum(), np.int8), (rows[both], columns[both])), shape=(len(states),) * 2)
    _, component = connected_components(graph, directed=False)
    labels = np.full(len(states), -1)
    labels[core] = np.unique(component[core], return_inverse=True)[1]
    border = core[rows] & ~core[columns]
    labels[columns[border]] = labels[rows[border]]
    return labels


def main() -> None:
    """Cluster, save the labels, and say what it took."""
    name, path, eps, min_samples, out = sys.argv[1:]
    states = np.load(path)
    run = {"scikit_learn": scikit_learn, "faiss": faiss}[name]
    cpu, wall = time.process_time(), time.perf_counter()
    labels = run(states, float(eps), int(min_samples))
    times = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    np.save(out, labels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    sys.stdout.write(json.dumps(times | {"peak_gigabytes": peak}) + "\n")


if __name__ == "__main__":
    main()
