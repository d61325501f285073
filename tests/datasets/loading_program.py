"""Load every exported file of a version with `datasets`, and see that all formats have the same rows: FOLDER."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path
from typing import Any

from datasets import load_dataset

LOADERS = {"jsonl": "json", "jsonl.gz": "json", "jsonl.zst": "json", "parquet": "parquet"}


def load(folder: Path, side: str, suffix: str) -> Any:
    files = {"train": str(folder / f"{side}.{suffix}")}
    return load_dataset(LOADERS[suffix], data_files=files, split="train", cache_dir=str(folder / "cache"))


def main(folder: Path) -> None:
    for side, split in (("train", "train"), ("eval", "test")):
        expected = load(folder, side, "jsonl").to_list()
        for suffix in LOADERS:
            assert load(folder, side, suffix).to_list() == expected, (side, suffix)
        for suffix in LOADERS:
            with tarfile.open(folder / f"all.{suffix}.tar") as archive:
                archive.extractall(folder / suffix, filter="data")
            (inside,) = (folder / suffix).iterdir()
            # As it is uploaded to a hub: the card says which file is which split.
            both = load_dataset(str(inside), cache_dir=str(folder / "cache"))
            assert both[split].to_list() == expected, (split, suffix)
        print(split, len(expected))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
