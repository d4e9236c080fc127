"""Clusters that scikit-learn finds as PEFT's AdaMSS asks for them: of rows, by the count of clusters."""

import json

import torch

from peft.tuners.adamss.utils import clustering_Z, slice_pca


def cases():
    for number, (rows, columns, r, count) in enumerate(((24, 40, 6, 5), (40, 24, 8, 3), (3, 9, 2, 5), (30, 30, 12, 7))):
        generator = torch.Generator().manual_seed(900 + number)
        weight = torch.randn(rows, columns, generator=generator)
        directions, left = slice_pca(weight[None, None], r, "cpu", random_seed=number)
        labels, _ = clustering_Z(left[0, 0], count, 10)
        yield {
            "weight": weight.tolist(),
            "seed": number,
            "r": directions.shape[2],
            "count": count,
            "projector": (directions[0, 0].T @ directions[0, 0]).tolist(),
            "labels": labels.tolist(),
        }


def make_kmeans(root):
    (root / "adamss-clusters.json").write_text(json.dumps(list(cases()), separators=(",", ":")) + "\n")
