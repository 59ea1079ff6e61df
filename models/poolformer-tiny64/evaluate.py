"""Accuracy of an exported checkpoint in PyTorch: over the validation split, and class by class.

    python evaluate.py --model NAME.pth --config NAME.json --data FOLDER --cache FOLDER

Reads the same two files as our converter does, so it also shows that they hold all that is needed.
Cost: about ten seconds on one idle core.
"""
import argparse
import json

import torch

import data
from model import PoolFormer, multiply_adds


@torch.no_grad()
def scores(net, x, batch=100):
    """-> logits [N, classes]."""
    return torch.cat([net(data.normalise(x[i:i + batch])) for i in range(0, len(x), batch)])


def main():
    a = argparse.ArgumentParser(description="accuracy of an exported poolformer-tiny64")
    for name in ("model", "config", "data", "cache"):
        a.add_argument(f"--{name}", required=True)
    args = a.parse_args()

    with open(args.config) as f:
        config = json.load(f)
    own = config["wf"]
    if own["mean"] != list(data.MEAN) or own["std"] != list(data.STD):
        raise SystemExit("config: mean or std are not those of data.py")
    net = PoolFormer(**config["constructor"])
    net.load_state_dict(torch.load(args.model, weights_only=True))
    x, y = data.prepare(args.data, args.cache)["val"]

    logits = scores(net, x)
    right = logits.topk(5, dim=1).indices == y[:, None]
    print(f"parameters {sum(p.numel() for p in net.parameters())}, "
          f"multiply-adds {multiply_adds(net, own['image_size'])}, pictures {len(x)}")
    print(f"top-1 {100 * right[:, 0].float().mean():.2f} %, "
          f"top-5 {100 * right.any(1).float().mean():.2f} %")

    by_class = sorted((right[y == c, 0].float().mean().item(), name)
                      for c, name in enumerate(own["labels"]))
    for what, some in (("worst", by_class[:8]), ("best", by_class[::-1][:8])):
        print(f"{what}: " + ", ".join(f"{name} {100 * share:.0f} %" for share, name in some))
    wrong = torch.zeros(len(by_class), len(by_class), dtype=torch.int64)
    top = logits.argmax(1)
    wrong.index_put_((y, top), (y != top).long(), accumulate=True)
    for i in wrong.flatten().argsort(descending=True)[:8].tolist():
        t, p = divmod(i, len(by_class))
        print(f"{own['labels'][t]} taken for {own['labels'][p]}: {wrong[t, p]}")


if __name__ == "__main__":
    main()
