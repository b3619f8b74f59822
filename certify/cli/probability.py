"""`certify probability MODEL SPEC --law LAW`: certified bounds of the probability that a specification is violated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from certify.cli.errors import reported
from certify.cli.networks import models_and_spec
from certify.cli.options import Json, Network, Seed, Verbose
from certify.cli.watch import answering_early

if TYPE_CHECKING:
    from certify.proportion import Proportion
    from certify.quantities.probability import Probability


def probability(
    files: Annotated[
        list[Path], typer.Argument(metavar="[MODEL] SPEC", help="ONNX model and VNN-LIB property that must not hold.")
    ],
    network: Network = None,
    law: Annotated[
        str,
        typer.Option(
            metavar="uniform|normal|FILE",
            help="Law of the inputs: over SPEC's region, or a product or mixture in a .json or .toml file.",
        ),
    ] = "uniform",
    gap: Annotated[float, typer.Option(min=0.0, max=1.0, help="Stop once the bounds are this close.")] = 0.01,
    timeout: Annotated[float, typer.Option(min=0.0, help="Seconds.")] = 60.0,
    samples: Annotated[int, typer.Option(min=0, help="Samples for the estimate beside the bounds; 0: none.")] = 20_000,
    population: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Replay a data set, for a statistical (Clopper-Pearson) interval beside."),
    ] = None,
    seed: Seed = 0,
    json: Json = None,
    verbose: Verbose = False,
) -> None:
    """Bound the probability that an input drawn from a law violates the property: P[unsafe] is in [lower, upper].

    Both ends are proven, whenever it stops: at --gap, at --timeout. What samples say is printed beside them and never
    mixed in: an estimate, with the confidence interval of Clopper and Pearson.
    """
    with reported(verbose), answering_early():
        from certify.cli.answer import write_json
        from certify.dataset import read_dataset
        from certify.quantities.probability import probability as run

        model, spec = models_and_spec(files, network or [])
        data = None if population is None else read_dataset(population)
        found = run(model, spec, law=law, gap=gap, timeout=timeout, samples=samples, population=data, seed=seed)
        if json is not None:
            write_json(json, found.as_dict())
        if json != "-":
            _print(found, gap)


def _print(found: Probability, gap: float) -> None:
    certified = found.certified
    typer.echo(f"certified: P[unsafe] in [{certified.lower:.6g}, {certified.upper:.6g}], gap {certified.gap:.3g}")
    typer.echo(f"law: {found.law}; {found.mass:.6g} of it lies in the regions of the property")
    for name, what in (("sample estimate", found.estimate), ("population, statistical", found.population)):
        if what is not None:
            typer.echo(f"{name}: {_words(what)}")
    typer.echo(f"time: {certified.seconds:.2f} s, {found.boxes} boxes")
    if certified.gap > gap:
        typer.echo("next: the bounds are valid, but not as close as --gap; more --timeout brings them closer")


def _words(found: Proportion) -> str:
    share = f"{found.hits} of {found.count} = {found.hits / found.count:.4g}"
    return f"{share}, {found.confidence:.0%} confidence [{found.lower:.4g}, {found.upper:.4g}]"
