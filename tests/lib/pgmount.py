"""pgmount - mounts of one store in PostgreSQL, several at once.

    with Mount(url) as one, Mount(url) as two:
        write(one.at("f"), b"x")
"""

import os
import tempfile

import daemonlib
from daemonlib import until


class Mount:
    def __init__(self, url, *options):
        self.url, self.options = url, options
        self.path = tempfile.mkdtemp(prefix="mnt.")
        self.log = tempfile.TemporaryFile()

    def __enter__(self):
        self.daemon = daemonlib.start(self.url, self.path, list(self.options),
                                      self.log)
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            daemonlib.end(self.daemon, self.path, self.log)
        else:
            daemonlib.give_up(self.daemon, self.path, self.log)
        os.rmdir(self.path)

    def at(self, *names):
        return os.path.join(self.path, *names)

    def said(self, text):
        until(f"{text!r} in the log",
              lambda: text in daemonlib.said(self.log))
