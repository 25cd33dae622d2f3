"""An OPC UA server by asyncua: a server that is not ours. What it takes and says, opcua_node.js does, too.

Takes one JSON argument:
  {"port": 0 | n, "certificate": "….der", "key": "….key", "pem": "….pem", "dir": "/tmp/…",
   "policies": ["None", "Sign", "SignAndEncrypt"] (those secured: Basic256Sha256),
   "identities": ["anonymous", "password", "certificate"], "user": "…", "password": "…",
   "user_certificate": "….der", "nodes": n, "missing": n, "interval_ms": n, "history": bool,
   "odd": [{"id": "s=…", "type": "…", "value": …, "texts": ["…"]}]}

The nodes are `nsu=urn:lineside:test;s=n0` and so on: doubles that all count up by one in each interval, from a
number that is higher at each start. `s=state` is a UInt32 that is 2. Those numbered highest are missing at
first, as many as it says. The odd ones are in the namespace ODD: `type` is one of the standard's, of Range or
of Enumeration, `value` a list for an array, a list of lists for a matrix; `texts` belong to the enumeration, or to
the variable where the type is an integer.

Prints {"listening": port} once it serves. Reads JSON lines and answers each with one:
  {"missing": n}, {"moving": bool}: {"done": true}
  {"sessions": true}: {"sessions": n}; {"services": true}: {"services": ["ReadRequest", …]}
Ends when its standard input does.
"""

import asyncio
import base64
import json
import logging
import socket
import sys
import time
import uuid
from datetime import datetime, timezone

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.uaprocessor import UaProcessor

logging.basicConfig(level=logging.CRITICAL)

NAMESPACE = "urn:lineside:test"
ODD = 'urn:lineside:odd;50% 线 "x"/'
POLICIES = {
    "None": ua.SecurityPolicyType.NoSecurity,
    "Sign": ua.SecurityPolicyType.Basic256Sha256_Sign,
    "SignAndEncrypt": ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
}
TOKENS = {
    "anonymous": ua.AnonymousIdentityToken,
    "password": ua.UserNameIdentityToken,
    "certificate": ua.X509IdentityToken,
}
NAMES = {
    number: name.removesuffix("_Encoding_DefaultBinary")
    for name, number in vars(ua.ObjectIds).items()
    if name.endswith("Request_Encoding_DefaultBinary")
}


FROM_JSON = {
    "ByteString": base64.b64decode,
    "DateTime": lambda text: datetime.fromisoformat(text.replace("Z", "+00:00")),
    "Guid": uuid.UUID,
    "Int64": int,
    "LocalizedText": ua.LocalizedText,
    "QualifiedName": ua.QualifiedName,
    "Range": lambda pair: ua.Range(*pair),
    "StatusCode": ua.StatusCode,
    "UInt64": int,
    "XmlElement": ua.XmlElement,
    "Float": float,
    "Double": float,
}
IDS = {"s": str, "i": int, "g": uuid.UUID, "b": base64.b64decode}


def say(**message):
    print(json.dumps(message), flush=True)


class Users:
    def __init__(self, settings):
        self.settings = settings
        path = settings.get("user_certificate")
        self.certificate = open(path, "rb").read() if path else None

    def get_user(self, _server, username=None, password=None, certificate=None):
        user = User(role=UserRole.User, name=username or "anonymous")
        if username is not None:
            known = (self.settings["user"], self.settings["password"])
            return user if (username, password) == known else None
        # Without a user's certificate this is the application's own: an anonymous client.
        if "anonymous" in self.settings["identities"] or certificate == self.certificate:
            return user
        return None


class Press:
    def __init__(self, settings):
        self.settings = settings
        self.server = Server(user_manager=Users(settings))
        self.services = set()
        self.nodes = []
        self.moving = True
        self.count = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000 / settings["interval_ms"])

    async def start(self):
        settings, server = self.settings, self.server
        await server.init()
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", settings["port"]))
            port = free.getsockname()[1]
        server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
        await server.set_application_uri("urn:lineside:test:server")
        server.set_security_policy([POLICIES[policy] for policy in settings["policies"]])
        server.set_identity_tokens([TOKENS[identity] for identity in settings["identities"]])
        if settings["policies"] != ["None"]:
            await server.load_certificate(settings["certificate"])
            await server.load_private_key(settings["key"], format="pem")
        self.space = await server.register_namespace(NAMESPACE)
        state = ua.NodeId("state", self.space)
        await server.nodes.objects.add_variable(state, "state", ua.Variant(2, ua.VariantType.UInt32))
        await self.miss(settings["missing"])
        await self.odd(settings["odd"])
        await server.start()
        self.observe()
        say(listening=port)

    def observe(self):
        inner, services = UaProcessor._process_message, self.services

        async def process(processor, typeid, *rest):
            services.add(NAMES.get(typeid.Identifier, str(typeid.Identifier)))
            return await inner(processor, typeid, *rest)

        UaProcessor._process_message = process

    async def miss(self, missing):
        wanted = self.settings["nodes"] - missing
        while len(self.nodes) > wanted:
            await self.server.delete_nodes([self.nodes.pop()])
        while len(self.nodes) < wanted:
            name = f"n{len(self.nodes)}"
            node = await self.server.nodes.objects.add_variable(
                ua.NodeId(name, self.space), name, float(self.count)
            )
            if self.settings["history"]:
                await self.server.historize_node_data_change(node, period=None, count=10_000)
            self.nodes.append(node)

    async def odd(self, nodes):
        if not nodes:
            return
        space = await self.server.register_namespace(ODD)
        for node in nodes:
            kind, name = node["id"].split("=", 1)
            node_id = ua.NodeId(IDS[kind](name), space)
            of = FROM_JSON.get(node["type"], lambda value: value)
            value, is_list = node["value"], isinstance(node["value"], list) and node["type"] != "Range"
            deep = lambda value: [deep(one) for one in value] if isinstance(value, list) else of(value)
            value = deep(value) if is_list else of(value)
            names = {"Range": "ExtensionObject", "Enumeration": "Int32"}
            variant = ua.Variant(value, ua.VariantType[names.get(node["type"], node["type"])])
            texts = [ua.LocalizedText(text) for text in node.get("texts", [])]
            teller, data_type = None, None
            if node["type"] == "Enumeration":
                teller = await self.server.nodes.enum_data_type.add_data_type(
                    ua.NodeId(f"type of {name}", space), f"type of {name}"
                )
                data_type = teller.nodeid
            variable = await self.server.nodes.objects.add_variable(
                node_id, f"odd {kind} {name}", variant, datatype=data_type
            )
            if texts:
                property_id = ua.NodeId(f"texts of {name}", space)
                await (teller or variable).add_property(property_id, "0:EnumStrings", texts)

    async def count_up(self):
        if not self.moving:
            return
        self.count += 1
        value = ua.DataValue(
            ua.Variant(float(self.count), ua.VariantType.Double),
            SourceTimestamp=datetime.now(timezone.utc),
        )
        for node in list(self.nodes):
            await self.server.write_attribute_value(node.nodeid, value)

    async def command(self, message):
        if "missing" in message:
            await self.miss(message["missing"])
            say(done=True)
        elif "moving" in message:
            self.moving = message["moving"]
            say(done=True)
        elif "sessions" in message:
            say(sessions=len(self.server.iserver._external_sessions))
        elif "services" in message:
            say(services=sorted(self.services))


async def main():
    press = Press(json.loads(sys.argv[1]))
    await press.start()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    async def tick():
        while not ended.is_set():
            await press.count_up()
            try:
                await asyncio.wait_for(ended.wait(), press.settings["interval_ms"] / 1000)
            except TimeoutError:
                pass

    ticking = asyncio.create_task(tick())
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        await press.command(json.loads(line))
    ended.set()
    await ticking
    await press.server.stop()


asyncio.run(main())
