import json
from dataclasses import fields

import pytest
import torch
import yaml

from imprint.errors import ComponentNotFound, ConfigError, InputError, IntegrityError
from imprint.interventions.activations import (
    Affine,
    Combined,
    Edit,
    Intervention,
    Mean,
    Noise,
    Patch,
    RandomSign,
    Resample,
    Shift,
    Sign,
    Subspace,
    Swap,
    Zero,
    load_interventions,
    save_interventions,
)
from imprint.interventions.activations.edit_records import KINDS

G = torch.Generator().manual_seed(0)
PLANE = Subspace.spanned_by(torch.randn(8, 2, generator=G))
EVERY_KIND = [
    Zero(),
    Zero(within=Subspace.of_dims(torch.tensor([3, 1]), 8)),
    Mean(value=torch.randn(8, generator=G), within=PLANE),
    Resample(states=torch.randn(4, 8, generator=G).bfloat16(), seed=3),
    Noise(seed=1, rms=1 / 3, within=Subspace.full(8)),
    Shift.along(torch.randn(8, generator=G, dtype=torch.float64), rms=1e-7),
    Sign(signs=torch.randint(-1, 2, (2, 3, 8), dtype=torch.int8, generator=G), rms=2.0),
    RandomSign(seed=5, rms=2.0),
    Swap(source=torch.ones(8), target=torch.zeros(8)),
    Patch(states=torch.randn(2, 3, 8, generator=G)),
    Affine(matrix=torch.randn(8, 8, generator=G), mean=torch.randn(8, generator=G)),
    Combined(parts=(Zero(within=PLANE), Noise(seed=2, rms=0.1)), weights=(1.0, -0.3)),
]
MASK = torch.tensor([[True, False], [False, True]])


def same(first, second):
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, Edit | Subspace):
        parts = [field.name for field in fields(first)]
        return type(first) is type(second) and all(same(getattr(first, part), getattr(second, part)) for part in parts)
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second and type(first) is type(second)


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
def test_everything_comes_back_exactly(tmp_path, suffix):
    assert {type(edit) for edit in EVERY_KIND} == set(KINDS.values())
    items = [Intervention(site="L3.mlp", edit=edit, dose=0.1, phase="decode") for edit in EVERY_KIND]
    items.append(Intervention(site="decoder.L0.cross.H1", edit=Zero(), dose=(0.25, 1e-9), tokens=MASK))
    path = tmp_path / "new" / f"edits.{suffix}"
    save_interventions(path, items)
    back = load_interventions(path)
    assert sorted(file.name for file in path.parent.iterdir()) == sorted([path.name, "edits.safetensors"])
    for first, second in zip(items, back, strict=True):
        assert (first.site, first.dose, first.phase) == (second.site, second.dose, second.phase)
        assert same(first.edit, second.edit)
        assert (first.tokens is None) == (second.tokens is None)
    assert torch.equal(back[-1].tokens, MASK)
    before = path.read_bytes(), path.with_suffix(".safetensors").read_bytes()
    save_interventions(path, back)
    assert before == (path.read_bytes(), path.with_suffix(".safetensors").read_bytes())


def test_no_pickle_anywhere(tmp_path):
    """lm-eval's `steered` model loads unsafe pickles."""
    path = tmp_path / "x.json"
    save_interventions(path, [Intervention(site="L0.mlp", edit=Zero())])
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]
    content = json.loads(path.read_text())
    content |= {"tensors": "x.pt", "sha256": "0"}
    path.write_text(json.dumps(content))
    torch.save({"a": torch.ones(1)}, tmp_path / "x.pt")
    with pytest.raises(IntegrityError):
        load_interventions(path)


def written(tmp_path, change):
    path = tmp_path / "x.yaml"
    save_interventions(path, [Intervention(site="L0.mlp", edit=Mean(value=torch.ones(8)), tokens=MASK)])
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))
    return path


def first(content):
    return content["interventions"][0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda c: c.update(intervention=[]), ConfigError, "'intervention' is unknown; did you mean 'interventions'"),
        (lambda c: first(c).update(dosis=1.0), ConfigError, "intervention 0: 'dosis' is unknown; did you mean 'dose'"),
        (lambda c: first(c)["edit"].update(vlaue=1), ConfigError, "did you mean 'value'"),
        (lambda c: first(c)["edit"].update(kind="maen"), ConfigError, "did you mean 'mean'"),
        (lambda c: first(c).update(edit={"value": 1}), ConfigError, "key 'kind'"),
        (lambda c: first(c)["edit"].pop("value"), ConfigError, "Mean needs value"),
        (lambda c: first(c)["edit"].update(value="nonsense"), ConfigError, "no tensor 'nonsense'"),
        (lambda c: first(c).update(tokens="nonsense"), ConfigError, "no tensor 'nonsense'"),
        (lambda c: first(c).update(dose="high"), ConfigError, "dose"),
        (lambda c: first(c).update(dose=float("nan")), ConfigError, "not a finite number"),
        (lambda c: first(c).update(phase="never"), ConfigError, "phase"),
        (lambda c: first(c).update(site="L0.gate"), ComponentNotFound, "L0.gate"),
        (lambda c: first(c).update(edit={"kind": "noise", "seed": 1.5, "rms": 1}), ConfigError, "seed must be a number"),
        (lambda c: first(c).update(edit={"kind": "noise", "seed": 1, "rms": True}), ConfigError, "rms must be a number"),
        (lambda c: c.update(tensors="../x.safetensors"), InputError, "beside it"),
        (lambda c: c.update(tensors="y.safetensors"), InputError, "beside it"),
        (lambda c: c.update(sha256="0"), IntegrityError, "not the file that was saved"),
        (lambda c: c.pop("interventions"), ConfigError, "interventions"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        load_interventions(written(tmp_path, change))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"not as '\.pt'"):
        save_interventions(tmp_path / "x.pt", [Intervention(site="L0.mlp", edit=Zero())])
    with pytest.raises(ConfigError, match="no interventions"):
        save_interventions(tmp_path / "x.json", [])
    with pytest.raises(InputError, match="no file"):
        load_interventions(tmp_path / "x.json")
    (tmp_path / "x.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="not YAML"):
        load_interventions(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="mapping"):
        load_interventions(tmp_path / "x.yaml")
