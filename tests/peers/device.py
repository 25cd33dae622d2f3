"""A Modbus device by pymodbus: a server that is not ours.

Takes one JSON argument:
  {"transport": "tcp" | "rtu-over-tcp" | "rtu", "port": "/dev/…" (rtu only),
   "units": [{"id": 1, "points": [{"table", "address", "type", "order"?, "value"}, …]}]}

Prints JSON lines: {"listening": port} once, then {"function": n} the first time a function code
is seen. Reads JSON lines: {"silent": true|false}, {"unit", "table", "address", "type", "order"?,
"value"} to change a value. Ends when its standard input does.
"""

import asyncio
import json
import struct
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

PACK = {
    "u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "u64": ">Q", "i64": ">q",
    "f32": ">f", "f64": ">d",
}
TABLES = ("coil", "discrete", "holding", "input")
TABLE_OF_FUNCTION = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
# An address that no test uses, so that a table without points is still there.
FILLER = 65000


def say(**message):
    print(json.dumps(message), flush=True)


def words(point):
    """The registers of a value, as a device with this type and order holds them."""
    kind, value = point["type"], point["value"]
    if kind == "raw":
        return list(value)
    if kind == "string":
        data = value.encode()
        data += b"\0" * (len(data) % 2)
    elif kind in ("bcd16", "bcd32"):
        data = bytes.fromhex(str(value).zfill(int(kind[3:]) // 4))
    else:
        data = struct.pack(PACK[kind], value)
    pairs = [data[i : i + 2] for i in range(0, len(data), 2)]
    order = point.get("order") or "ABCD"
    if order in ("CDAB", "DCBA"):
        pairs.reverse()
    if order in ("BADC", "DCBA", "BA"):
        pairs = [pair[::-1] for pair in pairs]
    return [int.from_bytes(pair, "big") for pair in pairs]


def blocks(points):
    """The four tables of one unit, with holes where no point lies."""
    tables = {name: {} for name in TABLES}
    for point in points:
        cells = tables[point["table"]]
        if point["type"] == "bool":
            cells[point["address"]] = bool(point["value"])
        else:
            for i, word in enumerate(words(point)):
                cells[point["address"] + i] = word
    result = []
    for name in TABLES:
        bits = name in ("coil", "discrete")
        cells = tables[name] or {FILLER: False if bits else 0}
        kind = DataType.BITS if bits else DataType.REGISTERS
        result.append([SimData(a, values=[v], datatype=kind) for a, v in sorted(cells.items())])
    return tuple(result)


class Device:
    def __init__(self, units):
        self.silent = False
        self.functions = set()
        self.changes = {}
        self.devices = [
            SimDevice(u["id"], simdata=blocks(u["points"]), action=self.action(u["id"]))
            for u in units
        ]

    def action(self, unit):
        async def apply(function, start, _address, _count, registers, _values):
            table = TABLE_OF_FUNCTION.get(function)
            for change in self.changes.pop((unit, table), []):
                address = change["address"]
                if change["type"] == "bool":
                    cell, mask = address // 16 - start, 1 << (address % 16)
                    registers[cell] = registers[cell] & ~mask | (mask if change["value"] else 0)
                else:
                    at = address - start
                    fresh = words(change)
                    registers[at : at + len(fresh)] = fresh

        return apply

    def trace_pdu(self, sending, pdu):
        if not sending and pdu.function_code not in self.functions:
            self.functions.add(pdu.function_code)
            say(function=pdu.function_code)
        return pdu

    def trace_packet(self, sending, data):
        return b"" if sending and self.silent else data

    def command(self, line):
        message = json.loads(line)
        if "silent" in message:
            self.silent = message["silent"]
        else:
            key = (message["unit"], message["table"])
            self.changes.setdefault(key, []).append(message)
        say(done=True)


async def main():
    settings = json.loads(sys.argv[1])
    device = Device(settings["units"])
    traces = {
        "trace_pdu": device.trace_pdu,
        "trace_packet": device.trace_packet,
        "ignore_missing_devices": True,
    }
    if settings["transport"] == "rtu":
        server = ModbusSerialServer(
            device.devices, port=settings["port"], baudrate=115200, parity="N", **traces
        )
    else:
        framer = FramerType.SOCKET if settings["transport"] == "tcp" else FramerType.RTU
        server = ModbusTcpServer(
            device.devices, framer=framer, address=("127.0.0.1", 0), **traces
        )
    await server.serve_forever(background=True)
    transport = server.transport
    listening = transport.sockets[0].getsockname()[1] if hasattr(transport, "sockets") else 0
    say(listening=listening)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        device.command(line)
    await server.shutdown()


asyncio.run(main())
