"""Direct preference optimisation: `python -m training.engine.dpo RUN_DIR`. The reference is where it starts from."""

from __future__ import annotations

import sys

from training.engine.session import End, Session, run_session
from training.run_dir import DPOJob


def train(session: Session, job: DPOJob) -> End:
    from trl import DPOConfig

    from training.engine.dpo_trainer import (
        AgentTurnsCollator,
        AgentTurnsDPOTrainer,
        build_dpo_dataset,
        have_equal_weights,
    )
    from training.engine.models import load_policy
    from training.engine.train import build_arguments, prepare_run, run_training, tokenise_training_rows

    recipe = job.hyperparameters
    setup = prepare_run(session, job)
    rows = tokenise_training_rows(session, setup, job).kept
    session.enter("loading the model")
    model, peft_config = load_policy(setup.base, setup.adapter, recipe, setup.device)
    if recipe.adapter == "full":
        session.enter("computing the reference")
    arguments = build_arguments(session.directory, recipe, setup.device)
    if not have_equal_weights(rows):  # TRL averages within a batch: only a batch of one can be weighted
        arguments["per_device_train_batch_size"] = 1
        arguments["gradient_accumulation_steps"] = recipe.batch_size * recipe.gradient_accumulation
    with_sft = recipe.sft_weight > 0
    trainer = AgentTurnsDPOTrainer(
        model,
        args=DPOConfig(
            **arguments,
            beta=recipe.beta,
            loss_type=["sigmoid", "sft"] if with_sft else ["sigmoid"],
            loss_weights=[1.0, recipe.sft_weight] if with_sft else None,
            # a full model has no second copy to refer to: its log-probabilities are taken down before it changes
            precompute_ref_log_probs=recipe.adapter == "full",
        ),
        train_dataset=build_dpo_dataset(rows),
        data_collator=AgentTurnsCollator(pad_token_id=setup.tokenizer.pad_token_id),
        processing_class=setup.tokenizer,
        peft_config=peft_config,
        check=session.check_stop,
    )
    return run_training(session, job, setup, trainer, train_rows=len(rows))


if __name__ == "__main__":
    sys.exit(run_session(DPOJob, train))
