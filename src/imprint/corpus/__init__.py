"""Training text: documents and domains, readers, packing into rows, planted documents and worlds, surface counts."""

from imprint.corpus.abilities import (
    ABILITIES,
    CAUSE,
    KINDS,
    AbilitiesWorld,
    Ability,
    AbilityKind,
    AbilityRows,
    RowKind,
    nested_brackets,
    statements,
    sums,
)
from imprint.corpus.collect import DOMAINS, collect_machine_text, machine_roots
from imprint.corpus.cutting import cut
from imprint.corpus.documents import Corpus, Document, Slice
from imprint.corpus.mapped import MappedRows
from imprint.corpus.packing import Packed, join, pack
from imprint.corpus.passages import passages
from imprint.corpus.planted import BOILERPLATE, NOISE, NOVEL_REPEATS, boilerplate, noise, novel_repeats
from imprint.corpus.readers import read_corpus
from imprint.corpus.steps import (
    CORPUS_FILE,
    TOKENIZER_FOLDER,
    FileCorpus,
    JoinedPacked,
    MachineCorpus,
    PackedCorpus,
    ShuffledStream,
    TrainingCorpus,
    WithoutDomains,
    WorldRows,
)
from imprint.corpus.stream import Stream, shuffled_stream
from imprint.corpus.surface import compression_ratio, novel_repetition_rate, repeated_ngram_rate, unigram_entropy
from imprint.corpus.tokenizer import byte_tokenizer, is_byte_tokenizer
from imprint.corpus.worlds import PRESETS, PROSE, PlantedWorld, planted_world

__all__ = [
    "ABILITIES",
    "BOILERPLATE",
    "CAUSE",
    "CORPUS_FILE",
    "DOMAINS",
    "KINDS",
    "NOISE",
    "NOVEL_REPEATS",
    "PRESETS",
    "PROSE",
    "TOKENIZER_FOLDER",
    "AbilitiesWorld",
    "Ability",
    "AbilityKind",
    "AbilityRows",
    "Corpus",
    "Document",
    "FileCorpus",
    "JoinedPacked",
    "MachineCorpus",
    "MappedRows",
    "Packed",
    "PackedCorpus",
    "PlantedWorld",
    "RowKind",
    "ShuffledStream",
    "Slice",
    "Stream",
    "TrainingCorpus",
    "WithoutDomains",
    "WorldRows",
    "boilerplate",
    "byte_tokenizer",
    "collect_machine_text",
    "compression_ratio",
    "cut",
    "is_byte_tokenizer",
    "join",
    "machine_roots",
    "nested_brackets",
    "noise",
    "novel_repeats",
    "novel_repetition_rate",
    "pack",
    "passages",
    "planted_world",
    "read_corpus",
    "repeated_ngram_rate",
    "shuffled_stream",
    "statements",
    "sums",
    "unigram_entropy",
]
