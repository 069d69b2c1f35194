"""The dataset that a config names, read."""

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.data import splits
from tinytrain.data.source import Dataset
from tinytrain.errors import Mistakes


def load_dataset(config: Config) -> Dataset:
    """Returns the dataset that data.spec names, its official splits joined as data.split says.

    Raises:
        UserError: no such data, or files in it that cannot be read, unless data.skip_bad leaves them out.
    """
    dataset = read_dataset(config)
    Mistakes(mistakes_in(dataset)).raise_all()
    return dataset


def mistakes_in(dataset: Dataset) -> list[str]:
    """Returns a sentence, followed by all files, for each finding that forbids training."""
    severe = [finding for finding in dataset.findings if finding.severe]
    return [f"{one.what}; {one.hint}:" + "".join(f"\n  {line}" for line in one.files) for one in severe]


def read_dataset(config: Config) -> Dataset:
    """Returns what `load_dataset` does, with files that cannot be read among its findings."""
    module, argument = configs.parse_spec(config.data.spec)
    return splits.arrange(plugins.load("datasets", module).load(argument, config.data), config.data.split)
