"""Tokenizer classes of the library transformers: what each makes of ``tokenizer.json`` and of its own settings."""

from dataclasses import dataclass

from tokenizers import Tokenizer, models

from ..spec.errors import ConfigError

__all__ = ["TokenizerClass", "find_class"]


@dataclass(frozen=True, kw_only=True)
class TokenizerClass:
    """What is to be known about a class.

    Attributes
    ----------
    models : tuple of type
        Models of ``tokenizer.json`` that the class can hold.
    types : bool or None
        Whether it gives token types where ``model_input_names`` is missing; ``None`` where versions of transformers
        differ, or the class is not known.
    bert, byte_level : bool
        Whether it makes the normaliser of BERT, or the byte-level pre-tokeniser of RoBERTa, from its own settings.
    generic : bool
        Whether it leaves everything to ``tokenizer.json``.
    """

    models: tuple[type, ...] = (models.Model,)
    types: bool | None = None
    bert: bool = False
    byte_level: bool = False
    generic: bool = False


_BERT = TokenizerClass(models=(models.WordPiece, models.WordLevel), types=True, bert=True)
_WITHOUT_TYPES = TokenizerClass(models=_BERT.models, types=False, bert=True)
_ROBERTA = TokenizerClass(models=(models.BPE,), types=False, byte_level=True)
_PIECES = TokenizerClass(models=(models.Unigram,), types=False)
_GENERIC = TokenizerClass(generic=True)

CLASSES = {
    **dict.fromkeys(("BertTokenizer", "ConvBertTokenizer", "DPRContextEncoderTokenizer"), _BERT),
    **dict.fromkeys(("DPRQuestionEncoderTokenizer", "ElectraTokenizer", "LayoutLMTokenizer"), _BERT),
    **dict.fromkeys(("LxmertTokenizer", "MobileBertTokenizer", "SqueezeBertTokenizer"), _BERT),
    **dict.fromkeys(("DistilBertTokenizer", "DPRReaderTokenizer", "MPNetTokenizer"), _WITHOUT_TYPES),
    **dict.fromkeys(("BartTokenizer", "LEDTokenizer", "LongformerTokenizer", "RobertaTokenizer"), _ROBERTA),
    "GPT2Tokenizer": _ROBERTA,
    **dict.fromkeys(("CamembertTokenizer", "XLMRobertaTokenizer"), _PIECES),
    **dict.fromkeys(("PreTrainedTokenizer", "PythonBackend", "TokenizersBackend"), _GENERIC),
    "PreTrainedTokenizerFast": _GENERIC,
}
"""By their names without ``Fast``. Settings of other classes must agree with ``tokenizer.json``."""


def find_class(tokenizer: Tokenizer, named: object, default: str) -> TokenizerClass:
    """The class that transformers uses.

    Parameters
    ----------
    named : str or None
        ``tokenizer_class`` of ``tokenizer_config.json``.
    default : str
        The class where it is ``None``, if that can hold this tokenizer.

    Raises
    ------
    ConfigError
        The named class would make another kind of tokenizer than that of ``tokenizer.json``.
    """
    name = default if named is None else named
    known = None
    if isinstance(name, str):
        known = CLASSES.get(name) or CLASSES.get(name.removesuffix("Fast")) or TokenizerClass()
    kind = type(tokenizer.model).__name__
    if known is None or (named is not None and not isinstance(tokenizer.model, known.models)):
        raise ConfigError("tokenizer_class", name, f"tokenizer.json holds {kind}, make tokenizer_config.json agree")
    return known if isinstance(tokenizer.model, known.models) else TokenizerClass(types=known.types)
