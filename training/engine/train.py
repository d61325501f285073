"""What SFT and DPO share: the model to start from, the trainer's arguments, and the course of a run."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from training.engine.encode import Encoder
from training.engine.failures import EngineError, refuse_not_finite
from training.engine.models import Device, find_device, load_tokenizer, read_context_length, save_model
from training.engine.scoring import Measured, measure_rows
from training.engine.session import End, Session, find_base
from training.engine.tiny import make_tiny_model
from training.engine.tokenise import Tokenised, check_rows, tokenise_rows
from training.recipes import DPORecipe, SFTRecipe
from training.results import TrainingResult
from training.run_dir import (
    BASE_DIR,
    CHECKPOINTS_DIR,
    COMPLETE_FILE,
    CORPUS_FILE,
    EVAL_FILE,
    OUTPUT_DIR,
    TRAIN_FILE,
    DPOJob,
    DPORow,
    Metric,
    SFTJob,
    SFTRow,
    append_metric,
    keep_metrics,
    read_metrics,
    read_rows,
    write_result,
    write_tokens,
)

WARMUP = 0.05  # of all updates


@dataclass(frozen=True)
class Setup:
    """The start of a run: where the base model is, its tokenizer, how rows become tokens, and on what device."""

    base: Path
    adapter: Path | None
    tokenizer: Any
    encoder: Encoder
    device: Device
    context: int  # tokens the model takes
    limit: int  # tokens a row may have
    started: float


def prepare_run(session: Session, job: SFTJob | DPOJob) -> Setup:
    """Make the tiny model if one is asked for, and load the tokenizer."""
    started = time.monotonic()
    base = find_base(session.directory, job)
    if job.base.path is None:
        session.enter("making the tiny model")
        make_tiny_model(base, job.base.tiny, corpus=session.directory / CORPUS_FILE, seed=job.hyperparameters.seed)
    session.enter("tokenising")
    tokenizer = load_tokenizer(base)
    adapter = Path(job.base.adapter) if job.base.adapter is not None else None
    context = read_context_length(base)
    limit = min(job.hyperparameters.max_length, context)
    return Setup(base, adapter, tokenizer, Encoder(tokenizer), find_device(), context, limit, started)


def tokenise_training_rows(session: Session, setup: Setup, job: SFTJob | DPOJob) -> Tokenised:
    """Tokenise train.jsonl and write tokens.json. Raises EngineError when it cannot be trained on."""
    kind: type[SFTRow | DPORow] = SFTRow if job.kind == "sft" else DPORow
    rows = list(read_rows(session.directory / TRAIN_FILE))
    if any(not isinstance(row, kind) for row in rows):
        wanted = "trajectories" if job.kind == "sft" else "pairs"
        raise EngineError(f"train.jsonl must hold {wanted} only.", "Choose a dataset of the right kind.")
    recipe = job.hyperparameters
    tokenised = tokenise_rows(
        setup.encoder, rows, limit=setup.limit, too_long=recipe.too_long, check=session.check_stop
    )
    write_tokens(session.directory, tokenised.report)
    check_rows(tokenised, too_long=recipe.too_long, context=setup.context)
    return tokenised


def build_arguments(directory: Path, recipe: SFTRecipe | DPORecipe, device: Device) -> dict[str, Any]:
    """Arguments that SFTConfig and DPOConfig share."""
    return {
        "output_dir": str(directory / CHECKPOINTS_DIR),
        "num_train_epochs": recipe.epochs,
        "max_steps": recipe.max_steps or -1,
        "learning_rate": recipe.learning_rate,
        "warmup_steps": WARMUP,
        "per_device_train_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation,
        "max_length": None,  # cut and accounted for already
        "logging_steps": recipe.logging_steps,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": recipe.save_steps,
        "save_total_limit": 2,  # the one being written may be torn: keep the one before
        "seed": recipe.seed,
        "use_cpu": not device.cuda,
        "bf16": device.bf16,
        "activation_checkpointing": device.cuda,  # memory is what a GPU lacks, time is what a CPU lacks
        "dataloader_pin_memory": device.cuda,
        "report_to": "none",
        "disable_tqdm": True,
    }


class RunCallback(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Progress, log lines, stop requests and the mark of a complete checkpoint."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._session.report_progress(state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._session.report_progress(state.global_step, state.max_steps)
        if self._session.is_stop_requested():
            # logged too: what was summed up since the last line is not in the checkpoint
            control.should_training_stop = control.should_save = control.should_log = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            left_out = ("num_tokens", "total_flos")  # counted from the last start only
            values = {name: value for name, value in logs.items() if name not in left_out}
            append_metric(self._session.directory, Metric(step=state.global_step, time=time.time(), **values))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE_FILE).touch()


def find_checkpoint(directory: Path) -> Path | None:
    """The last complete checkpoint; torn ones are deleted."""
    complete: dict[int, Path] = {}
    for path in (directory / CHECKPOINTS_DIR).glob("checkpoint-*"):
        if (path / COMPLETE_FILE).is_file():
            complete[int(path.name.removeprefix("checkpoint-"))] = path
        else:
            print(f"{path.name} is not complete: passed over", flush=True)
            shutil.rmtree(path)
    return complete[max(complete)] if complete else None


def train_from(trainer: Any, checkpoint: Path | None) -> None:
    """Train to the end. A checkpoint of the last update is only loaded: the Trainer would make one update more."""
    if checkpoint is not None:
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        if state.global_step >= state.max_steps:
            trainer._load_from_checkpoint(str(checkpoint))
            trainer.state = state
            return
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def run_training(session: Session, job: SFTJob | DPOJob, setup: Setup, trainer: Any, *, train_rows: int) -> End:
    """Measure, train from the last complete checkpoint, save and measure again."""
    directory = session.directory
    trainer.add_callback(RunCallback(session))
    held_out = list(read_rows(directory / EVAL_FILE))
    checkpoint = find_checkpoint(directory)
    keep_metrics(directory, up_to_step=_read_step(checkpoint))
    if checkpoint is None:
        if held_out:
            session.enter("evaluating")
            _log_measured(session, _measure(session, setup, trainer, held_out), step=0)
    else:
        print(f"going on from {checkpoint.name}", flush=True)
    session.enter("training")
    train_from(trainer, checkpoint)
    step = int(trainer.state.global_step)
    if step < trainer.state.max_steps:
        return "stopped"
    session.enter("saving")
    save_model(trainer.model, setup.tokenizer, directory / OUTPUT_DIR)
    measured = None
    if held_out:
        session.enter("evaluating")
        measured = _measure(session, setup, trainer, held_out)
        _log_measured(session, measured, step=step)
    write_result(directory, _sum_up(job, setup, trainer, measured, directory=directory, train_rows=train_rows))
    shutil.rmtree(directory / CHECKPOINTS_DIR, ignore_errors=True)
    return "done"


def _read_step(checkpoint: Path | None) -> int:
    return -1 if checkpoint is None else int(checkpoint.name.removeprefix("checkpoint-"))


def _measure(session: Session, setup: Setup, trainer: Any, rows: list[SFTRow | DPORow]) -> Measured:
    measured = measure_rows(
        trainer.model, setup.encoder, rows, limit=setup.limit, bf16=setup.device.bf16, check=session.check_stop
    )
    if measured.held_out.loss is not None and not math.isfinite(measured.held_out.loss):
        raise refuse_not_finite("on the held-out rows")
    return measured


def _log_measured(session: Session, measured: Measured, *, step: int) -> None:
    values = {
        "eval_token_accuracy": measured.held_out.token_accuracy,
        "eval_preference_accuracy": measured.preference.total.accuracy,
        "eval_preference_margin": measured.preference.total.margin,
    }
    metric = Metric(
        step=step,
        time=time.time(),
        eval_loss=measured.held_out.loss,
        **{name: value for name, value in values.items() if value is not None},
    )
    append_metric(session.directory, metric)


def _sum_up(
    job: SFTJob | DPOJob,
    setup: Setup,
    trainer: Any,
    measured: Measured | None,
    *,
    directory: Path,
    train_rows: int,
) -> TrainingResult:
    metrics = read_metrics(directory)
    first = next((metric for metric in metrics if metric.step == 0), None)
    losses = [metric.loss for metric in metrics if metric.loss is not None]
    parameters = list(trainer.model.named_parameters())
    return TrainingResult(
        kind=job.kind,
        output="adapter" if job.hyperparameters.adapter == "lora" else "model",
        base=BASE_DIR if job.base.path is None else str(setup.base),
        steps=int(trainer.state.global_step),
        train_rows=train_rows,
        eval_rows=measured.held_out.rows if measured else 0,
        train_loss=losses[-1] if losses else None,
        eval_loss_before=first.eval_loss if first else None,
        eval_loss=measured.held_out.loss if measured else None,
        eval_loss_bands={
            band: held_out.loss
            for band, held_out in (measured.held_out_bands if measured else {}).items()
            if held_out.loss is not None
        },
        preference_accuracy_before=(first.model_extra or {}).get("eval_preference_accuracy") if first else None,
        preference=measured.preference if measured and measured.preference.total.pairs else None,
        parameters=sum(parameter.numel() for name, parameter in parameters if ".ref." not in name),
        trainable_parameters=sum(parameter.numel() for _, parameter in parameters if parameter.requires_grad),
        device=setup.device.name,
        seconds=round(time.monotonic() - setup.started, 3),
    )
