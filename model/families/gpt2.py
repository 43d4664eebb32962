"""GPT-2: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019)."""

from ..config import Layout
from .family import Family

__all__ = ["GPT2"]

GPT2 = Family(
    model_type="gpt2",
    encoders=("GPT2Model", "GPT2LMHeadModel"),
    tokenizer_class="GPT2Tokenizer",
    causal=True,
    keys={
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "intermediate_size": "n_inner",
        "max_position_embeddings": "n_positions",
        "layer_norm_eps": "layer_norm_epsilon",
        "hidden_act": "activation_function",
    },
    defaults={"layer_norm_eps": 1e-5, "hidden_act": "gelu_new"},
    widening=4,
    supported={
        "scale_attn_weights": (True, (True,)),
        "scale_attn_by_inverse_layer_idx": (False, (False,)),
        "tie_word_embeddings": (True, (True,)),
    },
    layout=Layout(
        prefix="transformer.",
        words="wte",
        positions="wpe",
        layer="h.{}.",
        query="attn.query",
        key="attn.key",
        value="attn.value",
        joined="attn.c_attn",
        transposed=True,
        attention_output="attn.c_proj",
        attention_norm="ln_1",
        intermediate="mlp.c_fc",
        output="mlp.c_proj",
        output_norm="ln_2",
        final_norm="ln_f",
    ),
)
