"""The command `afterimage` over an index that is nothing but numpy: `python -m tests.support.servers.numpy_command`."""

from service.cli import main as command
from tests.support.data.numpy_index import install

if __name__ == "__main__":
    install()
    command.run()
