"""The rules that every notebook follows, each as a function that says what breaks it; and proof that each one bites."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
import pytest

from parivision.dashboard.pages import TITLES

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))

LONGEST_CELL = 15  # lines
ARGUMENT = ["Data", "Method", "Result", "Checks", "Conclusion"]
OPENING = ("**Question.**", "**In:**", "**Out:**", "**What would change the conclusion.**")
LIBRARIES = {"parivision", "pandas", "numpy"} | sys.stdlib_module_names
GIVEN_BY_PLOOMBER = {"upstream", "product"}
VERBS = {
    "build", "clean", "collect", "compare", "evaluate", "explain", "explore", "load", "monitor", "predict",
    "promote", "publish", "rate", "score", "summarise", "train", "tune", "write",
}  # fmt: skip
SECRET = re.compile(r"passw|secret|token|api_?key|credential|private|uri", re.IGNORECASE)
QUERY = re.compile(r"\b(select\b.+\bfrom|insert\s+into|delete\s+from|update\b.+\bset|create\s+table)\b", re.I | re.S)
PATH = re.compile(
    r"^[~.]*/|^[\w.-]+/[\w./*-]*$|\.(csv|db|duckdb|html|ipynb|json|parquet|png|pkl|py|svg|txt|ubj|ya?ml|zip)$"
)
QUIET = {"close", "save_raw", "write_json", "write_table"}  # calls that end a cell without showing anything


@dataclass(frozen=True)
class Cell:
    """One cell: what it says, and its tags."""

    is_code: bool
    source: str
    tags: tuple[str, ...] = ()

    @property
    def statements(self) -> list[ast.stmt]:
        """Its code."""
        return ast.parse(self.source).body

    @property
    def shown(self) -> ast.expr | None:
        """The expression at its end, whose value the reader sees."""
        last = self.statements[-1] if self.is_code and self.statements else None
        if isinstance(last, ast.Expr) and _called(last.value) not in QUIET:
            return last.value
        return None


@dataclass(frozen=True)
class Notebook:
    """A notebook as its author wrote it."""

    name: str
    cells: tuple[Cell, ...]

    @property
    def code(self) -> list[Cell]:
        """Its code cells."""
        return [cell for cell in self.cells if cell.is_code]

    @property
    def parameters(self) -> list[Cell]:
        """The cells tagged parameters."""
        return [cell for cell in self.cells if "parameters" in cell.tags]

    def nodes(self) -> Iterator[ast.AST]:
        """Every piece of its code."""
        for cell in self.code:
            for statement in cell.statements:
                yield from ast.walk(statement)


def read(text: str, name: str) -> Notebook:
    """A notebook from its py:percent text."""
    cells = jupytext.reads(text, fmt="py:percent").cells
    return Notebook(
        name, tuple(Cell(c.cell_type == "code", c.source, tuple(c.metadata.get("tags", ()))) for c in cells)
    )


def _called(node: ast.AST) -> str:
    """The last name of what is called: "say" of say(...), "close" of store.close()."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def _headings(cell: Cell, level: int) -> list[str]:
    lines = [] if cell.is_code else cell.source.splitlines()
    return [line[level + 1 :].strip() for line in lines if line.startswith("#" * level + " ")]


def opens_with_the_question(notebook: Notebook) -> list[str]:
    """The first cell: title, the question, what goes in and out, what would change the conclusion."""
    first = notebook.cells[0]
    if first.is_code:
        return ["the first cell is code"]
    titles = [title for cell in notebook.cells for title in _headings(cell, 1)]
    problems = [] if len(titles) == 1 and _headings(first, 1) else [f"one title at the top, not {titles}"]
    for mark in OPENING:
        said = first.source.partition(mark)[2]
        if not re.match(r"\s*\w.{9,}", said):
            problems.append(f"the first cell says nothing after {mark}")
    question = first.source.partition(OPENING[0])[2].partition("**")[0]
    return problems + ([] if "?" in question else ["the question is no question"])


def has_one_commented_parameters_cell(notebook: Notebook) -> list[str]:
    """One parameters cell; each default is a literal with a comment."""
    if len(notebook.parameters) != 1:
        return [f"{len(notebook.parameters)} parameters cells"]
    (cell,) = notebook.parameters
    problems = []
    lines = cell.source.splitlines()
    for statement in cell.statements:
        if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
            problems.append(f"{ast.unparse(statement)} is no parameter")
            continue
        name = statement.targets[0].id
        if any(isinstance(node, ast.Call | ast.Name | ast.BinOp) for node in ast.walk(statement.value)):
            problems.append(f"the default of {name} is computed")
        commented = re.search(r"#\s*\w+", lines[(statement.end_lineno or 1) - 1])
        if name not in GIVEN_BY_PLOOMBER and not commented:
            problems.append(f"{name} has no comment")
    return problems


def follows_the_argument(notebook: Notebook) -> list[str]:
    """Headings: Data, Method, Result (more than one may follow), Checks, Conclusion."""
    headings = [heading.partition(":")[0] for cell in notebook.cells for heading in _headings(cell, 2)]
    order = [h for n, h in enumerate(headings) if h != "Result" or n == 0 or headings[n - 1] != "Result"]
    return [] if order == ARGUMENT else [f"headings are {headings}"]


def has_short_cells(notebook: Notebook) -> list[str]:
    """A cell is one idea."""
    lengths = [len(cell.source.splitlines()) for cell in notebook.code]
    return [f"code cell {n} has {length} lines" for n, length in enumerate(lengths) if length > LONGEST_CELL]


def defines_nothing(notebook: Notebook) -> list[str]:
    """No function and no class lives in a notebook."""
    problems = []
    for node in notebook.nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            problems.append(f"{node.name} is defined")
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and isinstance(node.value, ast.Lambda):
            problems.append(f"a function by another name: {ast.unparse(node)}")
    return problems


def names_no_query_and_no_path(notebook: Notebook) -> list[str]:
    """Queries and paths belong to the package and to the DAG."""
    texts = [n.value for n in notebook.nodes() if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [f"query: {text!r}" for text in texts if QUERY.search(text)] + [
        f"path: {text!r}" for text in texts if PATH.search(text.strip())
    ]


def never_exits(notebook: Notebook) -> list[str]:
    """Leaving early counts as success with papermill: the cells after it would never run."""
    names = {"exit", "quit", "_exit", "abort", "ask_exit", "SystemExit"}
    problems = []
    for node in notebook.nodes():
        used = ""
        if isinstance(node, ast.Name):
            used = node.id
        elif isinstance(node, ast.Attribute):
            used = node.attr
        elif isinstance(node, ast.alias):
            used = node.name
        if used in names:
            problems.append(f"uses {used}")
    return problems


def imports_little(notebook: Notebook) -> list[str]:
    """Only the package, pandas, numpy and the standard library."""
    problems = []
    for node in notebook.nodes():
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "."] if node.names[0].name != "*" else ["*"]
        else:
            continue
        problems += [f"imports {name}" for name in names if name.split(".")[0] not in LIBRARIES]
    return problems


def interprets_what_it_shows(notebook: Notebook) -> list[str]:
    """A table or plot is followed by words: Markdown, or sentences computed by `say`."""
    problems = []
    for cell, after in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        for statement in cell.statements[:-1] if cell.is_code else []:
            if isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Call):
                problems.append(f"{ast.unparse(statement)} is not at its cell's end: no one sees it")
        if cell.shown is None or _called(cell.shown) == "say":
            continue
        if after is not None and after.is_code:
            said = after.shown is not None and _called(after.shown) == "say"
        else:
            said = after is not None and any(line and line[0] != "#" for line in after.source.splitlines())
        if not said:
            problems.append(f"{ast.unparse(cell.shown)[:60]} is shown and not interpreted")
    return problems


def prints_nothing(notebook: Notebook) -> list[str]:
    """A cell has one visible output, at its end."""
    return [f"calls {_called(n)}" for n in notebook.nodes() if _called(n) in {"print", "display", "show", "pprint"}]


def types_no_numbers(notebook: Notebook) -> list[str]:
    """Markdown outside the title and the Method stays true when the data changes: it holds no digit."""
    problems, section = [], "title"
    for cell in notebook.cells:
        section = (_headings(cell, 2) or [section])[-1]
        if not cell.is_code and section not in ("title", "Method"):
            problems += [
                f"typed under {section}: {line}" for line in cell.source.splitlines() if re.search(r"\d", line)
            ]
    return problems


def seeds_by_parameter(notebook: Notebook) -> list[str]:
    """What is random takes its seed from a parameter."""
    problems = []
    for node in notebook.nodes():
        if not isinstance(node, ast.Call):
            continue
        seeds = [k.value for k in node.keywords if k.arg in ("seed", "random_state")]
        called = _called(node)
        if called in ("default_rng", "seed", "Random", "RandomState", "sample", "shuffle"):
            seeds += node.args[:1] if called not in ("sample", "shuffle") else []
            if not seeds:
                problems.append(f"{called} without a seed")
        if any(isinstance(seed, ast.Constant) for seed in seeds):
            problems.append(f"the seed of {called} is typed")
    return problems


def takes_no_secret(notebook: Notebook) -> list[str]:
    """A parameter is written into every report."""
    names = [t.id for c in notebook.parameters for s in c.statements for t in ast.walk(s) if isinstance(t, ast.Name)]
    return [f"parameter {name}" for name in names if SECRET.search(name)]


def titles_its_figures(notebook: Notebook) -> list[str]:
    """A figure of `charts` says what it shows; the chart adds units and n."""
    calls = [n for n in notebook.nodes() if isinstance(n, ast.Call) and ast.unparse(n.func).startswith("charts.")]
    return [f"{_called(n)} without title" for n in calls if "title" not in {k.arg for k in n.keywords}]


def is_named_verb_object(notebook: Notebook) -> list[str]:
    """`train_model`, not `01_model`."""
    verb, _, what = notebook.name.partition("_")
    good = verb in VERBS and re.fullmatch(r"[a-z]+(_[a-z]+)*", what)
    return [] if good else [f"{notebook.name} is not verb_object"]


RULES: list[Callable[[Notebook], list[str]]] = [
    opens_with_the_question,
    has_one_commented_parameters_cell,
    follows_the_argument,
    has_short_cells,
    defines_nothing,
    names_no_query_and_no_path,
    never_exits,
    imports_little,
    interprets_what_it_shows,
    prints_nothing,
    types_no_numbers,
    seeds_by_parameter,
    takes_no_secret,
    titles_its_figures,
    is_named_verb_object,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path: Path, rule: Callable[[Notebook], list[str]]) -> None:
    assert rule(read(path.read_text(encoding="utf-8"), path.stem)) == []


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 9


def test_nothing_executed_is_committed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in listed if name.endswith(".ipynb") and not name.startswith("dashboards/")] == []
    assert [name for name in listed if name.startswith("notebooks/") and not name.endswith(".py")] == []


def test_the_dashboards_notebooks_are_thin_and_without_outputs() -> None:
    paths = sorted((ROOT / "dashboards").glob("*.ipynb"))
    assert [path.stem for path in paths] == sorted(TITLES)
    for path in paths:
        title, code = nbformat.read(path, as_version=4).cells
        assert title.cell_type == "markdown"
        assert title.source.startswith(f"# {TITLES[path.stem]}\n")
        assert code.source == f'from parivision.dashboard import View\n\nView("{path.stem}")'
        assert code.outputs == []
        assert code.execution_count is None


GOOD = """\
# %% [markdown]
# # Weigh shots
#
# **Question.** How heavy is a shot?
#
# **In:** shots, one a row. **Out:** a table of weights.
#
# **What would change the conclusion.** A shot that weighs nothing.

# %% tags=["parameters"]
upstream = ["clean_shots"]
product = None
limit = 3  # kilograms
seed = 7  # of the sample

# %% [markdown]
# ## Data

# %%
import pandas as pd

from parivision import charts
from parivision.files import read_table, write_table
from parivision.words import say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
shots.sample(3, random_state=seed)

# %%
say(f"{len(shots)} shots, some of them above.")

# %% [markdown]
# ## Method
#
# A shot over 3 kg is heavy.

# %% [markdown]
# ## Result: weight

# %%
charts.weights(shots, title="Weight in kg")

# %% [markdown]
# Most are light.

# %% [markdown]
# ## Result: more

# %%
weights = shots.weight.map(lambda w: w + 0)

# %% [markdown]
# ## Checks

# %%
assert weights.notna().all()

# %% [markdown]
# ## Conclusion

# %%
write_table(pd.DataFrame(weights), product["weights"])
"""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_good_notebook_breaks_no_rule(rule: Callable[[Notebook], list[str]]) -> None:
    assert rule(read(GOOD, "score_shots")) == []


PLANTED: list[tuple[Callable[[Notebook], list[str]], str, str]] = [
    (opens_with_the_question, "# # Weigh shots\n", "# Weigh shots\n"),
    (opens_with_the_question, "# ## Data\n", "# # Data\n"),
    (opens_with_the_question, "How heavy is a shot?", "Shots have weight."),
    (opens_with_the_question, "**In:** shots, one a row. ", ""),
    (opens_with_the_question, " A shot that weighs nothing.", ""),
    (opens_with_the_question, "# %% [markdown]\n# # Weigh", "# %%\n1 + 1\n\n# %% [markdown]\n# # Weigh"),
    (has_one_commented_parameters_cell, ' tags=["parameters"]', ""),
    (has_one_commented_parameters_cell, "# %%\nassert", '# %% tags=["parameters"]\nassert'),
    (has_one_commented_parameters_cell, "limit = 3  # kilograms", "limit = 3"),
    (has_one_commented_parameters_cell, "limit = 3 ", "limit = 3 * seed "),
    (follows_the_argument, "# ## Method\n", "# ## Approach\n"),
    (follows_the_argument, "# ## Checks\n", "# Checks\n"),
    (follows_the_argument, "# ## Result: more\n", "# ## Conclusion\n"),
    (has_short_cells, "assert weights.notna().all()\n", "assert weights.notna().all()\n" * (LONGEST_CELL + 1)),
    (defines_nothing, "assert weights", "def heavy(w):\n    return w\n\nassert weights"),
    (defines_nothing, "assert weights", "class Heavy:\n    pass\n\nassert weights"),
    (defines_nothing, "assert weights", "heavy = lambda w: w\nassert weights"),
    (names_no_query_and_no_path, "assert weights", 'q = "select weight\\nfrom shots"\nassert weights'),
    (names_no_query_and_no_path, 'product["weights"]', '"weights.parquet"'),
    (names_no_query_and_no_path, 'product["weights"]', '".data/build/weights"'),
    (names_no_query_and_no_path, 'product["weights"]', 'f"/tmp/{limit}"'),
    (names_no_query_and_no_path, 'product["weights"]', 'f"{limit}/x"'),
    (never_exits, "assert weights", "import sys\nsys.exit(0)\nassert weights"),
    (never_exits, "assert weights", "from sys import exit\nassert weights"),
    (never_exits, "assert weights", "import os\nos._exit(0)\nassert weights"),
    (never_exits, "assert weights", "quit()\nassert weights"),
    (never_exits, "assert weights", "exit\nassert weights"),
    (never_exits, "assert weights", "raise SystemExit\nassert weights"),
    (imports_little, "import pandas as pd", "import plotly.express as px\nimport pandas as pd"),
    (imports_little, "import pandas as pd", "from sklearn.metrics import log_loss\nimport pandas as pd"),
    (imports_little, "import pandas as pd", "from pandas import *"),
    (interprets_what_it_shows, "# Most are light.", "# ### More"),
    (interprets_what_it_shows, "# %% [markdown]\n# Most are light.\n\n", ""),
    (interprets_what_it_shows, "say(f", "said = say(f"),
    (interprets_what_it_shows, "assert weights", "weights\nassert weights"),
    (interprets_what_it_shows, 'write_table(pd.DataFrame(weights), product["weights"])', "weights"),
    (prints_nothing, "assert weights", "print(weights)\nassert weights"),
    (prints_nothing, "assert weights", "weights.plot().show()\nassert weights"),
    (types_no_numbers, "# Most are light.", "# 97 % are light."),
    (types_no_numbers, "# ## Conclusion", "# ## Conclusion\n#\n# All 12 were weighed."),
    (seeds_by_parameter, "random_state=seed", "random_state=7"),
    (seeds_by_parameter, ", random_state=seed", ""),
    (seeds_by_parameter, "assert weights", "rng = np.random.default_rng(7)\nassert weights"),
    (seeds_by_parameter, "assert weights", "rng = np.random.default_rng()\nassert weights"),
    (takes_no_secret, "limit = 3 ", "api_key = 3 "),
    (takes_no_secret, "limit = 3 ", "mongodb_uri = 3 "),
    (titles_its_figures, ', title="Weight in kg"', ""),
]


@pytest.mark.parametrize(
    ("rule", "old", "new"), PLANTED, ids=[f"{rule.__name__}-{n}" for n, (rule, _, _) in enumerate(PLANTED)]
)
def test_a_planted_violation_is_caught(rule: Callable[[Notebook], list[str]], old: str, new: str) -> None:
    assert GOOD.count(old) >= 1
    assert rule(read(GOOD.replace(old, new, 1), "score_shots"))


@pytest.mark.parametrize("name", ["01_model", "model", "model_training", "Train_Model", "train_", "trainModel"])
def test_a_name_that_is_not_verb_object_is_caught(name: str) -> None:
    assert is_named_verb_object(read(GOOD, name))


def test_every_rule_has_a_planted_violation() -> None:
    assert {rule for rule, _, _ in PLANTED} | {is_named_verb_object} == set(RULES)
