"""`imprint locate MODEL --mechanism copying --circuit`: heads of any mechanism against their nulls, and the circuit."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imprint.cli.output import output_folder, print_json, print_lines, print_table
from imprint.cli.progress import TerminalReporter
from imprint.errors import ConfigError, ModelError
from imprint.runs import write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from imprint.capabilities import RepeatProbe
    from imprint.mechanisms import HeadMechanism, Location

INDUCTION = "induction"
SMALL_MODEL = 20_000_000
"""Parameters up to which fresh models are scored without being asked for."""
FRESH_MODELS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadOptions:
    """What is asked about the heads of a model."""

    mechanisms: list[str]
    """"induction", a mechanism that imprint knows, or FILE.py:function."""
    circuit: bool
    initial_models: int | None
    context: int
    rows: int
    ablate: int
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Subject:
    """The model, and the sequences on which its heads are scored."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    alphabet: list[int]
    probes: "list[RepeatProbe]"

    @property
    def bos(self) -> int | None:
        """The token that begins every sequence, if the model has one."""
        token: int | None = self.tokenizer.bos_token_id
        return token


def locate_heads(named: dict[str, Any], options: HeadOptions, out: Path | None, top: int, *, json: bool) -> None:
    """Score the heads, keep the findings (with an output folder) and show them."""
    functions = _functions(options)
    folder = None if out is None else output_folder(out)
    reporter = TerminalReporter(quiet=json)
    with reporter.stage("load the model", None):
        subject = _load(named, options)
    mechanisms = {
        name: _mechanism(name, functions.get(name), subject, options)
        for name in options.mechanisms
        if name != INDUCTION
    }
    fresh = _fresh_count(options, subject.model, mechanisms)
    found = _found(subject, mechanisms, fresh, options, reporter)
    if folder is not None:
        write_json(folder / "location.json", found)
    if json:
        return print_json(found)
    _show(found, top)


def _functions(options: HeadOptions) -> "dict[str, Callable[..., Any]]":
    """The user's functions by address; wrong names and files are refused before anything is loaded."""
    from imprint.mechanisms import LEAST_INITIAL_MODELS, MECHANISMS, user_function

    if options.initial_models is not None and 0 < options.initial_models < LEAST_INITIAL_MODELS:
        raise ConfigError(
            f"{options.initial_models} initial models cannot give p = .05; give --initial-models 0 or at least"
            f" {LEAST_INITIAL_MODELS}"
        )
    addresses = [name for name in options.mechanisms if name not in (INDUCTION, *MECHANISMS)]
    for name in addresses:
        if ":" not in name:
            known = ", ".join((INDUCTION, *MECHANISMS))
            raise ConfigError(f"mechanism '{name}' is not known; choose {known}, or write FILE.py:function")
    return {name: user_function(name) for name in addresses}


def _load(named: dict[str, Any], options: HeadOptions) -> _Subject:
    from imprint.capabilities import ordinary_tokens, random_period_probes
    from imprint.models import check_context, family_of, load_model, load_tokenizer

    model = load_model(**named)
    tokenizer = load_tokenizer(named["name"], revision=named["revision"], gguf_file=named["gguf_file"])
    if family_of(model.config.model_type).objective != "causal":
        raise ModelError(
            f"{named['name']}: a {model.config.model_type} model does not predict the next token, so it cannot copy"
        )
    check_context(model, options.context)
    alphabet = ordinary_tokens(tokenizer)
    probes = random_period_probes(
        alphabet, rows=options.rows, seed=options.seed, bos=tokenizer.bos_token_id, context=options.context
    )
    return _Subject(model=model, tokenizer=tokenizer, alphabet=alphabet, probes=probes)


def _mechanism(
    name: str, function: "Callable[..., Any] | None", subject: _Subject, options: HeadOptions
) -> "HeadMechanism":
    from imprint.mechanisms import standard_mechanism, successor_pairs, user_mechanism

    if function is not None:
        return user_mechanism(function, subject.probes[0].tokens)
    return standard_mechanism(
        name,
        subject.alphabet,
        context=options.context,
        rows=options.rows,
        seed=options.seed,
        bos=subject.bos,
        successors=successor_pairs(subject.tokenizer) if name == "successor" else (),
    )


def _fresh_count(options: HeadOptions, model: "PreTrainedModel", mechanisms: "dict[str, HeadMechanism]") -> int:
    """How many fresh models are scored: as asked, or by default only for small models."""
    from imprint.mechanisms import ModelScore

    count = options.initial_models
    if count is None:
        count = FRESH_MODELS if model.num_parameters() <= SMALL_MODEL else 0
    without = [name for name, each in mechanisms.items() if isinstance(each, ModelScore)]
    if count == 0 and without:
        raise ConfigError(f"{without[0]}: a score of the model has no null of its own; give --initial-models 20")
    return count


def _found(
    subject: _Subject,
    mechanisms: "dict[str, HeadMechanism]",
    fresh: int,
    options: HeadOptions,
    reporter: TerminalReporter,
) -> dict[str, Any]:
    from imprint.mechanisms import fresh_models, largest_score, largest_scores, locate, prefix_maximum, score_heads

    model, seed = subject.model, options.seed
    located = options.circuit or INDUCTION in options.mechanisms
    measures = {name: largest_score(mechanism) for name, mechanism in mechanisms.items()}
    if located:
        measures[INDUCTION] = partial(prefix_maximum, probe=subject.probes[0])
    found: dict[str, Any] = {"initial_models": fresh}
    with reporter.stage(f"score {fresh} freshly initialised models", fresh) as advance:
        maxima = largest_scores(measures, fresh_models(model, fresh, seed=seed), advance=advance)
    if located:
        with reporter.stage("score and ablate heads", options.ablate) as advance:
            location = locate(
                model,
                subject.probes,
                seed=seed,
                ablate=options.ablate,
                initial_maxima=maxima[INDUCTION],
                advance=advance,
            )
        found |= location.as_dict()
        found |= {"circuit": _circuit(subject, location, seed, reporter)} if options.circuit else {}
    if mechanisms:
        with reporter.stage("score other mechanisms", len(mechanisms)) as advance:
            found["mechanisms"] = {}
            for name, mechanism in mechanisms.items():
                scored = score_heads(model, mechanism, seed=seed, initial_maxima=maxima[name])
                found["mechanisms"][name] = scored.as_dict()
                advance(1)
    return found


def _circuit(subject: _Subject, location: "Location", seed: int, reporter: TerminalReporter) -> list[dict[str, object]]:
    from imprint.mechanisms import induction_circuit

    with reporter.stage("patch paths into the induction head", None) as advance:
        paths = induction_circuit(subject.model, subject.probes[0], location, seed=seed, advance=advance)
    return [path.as_dict() for path in paths]


def _show(found: dict[str, Any], top: int) -> None:
    if "heads" in found:
        _show_location(found, top)
    for mechanism in found.get("mechanisms", {}).values():
        _show_mechanism(mechanism, found["initial_models"], top)
    if "circuit" in found:
        _show_circuit(found["circuit"])


def _show_location(found: dict[str, Any], top: int) -> None:
    columns = ("head", "prefix matching", "worst period", "offset", "p", "previous token", "ablation (nats)", "role")
    ranked = sorted(found["heads"], key=lambda head: -max(head["prefix_matching"]["estimate"], head["previous_token"]))
    rows = [
        (
            head["head"],
            head["prefix_matching"]["estimate"],
            head["prefix_matching_worst"],
            head["best_offset"],
            head["p_induction"],
            head["previous_token"],
            None if head["ablation"] is None else head["ablation"]["estimate"],
            head["role"],
        )
        for head in ranked[:top]
    ]
    print_table(f"The {len(rows)} strongest of {len(ranked)} heads", columns, rows)
    accuracy, chance = found["copy_accuracy"], found["copy_chance"]
    prefix, previous = found["null_prefix_95"], found["null_previous_95"]
    print_lines(
        [
            f"Copy accuracy {accuracy['estimate']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}], chance {chance:.4f}.",
            f"95 % of null maxima: prefix matching {prefix:.3f}, previous token {previous:.3f}.",
            f"Induction is judged against shuffled targets and {_fresh_words(found['initial_models'])}.",
        ]
    )


def _show_mechanism(found: dict[str, Any], fresh: int, top: int) -> None:
    ranked = sorted(found["heads"], key=lambda head: -head["score"]["estimate"])
    rows = [
        (*(head["head"], *(head["score"][key] for key in ("estimate", "low", "high"))), head["p"], head["role"])
        for head in ranked[:top]
    ]
    title = f"{found['mechanism']}: the {len(rows)} highest scores of {len(ranked)} heads"
    print_table(title, ("head", "score", "low", "high", "p", "role"), rows)
    shuffled = found["draws"] - fresh
    own = f"{shuffled} shuffles of the targets" if shuffled else "no shuffled targets"
    print_lines([f"Null maxima over heads: {own} and {_fresh_words(fresh)}; 95 % below {found['null_95']:.3f}."])


def _sender(name: str) -> str:
    heads = name.split("+")
    return name if len(heads) == 1 else "all of " + heads[0].partition(".")[0]


def _fresh_words(count: int) -> str:
    return f"{count} freshly initialised models" if count else "no freshly initialised model (--initial-models 20)"


def _show_circuit(paths: list[dict[str, Any]]) -> None:
    if not paths:
        return print_lines(["No induction head with a head below it was found, so there is no circuit to check."])
    rows = [
        (
            _sender(path["sender"]),
            f"{path['receiver']}.{path['role']}",
            *(path[name][key] for name in ("prefix_matching", "copying") for key in ("estimate", "low", "high")),
        )
        for path in paths
    ]
    columns = ("sender", "hears through", "attention lost", "low", "high", "copying lost (nats)", "low", "high")
    print_table(f"What each path into {paths[0]['receiver']} carries", columns, rows)
