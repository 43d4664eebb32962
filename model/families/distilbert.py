"""DistilBERT: Sanh et al., "DistilBERT, a distilled version of BERT" (arXiv 1910.01108)."""

from ..config import HeadLayout, Layout
from .family import Family

__all__ = ["DISTILBERT"]

DISTILBERT = Family(
    model_type="distilbert",
    encoders=("DistilBertModel", "DistilBertForMaskedLM"),
    classifier="DistilBertForSequenceClassification",
    tokenizer_class="DistilBertTokenizer",
    keys={
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
    },
    fixed={"layer_norm_eps": 1e-12},
    layout=Layout(
        prefix="distilbert.",
        words="embeddings.word_embeddings",
        positions="embeddings.position_embeddings",
        embedding_norm="embeddings.LayerNorm",
        layer="transformer.layer.{}.",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attention_output="attention.out_lin",
        attention_norm="sa_layer_norm",
        intermediate="ffn.lin1",
        output="ffn.lin2",
        output_norm="output_layer_norm",
        head=HeadLayout(dense="pre_classifier", pooler=False, activation="relu", output="classifier"),
    ),
)
