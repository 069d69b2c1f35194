"""The source of images that a config names, read."""

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.data import splits
from tinytrain.data.source import Source
from tinytrain.errors import Mistakes


def load_source(config: Config) -> Source:
    """Returns the data source that data.spec names, its splits joined as data.split says.

    Raises UserError for files in it that cannot be read, too, unless data.skip_bad leaves them out.
    """
    source = read_source(config)
    Mistakes(mistakes_in(source)).raise_all()
    return source


def mistakes_in(source: Source) -> list[str]:
    """Returns what was found in a source that forbids training on it, in words with all files."""
    severe = [finding for finding in source.findings if finding.severe]
    return [f"{one.what}; {one.todo}:" + "".join(f"\n  {line}" for line in one.files) for one in severe]


def read_source(config: Config) -> Source:
    """Returns what `load_source` does, with files that cannot be read among its findings."""
    module, argument = configs.parse_spec(config.data.spec)
    return splits.arrange(plugins.load("datasets", module).load(argument, config.data), config.data.split)
