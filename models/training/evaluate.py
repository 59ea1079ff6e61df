"""Accuracy of an exported checkpoint in PyTorch: over the validation pictures, by class, and by confusion.

    python evaluate.py --model NAME.pth --config NAME.json --data FOLDER --cache FOLDER

Reads the same two files as our converter does, so it also shows that they hold all that is needed.
Cost: about a minute on one idle core.
"""
import argparse
import json

import torch

import data
import deit
from poolformer import PoolFormer, multiply_adds


def build(config, state):
    """The network that the config names; the keys tell the kinds of DeiT apart."""
    made = config["constructor"]
    if config["class"] == "PoolFormer":
        net = PoolFormer(**made)
        print(f"multiply-adds {multiply_adds(net, config['wf']['image_size'])}")
    else:
        kind = ("slab" if "blocks.0.attn.positional_encoding" in state else
                "prepbn" if "norm.norm2.alpha" in state else "ln")
        known = ("img_size", "patch_size", "embed_dim", "depth", "num_heads", "num_classes")
        net = deit.Deit(kind, **{k: made[k] for k in known})
    net.load_state_dict(state)
    return net.eval()


@torch.no_grad()
def scores(net, x, batch=100):
    """-> logits [N, classes]."""
    return torch.cat([net(data.normalise(part.float() / 255)) for part in x.split(batch)])


def main():
    a = argparse.ArgumentParser(description="accuracy of a network of models/")
    for name in ("model", "config", "data", "cache"):
        a.add_argument(f"--{name}", required=True)
    args = a.parse_args()

    with open(args.config) as f:
        config = json.load(f)
    own = config["wf"]
    if own["mean"] != list(data.MEAN) or own["std"] != list(data.STD):
        raise SystemExit("config: mean or std are not those of data.py")
    net = build(config, torch.load(args.model, weights_only=True))
    x, y = data.prepare(args.data, args.cache)["val"]

    logits = scores(net, x)
    right = logits.topk(5, dim=1).indices == y[:, None]
    print(f"parameters {sum(p.numel() for p in net.parameters())}, pictures {len(x)}")
    print(f"top-1 {100 * right[:, 0].float().mean():.2f} %, "
          f"top-5 {100 * right.any(1).float().mean():.2f} %")

    by_class = sorted((right[y == c, 0].float().mean().item(), name)
                      for c, name in enumerate(own["labels"]))
    for what, some in (("worst", by_class[:8]), ("best", by_class[::-1][:8])):
        print(f"{what}: " + ", ".join(f"{name} {100 * share:.0f} %" for share, name in some))
    wrong = torch.zeros(len(by_class), len(by_class), dtype=torch.int64)
    top = logits.argmax(1)
    wrong.index_put_((y, top), (y != top).long(), accumulate=True)
    for i in wrong.flatten().argsort(descending=True)[:15].tolist():
        t, p = divmod(i, len(by_class))
        print(f"| {own['labels'][t]} | {own['labels'][p]} | {wrong[t, p]} of {(y == t).sum()} |")


if __name__ == "__main__":
    main()
