#!/usr/bin/env python3
"""Draws what `lineside demo` shows in a terminal: python3 tests/picture.py PROGRAM LANGUAGE PICTURE.svg

Runs the program in a pseudo-terminal, feeds what it writes into a small model of a screen, and writes
the screen as it stands after a while. The model knows the sequences that the program uses and refuses
any other, so that the picture shows nothing that a terminal would not.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
import unicodedata
from html import escape

COLUMNS, LINES = 100, 30
# Long enough that the machines have gone through several states.
SECONDS = 20.0
# A cell of the picture, and the room around the screen.
CELL, LINE, MARGIN, BAR = 8.4, 19, 16, 34
SIZE = 14
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Noto Sans Mono CJK SC', monospace"
BACKGROUND, FRAME, INK, FAINT = "#11161d", "#1c232d", "#d5dce5", "#7d8896"
COLORS = {31: "#ff7b72", 32: "#6bd179", 33: "#e3b341", 34: "#79b8ff", 35: "#d2a8ff", 36: "#56d4dd", 90: FAINT}
PLAIN = frozenset()
SEQUENCE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")


def width(char):
    """The columns that a character takes."""
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class Screen:
    """Lines of cells; a cell is a character and its style, or None right of a wide character."""

    def __init__(self):
        self.lines = [[]]
        self.line = self.column = 0
        self.style = PLAIN

    def feed(self, text):
        place = 0
        while place < len(text):
            sequence = SEQUENCE.match(text, place)
            if sequence:
                self.obey(*sequence.groups())
                place = sequence.end()
            else:
                self.put(text[place])
                place += 1

    def put(self, char):
        if char == "\n":
            self.line += 1
            while self.line >= len(self.lines):
                self.lines.append([])
        elif char == "\r":
            self.column = 0
        elif unicodedata.category(char) == "Cc":
            raise ValueError(f"control character {char!r}")
        else:
            cells = self.lines[self.line]
            cells.extend([(" ", PLAIN)] * (self.column + width(char) - len(cells)))
            cells[self.column] = (char, self.style)
            if width(char) == 2:
                cells[self.column + 1] = None
            self.column += width(char)
            if self.column > COLUMNS:
                raise ValueError(f"a line is wider than {COLUMNS} columns")

    def obey(self, numbers, letter):
        codes = [int(number or 0) for number in numbers.split(";")]
        if letter == "m":
            self.style = PLAIN if codes == [0] else self.style | set(codes)
        elif letter == "A":
            self.line = max(0, self.line - codes[0])
        elif letter == "K":
            del self.lines[self.line][self.column :]
        elif letter == "J":
            del self.lines[self.line][self.column :]
            del self.lines[self.line + 1 :]
        else:
            raise ValueError(f"sequence {numbers}{letter}")


def shown(program, language):
    """The screen of the demo after a while."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8")
        os.environ.pop("NO_COLOR", None)
        # The size must stand before the program asks for it.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        os.execv(program, [program, "demo", "--lang", language])
    written = b""
    end = time.monotonic() + SECONDS
    try:
        while (left := end - time.monotonic()) > 0:
            if select.select([terminal], [], [], left)[0]:
                written += os.read(terminal, 65536)
    finally:
        os.kill(child, signal.SIGINT)
        drain(terminal)
        os.waitpid(child, 0)
    screen = Screen()
    # The table ends with a sequence of its own: what follows it is a table half drawn.
    screen.feed(written[: written.rindex(b"\x1b[J") + 3].decode())
    return screen.lines


def drain(terminal):
    """Reads what the program writes until it is gone."""
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass


def words(cells):
    """The words of a line: the column, the columns taken, the text and the style of each."""
    found = []
    for column, cell in enumerate(cells):
        if cell is None or (cell[0] == " " and 7 not in cell[1]):
            continue
        char, style = cell
        last = found[-1] if found else None
        if last and last[0] + last[1] == column and last[3] == style and width(last[2][-1]) == width(char):
            last[1] += width(char)
            last[2] += char
        else:
            found.append([column, width(char), char, style])
    return found


def drawn(line, cells):
    """A line of the screen as SVG. Each word says how long it is, so that columns stand in any font."""
    top = BAR + MARGIN + line * LINE
    for column, taken, text, style in words(cells):
        color = next((COLORS[code] for code in style if code in COLORS), FAINT if 2 in style else INK)
        left, length = MARGIN + column * CELL, taken * CELL
        if 7 in style:
            yield f'<rect x="{left:.1f}" y="{top}" width="{length:.1f}" height="{LINE}" fill="{color}"/>'
            color = BACKGROUND
        bold = ' font-weight="bold"' if 1 in style else ""
        yield (
            f'<text x="{left:.1f}" y="{top + SIZE}" textLength="{length:.1f}" fill="{color}"{bold}>'
            f"{escape(text)}</text>"
        )


def picture(lines):
    """The screen as SVG."""
    while lines and not words(lines[-1]):
        lines.pop()
    across = round(2 * MARGIN + COLUMNS * CELL)
    down = BAR + 2 * MARGIN + len(lines) * LINE
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {down}" width="{across}" role="img">'
    yield "<title>lineside demo</title>"
    yield f'<rect width="{across}" height="{down}" rx="8" fill="{BACKGROUND}"/>'
    yield f'<path d="M0 {BAR}V8a8 8 0 0 1 8-8H{across - 8}a8 8 0 0 1 8 8V{BAR}z" fill="{FRAME}"/>'
    yield f'<g font-family="{FONT}" font-size="{SIZE}" xml:space="preserve">'
    yield f'<text x="{MARGIN}" y="22" fill="{FAINT}">$ lineside demo</text>'
    for line, cells in enumerate(lines):
        yield from drawn(line, cells)
    yield "</g></svg>"


def main():
    program, language, path = sys.argv[1:]
    text = "\n".join(picture(shown(os.path.abspath(program), language))) + "\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


main()
