"""Confusion: which class was taken for which."""

from __future__ import annotations

from markupsafe import Markup

from tensorgraph_report import parts
from tensorgraph_report.study import Study

MOST = 20  # classes whose matrix is shown


def confusion(study: Study) -> str:
    found = study.evaluation
    counts = (found.get("confusion") or {}).get("counts")
    if not counts:
        return ""
    classes = found["classes"]
    if len(classes) > MOST:
        return study.text(
            f"The matrix of {len(classes)} classes is too large for a page; it is in "
            "evaluation.json."
        ) + _worst(study, classes, counts)
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in classes)
    lines = []
    for name, row in zip(classes, counts, strict=True):
        total = max(sum(row), 1)
        cells = Markup("").join(
            Markup('<td class="s{}">{:,}<small>{:.0%}</small></td>').format(
                round(10 * n / total), n, n / total
            )
            if n
            else Markup("<td>·</td>")
            for n in row
        )
        lines.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(name, cells))
    caption = (
        f"Rows are what {found['n']:,} images are, columns what the model took them for: the "
        "number, and its share of the row. The darker, the larger the share; what is right stands "
        "on the diagonal."
    )
    return str(
        Markup(
            '<figure class="table"><figcaption id="matrix">{}</figcaption>'
            '<div class="wide" tabindex="0" role="region" aria-labelledby="matrix">'
            '<table class="confusion" aria-labelledby="matrix">'
            "<thead><tr><td>is \\ taken for</td>{}</tr></thead><tbody>{}</tbody></table></div>"
            "</figure>\n"
        ).format(caption, head, Markup("\n").join(lines))
    )


def _worst(study: Study, classes: list[str], counts: list[list[int]]) -> str:
    pairs = [
        (n, classes[i], classes[j])
        for i, row in enumerate(counts)
        for j, n in enumerate(row)
        if i != j and n
    ]
    rows = [[is_, taken, f"{n:,}"] for n, is_, taken in sorted(pairs, reverse=True)[:12]]
    return parts.table(["is", "taken for", "images"], rows, "The most frequent mistakes.", "")
