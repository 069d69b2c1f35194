"""A serial line that loses, doubles and damages bytes and brings endless ones, between a device and a new one.

Faults are drawn from a seed, for each direction its own.
"""

import os
import random
import select
import threading
import tty


class FaultyLine:
    """Use it as a context; `device` is what the host opens. Probabilities are those of one byte.

    endless: of a burst of up to `burst` random bytes before it. `calm` stops all faults.
    """

    def __init__(self, device, seed, lose=0.0, double=0.0, damage=0.0, endless=0.0, burst=1500):
        self.far, self.burst = os.open(device, os.O_RDWR | os.O_NOCTTY), burst
        self.odds = {"lose": lose, "double": double, "damage": damage, "endless": endless}
        self.random = {name: random.Random(f"{seed} {name}") for name in ("to", "from")}
        self.counts = {(direction, kind): 0 for direction in self.random for kind in self.odds}
        self.calm, self.ended = False, threading.Event()

    def __enter__(self):
        self.near, self.slave = os.openpty()
        tty.setraw(self.far)
        tty.setraw(self.slave)
        self.device = os.ttyname(self.slave)
        self.threads = [
            threading.Thread(target=self._carry, args=direction, daemon=True)
            for direction in [(self.near, self.far, "to"), (self.far, self.near, "from")]
        ]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        for descriptor in (self.near, self.slave, self.far):
            os.close(descriptor)

    def _carry(self, source, target, direction):
        while not self.ended.is_set():
            if not select.select([source], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(source, 1024)
                self._write(target, data if self.calm else self._spoil(data, direction))
            except OSError:  # the other end is gone
                return

    def _write(self, target, data):
        while data and not self.ended.is_set():
            if select.select([], [target], [], 0.05)[1]:
                data = data[os.write(target, data[:256]) :]

    def _spoil(self, data, direction):
        source, spoilt = self.random[direction], bytearray()
        for byte in data:
            happens = {kind: source.random() < odds for kind, odds in self.odds.items()}
            for kind, happened in happens.items():
                self.counts[direction, kind] += happened
            if happens["endless"]:
                spoilt += source.randbytes(source.randrange(self.burst))
            if happens["damage"]:
                byte ^= 1 << source.randrange(8)
            spoilt += bytes([byte]) * (0 if happens["lose"] else 2 if happens["double"] else 1)
        return bytes(spoilt)
