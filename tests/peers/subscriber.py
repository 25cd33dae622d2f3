"""An MQTT 5 subscriber by paho: a client that is not ours.

Takes one JSON argument:
  {"port": 1883, "id": "archive", "topics": ["lineside/#"], "expiry_s": 3600, "username"?, "password"?}

Prints a JSON line for each message, before it is acknowledged, and for each connection:
  {"topic", "retain", "dup", "qos", "expiry_s", "content_type", "payload", "at_ms"}
  {"connected": session_present, "at_ms"} (after the subscriptions are granted), {"disconnected": reason, "at_ms"}
With expiry_s above 0 the session is persistent: it outlives both this program and its connections.
`at_ms` is CLOCK_BOOTTIME. Ends when its standard input does.
"""

import json
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

settings = json.loads(sys.argv[1])


def say(**message):
    message["at_ms"] = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


present = False


def on_connect(client, _data, flags, reason, _properties):
    global present
    if reason.is_failure:
        return
    present = bool(flags.session_present)
    client.subscribe([(topic, mqtt.SubscribeOptions(qos=1)) for topic in settings["topics"]])


def on_subscribe(_client, _data, _mid, reasons, _properties):
    if any(reason.is_failure for reason in reasons):
        say(refused=[str(reason) for reason in reasons])
    else:
        say(connected=present)


def on_disconnect(_client, _data, _flags, reason, _properties):
    say(disconnected=str(reason))


def on_message(_client, _data, message):
    properties = message.properties
    say(
        topic=message.topic,
        retain=bool(message.retain),
        dup=bool(message.dup),
        qos=message.qos,
        expiry_s=getattr(properties, "MessageExpiryInterval", None),
        content_type=getattr(properties, "ContentType", None),
        payload=message.payload.decode("utf-8", "replace"),
    )


client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2, client_id=settings["id"], protocol=mqtt.MQTTv5
)
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_disconnect = on_disconnect
client.on_message = on_message
client.reconnect_delay_set(min_delay=1, max_delay=1)
if "username" in settings:
    client.username_pw_set(settings["username"], settings.get("password"))
expiry = settings.get("expiry_s", 0)
session = Properties(PacketTypes.CONNECT)
session.SessionExpiryInterval = expiry
session.ReceiveMaximum = 1000
client.connect_async(
    "127.0.0.1", settings["port"], keepalive=30, clean_start=expiry == 0, properties=session
)
client.loop_start()
for _line in sys.stdin:
    pass
client.loop_stop()
