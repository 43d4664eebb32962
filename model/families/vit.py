"""Vision transformers: ViT (arXiv 2010.11929), and DeiT (arXiv 2012.12877) with its token for distillation."""

from dataclasses import replace

from ..config import HeadLayout, ImageLayout, Layout
from .family import Family

__all__ = ["DEIT", "VIT"]

VIT = Family(
    model_type="vit",
    encoders=("ViTModel",),
    classifier="ViTForImageClassification",
    tokenizer_class="",
    fixed={"vocab_size": 1},
    supported={"qkv_bias": (True, (True,))},
    layout=Layout(
        prefix="vit.",
        words="embeddings.patch_embeddings.projection",
        positions="embeddings.position_embeddings",
        image=ImageLayout(tokens=("embeddings.cls_token",)),
        layer="encoder.layer.{}.",
        query="attention.attention.query",
        key="attention.attention.key",
        value="attention.attention.value",
        attention_output="attention.output.dense",
        attention_norm="layernorm_before",
        intermediate="intermediate.dense",
        output="output.dense",
        output_norm="layernorm_after",
        final_norm="layernorm",
        head=HeadLayout(output="classifier"),
    ),
)

DEIT = replace(
    VIT,
    model_type="deit",
    encoders=("DeiTModel",),
    classifier="DeiTForImageClassification",
    distilled=HeadLayout(output="cls_classifier", distilled="distillation_classifier"),
    layout=replace(
        VIT.layout,
        prefix="deit.",
        image=ImageLayout(tokens=("embeddings.cls_token", "embeddings.distillation_token")),
    ),
)
