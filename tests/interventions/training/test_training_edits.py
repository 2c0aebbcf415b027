import pytest
import torch
from pydantic import ValidationError
from tiny_families import BUILDERS
from tiny_runs import ARCHITECTURES, QUICK, bytes_of, packed_rows, stream_of

from imprint.corpus import AbilityRows, ShuffledStream
from imprint.errors import ComponentNotFound, ConfigError
from imprint.interventions.training import TrainEdited, TrainingEdit, check_edit, edited
from imprint.interventions.training.effect import edited_units
from imprint.models import Anatomy, Train, ablate_heads, eager_attention, load_model, record, train
from imprint.models import training as training_room
from imprint.models.steps import checkpoint_name
from imprint.runs import Store
from imprint.studies.ability_training import abilities_architecture

CAUSAL = [name for name in BUILDERS if not name.startswith(("bert", "t5"))]
NORMALISED = [name for name in CAUSAL if name.startswith(("qwen3", "olmo2"))]
TOKENS = torch.randint(1, 31, (3, 12), generator=torch.Generator().manual_seed(0))


def model_of(name):
    torch.manual_seed(0)
    return BUILDERS[name]().eval().double()


def pattern(model, edits, seed=0):
    with eager_attention(model), edited(model, edits, update=0, seed=seed), record(model, ["L1.pattern"]) as states:
        model(TOKENS)
    return states["L1.pattern"]


@pytest.mark.parametrize("name", [name for name in CAUSAL if name not in (*NORMALISED, "falcon-rw")])
def test_sharpened_attention_has_its_logits_multiplied(name):
    model = model_of(name)
    plain = pattern(model, [])
    head = TrainingEdit(action="sharpen", sites=("L1.H2",), factor=2.0)
    flat = TrainingEdit(action="sharpen", sites=("L1.z",), factor=0.0)
    sharp = pattern(model, [head])
    kept = [0, 1, 3]
    assert torch.equal(sharp[:, kept], plain[:, kept])
    uniform = pattern(model, [flat])
    wanted = plain[:, 2].pow(2)
    assert torch.allclose(sharp[:, 2], wanted / wanted.sum(-1, keepdim=True), atol=1e-12)
    rows = torch.arange(1, 13, dtype=torch.float64)
    assert torch.allclose(uniform[0, 0].diagonal(), 1 / rows)


@pytest.mark.parametrize("name", NORMALISED)
def test_normalised_queries_cannot_be_sharpened(name):
    with pytest.raises(ConfigError, match="normalises its queries"):
        pattern(model_of(name), [TrainingEdit(action="sharpen", sites=("L0.z",), factor=2.0)])


def test_what_a_norm_would_take_back_cannot_be_scaled():
    model = model_of(next(name for name in CAUSAL if name.startswith("olmo2")))
    with pytest.raises(ConfigError, match="which takes it back"):
        check_edit(model, TrainingEdit(action="scale", sites=("L0.mlp",), factor=2.0))
    check_edit(model, TrainingEdit(action="scale", sites=("L0.resid_post",), factor=2.0))


@pytest.mark.parametrize("name", CAUSAL)
def test_ablated_heads_are_the_models_without_them(name):
    model = model_of(name)
    with edited(model, [TrainingEdit(action="ablate", sites=("L0.H1", "L1.H3"))], update=0, seed=0):
        ours = model(TOKENS).logits
    with ablate_heads(model, ["L0.H1", "L1.H3"]):
        known = model(TOKENS).logits
    assert torch.allclose(ours, known, atol=1e-12)
    assert not torch.allclose(ours, model(TOKENS).logits, atol=1e-6)


def test_clamped_neurons_and_scaled_sites_are_what_was_asked():
    model = model_of("gpt2")
    edits = [
        TrainingEdit(action="clamp", sites=("L0.neurons",), value=0.3, share=0.5),
        TrainingEdit(action="scale", sites=("L1.mlp",), factor=-2.0),
    ]
    with record(model, ["L0.neurons", "L1.neurons"]) as plain:
        model(TOKENS)
    before = {site: states.clone() for site, states in plain.items()}
    units = edited_units(model, edits[0], seed=5)["L0.neurons"]
    with edited(model, edits, update=0, seed=5), record(model, ["L0.neurons", "L1.mlp"]) as after:
        model(TOKENS)
    with edited(model, edits[:1], update=0, seed=5), record(model, ["L1.mlp"]) as unscaled:
        model(TOKENS)
    others = [unit for unit in range(before["L0.neurons"].shape[-1]) if unit not in units]
    assert len(units) == len(others)
    assert bool((after["L0.neurons"][..., list(units)] == 0.3).all())
    assert torch.equal(after["L0.neurons"][..., others], before["L0.neurons"][..., others])
    assert torch.allclose(after["L1.mlp"], -2 * unscaled["L1.mlp"])


def test_units_are_drawn_by_the_seed():
    model = model_of("gpt2")
    half = TrainingEdit(action="ablate", sites=("L*.z",), share=0.5)
    drawn = [edited_units(model, half, seed=seed) for seed in range(20)]
    assert drawn[0] == edited_units(model, half, seed=0)
    assert set(drawn[0]) == {"L0.z", "L1.z"}
    assert all(len(units) == 2 for one in drawn for units in one.values())
    assert {head for one in drawn for head in one["L0.z"]} == {0, 1, 2, 3}
    assert any(one["L0.z"] != one["L1.z"] for one in drawn)


def trained(folder, edits, steps=12, seed=0, **options):
    """The files of a run of a tiny GPT-2 under edits."""
    folder.mkdir(exist_ok=True)
    model = ARCHITECTURES["gpt2"].initialise(0)
    still = QUICK.model_copy(update={"weight_decay": 0.0})
    train(
        model,
        packed_rows(),
        stream_of(steps=steps),
        still,
        folder,
        seed=seed,
        around=lambda it, update: edited(it, edits, update=update, seed=seed),
        **options,
    )
    return bytes_of(folder)


def test_an_ablated_head_learns_nothing_and_the_others_do(tmp_path):
    trained(tmp_path, [TrainingEdit(action="ablate", sites=("L0.H1",))])
    start, end = ARCHITECTURES["gpt2"].initialise(0), load_model(tmp_path / checkpoint_name(12))
    for head, moved in (("L0.H1", False), ("L0.H0", True), ("L1.H1", True)):
        for role in ("q", "k", "v", "o"):
            before, after = (Anatomy(model).head_slices(head)[role].view(model) for model in (start, end))
            assert torch.equal(before, after) is not moved


def test_an_edit_outside_the_run_changes_no_byte_and_one_inside_does(tmp_path):
    plain = trained(tmp_path / "plain", [])
    late = TrainingEdit(action="ablate", sites=("L0.z",), first=12)
    assert trained(tmp_path / "late", [late]) == plain
    window = TrainingEdit(action="ablate", sites=("L0.z",), first=4, last=8)
    assert trained(tmp_path / "window", [window], checkpoints=[4]).keys() > plain.keys()
    assert trained(tmp_path / "inside", [window]) != plain
    early = trained(tmp_path / "early", [], checkpoints=[4])
    kept = f"{checkpoint_name(4)}/model.safetensors"
    assert bytes_of(tmp_path / "window")[kept] == early[kept]


def test_a_killed_run_goes_on_under_its_edits(tmp_path, monkeypatch):
    edits = [TrainingEdit(action="ablate", sites=("L0.z",), share=0.5, first=3, last=9)]
    whole = trained(tmp_path / "whole", edits)
    monkeypatch.setattr(training_room, "AUTOSAVE_STEPS", 5)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", edits, advance=_kill_at(7))
    assert trained(tmp_path / "killed", edits) == whole


def _kill_at(step):
    seen = []

    def advance(count):
        seen.append(count)
        if sum(seen) == step:
            raise KeyboardInterrupt

    return advance


def test_windows_and_wildcards():
    edit = TrainingEdit(action="ablate", sites=("L*.mlp",), first=2, last=4)
    assert [edit.holds(update) for update in range(5)] == [False, False, True, True, False]
    assert set(edited_units(model_of("llama"), edit, seed=0)) == {"L0.mlp", "L1.mlp"}
    with pytest.raises(ComponentNotFound, match="layers 0 to 1"):
        edited_units(model_of("llama"), TrainingEdit(action="ablate", sites=("L7.mlp",)), seed=0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"action": "scale", "sites": ("L0.z",)}, "factor other than 1"),
        ({"action": "sharpen", "sites": ("L0.mlp",), "factor": 2.0}, "no attention to sharpen"),
        ({"action": "ablate", "sites": ("L0.pattern",)}, "read but not edited"),
        ({"action": "ablate", "sites": ("head 3",)}, "not the address"),
        ({"action": "clamp", "sites": ("L0.mlp",), "value": float("nan")}, "finite"),
        ({"action": "ablate", "sites": ("L0.mlp",), "first": 5, "last": 5}, "after first"),
        ({"action": "ablate", "sites": ()}, "at least 1"),
        ({"action": "ablate", "sites": ("L0.z",), "share": 0.0}, "greater than 0"),
        ({"action": "ablate", "sites": ("L0.H1",), "share": 0.5}, "is one head"),
    ],
)
def test_edits_that_make_no_sense_are_refused(fields, words):
    with pytest.raises(ValidationError, match=words):
        TrainingEdit(**fields)


def test_a_step_trains_under_its_edits_from_the_weights_and_order_of_its_pair(tmp_path):
    rows = AbilityRows(rows=64)
    plain = Train(
        architecture=abilities_architecture(),
        packed=rows,
        stream=ShuffledStream(packed=rows, steps=4, batch=16, seed=0),
        seed=0,
        last_step=4,
    )
    under = {name: getattr(plain, name) for name in Train.model_fields}
    edit = TrainingEdit(action="ablate", sites=("L0.z",))
    one, other = (
        TrainEdited(**under, edits=(edit,)),
        TrainEdited(**under, edits=(edit.model_copy(update={"first": 4}),)),
    )
    store = Store(tmp_path)
    at = {step.key: store.get(step) for step in (plain, one, other)}
    files = [bytes_of(at[step.key] / checkpoint_name(4)) for step in (plain, one, other)]
    assert len(at) == 3
    assert files[0] != files[1]
    assert files[0] == files[2]
    assert bytes_of(at[plain.key] / checkpoint_name(0)) == bytes_of(at[one.key] / checkpoint_name(0))
