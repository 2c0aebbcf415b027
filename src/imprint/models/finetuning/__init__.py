"""Fine-tuning stages after pre-training: SFT with masked prompts, DPO, and LoRA adapters, on any causal model."""

from imprint.models.finetuning.adapters import ADAPTER_FOLDER, adapted_modules, merged, save_adapted, with_adapters
from imprint.models.finetuning.dpo import Preferred, margins, preference_losses, preferred
from imprint.models.finetuning.fit import check_rows, check_tokenizers
from imprint.models.finetuning.loop import LOSSES_FILE, finetune
from imprint.models.finetuning.objective import Objective, Tunable
from imprint.models.finetuning.recipes import LoraRecipe, PreferenceRecipe, SupervisedRecipe, Tuning
from imprint.models.finetuning.sft import Supervised, answer_losses
from imprint.models.finetuning.steps import (
    FineTuning,
    PreferenceTuning,
    SupervisedTuning,
    TuningOrder,
    count_rows,
    start_folder,
)

__all__ = [
    "ADAPTER_FOLDER",
    "LOSSES_FILE",
    "FineTuning",
    "LoraRecipe",
    "Objective",
    "PreferenceRecipe",
    "PreferenceTuning",
    "Preferred",
    "Supervised",
    "SupervisedRecipe",
    "SupervisedTuning",
    "Tunable",
    "Tuning",
    "TuningOrder",
    "adapted_modules",
    "answer_losses",
    "check_rows",
    "check_tokenizers",
    "count_rows",
    "finetune",
    "margins",
    "merged",
    "preference_losses",
    "preferred",
    "save_adapted",
    "start_folder",
    "with_adapters",
]
