import json

import pytest
from bench_files import TOKENIZER, tiny_llama, write, write_data

from imprint.capabilities import ITEMS, EvaluateModel, read_items
from imprint.errors import ConfigError, ModelError
from imprint.interventions.activations import Intervention, Zero, save_interventions
from imprint.models import ImportedModel
from imprint.runs import Store


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data")


@pytest.fixture
def model(tmp_path):
    tiny_llama(max_position_embeddings=256).save_pretrained(tmp_path / "model")
    TOKENIZER.save_pretrained(tmp_path / "model")
    return ImportedModel.of(str(tmp_path / "model"), dtype="float32")


def test_the_step_writes_items_and_knows_its_files(tmp_path, data, model):
    step = EvaluateModel.of(model, ["sst2", "language"], data, limit=2)
    assert step.suites == ("sst2", "blimp", "wikitext")
    store = Store(tmp_path / "store")
    folder = store.get(step)
    assert len(read_items(folder / ITEMS)) == 6
    assert json.loads((folder / "bench.json").read_text())["truncated"] == 4
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "4 of 10 requests were longer than the model's context" in manifest["warnings"][0]
    before = step.key
    write(data, "sst2/dev.tsv", "another film\t1\n" * 4)
    assert EvaluateModel.of(model, ["sst2", "language"], data, limit=2).key != before


def test_interventions_are_part_of_the_key_by_their_content(tmp_path, data, model):
    step = EvaluateModel.of(model, ["copa"], data, limit=4, fewshot=0)
    path = tmp_path / "zero.json"
    save_interventions(path, [Intervention(site="L1.resid_post", edit=Zero())])
    under = step.under(path)
    before = under.key
    store = Store(tmp_path / "store")
    base, changed = (read_items(store.get(one) / ITEMS) for one in (step, under))
    assert base["item"].to_list() == changed["item"].to_list()
    assert base["log_prob"].to_list() != changed["log_prob"].to_list()
    save_interventions(path, [Intervention(site="L1.resid_post", edit=Zero(), dose=0.5)])
    assert step.under(path).key != before


def test_what_is_refused(tmp_path, data, model):
    with pytest.raises(ConfigError, match="did you mean"):
        EvaluateModel.of(model, ["blmp"], data)
    with pytest.raises(ConfigError, match="no such folder; suite 'copa'"):
        EvaluateModel.of(model, ["copa"], tmp_path)
    with pytest.raises(ConfigError, match="no such file of interventions"):
        EvaluateModel.of(model, ["copa"], data).under(tmp_path / "absent.json")
    tiny_llama().save_pretrained(tmp_path / "mute")
    mute = ImportedModel.of(str(tmp_path / "mute"), dtype="float32")
    with pytest.raises(ModelError, match="without a tokenizer"):
        Store(tmp_path / "store").get(EvaluateModel.of(mute, ["copa"], data))
