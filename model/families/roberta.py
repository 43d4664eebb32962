"""RoBERTa (arXiv 1907.11692), and its multilingual and French descendants XLM-RoBERTa and CamemBERT."""

from dataclasses import replace

from ..config import HeadLayout
from .bert import BERT
from .family import Family

__all__ = ["CAMEMBERT", "ROBERTA", "XLM_ROBERTA"]

ROBERTA = Family(
    model_type="roberta",
    encoders=("RobertaModel", "RobertaForMaskedLM"),
    classifier="RobertaForSequenceClassification",
    tokenizer_class="RobertaTokenizer",
    padded=True,
    layout=replace(
        BERT.layout,
        prefix="roberta.",
        head=HeadLayout(dense="classifier.dense", pooler=False, activation="tanh", output="classifier.out_proj"),
    ),
)


def _descendant(model_type: str, name: str) -> Family:
    """RoBERTa under another name. The prefix of its tensors remains ``roberta.``."""
    encoders = f"{name}Model", f"{name}ForMaskedLM"
    return replace(
        ROBERTA,
        model_type=model_type,
        encoders=encoders,
        classifier=f"{name}ForSequenceClassification",
        tokenizer_class=f"{name}Tokenizer",
    )


XLM_ROBERTA = _descendant("xlm-roberta", "XLMRoberta")
CAMEMBERT = _descendant("camembert", "Camembert")
