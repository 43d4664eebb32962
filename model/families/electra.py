"""ELECTRA: Clark et al., "ELECTRA: Pre-training Text Encoders as Discriminators" (arXiv 2003.10555)."""

from dataclasses import replace

from ..config import HeadLayout
from .bert import BERT
from .family import Family

__all__ = ["ELECTRA"]

ELECTRA = Family(
    model_type="electra",
    encoders=("ElectraModel", "ElectraForPreTraining", "ElectraForMaskedLM"),
    classifier="ElectraForSequenceClassification",
    tokenizer_class="ElectraTokenizer",
    layout=replace(
        BERT.layout,
        prefix="electra.",
        projection="embeddings_project",
        # The head's activation is GELU whatever hidden_act says.
        head=HeadLayout(dense="classifier.dense", pooler=False, activation="gelu", output="classifier.out_proj"),
    ),
)
