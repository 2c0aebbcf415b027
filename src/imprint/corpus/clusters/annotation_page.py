"""The validation sheet as one HTML page: nothing is fetched, all text is shown as text, the answers are saved as CSV."""

from collections.abc import Sequence
from html import escape
from string import Template

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Validation sheet</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
article { border-top: 1px solid #bbb; padding: 1rem 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f6f4; padding: .75rem; max-height: 20rem; overflow: auto; }
label { display: inline-block; margin-right: 1rem; }
input, select, button { font: inherit; padding: .25rem .5rem; }
</style>
</head>
<body>
<h1>Validation sheet</h1>
<p>Read each text and say in one word or two what kind of text it is. Leave a label empty if you cannot tell.
Then save your answers as a CSV file and hand that file back.</p>
<p><label>Your name <input id="annotator" required></label>
<button id="save">Save answers as CSV</button> <span id="done" role="status"></span></p>
$choices
$items
<script>
"use strict";
const cell = value => {
  const text = /^[=+\\-@\\t\\r\\n＝＋－＠]/.test(value) ? "'" + value : value;
  return '"' + text.replaceAll('"', '""') + '"';
};
document.getElementById("save").addEventListener("click", () => {
  const name = document.getElementById("annotator").value.trim();
  const rows = [["item", "annotator", "label", "comment"]];
  for (const article of document.querySelectorAll("article")) {
    rows.push([article.id, name, article.querySelector(".label").value, article.querySelector(".comment").value]);
  }
  const labelled = rows.slice(1).filter(row => row[2].trim()).length;
  const blob = new Blob([rows.map(row => row.map(cell).join(",")).join("\\r\\n") + "\\r\\n"], {type: "text/csv"});
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "labels" + (name ? "-" + name.replace(/[^\\w-]+/g, "-") : "") + ".csv";
  link.click();
  document.getElementById("done").textContent = labelled + " of " + (rows.length - 1) + " labelled";
});
</script>
</body>
</html>
""")


def annotation_page(items: Sequence[tuple[str, str, str]], *, labels: Sequence[str]) -> str:
    """A page with one form an item (its name, its cluster or "", its text); with `labels` the answer is chosen from them."""
    suggested = "".join(f"<li>{escape(label)}</li>" for label in labels)
    return _PAGE.substitute(
        choices=f"<p>Labels:</p><ul>{suggested}</ul>" if labels else "",
        items="\n".join(_item(*one, labels) for one in items),
    )


def _item(name: str, cluster: str, text: str, labels: Sequence[str]) -> str:
    heading = f"{escape(name)}" + (f" · cluster: {escape(cluster)}" if cluster else "")
    return (
        f'<article id="{escape(name)}"><h2>{heading}</h2><pre>{escape(text)}</pre>'
        f'<label>Label {_answer(labels)}</label><label>Comment <input class="comment"></label></article>'
    )


def _answer(labels: Sequence[str]) -> str:
    if not labels:
        return '<input class="label">'
    options = "".join(f'<option value="{escape(label)}">{escape(label)}</option>' for label in labels)
    return f'<select class="label"><option value=""></option>{options}</select>'
