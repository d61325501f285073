from training.models.run import Checkpoint, Evaluation, Run

__all__ = ["Checkpoint", "Evaluation", "Run"]
