r"""Converts PyTorch weights to a checkpoint: `fakd convert`.

fakd convert --arch resnet50 --input imagenet --output weights/resnet50
fakd convert --arch resnet50 --input finetuned.pth --output weights/finetuned \
    --class-names glioma,meningioma,notumor,pituitary --negative-class notumor \
    --image-size 224 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
fakd convert --arch mobilenet_v3_large --input backbone.pth --output weights/backbone \
    --allow-missing classifier

A file of torch.save needs PyTorch (`pip install -e '.[convert]'`), a .safetensors file does not.
Nothing in a file is executed. Everything in it must fit the network. A head that it lacks, or has
of another kind or for another number of classes, is initialised at random only if --allow-missing
names it.
"""

from __future__ import annotations

import argparse
from typing import Any

from fakd_jax.cli.runner import CommandParser, integer, run_command, use_compilation_cache


def make_parser() -> CommandParser:
    """The flags of `fakd convert`."""
    parser = CommandParser(
        prog="fakd convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--arch", required=True, metavar="NAME", help="such as resnet50")
    source = "a .pth, .pt, .ckpt, .bin or .safetensors file, or a folder of shards"
    add("--input", required=True, metavar="FILE|imagenet", help=source)
    add("--output", required=True, metavar="DIR", help="folder of the checkpoint")
    _add_weights_flags(parser)
    _add_task_flags(parser)
    return parser


def _add_weights_flags(parser: CommandParser) -> None:
    from fakd_jax.models.torch_weights.names import NAMINGS

    add = parser.add_argument_group("which weights").add_argument
    naming = "the library whose network this is (default: recognised by the keys; timm_tf has to "
    named = "be named, as timm's networks called tf_… have the keys of the others)"
    add("--naming", choices=NAMINGS, default="", help=naming + named)
    key = "where in the file they are, such as net or state_dict.model (default: where they are)"
    add("--key", metavar="NAME", help=key)
    add("--ema", action="store_true", help="take averaged weights rather than plain ones")
    head = "linear layer of the file that is the network's last one, such as fc.1; only dropout "
    add("--head", metavar="LAYER", help=f"{head}may stand before it")
    grey = "the first convolution has one channel: spread it over three, a third each"
    add("--grey-stem", action="store_true", help=grey)
    missing = "keys that may be missing, misshaped or replaced, such as fc or classifier"
    add("--allow-missing", nargs="+", default=[], metavar="PREFIX", help=missing)
    extra = "keys that the network does not have, to leave out"
    add("--allow-extra", nargs="+", default=[], metavar="PREFIX", help=extra)
    classes = "(default: those named, else the file's, else 1000)"
    add("--num-classes", type=integer(1), metavar="N", help=classes)
    add("--seed", type=int, default=0, help="of random initial values (default 0)")


def _add_task_flags(parser: CommandParser) -> None:
    title = "what makes the checkpoint complete, so that it can be evaluated, explained and teach"
    add = parser.add_argument_group(title).add_argument
    classes = "of the outputs, in their order (torchvision's ImageFolder sorts them)"
    add("--class-names", type=_names, metavar="A,B,C", help=classes)
    add("--image-size", type=integer(1), metavar="N", help="side of the input, in pixels")
    mean = "subtracted from each channel after scaling to [0, 1]; one number for all"
    add("--mean", type=_numbers, metavar="R,G,B", help=mean)
    add("--std", type=_numbers, metavar="R,G,B", help="each channel is divided by it after that")
    negative = 'the class without a tumour, "" if all are tumours: counts missed tumours'
    add("--negative-class", metavar="NAME", help=negative)


def main(argv: list[str]) -> None:
    """Converts, and prints what became of every weight."""
    options: dict[str, Any] = vars(make_parser().parse_args(argv))
    from fakd_jax.convert.run import convert_weights
    from fakd_jax.convert.task import choose_task

    of_task = ("class_names", "image_size", "mean", "std", "negative_class")
    task = choose_task(**{name: options.pop(name) for name in of_task})
    use_compilation_cache()
    arch, source, output = (options.pop(name) for name in ("arch", "input", "output"))
    convert_weights(arch, source, output, task=task, **options)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not one number, or three with commas between"
        ) from None


if __name__ == "__main__":
    run_command(main)
