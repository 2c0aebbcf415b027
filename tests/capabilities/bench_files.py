"""Small benchmark files in the formats they are published in, and a tiny model that can read them."""

import io
import json
import tarfile

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from imprint.corpus import byte_tokenizer

SIZES = {"vocab_size": 256, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 2048}
TOKENIZER = byte_tokenizer()


def tiny_llama(seed=0, **more):
    torch.manual_seed(seed)
    config = LlamaConfig(**SIZES | HEADS | {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.4} | more)
    return LlamaForCausalLM(config).eval()


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def archive(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz") as tar:
        for name, text in members.items():
            raw = text.encode()
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    return path


def copa_item(number, gold, premise="The sun set."):
    return (
        f'<item id="{number}" asks-for="effect" most-plausible-alternative="{gold}">'
        f"<p>{premise}</p><a1>It got dark.</a1><a2>It got hot {number % 1000}.</a2></item>"
    )


def copa_xml(pairs):
    items = "".join(copa_item(number, 1) + copa_item(number + 1000, 2) for number in range(1, pairs + 1))
    return f'<?xml version="1.0"?><copa-corpus>{items}</copa-corpus>'


WSC = """<?xml version="1.0"?><collection>
<schema><text><txt1>The trophy  does not fit in the case because</txt1><pron> it </pron><txt2>is too big.</txt2></text>
<answers><answer>The trophy</answer><answer> the case </answer></answers><correctAnswer> A. </correctAnswer></schema>
<schema><text><txt1>The trophy does not fit in the case because</txt1><pron>it</pron><txt2>is too small.</txt2></text>
<answers><answer>The trophy</answer><answer>the case</answer></answers><correctAnswer>B</correctAnswer></schema>
<schema><text><txt1></txt1><pron>She</pron><txt2>saw Ann.</txt2></text>
<answers><answer>Eve</answer><answer>Ann</answer></answers><correctAnswer>A</correctAnswer></schema>
</collection>"""

MMLU = 'question,choice0,choice1,choice2,choice3,answer\n"Two, and two?",3,4,5,6,1\nNext?,a,b,c,d,3\n'
BLIMP = lines(
    {"sentence_good": "Cats sleep.", "sentence_bad": "Cats sleeps."},
    {"sentence_good": "A dog barks.", "sentence_bad": "A dog bark."},
)
SUMS = {
    "name": "sums",
    "examples": [{"input": f"{a} plus 1?", "target_scores": {str(a): 0.0, str(a + 1): 1.0}} for a in range(5)],
}
LABELS = {
    "Definition": ["Is the review good or bad?"],
    "Positive Examples": [{"input": "Lovely", "output": "good"}, {"input": "Awful!", "output": "bad"}],
    "Instances": [{"input": f"Text {n}", "output": ["good" if n % 2 else "bad"]} for n in range(6)],
}
PAGES = " = One = \n \n Birds fly over the hill . \n = = Part = = \n They rest . \n = Two = \n \n Fish swim . \n"


def write_data(folder):
    """Every suite, a few items each."""
    sums = [{"question": f"What is {n} + 1?", "answer": f"It is {n + 1}.\n#### {n + 1}"} for n in range(4)]
    write(folder, "gsm8k/test.jsonl", lines(*sums))
    boxed = {"question": "Two?", "answer": "So $\\boxed{2}$."}
    write(folder, "math/math500.jsonl", lines(boxed, boxed))
    yes_no = {"examples": [{"input": f"Is {n} even?", "target": "Yes" if n % 2 == 0 else "No"} for n in range(3)]}
    write(folder, "bbh/bbh/navigate.json", json.dumps(yes_no))
    write(folder, "wsc/WSCollection.xml", WSC)
    reviews = "".join(f"film number {n} was {'good' if n % 2 else 'bad'}\t{n % 2}\n" for n in range(12))
    write(folder, "sst2/train.tsv", reviews)
    write(folder, "sst2/dev.tsv", reviews.replace("film", "play"))
    rte = "sentence1\tsentence2\tlabel\tidx\n" + "".join(f'Ann "{n}" ran.\tAnn ran.\t{n % 2}\t{n}\n' for n in range(5))
    write(folder, "rte/train.tsv", rte)
    write(folder, "rte/dev.tsv", rte)
    write(folder, "balanced_copa/balanced-copa-dev-all.xml", copa_xml(10))
    write(folder, "mmlu/test/anatomy_test.csv", MMLU)
    write(folder, "mmlu/dev/anatomy_dev.csv", MMLU + "More?,a,b,c,d,0\nMore?,a,b,c,d,1\nMore?,a,b,c,d,2\n")
    write(
        folder,
        "ethics/commonsense/cm_test.csv",
        "label,input,is_short,edited\n0,I smiled.,True,False\n1,I hit.,True,False\n",
    )
    write(
        folder,
        "ethics/virtue/virtue_test.csv",
        "label,scenario\n1,Al gave all. [SEP] kind\n0,Al gave all. [SEP] mean\n",
    )
    write(folder, "ethics/utilitarianism/util_test.csv", 'I won a prize.,I lost.\n"I ate, well.",I starved.\n')
    archive(folder / "blimp/blimp_data.tar.xz", {"data/causative.jsonl": BLIMP, "data/README": "no"})
    archive(
        folder / "bigbench/bigbench_selected.tar.xz", {"bigbench/benchmark_tasks/sums/one/task.json": json.dumps(SUMS)}
    )
    write(folder, "super_ni/task1_reviews.json", json.dumps(LABELS))
    write(folder, "wikitext2/test.txt", PAGES)
    return folder
