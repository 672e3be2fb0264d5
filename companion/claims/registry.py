"""What each page claims, said before anything is measured: one TOML file a page, NN.toml, shipped with the package.

notebook = "01_demonstrating_superposition"
paper = "Toy Models of Superposition"
opening = "F1_five_features"                                          the figure at the head of the page and in the README
question = "At which sparsity does ...?"                              what the page answers

[[claim]]
id = "F1.pentagon"
paper = "At S = .9 five features form a pentagon (Introduction)."     what the paper says, in our words, with its place
measure = "worst deviation of a gap from 72 degrees"                  the quantity, in one line
band = [-inf, 4]                                                      where it must lie; an end that is its own limit is inf
band_from = "theory"                                                  theory | paper | calibration | migrated
why = "..."                                                           how the band follows; a calibration names its seeds
control = ["the model of S = .8"]                                     measurements that must lie outside, by name
over = "seeds"                                                        what a list of values runs over; "" for one value
witness = "..."                                                       optional: a case for which the sentence holds
setting = "paper"                                                     optional: measured in the paper's own setting
needs = "laptop"                                                      optional: what the quick profile cannot show
again = "..."                                                         optional: what another run (other seeds, another CPU) gave
                                                                      where its verdict differed; it makes this one MIXED
note = "..."                                                          optional: e.g. a configuration changed, the old value
"""

import dataclasses
import hashlib
import json
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCES = ("theory", "paper", "calibration", "migrated")
JUDGING = ("measure", "band", "control", "over", "witness", "needs", "setting", "again")
"""Fields that decide a verdict: the record keeps their hash."""


class ClaimError(ValueError):
    """An entry of a claims file that cannot judge, a check that does not fit its entry, or numbers that cannot be judged."""


@dataclass(frozen=True)
class Claim:
    """One entry; the module's docstring says what each field holds."""

    id: str
    paper: str
    measure: str
    band: tuple[float, float]
    band_from: str
    why: str
    control: tuple[str, ...]
    over: str = ""
    witness: str = ""
    setting: str = "here"
    needs: str = "quick"
    again: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not all((self.paper, self.measure, self.why)):
            raise ClaimError(f"claim {self.id!r} needs `paper`, `measure` and `why`")
        if len(self.band) != 2 or any(math.isnan(end) for end in self.band) or not self.band[0] <= self.band[1]:
            raise ClaimError(f"claim {self.id!r}: {list(self.band)} is no band; give the lower end first")
        if not self.control or not all(self.control) or len(set(self.control)) < len(self.control):
            raise ClaimError(f"claim {self.id!r} needs at least one named control, each name once")
        for field, known in {"band_from": SOURCES, "setting": ("paper", "here"), "needs": ("quick", "laptop")}.items():
            if getattr(self, field) not in known:
                raise ClaimError(f"claim {self.id!r}: {field} is {getattr(self, field)!r}, not one of {', '.join(known)}")

    @property
    def judge_hash(self) -> str:
        """First 12 hex digits of the sha256 of what judges; prose does not count."""
        judging = {field: getattr(self, field) for field in JUDGING}
        return hashlib.sha256(json.dumps(judging, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Registry:
    """The claims of one page, by id, in the order of the page."""

    notebook: str
    paper: str
    claims: dict[str, Claim]
    opening: str = ""
    """Name of the figure that stands at the head of the page and in the README."""
    question: str = ""
    """What the page answers, for readers who look for a page."""


def path_of(notebook: str) -> Path:
    """The claims file of a notebook: 08b_activation_functions has 08b.toml."""
    return FOLDER / f"{notebook.split('_')[0]}.toml"


def load(notebook: str) -> Registry:
    """The claims of a notebook.

    Raises:
        ClaimError: no file, an entry that cannot judge, an id that is there twice, an unknown field.
    """
    path = path_of(notebook)
    if not path.is_file():
        raise ClaimError(f"there is no claims file {path.name} in companion/claims")
    try:
        held = tomllib.loads(path.read_text(encoding="utf-8"))
        claims = [_claim(entry) for entry in held["claim"]]
        registry = Registry(held["notebook"], held["paper"], {claim.id: claim for claim in claims}, held.get("opening", ""), held.get("question", ""))
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ClaimError(f"{path.name}: {error!r}") from error
    _refuse_twice([claim.id for claim in claims], path.name)
    return registry


def _refuse_twice(ids: list[str], where: str) -> None:
    if twice := sorted({id for id in ids if ids.count(id) > 1}):
        raise ClaimError(f"{where}: {twice} stand there twice")


def _claim(entry: dict) -> Claim:
    unknown = entry.keys() - {field.name for field in dataclasses.fields(Claim)}
    if unknown:
        raise ClaimError(f"claim {entry.get('id')!r}: unknown fields {sorted(unknown)}")
    if not isinstance(entry.get("control"), list):
        raise ClaimError(f"claim {entry.get('id')!r} needs `control`, a list of names")
    return Claim(**entry | {"band": tuple(map(float, entry["band"])), "control": tuple(entry["control"])})


def all_pages() -> list[Registry]:
    """Every claims file, in the order of the pages; errors as in `load`, and where two pages share an id."""
    pages = [load(path.stem) for path in sorted(FOLDER.glob("*.toml"))]
    _refuse_twice([id for page in pages for id in page.claims], "claims files")
    return pages
