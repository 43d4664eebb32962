"""The training loop."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from ...spec.attention_config import AttentionConfig
from ...spec.errors import ConfigError, InputError
from ...spec.spmm_config import SpmmConfig
from ...spec.weight_words import pattern_columns
from ..encoder import Attend, Encoder, Observe, Parameters, ignore, in_order
from ..integer.encoder_units import check_no_bias
from ..pruning.patterns import Mask
from ..weights import Float32
from .data import Batch, Examples
from .distillation import hidden_loss, label_loss, logit_loss, matched_layers
from .dropout import dropout, key_of
from .evaluator import Evaluator
from .fake_quantisation import FakeUnits, fake_units, quantised, rounding
from .forward import padded_attention, run
from .masks import chosen_masks, full_masks, masked
from .pruned_attention import check_policy, pruned_attention
from .schedule import Phases
from .settings import TrainingSettings

__all__ = ["Computation", "State", "StepFigures", "Teacher", "Trainer"]

CALIBRATION_TEXTS = 512
"""Texts whose ranges give the units of fake quantisation."""
LARGEST_GRADIENT = 1.0
"""Norm of all gradients together beyond which they are scaled down."""


@dataclass(frozen=True)
class Teacher:
    """What an encoder learns from beside labels.

    Parameters
    ----------
    logits : (texts, labels) float32
        Of the examples.
    encoder : Encoder, optional
        With the vocabulary of the examples, for the loss on hidden states.
    """

    logits: Float32
    encoder: Encoder | None = None


@dataclass
class State:
    """All that changes during training.

    Attributes
    ----------
    step : int
        Number of finished steps.
    parameters : Parameters
        Before the masks.
    optimiser : pytree of arrays
    masks : dict
        Of each matrix, as :meth:`~thresher.model.encoder.Encoder.linears` names it.
    units : FakeUnits
        Empty before fake quantisation begins.
    """

    step: int
    parameters: Parameters
    optimiser: Any
    masks: dict[str, Mask]
    units: FakeUnits


@dataclass(frozen=True)
class StepFigures:
    """Loss and accuracy of the batches of some steps."""

    loss: float
    accuracy: float


class Computation:
    """What is computed of an encoder's parameters, with and without fake quantisation.

    Parameters
    ----------
    encoder : Encoder
    settings : TrainingSettings
        ``rho`` has an effect with fake quantisation.
    attention : AttentionConfig
        Whose policy prunes the attention.
    """

    def __init__(self, encoder: Encoder, settings: TrainingSettings, attention: AttentionConfig):
        self._encoder, self._rho, self._config = encoder, settings.rho, attention
        if settings.quantise:
            check_no_bias(encoder)
        if settings.rho > -1:
            check_policy(attention)
            if not settings.quantise:
                raise ConfigError("rho", settings.rho, "attention is pruned with fake quantisation: give quantise, too")

    def __call__(
        self, parameters: Parameters, masks: Any, units: Any, batch: Any, change: Observe | None = None
    ) -> tuple[jax.Array, list[jax.Array]]:
        """Logits and states of a batch; see :func:`~thresher.model.training.forward.run`. ``change`` changes tensors
        before they are rounded."""
        encoder = masked(self._encoder.with_parameters(parameters), masks)
        if not units:
            return run(encoder, batch, observe=change or ignore)

        def attention(valid: jax.Array) -> Attend:
            if self._rho == -1:
                return padded_attention(valid)
            return pruned_attention(valid, units, self._config, self._rho)

        return run(quantised(encoder, units), batch, attention, in_order(change or ignore, rounding(units)))


class Trainer:
    """Trains an encoder with a head.

    Parameters
    ----------
    encoder : Encoder
        The start.
    examples : Examples
    settings : TrainingSettings
    config : SpmmConfig
        Engine of the pruned weights' pattern.
    attention : AttentionConfig
        Whose policy prunes the attention.
    teacher : Teacher, optional
        Without it, ``distil_weight`` and ``hidden_weight`` have no effect.
    """

    def __init__(
        self,
        encoder: Encoder,
        examples: Examples,
        settings: TrainingSettings,
        *,
        config: SpmmConfig,
        attention: AttentionConfig,
        teacher: Teacher | None = None,
    ):
        self.encoder, self.examples, self.settings, self.config = encoder, examples, settings, config
        self.phases = Phases.of(settings)
        self.compute = Computation(encoder, settings, attention)
        self._teacher = teacher
        self._hidden = None
        if teacher is not None and teacher.encoder is not None and settings.hidden_weight:
            self._hidden = jax.tree.map(jnp.asarray, teacher.encoder.parameters())
        self._optimiser = _optimiser(settings)
        self._step = jax.jit(self._train_step)

    def start(self) -> State:
        """The state before the first step."""
        parameters = jax.tree.map(jnp.asarray, self.encoder.parameters())
        return State(0, parameters, self._optimiser.init(parameters), full_masks(self.encoder), {})

    def trained(self, state: State) -> Encoder:
        """The encoder of a state in NumPy, with zeros where its masks are zero."""
        encoder = self.encoder.with_parameters(jax.tree.map(np.asarray, state.parameters))
        return masked(encoder, {name: mask.astype(np.float32) for name, mask in state.masks.items()})

    def train(self, state: State, *, tell: Callable[[State, StepFigures], None]) -> None:
        """Train from a state to the end, and change it.

        Parameters
        ----------
        tell : callable
            Is given the state and the figures of the batch after every step.

        Raises
        ------
        InputError
            The loss, or a weight after a step, is not finite.
        """
        masks = self.device(state.masks)
        for batch in self._batches(state.step):
            share = self.phases.change(state.step, self.settings.sparsity)
            if share is not None:
                encoder = self.encoder.with_parameters(state.parameters)
                state.masks = chosen_masks(
                    encoder,
                    share,
                    weight_format=self.settings.weight_format,
                    config=self.config,
                    global_ranking=self.settings.global_ranking and share != "keep",
                )
                masks = self.device(state.masks)
            if state.step >= self.phases.quantise and not state.units:
                state.units = self._units(state)
            state.parameters, state.optimiser, loss, accuracy, finite = self._step(
                state.parameters,
                state.optimiser,
                masks,
                state.units,
                state.step,
                batch,
                self._logits_of(batch),
                self._hidden,
            )
            state.step += 1
            if not finite:
                rate = "choose a smaller --learning-rate"
                advice = rate if np.isfinite(loss) or state.step > 1 else "check model, teacher and weights of the loss"
                raise InputError(f"the loss or a weight is not finite after step {state.step}: {advice}")
            tell(state, StepFigures(float(loss), float(accuracy)))

    def _batches(self, done: int) -> Iterable[Batch]:
        """The batches after the first ``done`` ones. The order of an epoch depends on the seed and its number alone."""
        epoch, left = 0, self.settings.steps
        while left > 0:
            for batch in self.examples.batches(self.settings.batch, np.random.default_rng((self.settings.seed, epoch))):
                if self.settings.steps - left >= done:
                    yield batch
                left -= 1
                if not left:
                    return
            epoch += 1

    def device(self, masks: dict[str, Mask]) -> dict[str, jax.Array]:
        """Masks as factors."""
        return {name: jnp.asarray(mask, jnp.float32) for name, mask in masks.items()}

    def evaluation(self, examples: Examples, further: Float32) -> Callable[[State], NDArray[np.float32]]:
        """Computes (texts, labels) outputs of other texts in a state, without dropout.

        Parameters
        ----------
        examples : Examples
        further : (words, width) float32
            Embeddings of the words that only these texts have, after all words of the encoder.
        """

        def compute(arrays: tuple[Parameters, Any, Any], batch: Any) -> jax.Array:
            parameters, masks, units = arrays
            words = jnp.concatenate([parameters["words"], further])
            return self.compute(parameters | {"words": words}, masks, units, batch)[0]

        evaluator = Evaluator(examples, compute)
        return lambda state: evaluator.logits((state.parameters, self.device(state.masks), state.units))

    def _units(self, state: State) -> FakeUnits:
        random = np.random.default_rng(self.settings.seed)
        ids, types = self.examples.unpadded(random.permutation(len(self.examples.tokens))[:CALIBRATION_TEXTS])
        adjacent = pattern_columns(
            self.settings.weight_format,
            columns=self.encoder.config.intermediate_size,
            banks=self.config.banks,
            group=self.config.group,
        )
        return fake_units(self.trained(state), ids, types, adjacent=adjacent)

    def _logits_of(self, batch: Batch) -> Float32 | None:
        return None if self._teacher is None else self._teacher.logits[batch["rows"]]

    def _train_step(
        self,
        parameters: Parameters,
        optimiser: Any,
        masks: Any,
        units: Any,
        step: Any,
        batch: Any,
        teacher: Any,
        hidden: Any,
    ) -> tuple[Parameters, Any, jax.Array, jax.Array, jax.Array]:
        def loss_of(parameters: Parameters) -> tuple[jax.Array, jax.Array]:
            return self._loss(parameters, masks, units, step, batch, teacher, hidden)

        (loss, accuracy), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters)
        updates, optimiser = self._optimiser.update(gradients, optimiser, parameters)
        changed: Any = optax.apply_updates(parameters, updates)
        finite = [jnp.isfinite(each).all() for each in (loss, *jax.tree.leaves(changed))]
        return changed, optimiser, loss, accuracy, jnp.stack(finite).all()

    def _loss(
        self, parameters: Parameters, masks: Any, units: Any, step: Any, batch: Any, teacher: Any, hidden: Any
    ) -> Any:
        settings = self.settings
        change = None
        if settings.dropout:
            change = dropout(jax.random.fold_in(key_of(settings.seed), step), settings.dropout)
        logits, states = self.compute(parameters, masks, units, batch, change)
        losses = label_loss(logits, batch["targets"])
        if teacher is not None:
            distilled = logit_loss(logits, teacher, settings.temperature)
            losses = (1 - settings.distil_weight) * losses + settings.distil_weight * distilled
        if hidden is not None:
            assert self._teacher is not None
            assert self._teacher.encoder is not None
            _, all_wanted = run(self._teacher.encoder.with_parameters(hidden), batch)
            wanted = [all_wanted[i] for i in matched_layers(len(states), len(all_wanted))]
            losses = losses + settings.hidden_weight * hidden_loss(states, wanted, batch["valid"])
        weights = batch["weights"] / batch["weights"].sum()
        right = logits.argmax(axis=-1) == batch["targets"]
        return (losses * weights).sum(), (right * weights).sum()


def _optimiser(settings: TrainingSettings) -> optax.GradientTransformation:
    rate = optax.warmup_cosine_decay_schedule(
        0.0, settings.learning_rate, max(1, round(settings.warm_up * settings.steps)), max(2, settings.steps)
    )

    def decays(parameters: Parameters) -> Any:
        embeddings = ("words", "positions", "types")
        return {
            name: jax.tree.map(lambda x, name=name: x.ndim == 2 and name not in embeddings, part)
            for name, part in parameters.items()
        }

    return optax.chain(
        optax.clip_by_global_norm(LARGEST_GRADIENT),
        optax.adamw(rate, weight_decay=settings.weight_decay, mask=decays),
    )
