"""NetAug (Cai et al., 2022) on MobileNetV2-Tiny in PyTorch, eager mode: the worker of benchmarks/netaug.py.

It follows the authors' code: the parameters have the widths of the widest network, a forward pass uses the first
channels of them, and each step adds the gradients of the tiny network and of a drawn one. Images and kernels, and so
activations, are channels_last, which is twice as fast. Making a sliced kernel contiguous makes no difference, because
oneDNN reorders it anyway. netaug.py sets the environment in which PyTorch is fastest.

Each line "netaug N" or "plain N" on standard input trains N steps. The answer is a line with the seconds and the mean
multiply-adds of the drawn networks. The worker waits without using the processor.

    python benchmarks/netaug_torch.py [--resolution 32] [--batch 64] [--classes 10] [--threads 2] [--check]
"""

import argparse
import functools
import random
import sys
import time
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

WIDTHS, EXPANSIONS = (1.0, 1.8, 2.6), (1.0, 1.6, 2.2, 2.8)
STEM, FIRST, HEAD, EXPANSION = 16, 8, 448, 6
BLOCKS = [  # channels, stride
    *((8, 2), (8, 1), (16, 2), (16, 1), (16, 1), (24, 2), (24, 1), (24, 1), (24, 1)),
    *((32, 1), (32, 1), (32, 1), (56, 2), (56, 1), (56, 1), (112, 1)),
]


class Conv(NamedTuple):
    """A convolution with BatchNorm; with `shortcut`, the input of the convolution two places before is added."""

    inputs: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    depthwise: bool = False
    activated: bool = True
    shortcut: bool = False

    @property
    def shape(self):
        return self.outputs, 1 if self.depthwise else self.inputs, self.kernel, self.kernel


def rounded(width):
    return max(1, int(width + 0.5))


def network(choose):
    """Returns the convolutions of a network; `choose` picks each factor from its list."""
    stem = rounded(STEM * choose(WIDTHS))
    width, base = rounded(FIRST * choose(WIDTHS)), FIRST
    convs = [
        Conv(3, stem, kernel=3, stride=2),
        Conv(stem, stem, kernel=3, depthwise=True),
        Conv(stem, width, activated=False),
    ]
    for channels, stride in BLOCKS:
        shortcut = stride == 1 and channels == base
        out = width if shortcut else rounded(channels * choose(WIDTHS))
        inner = rounded((EXPANSION + 1e-10) * choose(EXPANSIONS) * width)
        convs += [
            Conv(width, inner),
            Conv(inner, inner, kernel=3, stride=stride, depthwise=True),
            Conv(inner, out, activated=False, shortcut=shortcut),
        ]
        width, base = out, channels
    return [*convs, Conv(width, rounded(HEAD * choose(WIDTHS)))]


TINY, WIDEST = network(min), network(max)


def parameters(convs, classes):
    """Returns the parameters of convolutions and classifier."""
    return sum(torch.Size(conv.shape).numel() for conv in convs) + (convs[-1].outputs + 1) * classes


def multiply_adds(convs, classes, resolution):
    """Returns the multiply-adds of one image in convolutions and classifier."""
    total, side = convs[-1].outputs * classes, resolution
    for conv in convs:
        side = -(-side // conv.stride)
        total += torch.Size(conv.shape).numel() * side**2
    return total


class SlicedConv(nn.Conv2d):
    """A convolution with BatchNorm that uses only its first channels."""

    def __init__(self, conv):
        groups = conv.inputs if conv.depthwise else 1
        super().__init__(
            conv.inputs, conv.outputs, conv.kernel, conv.stride, conv.kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(conv.outputs)

    def forward(self, x, outputs, activated):
        inputs, norm = x.shape[1], self.norm
        depthwise = self.groups > 1
        kernel = self.weight[:outputs] if depthwise else self.weight[:outputs, :inputs]
        x = F.conv2d(x, kernel, None, self.stride, self.padding, groups=outputs if depthwise else 1)
        mean, variance = norm.running_mean[:outputs], norm.running_var[:outputs]
        x = F.batch_norm(x, mean, variance, norm.weight[:outputs], norm.bias[:outputs], True, norm.momentum, norm.eps)
        return F.relu6(x, inplace=True) if activated else x


class Supernet(nn.Module):
    """The widest network; a forward pass takes the convolutions of the network to compute."""

    def __init__(self, classes):
        super().__init__()
        self.convs = nn.ModuleList(SlicedConv(conv) for conv in WIDEST)
        self.classifier = nn.Linear(WIDEST[-1].outputs, classes)

    def forward(self, x, convs):
        inputs = []
        for module, conv in zip(self.convs, convs, strict=True):
            inputs.append(x)
            x = module(x, conv.outputs, conv.activated)
            if conv.shortcut:
                x = x + inputs[-3]
        x = x.mean((2, 3))
        return F.linear(x, self.classifier.weight[:, : x.shape[1]], self.classifier.bias)


class Plain(nn.Module):
    """The tiny network of PyTorch's layers, with the parameter names of the super-network."""

    def __init__(self, classes):
        super().__init__()
        self.convs = nn.ModuleList(self.layer(conv) for conv in TINY)
        self.classifier = nn.Linear(TINY[-1].outputs, classes)

    @staticmethod
    def layer(conv):
        groups = conv.inputs if conv.depthwise else 1
        layer = nn.Conv2d(
            conv.inputs, conv.outputs, conv.kernel, conv.stride, conv.kernel // 2, groups=groups, bias=False
        )
        layer.norm = nn.BatchNorm2d(conv.outputs)
        return layer

    def forward(self, x):
        inputs = []
        for module, conv in zip(self.convs, TINY, strict=True):
            inputs.append(x)
            x = module.norm(module(x))
            x = F.relu6(x, inplace=True) if conv.activated else x
            x = x + inputs[-3] if conv.shortcut else x
        return self.classifier(x.mean((2, 3)))


class Trainer:
    """Trains one network, plain or with NetAug, on noise images."""

    def __init__(self, netaug, options):
        self.net = (Supernet if netaug else Plain)(options.classes).to(memory_format=torch.channels_last)
        self.netaug, self.options, self.draws = netaug, options, random.Random(0)
        x = torch.rand(options.batch, 3, options.resolution, options.resolution) * 2 - 1
        self.x = x.contiguous(memory_format=torch.channels_last)
        self.y = torch.randint(options.classes, (options.batch,))
        undecayed = [p for name, p in self.net.named_parameters() if "norm" in name or "bias" in name]
        decayed = [p for name, p in self.net.named_parameters() if not ("norm" in name or "bias" in name)]
        self.optimizer = torch.optim.SGD(
            [{"params": decayed, "weight_decay": 4e-5}, {"params": undecayed, "weight_decay": 0.0}],
            lr=0.01,
            momentum=0.9,
            nesterov=True,
            fused=True,
        )

    def step(self):
        """Takes one step and returns the drawn network, without NetAug the tiny one."""
        self.optimizer.zero_grad()
        drawn = TINY
        if self.netaug:
            drawn = network(self.draws.choice)
            self.loss(self.net(self.x, TINY)).backward()
            self.loss(self.net(self.x, drawn)).backward()  # the gradients add up
        else:
            self.loss(self.net(self.x)).backward()
        self.optimizer.step()
        return drawn

    def loss(self, logits):
        return F.cross_entropy(logits, self.y, label_smoothing=0.1)

    def steps(self, count):
        """Takes `count` steps and returns (seconds, mean multiply-adds of the drawn networks)."""
        start = time.perf_counter()
        drawn = [self.step() for _ in range(count)]
        seconds = time.perf_counter() - start
        total = sum(multiply_adds(convs, self.options.classes, self.options.resolution) for convs in drawn)
        return seconds, total / count


def check():
    """Exits with a message unless the super-network is as wide as it should be and contains the tiny network."""
    counts = parameters(TINY, 1000), parameters(WIDEST, 1000)
    if counts != (737_864, 5_746_567):
        sys.exit(f"parameters of the tiny and the widest network: {counts}, expected 737,864 and 5,746,567")
    if (macs := multiply_adds(WIDEST, 1000, 144)) != 334_426_867:
        sys.exit(f"multiply-adds of the widest network: {macs}, expected 334.43 million")
    wide, plain = Supernet(10), Plain(10)
    if any(module.weight.shape != conv.shape for module, conv in zip(wide.convs, WIDEST, strict=True)):
        sys.exit("the parameters of the super-network are not those of its widest network")
    tensors = wide.state_dict()
    slices = {name: tensors[name][tuple(map(slice, own.shape))] for name, own in plain.state_dict().items()}
    plain.load_state_dict(slices)
    x = torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(wide(x, TINY), plain(x), rtol=1e-5, atol=1e-5)
    for name, expected in plain.state_dict().items():  # the running statistics too
        if "num_batches" not in name:
            actual = wide.state_dict()[name][tuple(map(slice, expected.shape))]
            torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
    print("the super-network holds the tiny network; parameters and multiply-adds are those of the authors' code")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=64, help="images in a step")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="check the networks instead of training")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    if options.check:
        return check()
    trainer = functools.cache(lambda kind: Trainer(kind == "netaug", options))
    for line in sys.stdin:
        kind, count = line.split()
        print(*trainer(kind).steps(int(count)), flush=True)


if __name__ == "__main__":
    main()
