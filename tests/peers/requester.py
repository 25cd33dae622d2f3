"""Asks a gateway by paho: an MQTT 5 client that is not ours.

Takes one JSON argument:
  {"port": 1883, "root": "lineside/v1/site/gateway", "name": "evaluator"}

Prints {"ready": true} once it hears what is answered. Takes requests from its standard input, one a line:
  {"id", "method", "params"?, "response"?: another response topic, "retain"?: true, "raw"?: text in place of it}
or {"topic": a topic below the root, "payload": text, "retain"?: true} to send what is no request, and prints a JSON line for each message that it hears below the root's response/:
  {"topic", "correlation", "content_type", "answer"}
The correlation data is the request's id. Ends when its standard input does.
"""

import json
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

settings = json.loads(sys.argv[1])
root = settings["root"]


def say(**message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def on_connect(client, _data, _flags, reason, _properties):
    if not reason.is_failure:
        client.subscribe(f"{root}/response/#", qos=1)


def on_message(_client, _data, message):
    properties = message.properties
    say(
        topic=message.topic,
        correlation=getattr(properties, "CorrelationData", b"").decode(),
        content_type=getattr(properties, "ContentType", None),
        answer=json.loads(message.payload),
    )


client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2, client_id=settings["name"], protocol=mqtt.MQTTv5
)
client.on_connect = on_connect
client.on_subscribe = lambda *_arguments: say(ready=True)
client.on_message = on_message
client.connect_async("127.0.0.1", settings["port"], keepalive=30, clean_start=True)
client.loop_start()
for line in sys.stdin:
    asked = json.loads(line)
    if "topic" in asked:
        topic, retain = f"{root}/{asked['topic']}", asked.get("retain", False)
        client.publish(topic, asked["payload"], qos=1, retain=retain)
        continue
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = asked.pop("response", f"{root}/response/{settings['name']}")
    properties.CorrelationData = asked["id"].encode()
    retain = asked.pop("retain", False)
    payload = asked.pop("raw", None) or json.dumps(asked)
    client.publish(f"{root}/request", payload, qos=1, retain=retain, properties=properties)
client.loop_stop()
