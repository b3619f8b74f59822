"""`certify trigger MODEL --data FILE --patch HxW`: what a patch can do to a classifier, with proofs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from certify.cli.errors import reported
from certify.cli.options import Data, Json, Plot, Seed, Verbose
from certify.cli.watch import answering_early
from certify.errors import InputError

if TYPE_CHECKING:
    from certify.quantities.site import TriggerReport


def trigger(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX model of a classifier.")],
    data: Data,
    patch: Annotated[str, typer.Option(metavar="HxW", help="Pixels that the trigger may set, in every channel.")],
    position: Annotated[
        str, typer.Option(metavar="all|ROW,COLUMN", help="Where the patch's upper left pixel is.")
    ] = "all",
    target: Annotated[str, typer.Option(metavar="all|CLASS", help="The class that the trigger is for.")] = "all",
    count: Annotated[int, typer.Option(min=1, help="Samples used for each target, the first of the data.")] = 100,
    range_: Annotated[
        tuple[float, float] | None,
        typer.Option("--range", metavar="LOW HIGH", help="What the pixels may be set to; else the data's own range."),
    ] = None,
    include_target: Annotated[
        bool, typer.Option("--include-target", help="Count samples of the target class too; else they are left out.")
    ] = False,
    image: Annotated[str | None, typer.Option(metavar="CxHxW", help="How a flat input is laid out.")] = None,
    gap: Annotated[float, typer.Option(min=0.0, max=1.0, help="A site is done at this gap, a share.")] = 0.0,
    timeout: Annotated[float, typer.Option(min=0.0, help="Seconds for all positions and targets.")] = 60.0,
    seed: Seed = 0,
    plot: Plot = None,
    json: Json = None,
    verbose: Verbose = False,
) -> None:
    """Find the worst trigger: the patch values that send most samples to a class, and prove that none does worse.

    Per sample: proved that no trigger sends it to the class, a trigger that does (replayed by onnxruntime), or open.
    Over all samples: U*, the largest share that one trigger sends there. What is known of it is an interval, whose
    upper end is proven and whose lower end onnxruntime has counted. Stops when all is decided, or at --timeout.
    """
    with reported(verbose), answering_early():
        from certify.cli.answer import write_json
        from certify.quantities.trigger import trigger as run

        low, high = (None, None) if range_ is None else range_
        found = run(
            model, data, patch=_sizes(patch, 2, "--patch", "2x2"), target=_class(target), count=count,
            position=None if position == "all" else _sizes(position, 2, "--position", "6,6", ","), low=low, high=high,
            image=None if image is None else _sizes(image, 3, "--image", "1x8x8"), include_target=include_target,
            gap=gap, timeout=timeout, seed=seed,
        )  # fmt: skip
        if plot is not None:
            from certify.quantities.trigger_plot import draw

            draw(found, data, plot)
        if json is not None:
            write_json(json, found.as_dict())
        if json != "-":
            _print(found)


def _print(found: TriggerReport) -> None:
    plan = found.plan
    whose = "all samples" if plan.include_target else "samples of other classes"
    typer.echo(f"{plan.patch[0]}x{plan.patch[1]} triggers in [{plan.low:g}, {plan.high:g}], {whose}, {found.data}")
    typer.echo("target  samples      U* in  (attained, proven)   at      gap 0 at     never: proved  exists  open")
    for target in plan.targets:
        sites = [site for site in found.sites if site.target == target]
        worst, site = found.worst(target), found.worst_site(target)
        exact = sum(other.worst.gap == 0.0 for other in sites)
        shares = "  ".join(f"{site.share(status):6.3f}" for status in ("proved", "exists", "open"))
        typer.echo(
            f"{target:>6}  {len(site.numbers):>7}  [{worst.lower:.4f}, {worst.upper:.4f}]        "
            f"{site.position[0]:>3},{site.position[1]:<3}  {exact:>3} of {len(sites):<4}        {shares}"
        )
    if len(found.sites) == 1:
        other = found.sites[0].population
        typer.echo(
            f"population, statistical: of images like these, a share of at most {other.upper:.3f} can be sent to the "
            f"target there ({other.confidence:.0%} confidence, {other.count - other.hits} of {other.count} proved)"
        )
    typer.echo(f"time: {found.seconds:.2f} s, {sum(site.boxes for site in found.sites)} bounds")
    if any(site.worst.gap > plan.gap for site in found.sites):
        typer.echo("next: the interval is valid but not closed everywhere; more --timeout, or a --gap that is enough")


def _class(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdigit():
        raise InputError(f"--target {text}: expected a class number or all", "as in --target 0")
    return int(text)


def _sizes(text: str, count: int, option: str, example: str, between: str = "x") -> tuple[Any, ...]:
    parts = text.lower().replace(" ", "").split(between)
    if len(parts) != count or not all(part.isdigit() for part in parts):
        raise InputError(f"{option} {text}: expected {count} whole numbers", f"as in {option} {example}")
    return tuple(map(int, parts))
