"""Where a run comes from: data, split, seed, versions, and what its config changes."""

from dataclasses import dataclass

from tinytrain import machine
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.reporting import facts
from tinytrain.reporting.comparison import shown
from tinytrain.reporting.runs import Subject


@dataclass(frozen=True)
class Key:
    """A key of the config that is not what it is by default."""

    name: str
    value: str
    default: str
    meaning: str


def rows(subject: Subject) -> list[tuple[str, str]]:
    """Returns (what, its value) of all that makes the run repeatable, as far as the run folder says."""
    config, origin = subject.config, subject.origin
    split = ", ".join(f"{len(names):,} {name}" for name, names in subject.split.items())
    versions = ", ".join(f"{name} {version}" for name, version in origin.get("packages", {}).items())
    drawn = "" if config.data.seed in ("auto", config.seed) else f", of the split {config.data.seed}"
    found = [
        ("data", config.data.spec),
        ("classes", f"{len(origin['classes']):,}" if "classes" in origin else ""),
        ("split", f"{config.data.split}: {split}" if split else str(config.data.split)),
        ("seed", f"{config.seed}{drawn}"),
        ("training method", config.method or "plain"),
        ("learning rate", _search(subject)),
        ("training time", facts.duration(facts.training_seconds(subject)) if subject.history else ""),
        ("tinytrain", " ".join([origin.get("tinytrain", ""), *origin.get("commits", [])])),
        ("packages", versions),
        ("machine", "; then ".join(machine.as_text(each) for each in origin.get("machines", []))),
        ("run folder", str(subject.run.folder)),
    ]
    return [(what, value) for what, value in found if value.strip()]


def _search(subject: Subject) -> str:
    found = subject.search
    if not found.get("lr"):
        return f"{subject.config.optim.lr:g}"
    return f"{found['lr']:.4g}, found by {found.get('way', 'a search')} in {len(found.get('trials', []))} trials"


def changed(config: Config) -> list[Key]:
    """Returns the keys that are not what they are by default, in the order of the schema."""
    default = Config()
    found = []
    for dotted, leaf in configs.keys().items():
        value, usual = configs.get_key(config, dotted), configs.get_key(default, dotted)
        if value != usual:
            found.append(Key(dotted, shown(value), shown(usual), leaf.metadata["meaning"]))
    return found
