"""`reid human`."""

import hashlib
import webbrowser
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from sdk.output import check_output
from sdk.terminal import Table, notes, results
from training.commands.models import held_out_people, open_model
from training.commands.options import (
    Cameras,
    Data,
    Identities,
    Misalignment,
    PeopleSeed,
    SiteCameras,
    named_files,
    open_people,
)


def human(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the answers; the same one to go on.")],
    model: Annotated[
        Path | None, typer.Option(help="A checkpoint (.pt) or a converted model (.onnx). [default: the one that ships]")
    ] = None,
    queries: Annotated[int, typer.Option(help="How many questions.")] = 50,
    candidates: Annotated[
        str, typer.Option(help="The nine others: random, or hard, the nearest by the model's distance.")
    ] = "random",
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only the people that the model's training held out.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Draws the questions and the order of the candidates.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page, on 127.0.0.1; 0: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    identities: Identities = 100,
    cameras: Cameras = 4,
    site_cameras: SiteCameras = 64,
    people_seed: PeopleSeed = 1711,
    misalignment: Misalignment = 0.25,
) -> None:
    """Ask a person what the model is asked: which of ten people from other cameras is the one shown?"""
    from sdk.engines import DEFAULT_MODEL
    from training.evaluation import embed_dataset
    from training.human import Answers, Questionnaire, build_questions, serve
    from training.human.answers import read_questions, write_questions

    for name in ("questions.json", "answers.jsonl", "result.json"):
        check_output(output / name, named_files(model))
    opened = open_model(model)
    model = model or DEFAULT_MODEL
    people = open_people([data], identities, cameras, site_cameras, people_seed, opened.input_size, misalignment)
    settings = {
        "data": people.source,
        "held_out": held_out,
        "model": f"{model.name} (SHA-256 {hashlib.sha256(model.read_bytes()).hexdigest()[:16]})",
        "queries": queries,
        "candidates": candidates,
        "seed": seed,
    }
    if held_out:
        people = held_out_people(people, opened, str(model), data)
    questions = read_questions(output, settings, people)
    if questions is None:
        embedding = embed_dataset(opened.embed, people)
        questions = build_questions(embedding, people.labels, people.cameras, queries, seed, candidates)
        write_questions(output, settings, questions, people)
    with Answers(output, questions, people) as answers:
        questionnaire = Questionnaire(answers, people.read)
        if questionnaire.finished.is_set():
            show_result(answers, questionnaire.comparison, output)
            return
        with serve(questionnaire, port) as address:
            notes.print(f"the questions are at {address} ; Ctrl-C ends, and keeps the answers")
            if browser:
                webbrowser.open(address)
            try:
                questionnaire.finished.wait()
                show_result(answers, questionnaire.comparison, output)
                notes.print("the page shows it too; Ctrl-C ends")
                Event().wait()
            except KeyboardInterrupt:
                kept = f"{len(answers.choices)} of {len(questions)} answers"
                then = "shows the result" if questionnaire.finished.is_set() else "goes on"
                notes.print(f"\n{kept} kept in {output}; the same command {then}")


def show_result(answers, comparison, output: Path) -> None:
    """Write and print a `training.human.Comparison`."""
    answers.write_result(comparison)
    table = Table("", "rank-1", "95% interval", title=f"{comparison.questions} questions", name="comparison")
    for name, value, (low, high) in (
        ("person", comparison.person, comparison.person_interval),
        ("model", comparison.model, comparison.model_interval),
        ("person − model", comparison.difference, comparison.difference_interval),
    ):
        table.add_row(name, f"{value:.3f}", f"{low:.3f} to {high:.3f}")
    results.print(table)
    results.print(
        f"right alone: person {comparison.person_only}, model {comparison.model_only}; "
        f"McNemar's exact test: p = {comparison.p_value:.2g}"
    )
    notes.print(f"wrote {output / 'result.json'}")
