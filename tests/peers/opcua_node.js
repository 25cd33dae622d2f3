// An OPC UA server by node-opcua: a server that is not ours. It takes and says what opcua_asyncua.py does, and
// takes the policies Aes128_Sha256_RsaOaep and Aes256_Sha256_RsaPss, too, signed and encrypted. With "machinery": true
// it has a press by OPC 40001-1 and a filler by OPC 30050, from the models that the OPC Foundation publishes; the press
// is executing and in processing mode, the filler tells no state.
// NODE_PATH names the folder where tests/setup.sh has put its packages.
"use strict";
// What the library prints is not for those who read our lines.
const out = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);

const fs = require("fs");
const net = require("net");
const path = require("path");
const readline = require("readline");
const { DataType, Variant, VariantArrayType } = require("node-opcua-variant");
const { nodesets } = require("node-opcua-nodesets");
const { promoteToStateMachine } = require("node-opcua-address-space");
const { Range } = require("node-opcua-data-access");
const { OPCUAServer, OPCUACertificateManager, MessageSecurityMode, SecurityPolicy } = {
  ...require("node-opcua-server"),
  ...require("node-opcua-certificate-manager"),
  ...require("node-opcua-service-secure-channel"),
  ...require("node-opcua-secure-channel"),
};

const NAMESPACE = "urn:lineside:test";
const ODD = 'urn:lineside:odd;50% 线 "x"/';
const MACHINERY = "http://opcfoundation.org/UA/Machinery/";
const PACKML = "http://opcfoundation.org/UA/PackML/";
const MODELS = ["standard", "di", "isa95JobControl", "machineryJobs", "machinery", "packML"];
const settings = JSON.parse(process.argv[2]);
const say = (message) => out(JSON.stringify(message) + "\n");

function freePort(wanted) {
  return new Promise((resolve, reject) => {
    const listener = net.createServer();
    listener.on("error", reject);
    listener.listen(wanted, "127.0.0.1", () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });
}

function sameUser(user, password) {
  return user === settings.user && password === settings.password;
}

function words64(text) {
  const bits = BigInt.asUintN(64, BigInt(text));
  return [Number(bits >> 32n), Number(bits & 0xffffffffn)];
}

const FROM_JSON = {
  ByteString: (text) => Buffer.from(text, "base64"),
  DateTime: (text) => new Date(text),
  Int64: words64,
  UInt64: words64,
  LocalizedText: (text) => ({ text }),
  QualifiedName: (name) => ({ name, namespaceIndex: 0 }),
  Range: ([low, high]) => new Range({ low, high }),
  StatusCode: (value) => require("node-opcua-status-code").coerceStatusCode({ value }),
};

class Press {
  constructor() {
    this.nodes = [];
    this.moving = true;
    this.services = new Set();
    this.count = Math.floor((Number(fs.readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000) / settings.interval_ms);
  }

  async start() {
    const port = await freePort(settings.port);
    const trust = (name) =>
      new OPCUACertificateManager({
        rootFolder: path.join(settings.dir, name),
        automaticallyAcceptUnknownCertificate: true,
      });
    const { SignAndEncrypt } = MessageSecurityMode;
    const modes = [...new Set(settings.policies.map((policy) => MessageSecurityMode[policy] ?? SignAndEncrypt))];
    const { Basic256Sha256 } = SecurityPolicy;
    const policies = [...new Set(settings.policies.map((policy) => SecurityPolicy[policy] ?? Basic256Sha256))];
    this.server = new OPCUAServer({
      nodeset_filename: settings.machinery ? MODELS.map((model) => nodesets[model]) : undefined,
      port,
      host: "127.0.0.1",
      hostname: "127.0.0.1",
      serverInfo: { applicationUri: "urn:lineside:test:server" },
      certificateFile: settings.pem,
      privateKeyFile: settings.key,
      serverCertificateManager: trust("pki"),
      userCertificateManager: trust("users"),
      securityModes: modes,
      securityPolicies: policies,
      allowAnonymous: settings.identities.includes("anonymous"),
      userManager: { isValidUser: sameUser },
      isAuditing: false,
      disableDiscovery: true,
      serverCapabilities: { maxSessions: 50 },
      maxConnectionsPerEndpoint: 50,
    });
    await this.server.initialize();
    this.space = this.server.engine.addressSpace.registerNamespace(NAMESPACE);
    this.variable("state", DataType.UInt32, 2);
    this.miss(settings.missing);
    this.odd(settings.odd);
    if (settings.machinery) this.machinery();
    this.server.on("request", (request) => this.services.add(request.constructor.name));
    await this.server.start();
    // Never two counts closer than that, however late the first: a sampling server would skip one.
    const count = () => {
      this.countUp();
      setTimeout(count, settings.interval_ms);
    };
    count();
    say({ listening: port });
  }

  variable(name, dataType, value) {
    const addressSpace = this.server.engine.addressSpace;
    const node = this.space.addVariable({
      organizedBy: addressSpace.rootFolder.objects,
      browseName: name,
      nodeId: `s=${name}`,
      dataType,
    });
    node.setValueFromSource({ dataType, value });
    return node;
  }

  miss(missing) {
    const wanted = settings.nodes - missing;
    while (this.nodes.length > wanted) this.server.engine.addressSpace.deleteNode(this.nodes.pop());
    while (this.nodes.length < wanted) {
      const node = this.variable(`n${this.nodes.length}`, DataType.Double, this.count);
      if (settings.history) this.server.engine.addressSpace.installHistoricalDataNode(node, { maxOnlineValues: 10000 });
      this.nodes.push(node);
    }
  }

  odd(nodes) {
    if (nodes.length === 0) return;
    const addressSpace = this.server.engine.addressSpace;
    const space = addressSpace.registerNamespace(ODD);
    for (const { id, type, value, texts } of nodes) {
      const of = FROM_JSON[type] ?? ((value) => value);
      const isList = Array.isArray(value) && type !== "Range";
      const isMatrix = isList && Array.isArray(value[0]);
      const dataType = DataType[{ Range: "ExtensionObject", Enumeration: "Int32" }[type] ?? type];
      const variant = new Variant({
        dataType,
        arrayType: isMatrix ? VariantArrayType.Matrix : isList ? VariantArrayType.Array : VariantArrayType.Scalar,
        dimensions: isMatrix ? [value.length, value[0].length] : undefined,
        value: isList ? value.flat().map(of) : of(value),
      });
      const enumeration = { browseName: `type of ${id}`, enumeration: texts };
      const common = { organizedBy: addressSpace.rootFolder.objects, browseName: `odd ${id}`, nodeId: id };
      let node;
      if (type === "Enumeration") {
        node = space.addVariable({ ...common, dataType: space.addEnumerationType(enumeration) });
      } else if (texts) {
        node = space.addMultiStateDiscrete({ ...common, enumStrings: texts, value });
      } else {
        const rank = isMatrix ? 2 : isList ? 1 : -1;
        node = space.addVariable({ ...common, dataType: type, valueRank: rank, arrayDimensions: rank > 0 ? Array(rank).fill(0) : undefined });
      }
      node.setValueFromSource(variant);
    }
  }

  machinery() {
    const addressSpace = this.server.engine.addressSpace;
    const organizedBy = addressSpace.rootFolder.objects;
    const index = (uri) => addressSpace.getNamespaceIndex(uri);
    const press = this.space.addObject({ organizedBy, browseName: "Press", nodeId: "s=Press" });
    const machines = [
      ["MachineryItemState", "MachineryItemState_StateMachineType", "Executing"],
      ["MachineryOperationMode", "MachineryOperationModeStateMachineType", "Processing"],
    ];
    for (const [name, type, state] of machines) {
      const machine = addressSpace.findObjectType(type, index(MACHINERY)).instantiate({
        namespace: this.space,
        componentOf: press,
        browseName: { name, namespaceIndex: index(MACHINERY) },
        optionals: ["CurrentState.Number"],
      });
      promoteToStateMachine(machine).setState(state);
    }
    const filler = addressSpace.findObjectType("PackMLBaseObjectType", index(PACKML));
    filler.instantiate({ namespace: this.space, organizedBy, browseName: "Filler" });
  }

  countUp() {
    if (!this.moving) return;
    this.count += 1;
    for (const node of this.nodes) node.setValueFromSource({ dataType: DataType.Double, value: this.count });
  }

  command(message) {
    if ("missing" in message) {
      this.miss(message.missing);
      say({ done: true });
    } else if ("moving" in message) {
      this.moving = message.moving;
      say({ done: true });
    } else if ("sessions" in message) {
      say({ sessions: this.server.engine.currentSessionCount });
    } else if ("services" in message) {
      say({ services: [...this.services].sort() });
    }
  }
}

const press = new Press();
press.start().then(
  () => {
    const lines = readline.createInterface({ input: process.stdin });
    lines.on("line", (line) => press.command(JSON.parse(line)));
    lines.on("close", () => process.exit(0));
  },
  (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  },
);
