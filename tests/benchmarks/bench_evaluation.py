"""What does scoring cost beside predicting? Evaluates the bundled checkpoint, and predicts the same rows alone.

    python tests/benchmarks/bench_evaluation.py ROOT [--limit 40]

ROOT is a labelled set in the FM_UIA layout. The two take turns, task by task, so that a busy machine slows both alike;
what counts is the ratio of processor seconds. The bar is 1.5: labels are read, masks compared, figures resampled a
thousand times.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from m2dino.data.fmuia import find_roots, read_root
from m2dino.evaluation import model_source, predict_rows, score_rows
from m2dino.predictor import load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--limit", type=int, default=40)
    options = parser.parse_args()
    model = load_model("tiny")
    rows = [row for root in find_roots(options.root) for row in read_root(root) if row.task_id in model.tasks]
    alone = whole = 0.0
    for task_id in dict.fromkeys(row.task_id for row in rows):
        own = [row for row in rows if row.task_id == task_id][: options.limit]
        list(predict_rows(model, own[:8], model.tasks[task_id]))  # warm
        start = time.process_time()
        list(predict_rows(model, own, model.tasks[task_id]))
        middle = time.process_time()
        score_rows(model_source(model), own, model.tasks)
        end = time.process_time()
        alone, whole = alone + middle - start, whole + end - middle
        print(f"{task_id:24} {len(own):4d} images  {(end - middle) / (middle - start):.2f} x predicting alone")
    print(f"all: {whole / alone:.2f} x predicting alone (bar 1.5)")


if __name__ == "__main__":
    main()
