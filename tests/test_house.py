"""The rules of the house that running the notebooks does not check."""

import ast
import graphlib
import io
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
import warnings
from importlib.metadata import distribution
from pathlib import Path

import jupytext
import nbformat
import pytest
from packaging.requirements import Requirement

from companion import claims, pages, run, tables
from companion.claims import record, registry
from companion.plots import widgets

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "notebooks").glob("*.py"))
MODULES = sorted((ROOT / "companion").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
each_page_with_claims = pytest.mark.parametrize("page", [page for page in PAGES if page.stem != pages.START], ids=lambda page: page.stem)


def read(page: Path):
    return jupytext.read(page, fmt="py:percent")


def committed(page: Path):
    return nbformat.read(page.with_suffix(".ipynb"), as_version=4)


def tags(cell) -> list[str]:
    return sorted(cell.metadata.get("tags", []))


def code_cells(page: Path) -> list:
    return [cell for cell in read(page).cells if cell.cell_type == "code"]


def runs(cell) -> bool:
    return "skip-execution" not in tags(cell)


# --- notebooks ---


def test_every_notebook_has_its_pair():
    assert PAGES
    assert [page.stem for page in PAGES] == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@each_page
def test_pair_agrees_whatever_the_file_times(page):
    cells = [[(cell.cell_type, cell.source.rstrip(), tags(cell)) for cell in notebook.cells] for notebook in (read(page), committed(page))]
    assert cells[0] == cells[1]


@each_page_with_claims
def test_something_is_asserted_in_a_cell_that_runs(page):
    text = "\n".join(cell.source for cell in code_cells(page) if runs(cell))
    called = [node.func.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    assert called.count("check") >= 3
    assert called.count("close") == 1
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(text)))


@each_page
def test_outputs_are_one_clean_run_with_a_static_picture_of_what_is_live(page):
    cells = [cell for cell in committed(page).cells if cell.cell_type == "code" and runs(cell)]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    for cell in cells:
        kinds = [" ".join(output.get("data", {})) for output in cell.outputs]
        assert all("image/png" in kind for kind in kinds if "plotly" in kind)
        texts = [output.get("data", {}).get("text/plain") for output in cell.outputs]
        assert widgets.WITHOUT_KERNEL not in texts or "image/png" in kinds[0] or "text/html" in kinds[0]  # sliders stand under what they draw
        assert not any("widget" in kind for kind in kinds)  # a view without its kernel is shown as an error
    assert "widgets" not in committed(page).metadata
    assert page.with_suffix(".ipynb").stat().st_size < 1_500_000


@each_page_with_claims
def test_only_the_parameters_cell_knows_the_profile(page):
    cells = code_cells(page)
    assert sum("parameters" in tags(cell) for cell in cells) == 1
    below = "\n".join(cell.source for cell in cells if "parameters" not in tags(cell)).replace('needs="laptop"', "")
    assert not re.findall(rf"\b(profile|{'|'.join(run.PROFILES)})\b", re.sub(r'"[^"\n]*"|#.*', "", below))


def calls_of_check(source: str) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and ast.unparse(node.func) == "page.check"]


def checks(page: Path) -> list[str]:
    """Ids that a page checks, an f-string's as a pattern."""
    parts = [getattr(call.args[0], "values", call.args[:1]) for cell in code_cells(page) if runs(cell) for call in calls_of_check(cell.source)]
    return ["".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".+" for part in id) for id in parts]


@each_page_with_claims
def test_a_page_checks_what_its_claims_file_holds_each_once(page):
    patterns, claims = checks(page), registry.load(page.stem).claims
    assert registry.load(page.stem).notebook == page.stem
    assert len(set(patterns)) == len(patterns)
    for id in claims:
        assert sum(bool(re.fullmatch(pattern, id)) for pattern in patterns) == 1, id
    for pattern in patterns:
        assert any(re.fullmatch(pattern, id) for id in claims), pattern


def lines_of_checks(cell) -> int:
    """Lines of the checks of a cell beyond their first: an argument a line is read as one statement."""
    return sum(call.end_lineno - call.lineno for call in calls_of_check(cell.source)) if runs(cell) else 0


@each_page
def test_a_page_is_prose_with_short_cells(page):
    cells = read(page).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    lengths = [sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in code]
    assert len(cells) - len(code) >= len(code) - 2  # the set-up cells need no words of their own
    assert max(lengths) <= 40
    to_follow = sorted(length - lines_of_checks(cell) for length, cell in zip(lengths, code, strict=True))
    assert to_follow[len(to_follow) // 2] <= 12


@each_page
def test_imports_stand_in_one_cell(page):
    found = [index for index, cell in enumerate(code_cells(page)) if runs(cell) and re.search(r"^(import|from) ", cell.source, re.MULTILINE)]
    assert len(found) == 1


@each_page
def test_badge_and_install_cell_come_from_the_one_address(page):
    address = PROJECT["urls"]["Repository"]
    first, second = read(page).cells[:2]
    assert tables.badge(address, page.stem) in first.source
    assert tables.in_colab(address, page.stem) in README
    assert tags(second) == ["skip-execution"]
    assert second.source == tables.install_cell(address)


def test_readme_shows_pictures_that_exist():
    shown = re.findall(r"(?:src|srcset)=\"(figures/[^\"]+)\"", README)
    assert len(shown) >= 2 * len([page for page in PAGES if registry.path_of(page.stem).is_file()])
    assert all((ROOT / path).is_file() for path in shown)
    assert not re.findall(r'alt=""', README)


@each_page
def test_no_measured_number_is_typed_in_prose(page):
    """A decimal in prose is a quotation, a formula or a size; a measured one would go stale. Numbers with three decimals are neither."""
    prose = "\n".join(cell.source for cell in read(page).cells if cell.cell_type == "markdown")
    assert not re.findall(r"(?<![\w.$/])\d+\.\d{3,}(?![\w.])", re.sub(r"\$[^$]*\$|\]\([^)]*\)", "", prose))


# --- the record ---


RECORD = record.read(ROOT / "figures" / "claims.json")


def drawn_since() -> str:
    """What git says of figures/ against HEAD; empty in a clean checkout, and where there is no git."""
    command = ["git", "-C", str(ROOT), "status", "--porcelain", "--", "figures", "companion/claims"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout if shutil.which("git") else ""


def test_every_recorded_claim_stands_and_is_judged_as_the_registry_says():
    if changed := drawn_since():
        pytest.skip(f"figures/ or the claims differ from what is committed, so the record is not judged: {changed.splitlines()[0]}")
    assert record.faults(RECORD, registry.all_pages()) == []
    assert {row["profile"] for row in RECORD} <= {"laptop", "paper"}
    assert len(RECORD) >= 25


def test_what_is_generated_from_the_record_is_up_to_date():
    assert record.as_markdown(RECORD, registry.all_pages(), tables.changed_pages(ROOT, RECORD)) == (ROOT / "CLAIMS.md").read_text(encoding="utf-8")
    assert tables.summary(RECORD) in README


RECORDED_BY_BENCH = ("bench.json", "sweeps.json", "interop.json", "weak_scaling.json", "gpu.json")
"""What `make bench` writes; notebook 16 draws it."""


def test_every_figure_has_its_numbers_and_few_of_them():
    pictures = {path.with_suffix(".json") for path in (ROOT / "figures").glob("[0-9]*/*.png") if not path.name.endswith(".dark.png")}
    sizes = {path: path.stat().st_size for path in (ROOT / "figures").glob("[0-9]*/*.json") if path.name not in RECORDED_BY_BENCH}
    assert pictures == set(sizes)
    assert max(sizes.values()) <= claims.MOST, max(sizes, key=sizes.get)


def test_code_changed_since_the_record_is_a_warning():
    for name in sorted(tables.changed_pages(ROOT, RECORD)):
        warnings.warn(f"{name} has changed since it was recorded", stacklevel=1)


# --- the package ---

LEFT_OF = {
    "toy": {"toy"},
    "lm": {"files", "lm"},
    "sae": {"files", "sae"},
    "evals": {"files", "lm", "sae", "evals"},
    "picture": set(),
    "plots": {"picture", "plots"},
    "files": set(),
    "run": set(),
    "source": {"run"},
    "fingerprint": {"run", "source"},
    "memo": {"run", "files", "source", "fingerprint"},
    "claims": {"run", "files", "memo", "picture", "claims"},
    "released": {"run", "lm", "sae"},
    "dictionaries": {"run", "memo", "lm", "sae", "evals", "released"},
    "firings": {"memo", "lm", "evals", "dictionaries"},
    "cli": {"run", "files", "lm", "sae", "evals", "released", "dictionaries"},
    "pages": set(),
    "prices": {"run", "files", "pages", "lm", "sae", "released", "dictionaries"},
    "tables": {"files", "claims", "pages"},
    "render": {"run", "files", "claims", "tables"},
}
"""What each room may import of the package. plots takes arrays and sae takes activations: neither needs another room."""


def imports_of(module: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "companion":
            parts = node.module.split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("companion.")}
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT / "companion").as_posix())
def test_imports_go_one_way(module):
    room = module.relative_to(ROOT / "companion").parts[0].removesuffix(".py")
    if room != "__init__":
        assert imports_of(module) <= LEFT_OF[room]


def modules_imported_by(module: Path) -> set[Path]:
    """Modules of the package that one imports anywhere: inside functions and for annotations alone, too."""
    froms = [node for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom) and node.module]
    names = {name for node in froms for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))}
    return {path for path in (ROOT / f"{name.replace('.', '/')}.py" for name in names) if path in MODULES}


def test_no_module_imports_one_that_imports_it():
    tuple(graphlib.TopologicalSorter({module: modules_imported_by(module) for module in MODULES}).static_order())  # a circle raises CycleError


def code_lines(module: Path) -> int:
    """Lines that hold code: no docstrings, comments or blanks."""
    source = module.read_text(encoding="utf-8")
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type not in quiet]
    used = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    notes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    return len(used - {line for node in notes for line in range(node.lineno, node.end_lineno + 1)})


LINES_OF_CODE = {"toy": 950, "lm": 1350, "sae": 1880, "evals": 2650, "plots": 2560, "claims": 400, "companion": 1400}
"""Most lines of code per room, docstrings, comments and blanks apart: what a reader of one room has to get through."""


def test_the_package_stays_small():
    lines = {module: module.read_text(encoding="utf-8").count("\n") for module in MODULES}
    assert max(lines.values()) <= 300, max(lines, key=lines.get)
    rooms = {room: sum(code_lines(module) for module in MODULES if module.parent.name == room) for room in LINES_OF_CODE}
    assert all(rooms[room] <= most for room, most in LINES_OF_CODE.items()), rooms
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                docstring = len((ast.get_docstring(node, clean=False) or "").splitlines())
                assert node.end_lineno - node.lineno - docstring <= 42, f"{module.name}: {node.name}"


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("companion", ["torch", "numpy", "transformers", "matplotlib"]),
        ("companion.dictionaries, companion.plots.sae, companion.toy.train", ["transformers", "transformer_lens", "plotly"]),
    ],
)
def test_what_is_heavy_is_loaded_where_it_is_used(modules, heavy):
    script = f"import sys, {modules}; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# --- the environments ---


def test_environment_yml_installs_what_pyproject_declares():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert re.search(r"- pip:\n\s+- -e \.\[all\]", text)
    declared = {Requirement(line).name for group in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()] for line in group}
    listed = {re.split(r"[=<> ]", name)[0] for name in re.findall(r"^  - ([\w=<>.,-]+)$", text, re.MULTILINE)} - {"python", "pip", "make"}
    assert "pytorch" in listed
    assert {"torch" if name == "pytorch" else name for name in listed} <= declared


def test_the_lock_satisfies_pyproject():
    locked = dict(line.split(";")[0].strip().split("==") for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines())
    locked = {name.lower().replace("_", "-"): version for name, version in locked.items()}
    for line in [*PROJECT["dependencies"], *(line for group in PROJECT["optional-dependencies"].values() for line in group)]:
        wanted = Requirement(line)
        if wanted.name != PROJECT["name"]:
            assert wanted.specifier.contains(locked[wanted.name.lower()]), line


def test_the_lock_is_what_runs_here():
    locked = re.search(r"^torch==(\S+)$", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert distribution("torch").version.split("+")[0] == locked
