"""The ratios that `benchmarks.attribution` is judged by: what was asked, what was measured, and whether it is met."""

from typing import Any

Found = dict[str, dict[str, Any]]
SCORE = ("pass for the scores", "score")


def seconds(found: Found, name: str, *stages: str) -> float | None:
    """CPU seconds of a tool, of all its stages or of some; None where it was not measured."""
    facts = found.get(name)
    if facts is None or "failed" in facts:
        return None
    if not stages:
        return float(facts["total_cpu_seconds"])
    return float(sum(facts["cpu_seconds"].get(stage, 0.0) for stage in stages))


def ratio(theirs: float | None, ours: float | None) -> float | None:
    """How many times ours theirs is."""
    return None if theirs is None or not ours else theirs / ours


def kronfluence_score_pass(found: Found) -> float | None:
    """kronfluence's pass over the rows alone: its score stage less the queries, by a second one over a single batch."""
    whole = seconds(found, "kronfluence_default", "score")
    batch = found.get("kronfluence_default", {}).get("score_of_one_batch_cpu_seconds")
    return None if whole is None or batch is None else (whole - batch) * 512 / (512 - 16)


def judged(shape: str, found: Found) -> list[dict[str, Any]]:
    """One entry a target: the question, the measured value, the bound, and whether it holds (None: not measured)."""
    exact, fast = seconds(found, "imprint_exact"), seconds(found, "imprint_fast")
    default = seconds(found, "kronfluence_default")
    rows: list[tuple[str, float | None, str, float]] = [
        ("exact: rho", found.get("imprint_exact", {}).get("rho"), ">=", 0.999),
        ("exact: times kronfluence's default", ratio(default, exact), ">=", 3.0 if shape == "gpt2" else 2.6),
        ("exact: times kronfluence's bf16", ratio(seconds(found, "kronfluence_bf16"), exact), ">=", 2.0),
        ("exact within 300 MB: peak above the base, MB", found.get("imprint_small", {}).get("peak_above_base_mb"), "<=", 300.0),
        ("exact within 300 MB: times kronfluence's default", ratio(default, seconds(found, "imprint_small")), ">=", 2.6),
        ("exact: factors on disk, MB", megabytes(found.get("imprint_exact", {}).get("factor_bytes")), "<=", 18.0),
        ("fast: rho", found.get("imprint_fast", {}).get("rho"), ">=", 0.985),
        ("fast: times kronfluence's fastest", ratio(seconds(found, "kronfluence_fastest"), fast), ">=", 2.0),
        (
            "score pass alone: times kronfluence's, its queries taken off",
            ratio(kronfluence_score_pass(found), seconds(found, "imprint_exact", *SCORE)), ">=", 2.6,
        ),
        (
            "queries and score pass: times kronfluence's score stage",
            ratio(seconds(found, "kronfluence_default", "score"), seconds(found, "imprint_exact", "query", *SCORE)),
            ">=", 2.6,
        ),
        (
            "one head with a probe query: times kronfluence's default, which cannot",
            ratio(default, seconds(found, "imprint_one_head")), ">=", 10.0,
        ),
        ("all heads in one pass: times one full run", ratio(seconds(found, "imprint_all_heads"), exact), "<=", 1.5),
        (
            "per-token scores of 32 queries: times kronfluence's",
            ratio(
                seconds(found, "kronfluence_per_token", "score"), seconds(found, "imprint_per_token", "query", *SCORE)
            ), ">=", 6.5,
        ),
    ]  # fmt: skip
    return [
        {
            "target": name,
            "measured": value,
            "asked": f"{sign} {bound:g}",
            "met": None if value is None else bool(value >= bound if sign == ">=" else value <= bound),
        }
        for name, value, sign, bound in rows
    ]


def megabytes(size: int | None) -> float | None:
    """Bytes in MB of 10**6."""
    return None if size is None else size / 1e6
