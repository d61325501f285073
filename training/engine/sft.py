"""Supervised fine-tuning: `python -m training.engine.sft RUN_DIR`."""

from __future__ import annotations

import sys

from training.engine.session import End, Session, run_session
from training.run_dir import SFTJob


def train(session: Session, job: SFTJob) -> End:
    from trl import SFTConfig

    from training.engine.models import load_policy
    from training.engine.sft_trainer import WeightedCollator, WeightedSFTTrainer, build_sft_dataset
    from training.engine.train import build_arguments, prepare_run, run_training, tokenise_training_rows

    recipe = job.hyperparameters
    setup = prepare_run(session, job)
    rows = tokenise_training_rows(session, setup, job).kept
    session.enter("loading the model")
    model, peft_config = load_policy(setup.base, setup.adapter, recipe, setup.device)
    trainer = WeightedSFTTrainer(
        model,
        args=SFTConfig(**build_arguments(session.directory, recipe, setup.device)),
        train_dataset=build_sft_dataset(rows, weighting=recipe.weighting),
        data_collator=WeightedCollator(pad_token_id=setup.tokenizer.pad_token_id),
        processing_class=setup.tokenizer,
        peft_config=peft_config,
        weighting=recipe.weighting,
    )
    return run_training(session, job, setup, trainer, train_rows=len(rows))


if __name__ == "__main__":
    sys.exit(run_session(SFTJob, train))
