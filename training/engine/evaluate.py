"""Measure one model on held-out rows: `python -m training.engine.evaluate RUN_DIR`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from training.engine.session import End, Session, find_base, run_session
from training.run_dir import EVAL_FILE, EvaluateJob, read_rows, write_evaluation


def evaluate(session: Session, job: EvaluateJob) -> End:
    from training.engine.encode import Encoder
    from training.engine.failures import EngineError
    from training.engine.models import find_device, load_model, load_tokenizer, read_context_length
    from training.engine.next_actions import choose_steps, write_next_actions
    from training.engine.scoring import add_scoring_head, measure_rows
    from training.results import Evaluation

    started = time.monotonic()
    recipe = job.hyperparameters
    rows = list(read_rows(session.directory / EVAL_FILE))
    if not rows:
        raise EngineError("There are no held-out rows.", "Choose a dataset version that holds some out.")
    session.enter("loading the model")
    device = find_device()
    base = find_base(session.directory, job)
    encoder = Encoder(load_tokenizer(base))
    adapter = Path(job.base.adapter) if job.base.adapter is not None else None
    model = load_model(base, adapter, device=device, merge=False, trainable=False)
    if device.cuda:
        model.to("cuda")
    add_scoring_head(model)
    limit = min(recipe.max_length, read_context_length(base))
    steps = choose_steps(rows, most=recipe.max_samples)
    done, total = 0, len(rows) + len(steps)

    def advance() -> None:
        nonlocal done
        session.check_stop()
        session.report_progress(done, total)
        done += 1

    session.enter("scoring the recorded actions")
    measured = measure_rows(model, encoder, rows, limit=limit, bf16=False, check=advance)
    session.enter("writing the model's own actions")
    actions = write_next_actions(
        model, encoder, rows, steps, limit=limit, max_new_tokens=recipe.max_new_tokens, check=advance
    )
    write_evaluation(
        session.directory,
        Evaluation(
            held_out=measured.held_out,
            held_out_bands=measured.held_out_bands,
            preference=measured.preference,
            next_actions=actions,
            exact_next_actions=sum(action.exact for action in actions),
            cut_prompts=sum(action.prompt_cut > 0 for action in actions),
            skipped_rows=measured.skipped_rows,
            device=device.name,
            seconds=round(time.monotonic() - started, 3),
        ),
    )
    session.report_progress(total, total)
    return "done"


if __name__ == "__main__":
    sys.exit(run_session(EvaluateJob, evaluate))
