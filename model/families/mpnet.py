"""MPNet: Song et al., "MPNet: Masked and Permuted Pre-training for Language Understanding" (arXiv 2004.09297)."""

from dataclasses import replace

from ..config import HeadLayout
from ..positions import DISTANCE_BUCKETS
from .bert import BERT
from .family import Family

__all__ = ["MPNET"]

MPNET = Family(
    model_type="mpnet",
    encoders=("MPNetModel", "MPNetForMaskedLM"),
    classifier="MPNetForSequenceClassification",
    tokenizer_class="MPNetTokenizer",
    # MPNet's positions begin at 2, whatever pad_token_id says.
    fixed={"pad_token_id": 1},
    supported={"relative_attention_num_buckets": (DISTANCE_BUCKETS, (DISTANCE_BUCKETS,))},
    padded=True,
    layout=replace(
        BERT.layout,
        prefix="mpnet.",
        types=None,
        score_bias="encoder.relative_attention_bias",
        query="attention.attn.q",
        key="attention.attn.k",
        value="attention.attn.v",
        attention_output="attention.attn.o",
        attention_norm="attention.LayerNorm",
        head=HeadLayout(dense="classifier.dense", pooler=False, activation="tanh", output="classifier.out_proj"),
    ),
)
