"""Where a run comes from: data, split, seed, versions, and the keys of its config that are not the default."""

from dataclasses import dataclass

from tinytrain import machine
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data.source import counted
from tinytrain.reporting import facts
from tinytrain.reporting.comparison import as_written
from tinytrain.reporting.runs import Subject

AUTO = "auto"
SPLITS = {"official": "the data's own, with missing splits drawn"}  # values of data.split, in words


@dataclass(frozen=True)
class Key:
    """A key of the config whose value is not the default."""

    name: str
    value: str
    default: str
    meaning: str


def rows(subject: Subject) -> list[tuple[str, str]]:
    """Returns (name, value) of everything needed to repeat the run, as far as the run folder holds it."""
    config, recorded = subject.config, subject.provenance
    split = ", ".join(f"{len(names):,} {name}" for name, names in subject.split.items())
    versions = ", ".join(f"{name} {version}" for name, version in recorded.get("packages", {}).items())
    split_seed = "" if config.data.seed in ("auto", config.seed) else f", of the split {config.data.seed}"
    known = [
        ("data", config.data.spec),
        ("classes", f"{len(recorded['classes']):,}" if "classes" in recorded else ""),
        ("split", ": ".join(filter(None, [SPLITS.get(config.data.split, str(config.data.split)), split]))),
        ("seed", f"{config.seed}{split_seed}"),
        ("training method", config.method or "plain"),
        ("learning rate", _learning_rate(subject)),
        ("training time", facts.duration(facts.training_seconds(subject)) if subject.history else ""),
        ("tinytrain", " ".join([recorded.get("tinytrain", ""), *recorded.get("commits", [])])),
        ("packages", versions),
        ("machine", "; then ".join(machine.as_text(entry) for entry in recorded.get("machines", []))),
        ("run folder", str(subject.run.folder)),
    ]
    return [(name, value) for name, value in known if value.strip()]


def _learning_rate(subject: Subject) -> str:
    """Returns the learning rate, and how it was found if it was searched."""
    search = subject.search
    if not search.get("lr"):
        return f"{subject.config.optim.lr:g}"
    return f"{search['lr']:.4g}, found by {search.get('way', 'a search')} in {len(search.get('trials', []))} trials"


def summary(keys: list[Key]) -> str:
    """Returns how many keys are not the default, and how many that were "auto" this run has decided."""
    decided = sum(key.default == AUTO for key in keys)
    chosen = counted(len(keys) - decided, "config key differs", "config keys differ") + " from the default"
    return f"{chosen}, {counted(decided, 'value')} chosen for {AUTO}" if decided else chosen


def changed(config: Config) -> list[Key]:
    """Returns the keys whose values are not the defaults, in the order of the schema."""
    defaults = Config()
    keys = []
    for dotted, leaf in configs.keys().items():
        value, default = configs.get_key(config, dotted), configs.get_key(defaults, dotted)
        if value != default:
            keys.append(Key(dotted, as_written(value), as_written(default), leaf.metadata["meaning"]))
    return keys
