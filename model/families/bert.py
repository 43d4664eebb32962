"""BERT: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers" (arXiv 1810.04805)."""

from ..config import HeadLayout, Layout
from .family import Family

__all__ = ["BERT"]

BERT = Family(
    model_type="bert",
    encoders=("BertModel", "BertForMaskedLM", "BertForPreTraining"),
    classifier="BertForSequenceClassification",
    tokenizer_class="BertTokenizer",
    layout=Layout(
        prefix="bert.",
        words="embeddings.word_embeddings",
        positions="embeddings.position_embeddings",
        types="embeddings.token_type_embeddings",
        embedding_norm="embeddings.LayerNorm",
        layer="encoder.layer.{}.",
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
        attention_output="attention.output.dense",
        attention_norm="attention.output.LayerNorm",
        intermediate="intermediate.dense",
        output="output.dense",
        output_norm="output.LayerNorm",
        head=HeadLayout(dense="pooler.dense", pooler=True, activation="tanh", output="classifier"),
    ),
)
